"""Cycles: figures of both cycles, the steps, the next thing to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.screens.cycles import CyclesScreen
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.stepper import Stepper
from tests.support.driving import lines_of, press, settle, text_of
from tests.support.oracle import percent, shown

if TYPE_CHECKING:
    from clinasr_tui.app import ClinasrApp


def test_picture(cockpit, size, picture):
    assert picture(cockpit, size)


def test_picture_of_a_first_workspace(two_cycles, app_on, size, picture):
    shutil.rmtree(two_cycles / "cycle2")
    for name in ("per_sample.json", "train.jsonl", "validation.jsonl", "eval_info.json"):
        (two_cycles / "cycle1" / name).unlink()
    assert picture(app_on(two_cycles), size)


async def test_the_golden_figures_stand_in_the_table(loop_cockpit):
    async with loop_cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        lines = lines_of(loop_cockpit.query_one("#cycles", LineList))
        first, held_first, second, held_second = lines
        assert "250" in first
        assert ".876" in first
        assert "50" in held_first
        assert ".820" in held_first
        assert ".144" in second
        assert "−84 %" in second
        assert "decided: keep" in second
        assert ".280" in held_second
        assert "−66 %" in held_second


async def test_an_honest_verdict_of_its_own_is_told_as_such(cockpit, demo_figures, held_out):
    before, after = demo_figures[1], demo_figures[2]
    async with cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        first, held_first, second, held_second = lines_of(cockpit.query_one("#cycles", LineList))
        assert shown(before.ker) in first
        assert shown(before.among(held_out).ker) in held_first
        assert shown(after.ker) in second
        assert percent(before.ker, after.ker) in second
        assert "honest: worse" in second
        assert shown(after.among(held_out).ker) in held_second
        assert (cockpit.session.facts.verdict, cockpit.session.facts.honest) == ("keep", "worse")


async def test_the_steps_end_with_the_decision(cockpit):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        steps = lines_of(cockpit.query_one(Stepper))
        assert [line.split()[1] for line in steps] == [
            "manifest", "baseline", "gate", "split", "box", "train", "re-eval", "decide", "deploy",
        ]  # fmt: skip
        assert "pre-flight clean" in steps[0]
        assert steps[2].startswith("✔ gate")
        assert "keep" in steps[7]


async def test_enter_opens_the_cycle_and_number_keys_come_back(cockpit):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert cockpit.current_mode == "leaderboard"
        assert "cycle 1" in text_of(cockpit.screen, "TitleLine")
        await press(pilot, "1", "down", "enter")
        assert "cycle 2" in text_of(cockpit.screen, "TitleLine")
        await press(pilot, "1")
        assert isinstance(cockpit.screen, CyclesScreen)


@pytest.mark.parametrize(
    ("step", "mode"), [("gate", "gate"), ("baseline", "leaderboard"), ("decide", "compare")]
)
async def test_enter_on_a_step_goes_to_its_screen(cockpit, step, mode):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        stepper = cockpit.query_one(Stepper)
        stepper.focus()
        stepper.move_to(step)
        await press(pilot, "enter")
        assert cockpit.current_mode == mode


async def test_next_leads_to_where_a_run_is_set_up(two_cycles, app_on):
    shutil.rmtree(two_cycles / "cycle2")
    app: ClinasrApp = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "train" in text_of(app.screen, "#next")
        await press(pilot, "n")
        assert app.current_mode == "train"


async def test_a_cycle_that_appears_is_shown_without_a_key(two_cycles, app_on, demo_figures):
    late = two_cycles / "cycle2"
    late.rename(two_cycles / "later")
    app: ClinasrApp = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert len(lines_of(app.query_one("#cycles", LineList))) == 2
        (two_cycles / "later").rename(late)
        await app.session.rescan()
        await settle(pilot)
        lines = lines_of(app.query_one("#cycles", LineList))
        assert len(lines) == 4
        assert shown(demo_figures[2].ker) in lines[2]
        assert app.session.facts.verdict == "keep"


async def test_broken_transcripts_are_one_line_and_the_rest_stays(two_cycles, app_on, demo_figures):
    path = two_cycles / "cycle2" / "offline_hyps.jsonl"
    rows = path.read_text().splitlines()
    rows[56] = '{"ref": "broken'
    path.write_text("\n".join(rows))
    app: ClinasrApp = app_on(two_cycles)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        problem = text_of(app.screen, "ProblemLine")
        assert "offline_hyps.jsonl:57" in problem
        assert "Traceback" not in problem
        lines = lines_of(app.query_one("#cycles", LineList))
        assert shown(demo_figures[1].ker) in lines[0]
        assert "unreadable" in lines[2]
        await press(pilot, "7")
        assert "offline_hyps.jsonl:57" in text_of(app.screen, "ProblemLine")
        await press(pilot, "6", "1")
        assert app.is_running


async def test_a_cycle_without_figures_says_how_many_rows_it_has(bare):
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        first = lines_of(bare.screen.query_one("#cycles", LineList), 76)[0]
        assert first.split()[:3] == ["1", "1", "–"]
