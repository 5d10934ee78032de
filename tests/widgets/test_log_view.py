"""The log view: virtual, follow and pause, severities, search, next error, forgotten lines."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection
from time import process_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App
from textual.content import Content
from textual.events import MouseDown, MouseMove, MouseScrollLeft, MouseScrollRight, MouseScrollUp, MouseUp
from textual.widget import Widget

from clinasr_tui.errors import InputError
from clinasr_tui.training.snapshot import Level
from clinasr_tui.training.time_bound import TooSlowError
from clinasr_tui.widgets.log_lines import LineFilter, ShownLines, read_line
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
        self.scanned = 0
        self.notes: set[int] = set()

    def __len__(self) -> int:
        return self.size

    def text(self, index: int) -> str:
        self.asked.append(index)
        return self._line(index)

    def _line(self, index: int) -> str:
        number = index + self.dropped
        return f"17:03:{number % 60:02} I line {number} of the run, with a long tail " + "x" * 200

    def level(self, index: int) -> Level:
        number = index + self.dropped
        return Level.ERROR if number % 1000 == 999 else Level.WARNING if number % 100 == 99 else Level.INFO

    def joined(self, start: int, stop: int) -> str:
        self.scanned += stop - start
        return "\n".join(self._line(index) for index in range(start, stop))

    def is_note(self, index: int) -> bool:
        return index + self.dropped in self.notes

    def count(self, level: Level) -> int:
        first, last = self.dropped, self.dropped + self.size
        errors = (last // 1000) - (first // 1000)
        marked = (last // 100) - (first // 100)
        return {Level.ERROR: errors, Level.WARNING: marked - errors}.get(level, self.size - marked)

    def indices(self, levels: Collection[Level], start: int = 0, stop: int | None = None) -> array[int]:
        if len(levels) == len(Level):
            return array("L", range(start, self.size if stop is None else stop))
        stop = self.size if stop is None else stop
        return array("L", (index for index in range(start, stop) if self.level(index) in levels))


async def settled(pilot: Pilot[None]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def title(view: LogView) -> str:
    return Content.from_markup(view.border_title or "").plain


def notes(view: LogView) -> str:
    return Content.from_markup(view.border_subtitle or "").plain


def numbers(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(r"line (\d+) ", line))]


def test_a_line_is_taken_apart() -> None:
    assert read_line("17:03:05 I Hydra config") == ("17:03:05", "Hydra config")
    assert read_line("      text = re.sub") == ("", "      text = re.sub")


def test_other_timestamps_stand_in_the_column_too() -> None:
    assert read_line("[2026-01-02 17:03:05,123][HYDRA] go") == ("17:03:05", "[HYDRA] go")
    assert read_line("2026-01-02T17:03:05.5Z done") == ("17:03:05", "done")
    assert read_line("2026-01-02 17:03 done") == ("", "2026-01-02 17:03 done")


ERRORS = LineFilter(frozenset({Level.ERROR}))


def everything(shown: ShownLines) -> list[int]:
    while not shown.done:
        shown.update()
    return [shown.number(place) for place in range(len(shown))]


def test_shown_lines_grow_with_the_log_and_forget_with_it() -> None:
    log = Log(2500)
    shown = ShownLines(log, ERRORS)
    assert shown.update() == (0, 2)
    assert everything(shown) == [999, 1999]
    log.size = 3000
    assert shown.update() == (1, 0)
    log.dropped, log.size = 1500, 1500
    assert shown.line(0) == -501
    assert shown.update() == (0, -1)
    assert everything(shown) == [1999, 2999]
    assert [shown.line(place) for place in range(2)] == [499, 1499]
    plain = ShownLines(log)
    assert plain.update() == (1500, 0)
    assert (len(plain), plain.number(0), plain.place(1507)) == (1500, 1500, 7)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_lines_are_picked_alike_from_anywhere_in_any_slices(data: st.DataObject) -> None:
    log = Log(data.draw(st.integers(0, 3000)))
    text = data.draw(st.sampled_from(["", "line 1", "!line 1", "7 of|[13]5 of", "!e \\d*0 of"]))
    levels = data.draw(st.sampled_from([frozenset(Level), frozenset({Level.INFO}), ERRORS.levels]))
    chosen = LineFilter.typed(text, levels)
    shown = ShownLines(log, chosen, data.draw(st.integers(-5, 3500)))
    for _ in range(data.draw(st.integers(0, 4))):
        shown.update()
        log.size += data.draw(st.integers(0, 700))
        gone = data.draw(st.integers(0, min(log.size, 500)))
        log.dropped, log.size = log.dropped + gone, log.size - gone
    shown.update()
    found = everything(shown)

    def passes(index: int) -> bool:
        if log.level(index) not in levels or not text:
            return log.level(index) in levels
        return (re.search(text.lstrip("!"), log._line(index)) is None) is text.startswith("!")

    assert everything(shown) == [index + log.dropped for index in range(log.size) if passes(index)]
    assert found == everything(shown)
    for place, number in enumerate(found):
        assert shown.place(number) == place
        assert shown.holds(number)
    assert shown.hidden == log.size - len(found)
    assert list(shown.numbers(range(len(shown)))) == found


def test_a_pattern_that_never_ends_is_refused_soon() -> None:
    log = Log(20)
    shown = ShownLines(log, LineFilter.typed("(x+x+)+y", frozenset(Level)))
    start = process_time()
    with pytest.raises(TooSlowError):
        everything(shown)
    assert process_time() - start < 5


@pytest.mark.parametrize("text", ["[", "(a", "*", "a" * 1001, "\\"])
def test_what_is_no_regular_expression_is_said(text: str) -> None:
    with pytest.raises(InputError, match="not a regular expression"):
        LineFilter.typed("!" + text, frozenset(Level))


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
        assert title(view) == "log ── following ── i 990 · w 9 · e 1"
        await pilot.press("up")
        seen = numbers(shown(view))
        log.size += 12
        view.grow()
        await pilot.pause()
        assert title(view) == "log ── paused at 999 of 1,012 · 12 new ── i 1,002 · w 9 · e 1"
        assert numbers(shown(view)) == seen == list(range(979, 999))
        await pilot.press("end")
        await pilot.pause()
        assert title(view) == "log ── following ── i 1,002 · w 9 · e 1"
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
        assert title(view) == "log ── following ── i 4,950 hidden · w 45 · e 5"
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
        assert notes(view) == "no line with /not there"


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
        assert notes(view) == (f"from column {16 * side + 1}" if side else "")
        assert text.startswith(Log(10).text(0)[11 + 16 * side :][:20])


async def test_a_filter_hides_or_keeps_and_says_how_many(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    log, view = Log(3000), LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(log)
        view.hide("line 2.*5 of")
        await settled(pilot)
        assert numbers(shown(view))[-3:] == [2975, 2985, 2995]
        assert notes(view) == f"only line 2.*5 of: {3000 - len(view.lines):,} hidden"
        view.hide("!line .*[1-9] of")
        await settled(pilot)
        assert numbers(shown(view)) == list(range(2900, 3000, 10))
        assert notes(view) == "without line .*[1-9] of: 2,700 hidden"
        log.size += 21
        view.grow()
        await settled(pilot)
        assert numbers(shown(view))[-2:] == [3010, 3020]
        with pytest.raises(InputError):
            view.hide("(")
        assert len(view.lines) == 303
        assert view.back()
        assert not view.back()
        await settled(pilot)
        assert (notes(view), len(view.lines)) == ("", 3021)


async def test_a_filter_keeps_the_lines_being_read_in_view(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    log, view = Log(60_000), LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(log)
        view.action_first()
        for _ in range(3):
            view.next_error(-1)
        await settled(pilot)
        assert view.here == 57_999
        view.hide("9 of")
        await settled(pilot)
        assert len(view.lines) == 6000
        assert 57_999 in numbers(shown(view))
        assert view.new == 0
        log.size += 1000
        view.grow()
        await settled(pilot)
        assert view.new == 100
        view.hide("")
        await settled(pilot)
        assert 57_999 in numbers(shown(view))


async def test_the_matches_are_counted_while_the_screen_goes_on(bench: Bench) -> None:
    log, view = Log(200_000), LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(log)
        view.search("line .*00 of")
        while view.here is None:
            await pilot.pause()
        assert view.here == 199_900
        assert log.scanned < 200_000
        assert re.fullmatch(r"/line \.\*00 of [\d,]+ found, \d+%", notes(view))
        await settled(pilot)
        assert notes(view) == "/line .*00 of 1,999 of 1,999"
        view.find(-1)
        view.find(-1)
        assert notes(view) == "/line .*00 of 1,997 of 1,999"
        log.size += 101
        view.grow()
        await settled(pilot)
        assert notes(view) == "/line .*00 of 1,997 of 2,001"


async def test_escape_ends_a_long_scan(bench: Bench) -> None:
    log, view = Log(300_000), LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(log)
        view.search("not there")
        assert view.back()
        await settled(pilot)
        assert log.scanned < 100_000
        assert notes(view) == ""


async def test_a_pattern_that_never_ends_freezes_nothing(bench: Bench) -> None:
    view = LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(Log(1000))
        view.search("(x+x+)+y")
        await settled(pilot)
        assert notes(view) == "/(x+x+)+y needs too long for a line: not used"
        assert view.searching == ""
        view.hide("!(x+x+)+y")
        await settled(pilot)
        assert notes(view) == "!(x+x+)+y needs too long for a line: not used"
        assert len(view.lines) == 1000


async def test_what_was_found_is_marked_and_only_that(bench: Bench) -> None:
    view = LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(Log(3))
        view.search("RUN|:01")
        await settled(pilot)
        view.find(-1)
        strip = view.render_line(1)
        found = view.get_component_rich_style("log-view--found")
        assert [segment.text for segment in strip if segment.style == found] == ["run"]
        assert strip.text[:13] == "17:03:01▸I  l"


async def test_the_error_before_and_hidden_errors(bench: Bench) -> None:
    view = LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(Log(3500))
        for found in (2999, 1999, 999, 2999):
            view.next_error(-1)
            await settled(pilot)
            assert view.here == found
        assert notes(view) == "error 3 of 3"
        view.hide("!line 2999")
        view.next_error(1)
        assert view.here == 999
        view.toggle_level(Level.ERROR)
        view.next_error(1)
        assert notes(view).startswith("no line with an error")


async def test_long_lines_wrap_and_scroll_by_rows(bench: Bench, shown: Callable[[Widget], list[str]]) -> None:
    log, view = Log(50), LogView()
    async with bench(view).run_test(size=(74, 12)) as pilot:
        view.show(log)
        view.focus()
        view.toggle_wrap()
        await pilot.pause()
        rows = shown(view)
        whole = read_line(log._line(49)).text
        assert [row[12:].rstrip() for row in rows[-4:]] == [
            whole[start : start + 60] for start in range(0, len(whole), 60)
        ]
        assert rows[-4].startswith("17:03:49 I  ")
        assert rows[-1].startswith(" " * 12)
        await pilot.press("up")
        assert shown(view)[1:] == rows[:-1]
        await pilot.press("home", "down")
        assert numbers(shown(view)) == [1, 2]
        await pilot.press("end")
        assert shown(view) == rows
        view.side(1)
        view.toggle_wrap()
        await pilot.pause()
        assert numbers(shown(view)) == list(range(40, 50))


async def test_lines_are_selected_by_keys_and_copied(bench: Bench) -> None:
    log, view = Log(500), LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(log)
        view.focus()
        await pilot.pause()
        assert view.copied()[1:] == (10, 10)
        view.toggle_selecting()
        await pilot.press("up", "up")
        assert notes(view) == "3 lines selected, y copies"
        assert [view.render_line(y).text[8] for y in range(10)] == [" "] * 7 + ["┃"] * 3
        assert view.copied() == ("".join(log._line(n) + "\n" for n in (497, 498, 499)), 3, 3)
        assert list(view.chosen()) == [497, 498, 499]
        await pilot.press("pageup", "pageup")
        assert view.selected == 21
        assert view.top == 479
        await pilot.press("home")
        text, copied, wanted = view.copied()
        assert (copied, wanted) == (text.count("\n"), 500)
        assert 74_000 < len(text.encode()) <= 74_994
        assert view.back()
        assert (view.selected, notes(view)) == (0, "")
        assert list(view.chosen()) == list(range(500))


async def test_lines_are_selected_by_dragging(bench: Bench) -> None:
    view = LogView()
    async with bench(view).run_test(size=(100, 12)) as pilot:
        view.show(Log(500))
        await pilot.pause()
        await pilot._post_mouse_events([MouseDown], view, offset=(20, 4), button=1)
        await pilot._post_mouse_events([MouseMove], view, offset=(30, 7), button=1)
        await pilot._post_mouse_events([MouseUp], view, offset=(30, 7), button=1)
        await pilot.pause()
        assert list(view.chosen()) == [493, 494, 495, 496]
        await pilot.click(view, offset=(20, 2))
        assert not view.selecting


async def test_a_line_of_ours_looks_like_none_of_the_run(bench: Bench) -> None:
    log, view = Log(3), LogView()
    log.notes = {1}
    async with bench(view).run_test(size=(100, 12)):
        view.show(log)
        assert [view.render_line(y).text[8:12] for y in range(3)] == [" I  ", " ── ", " I  "]


async def test_long_lines_move_no_further_than_their_end(bench: Bench) -> None:
    view = LogView()
    async with bench(view).run_test(size=(60, 12)) as pilot:
        view.show(Log(10))
        for _ in range(50):
            await pilot._post_mouse_events([MouseScrollRight], view, button=0)
        longest = len(read_line(Log(10)._line(0)).text)
        assert notes(view) == f"from column {(longest - 1) // 16 * 16 + 1}"
        await pilot._post_mouse_events([MouseScrollLeft], view, button=0)
        assert notes(view) == f"from column {(longest - 1) // 16 * 16 - 15}"
