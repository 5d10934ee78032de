"""The honest verdict beside the published one, forgetting, and what to look at first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.comparison import Comparison, compare, compare_leaderboards
from clinasr_tui.flywheel.decision import Verdict
from clinasr_tui.flywheel.forgetting import general_change
from clinasr_tui.flywheel.judgement import judge, reasons, to_json
from clinasr_tui.flywheel.leaderboard import build_leaderboard
from clinasr_tui.flywheel.review import comparison_of
from clinasr_tui.flywheel.scoring import ScoredSet, score
from clinasr_tui.flywheel.settings import Settings
from clinasr_tui.flywheel.thresholds import DecisionLimits
from tests.support.scored_rows import by_hit, loop_cycle, loop_held_out, rows, scored

if TYPE_CHECKING:
    from clinasr_tui.flywheel.opinion import GeneralChange

BASE, TUNED, HELD_OUT = loop_cycle(1), loop_cycle(2), loop_held_out()


@pytest.fixture(scope="module")
def loop() -> Comparison:
    return compare(BASE, TUNED, held_out=HELD_OUT)


def sentences(wrong: int, n: int = 40, words: int = 10, *, start: int = 0) -> ScoredSet:
    """General speech with so many words wrong in every sentence."""
    reference = " ".join(f"w{place}" for place in range(words))
    spoken = " ".join("x" if place < wrong else f"w{place}" for place in range(words))
    return scored(*({"audio": f"{start + i}.wav", "ref": reference, "hyp": spoken} for i in range(n)))


def tuned(
    before: int, after: int, terms: int = 12, each: int = 5, **fields: str
) -> tuple[ScoredSet, ScoredSet]:
    """Two sets of drugs, each heard in so many of its rows before and after."""
    sides = []
    for heard in (before, after):
        made: list[dict[str, str]] = []
        for number in range(terms):
            hits = [place < heard for place in range(each)]
            made += by_hit(hits, term=f"t{number}", start=len(made), **{"category": "drug", **fields})
        sides.append(score(rows(*made)))
    return sides[0], sides[1]


def test_the_closed_loop_keeps_its_model_by_both(loop: Comparison) -> None:
    found = judge(loop)
    assert (found.published.verdict, found.honest.verdict, found.differs) == (
        Verdict.KEEP,
        Verdict.KEEP,
        False,
    )
    assert found.published.route == "deploy"
    assert found.why.startswith("drug on the held-out rows: KER 0.944 → 0.278 (−71 %")
    assert found.beside.startswith("Honest verdict KEEP too: drug on")
    assert (found.diagnostics, found.general, found.stop, found.deviations) == ((), None, (), ())


def test_the_closed_loop_forgets_general_speech_and_that_decides(loop: Comparison) -> None:
    found = judge(loop, general=general_change(sentences(2), sentences(3)))
    assert (found.honest.verdict, found.differs, found.published.route) == (Verdict.WORSE, True, "deploy")
    assert found.honest.route == "build"
    assert "general speech" in found.honest.action
    assert found.why == found.general.sentence  # type: ignore[union-attr]
    told = list(reasons(found))
    assert told[0].startswith("Honest verdict WORSE, not KEEP: General speech, WER 0.200 → 0.300 (+50 %")
    assert told[1].startswith("Without that: drug on the held-out rows")


@pytest.mark.parametrize(
    ("before", "after", "forgotten", "says"),
    [
        (sentences(2), sentences(3), True, "the model has forgotten"),
        (sentences(2), sentences(2), False, "no measurable change"),
        (sentences(3), sentences(2), False, "better"),
        (sentences(0), sentences(1), True, "the model has forgotten"),
        (sentences(40, words=100), sentences(41, words=100), False, "worse, but by little"),
    ],
)
def test_forgetting(before: ScoredSet, after: ScoredSet, forgotten: bool, says: str) -> None:
    found = general_change(before, after)
    assert (found.forgotten, found.rows) == (forgotten, 40)
    assert found.sentence.endswith(f"{says}.")


def test_a_rise_by_chance_is_no_forgetting() -> None:
    def one_wrong(places: list[int]) -> ScoredSet:
        made = [
            {"audio": f"{i}.wav", "ref": "a b", "hyp": "a x" if i in places else "a b"} for i in range(20)
        ]
        return scored(*made)

    found = general_change(one_wrong([0, 1]), one_wrong([2, 3, 4]))
    assert found.wer.relative == pytest.approx(0.5)
    assert not found.forgotten


def test_a_general_set_of_other_rows_is_refused() -> None:
    with pytest.raises(InputError, match="share no row"):
        general_change(sentences(1), sentences(1, start=500))
    half = general_change(sentences(1), sentences(2, start=20))
    assert (half.rows, half.only_a, half.only_b) == (20, 20, 20)


def held(side: ScoredSet, indices: list[int]) -> frozenset[tuple[str, str]]:
    keys = side.hypotheses
    return frozenset((keys.audio_filepath[index], keys.term[index]) for index in indices)


def test_held_out_rows_that_did_not_move() -> None:
    a, b = tuned(0, 4)
    missed = [index for index, ker in enumerate(b.scores.ker) if ker == 1]
    found = judge(compare(a, b, held_out=held(b, missed)))
    assert (found.published.verdict, found.honest.verdict) == (Verdict.KEEP, Verdict.UNCHANGED)
    assert "on the held-out rows: KER 1.000 → 1.000" in found.why
    assert found.published.route == "deploy"
    assert [diagnostic.id for diagnostic in found.diagnostics] == ["by_category"]


def test_without_held_out_rows_that_is_said() -> None:
    found = judge(compare(*tuned(0, 4)))
    assert found.honest.verdict is Verdict.KEEP
    assert found.why.endswith("no held-out row tells what is memory of the training rows.")
    other = compare(*tuned(0, 4), held_out=frozenset({("x.wav", "y")}))
    assert "no held-out row" in judge(other).why


def test_leaderboards_are_taken_at_their_word() -> None:
    found = judge(compare_leaderboards(build_leaderboard(BASE), build_leaderboard(TUNED)))
    assert (found.honest.verdict, found.differs) == (Verdict.KEEP, False)
    assert "without paired rows" in found.why


def test_chance_is_named() -> None:
    wide = judge(compare(*tuned(3, 4, terms=2, each=4)))
    assert (wide.published.verdict, wide.honest.verdict) == (Verdict.KEEP, Verdict.UNCHANGED)
    assert "so few changed rows may be chance (exact McNemar p 0.50)" in wide.why


def test_small_but_certain_is_no_nothing() -> None:
    a, b = tuned(0, 1, terms=200, each=25)
    found = judge(compare(a, b))
    assert (found.published.verdict, found.honest.verdict) == (Verdict.UNCHANGED, Verdict.GROW)
    worse = judge(compare(b, a))
    assert (worse.published.verdict, worse.honest.verdict) == (Verdict.UNCHANGED, Verdict.WORSE)


def test_what_to_look_at_first() -> None:
    drug = by_hit([False] * 40, category="drug", ipa="magpie_g2p")
    known = by_hit([True] * 40, term="lasix", start=40, category="lab", ipa="merriam-webster")
    same = scored(*drug, *known)
    found = judge(compare(same, same))
    assert [diagnostic.id for diagnostic in found.diagnostics] == [
        "by_category",
        "already_known",
        "pronunciation_gap",
    ]
    assert "lab (KER 0.000)" in found.diagnostics[1].message
    level = scored(*drug, *by_hit([False] * 9, term="lasix", start=40, category="lab", ipa="merriam-webster"))
    last = judge(compare(level, level)).diagnostics[-1]
    assert last.id == "ipa_source"
    assert last.message.endswith("no pronunciation gap.")
    assert "merriam-webster (1.000, n 9), magpie_g2p (1.000, n 40)" in last.message


def test_a_model_that_got_worse_needs_no_diagnostics() -> None:
    found = judge(compare(*tuned(4, 1)))
    assert (found.published.verdict, found.diagnostics, found.published.route) == (Verdict.WORSE, (), "build")


def test_review_puts_the_judgement_among_the_reasons() -> None:
    settings = Settings(decision=DecisionLimits(keep_relative=0.95))
    general = general_change(sentences(2), sentences(2))
    found = comparison_of(BASE, TUNED, HELD_OUT, settings, general=general, stop=["Stop tuning: enough."])
    assert found.verdict is Verdict.GROW
    story = list(found.reasons)
    assert story[0].startswith("drug KER 0.978 → 0.111")
    assert story[1].startswith("Honest verdict GROW too")
    assert story[2] == general.sentence
    assert story[3] == "Stop tuning: enough."
    assert story[4].startswith("Look first: KER by category: drug −89 % (n 90)")
    assert story[5] == "[decision] keep_relative: 0.95 instead of the published 0.2, from clinasr.toml."
    plain = comparison_of(BASE, TUNED, HELD_OUT, Settings())
    assert any("measure it" in reason for reason in plain.reasons)
    kept = comparison_of(BASE, TUNED, HELD_OUT, Settings(), general=general)
    assert not any("measure it" in reason for reason in kept.reasons)


def test_json_keys(loop: Comparison) -> None:
    change: GeneralChange = general_change(sentences(2), sentences(3))
    document = json.loads(json.dumps(to_json(judge(loop, general=change, stop=("Enough.",)))))
    assert set(document) == {
        "route",
        "published",
        "honest",
        "general",
        "diagnostics",
        "stop",
        "deviations",
    }
    assert document["published"] == {"verdict": "keep", "action": loop.action, "route": "deploy"}
    assert set(document["honest"]) == {"verdict", "action", "route", "why", "differs"}
    assert set(document["general"]) == {"rows", "wer", "cer", "forgotten", "sentence", "only_a", "only_b"}
    assert document["stop"] == ["Enough."]
