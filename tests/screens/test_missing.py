"""A screen without anything to show says what is missing, what it is for, and which key leads on."""

from __future__ import annotations

import shutil

import pytest

from clinasr_tui.widgets.prompt import Prompt
from tests.support.driving import missing, press, settle, text_of
from tests.support.nim import stand_in_nim

SIZE = (80, 24)


@pytest.fixture
def one_cycle(two_cycles):
    """Scored once."""
    shutil.rmtree(two_cycles / "cycle2")
    return two_cycles


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("3", "whether fine-tuning pays"),
        ("6", "KER by category"),
        ("7", "two cycles stand side by side"),
        ("9", "a cycle whose gate passes"),
    ],
)
async def test_without_transcripts_the_baseline_is_what_comes_next(bare, key, says):
    async with bare.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, key)
        shown = missing(bare.screen)
        assert "No cycle has transcripts yet" in shown
        assert says in shown
        assert "E the base transcribes the manifest" in shown
        await press(pilot, "up", "enter", "left_square_bracket", "escape", "r")
        await press(pilot, "E")
        assert missing(bare.screen) == ""


async def test_one_scored_cycle_cannot_be_compared(one_cycle, app_on):
    app = app_on(one_cycle)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        assert "only one cycle has transcripts" in missing(app.screen)


@pytest.mark.parametrize(("key", "focused"), [("3", "gate-scroll"), ("6", "groups"), ("9", "fields")])
async def test_what_comes_is_shown_and_takes_the_keys(two_cycles, app_on, tmp_path, key, focused):
    transcripts = two_cycles / "cycle1" / "per_sample.json"
    aside = transcripts.rename(tmp_path / "aside.json")
    shutil.rmtree(two_cycles / "cycle2")
    app = app_on(two_cycles)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, key)
        assert missing(app.screen)
        aside.rename(transcripts)
        await app.session.rescan()
        await settle(pilot)
        assert missing(app.screen) == ""
        assert app.focused is not None
        assert app.focused.id == focused


async def test_without_a_model_one_can_be_named_and_a_service_asked(bare):
    async with bare.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "8")
        screen = bare.screen
        assert "No tuned model is here yet" in missing(screen)
        await press(pilot, "o")
        prompt = screen.query_one(Prompt)
        assert prompt.has_focus
        assert prompt.region.height, "the line is in sight"
        await press(pilot, "escape", "c")
        with stand_in_nim() as nim:
            prompt.value = nim.address
            await press(pilot, "enter")
            assert f"✔ {nim.address} is ready" in text_of(screen, "#model")
