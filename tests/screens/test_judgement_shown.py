"""What the app says of the honest verdict, of forgetting and of when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.stepper import Stepper
from tests.support.cycles import general, put_cycle, put_reeval, terms
from tests.support.driving import lines_of, press, settle, text_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def forgetful(tmp_path: Path) -> Path:
    """Two cycles: the published table keeps the model, general speech got worse."""
    root = tmp_path / "ward"
    rows = terms("drug", 21, 50) + terms("lab", 8, 80)
    a = put_cycle(root, 1, rows, audio=True)
    b = put_reeval(root, 2, rows, [number >= 5 for number in range(len(rows))])
    general(a / "general_hyps.jsonl", [2] * 60)
    general(b / "general_hyps.jsonl", [3] * 60)
    return root


@pytest.fixture
def idle(tmp_path: Path) -> Path:
    """A base tuned twice without any progress."""
    root = tmp_path / "idle"
    rows = terms("drug", 21, 50) + terms("lab", 8, 80)
    put_cycle(root, 1, rows, audio=True)
    for number in (2, 3):
        put_reeval(root, number, rows, [row["heard"] for row in rows])
    return root


def test_picture_of_a_verdict_that_is_not_honest(forgetful, app_on, size, picture):
    assert picture(app_on(forgetful), size, ["7"])


def test_picture_of_the_cycles_with_it(forgetful, app_on, size, picture):
    assert picture(app_on(forgetful), size)


def test_picture_of_the_end_of_tuning(idle, app_on, size, picture):
    assert picture(app_on(idle), size, ["7"])


def test_picture_of_other_thresholds(forgetful, app_on, size, picture):
    (forgetful / "clinasr.toml").write_text("[gate]\nfinetune_above = 0.2\nmin_rows = 120\n")
    assert picture(app_on(forgetful), size, ["3"])


async def test_facts_carry_the_honest_verdict_to_the_steps(forgetful, app_on):
    app = app_on(forgetful)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        facts = app.session.facts
        assert (facts.verdict, facts.honest, facts.stop) == ("keep", "worse", "")
        (b,) = forgetful.glob("cycle2/general_hyps.jsonl")
        general(b, [2] * 60)
        await app.session.rescan()
        await settle(pilot)
        assert (app.session.facts.verdict, app.session.facts.honest) == ("keep", "keep")


async def test_two_idle_rounds_reach_the_steps_and_the_cycles(idle, app_on):
    app = app_on(idle)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        why = "Stop tuning: two cycles in a row below 5 % relative improvement (+0 %, then +0 %)."
        assert (app.session.facts.verdict, app.session.facts.stop) == ("unchanged", why)
        steps = lines_of(app.screen.query_one(Stepper))
        assert f"not now: {why}" in steps[8]
        cycles = lines_of(app.screen.query_one("#cycles", LineList))
        assert [line.split()[-1] for line in cycles] == ["scored", "same", "tuning"]
        await press(pilot, "7")
        assert f"■ {why}" in " ".join(text_of(app.screen, "#decision").split())


async def test_the_decision_shows_both_verdicts(forgetful, app_on):
    app = app_on(forgetful)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        decision = text_of(app.screen, "#decision")
        assert "WORSE, not KEEP" in " ".join(decision.split())
