"""Pace: at once after a rest, made up for later otherwise, never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from clinasr_tui.widgets.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App
    from textual.widget import Widget


async def test_calls_are_joined_and_the_last_is_not_lost(bench: Callable[[Widget], App[None]]) -> None:
    state = {"news": 0}
    seen: list[int] = []
    widget = Static()
    async with bench(widget).run_test() as pilot:
        pace = Pace(widget, 0.1, lambda: seen.append(state["news"]))
        for news in range(5):
            state["news"] = news
            pace()
        assert seen == [0]
        await pilot.pause(0.15)
        assert seen == [0, 4]
        await pilot.pause(0.15)
        assert seen == [0, 4]
        state["news"] = 9
        pace()
        pace.now()
        assert seen == [0, 4, 9, 9]
