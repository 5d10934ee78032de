"""Helpers of the screen tests: settle the app, press keys, read what is shown."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from textual.worker import WorkerCancelled

from clinasr_tui.widgets.empty_state import EmptyState

if TYPE_CHECKING:
    from textual.pilot import Pilot
    from textual.screen import Screen

    from clinasr_tui.widgets.line_list import LineList

SIZES = {"80x24": (80, 24), "140x45": (140, 45)}
"""Terminal sizes every screen is pictured at."""


async def settle(pilot: Pilot[int]) -> None:
    """Wait until the first picture is painted, no worker computes and everything is drawn."""
    await pilot.app.session.painted.wait()
    quiet = 0
    while quiet < 2:
        await pilot.pause()
        busy = [w for w in pilot.app.workers if w.group != "watch" and not w.is_finished]
        quiet = 0 if busy else quiet + 1
        with suppress(WorkerCancelled):
            await pilot.app.workers.wait_for_complete(busy)


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Press keys one after the other, settling after each."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def watched(pilot, *keys):
    """Go to Watch and wait until the newest run has been read to its end."""
    await settle(pilot)
    await pilot.press("5")
    await ended(pilot)
    await pilot.press(*keys)
    await settle(pilot)
    return pilot.app.screen


async def ended(pilot):
    async with asyncio.timeout(20):
        while not any(run.ended for run in pilot.app.session._runs.values() if run is pilot.app.screen._run):
            await pilot.pause(0.02)
    await settle(pilot)


def drawn(screen, selector):
    """What a widget that draws by lines shows."""
    widget = screen.query_one(selector)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def text_of(screen: Screen, selector: str) -> str:
    """What a widget shows, line ends as spaces."""
    widget = screen.query_one(selector)
    return " ".join("".join(segment.text for segment in strip) for strip in _strips(widget)).strip()


def missing(screen: Screen) -> str:
    """What a screen says that has nothing to show; "" for one that shows something."""
    empty = screen.query_one(EmptyState)
    return empty.text if empty.display and empty.region else ""


def lines_of(lines: LineList, width: int = 130) -> list[str]:
    """Every line of a list as it is drawn at a width."""
    return [line.draw(width).plain for line in lines.lines]


def _strips(widget):
    region = widget.content_region
    return widget.render_lines(region.reset_offset) if hasattr(widget, "render_lines") else []
