"""Any size, keys that come faster than dialogs close, paths of no meaning, the exit code of what breaks."""

from __future__ import annotations

from functools import partialmethod
from typing import TYPE_CHECKING

import pytest
from textual.command import CommandList
from textual.widgets import OptionList, Static

from clinasr_tui.actions import SCREENS
from clinasr_tui.app import ClinasrApp, run_app
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.palette import Palette
from clinasr_tui.screens.pick_dialog import PickDialog
from tests.support.driving import press, settle

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN_HOME = "~no-such-user-here/x.nemo"


async def test_every_screen_bears_a_terminal_of_any_size(two_cycles: Path) -> None:
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(80, 24)) as pilot:
        for key, screen in zip("123456789E", SCREENS, strict=True):
            await press(pilot, key)
            for size in ((50, 16), (30, 10), (12, 4), (80, 24)):
                await pilot.resize_terminal(*size)
                await settle(pilot)
            assert app.current_mode == screen


async def test_a_second_enter_does_not_take_the_screen_below(two_cycles: Path) -> None:
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "9")
        app.push_screen(PickDialog("which?", ["this", "that"]))
        await settle(pilot)
        choices = app.screen.query_one(OptionList)
        choices.action_select()
        choices.action_select()
        await settle(pilot)
        assert app.screen.SCREEN_ID == "train"
        await press(pilot, "ctrl+p", "h", "e", "l", "p", "down")
        commands = app.screen.query_one(CommandList)
        commands.action_select()
        commands.action_select()
        await settle(pilot)
        assert not isinstance(app.screen, Palette)


async def test_pages_are_turned_in_a_palette_without_room(two_cycles: Path) -> None:
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "ctrl+p", "h")
        await pilot.resize_terminal(10, 3)
        await press(pilot, "pagedown", "pageup")
        assert isinstance(app.screen, Palette)


@pytest.mark.parametrize(("screen", "field"), [("E", "model"), ("9", "base")])
async def test_a_home_folder_nobody_has_is_only_a_wrong_path(
    two_cycles: Path, screen: str, field: str
) -> None:
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, screen)
        app.screen._set(field, UNKNOWN_HOME)
        await settle(pilot)
        shown = "\n".join(str(part.render()) for part in app.screen.query(Static))
        assert "no-such-user-here" in shown or "no such model" in shown


def test_breaking_is_no_success(two_cycles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: ClinasrApp) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(ClinasrApp, "on_mount", broken)
    monkeypatch.setattr(ClinasrApp, "run", partialmethod(ClinasrApp.run, headless=True))
    assert run_app(two_cycles) == 1
