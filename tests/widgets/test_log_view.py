"""The log view: virtual, follow and pause, severities, search, next error, forgotten lines."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import pytest
from textual.app import App
from textual.events import MouseScrollUp
from textual.widget import Widget

from clinasr_tui.training.snapshot import Level
from clinasr_tui.widgets.log_lines import ShownLines, read_line
from clinasr_tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from textual.pilot import Pilot

Bench = Callable[[Widget], App[None]]


class Log:
    """Numbered lines: every 100th a warning, every 1,000th an error."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.dropped = 0
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.size

    def text(self, index: int) -> str:
        self.asked.append(index)
        number = index + self.dropped
        return f"17:03:{number % 60:02} I line {number} of the run, with a long tail " + "x" * 200

    def level(self, index: int) -> Level:
        number = index + self.dropped
        return Level.ERROR if number % 1000 == 999 else Level.WARNING if number % 100 == 99 else Level.INFO

    def indices(
        self, levels: Collection[Level] | None = None, hide: re.Pattern[str] | None = None, start: int = 0
    ) -> array[int]:
        return array("L", (i for i in range(start, self.size) if levels is None or self.level(i) in levels))


async def settled(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def numbers(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(r"line (\d+) ", line))]


def test_a_line_is_taken_apart() -> None:
    assert read_line("17:03:05 I Hydra config") == ("17:03:05", "Hydra config")
    assert read_line("      text = re.sub") == ("", "      text = re.sub")


def test_shown_lines_grow_with_the_log_and_forget_with_it() -> None:
    log = Log(2500)
    shown = ShownLines(log)
    shown.show(frozenset({Level.ERROR}))
    assert [shown.line(place) for place in range(len(shown))] == [999, 1999]
    log.size = 3000
    assert shown.update() == (1, 0)
    log.dropped, log.size = 1500, 1500
    assert shown.update() == (0, 1500)
    assert [shown.line(place) for place in range(len(shown))] == [499, 1499]
    shown.show(frozenset(Level))
    assert len(shown) == 1500
    assert shown.place(7) == 7


async def test_a_million_lines_cost_those_in_view(bench: Bench, shown: Callable[[Widget], list[str]]) -> None:
    log, view = Log(1_000_000), LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(log)
        await pilot.pause()
        assert set(log.asked) <= set(range(1_000_000 - 20, 1_000_000)) | set(range(20))
        assert numbers(shown(view)) == list(range(999_980, 1_000_000))
        log.asked.clear()
        view.focus()
        await pilot.press("pageup")
        await pilot.pause()
        assert len(log.asked) <= 40


async def test_scrolling_up_pauses_and_counts_what_is_new(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    log, view = Log(1000), LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(log)
        view.focus()
        await pilot.pause()
        assert str(view.border_title) == "log ── following"
        await pilot.press("up")
        seen = numbers(shown(view))
        log.size += 12
        view.grow()
        await pilot.pause()
        assert str(view.border_title) == "log ── paused at 999 of 1,012 · 12 new"
        assert numbers(shown(view)) == seen == list(range(979, 999))
        await pilot.press("end")
        await pilot.pause()
        assert str(view.border_title) == "log ── following"
        assert numbers(shown(view))[-1] == 1011
        log.size += 5
        view.grow()
        await pilot.pause()
        assert numbers(shown(view))[-1] == 1016


async def test_the_wheel_scrolls_and_following_repaints_only_the_lines(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, view = Log(1000), LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(log)
        await pilot.pause()
        repainted: list[tuple[object, ...]] = []
        monkeypatch.setattr(view, "refresh", lambda *regions, **_: repainted.append(regions))
        log.size += 1
        view.grow()
        assert repainted == [(view.size.region,)]
        monkeypatch.undo()
        await pilot._post_mouse_events([MouseScrollUp], view, button=0)
        assert (view.following, view.top) == (False, 1001 - 20 - 3)


async def test_going_down_at_the_end_follows_again(bench: Bench) -> None:
    log, view = Log(1000), LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(log)
        view.focus()
        await pilot.press("up", "up", "down", "down")
        assert not view.following
        await pilot.press("down")
        assert view.following


async def test_severities_are_hidden_and_the_last_one_stays(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    log, view = Log(5000), LogView()
    async with bench(view).run_test(size=(80, 12)) as pilot:
        view.show(log)
        view.toggle_level(Level.INFO)
        await pilot.pause()
        assert numbers(shown(view))[-2:] == [4899, 4999]
        assert [line[9] for line in shown(view)][-2:] == ["W", "E"]
        assert str(view.border_subtitle) == "without info"
        view.toggle_level(Level.WARNING)
        view.toggle_level(Level.ERROR)
        await pilot.pause()
        assert numbers(shown(view)) == [999, 1999, 2999, 3999, 4999]
        view.toggle_level(Level.INFO)
        view.toggle_level(Level.WARNING)
        await pilot.pause()
        assert numbers(shown(view)) == list(range(4990, 5000))


async def test_search_finds_upwards_first_and_goes_round(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    view = LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(Log(3000))
        view.search("LINE 12")
        await settled(pilot)
        assert view.here == 1299
        assert not view.following
        assert 1299 in numbers(shown(view))
        for direction, found in ((1, 12), (-1, 1299), (-1, 1298)):
            view.find(direction)
            await settled(pilot)
            assert view.here == found
        view.search("not there")
        await settled(pilot)
        assert view.here is None
        assert str(view.border_subtitle) == "no line with not there"


async def test_the_next_error_is_found_round_the_end(bench: Bench) -> None:
    view = LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(Log(3500))
        for found in (999, 1999, 2999, 999):
            view.next_error()
            await settled(pilot)
            assert view.here == found


async def test_forgotten_lines_leave_the_text_in_view_in_place(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    log, view = Log(5000), LogView()
    async with bench(view).run_test(size=(80, 22)) as pilot:
        view.show(log)
        view.focus()
        await pilot.press("pageup")
        await pilot.pause()
        before = numbers(shown(view))
        log.dropped, log.size = 1000, 4010
        view.grow()
        await pilot.pause()
        assert numbers(shown(view)) == before
        assert view.new == 10


@pytest.mark.parametrize("side", [0, 1, 3])
async def test_long_lines_move_sideways(
    bench: Bench, shown: Callable[[Widget], list[str]], side: int
) -> None:
    view = LogView()
    async with bench(view).run_test(size=(60, 12)) as pilot:
        view.show(Log(10))
        for _ in range(side):
            view.side(1)
        await pilot.pause()
        text = shown(view)[0][12:]
        assert text.startswith(Log(10).text(0)[11 + 16 * side :][:20])
