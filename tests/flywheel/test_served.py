"""What serving changed: judged by the service's own table, never by the one about training."""

from __future__ import annotations

import pytest

from clinasr_tui.flywheel.comparison import Verdict
from clinasr_tui.flywheel.leaderboard import build_leaderboard
from clinasr_tui.flywheel.review import served_of
from clinasr_tui.flywheel.served import AS_WELL, BETTER, WORSE
from clinasr_tui.flywheel.settings import Settings
from tests.support.scored_rows import by_hit, loop_cycle, loop_held_out, scored

BASE, TUNED = loop_cycle(1), loop_cycle(2)
TRAINING = ("build)", "overfit", "retrain", "grow", "trained on", "held-out rows,", "forget", "honest")


def judged(offline, heard, held_out=None):
    found = served_of(offline, heard, held_out, Settings())
    told = " ".join((found.change.action, *found.change.reasons)).lower()
    assert [word for word in TRAINING if word in told] == []
    assert found.change.judgement is not None
    assert (found.change.judgement.published.route, found.change.judgement.differs) == ("deploy", False)
    return found


@pytest.mark.parametrize("held_out", [None, loop_held_out()], ids=["unknown", "held-out"])
def test_the_same_figures_are_served_as_well(held_out):
    found = judged(TUNED, TUNED, held_out)
    assert (found.change.verdict, found.change.action) == (Verdict.UNCHANGED, AS_WELL)
    assert (found.as_well, found.rows, found.missing) == (True, 250, 0)
    assert (found.change.held_out is None) == (held_out is None), "the figures stay"


def test_worse_leads_to_preprocessing_and_flags():
    found = judged(TUNED, BASE)
    assert (found.change.verdict, found.change.action) == (Verdict.WORSE, WORSE)
    assert not found.as_well
    assert "preprocessing or build flags, not the training" in found.change.action
    assert any("drug KER 0.111 → 0.978" in reason for reason in found.change.reasons)


def test_words_alone_may_be_worse():
    right = [dict(row, ref=f"{row['ref']} twice a day") for row in by_hit([True] * 60)]
    heard = [dict(row, hyp=f"{row['hyp']} twice a day") for row in right]
    found = judged(scored(*heard), scored(*right))
    assert found.change.every.headline["ker"].delta == 0
    assert found.change.verdict is Verdict.WORSE


def test_better_is_no_reason_to_deploy_another_model():
    found = judged(BASE, TUNED)
    assert (found.change.verdict, found.change.action, found.as_well) == (Verdict.KEEP, BETTER, True)


def test_one_row_that_changed_is_chance():
    offline = [*by_hit([True] * 50), *by_hit([False] * 10, term="apixaban", start=50)]
    heard = [*by_hit([True] * 49 + [False]), *by_hit([False] * 10, term="apixaban", start=50)]
    found = judged(scored(*offline), scored(*heard))
    assert found.change.verdict is Verdict.UNCHANGED
    assert "within chance" in found.change.reasons[0]


@pytest.mark.parametrize("hit", [True, False])
def test_rows_that_were_not_served_are_said_first(hit):
    found = judged(scored(*by_hit([True] * 250)), scored(*by_hit([hit] * 20)))
    assert (found.missing, found.as_well) == (230, False)
    assert "Not all rows were served, 230 of 250 are missing" in found.change.action
    assert found.change.action.startswith(WORSE) is not hit
    assert AS_WELL not in found.change.action


def test_other_rows_are_no_service_of_these():
    found = judged(scored(*by_hit([True] * 20)), scored(*by_hit([True] * 20, start=100)))
    assert (found.missing, found.as_well) == (20, False)
    assert found.change.action.startswith("No row of the cycle was served")


def test_a_leaderboard_tells_by_its_size():
    assert judged(build_leaderboard(TUNED), TUNED).as_well
    found = judged(build_leaderboard(TUNED), scored(*by_hit([True] * 10)))
    assert (found.missing, found.as_well) == (240, False)
