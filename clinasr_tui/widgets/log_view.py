"""The log of a run: any number of lines, follow or pause, filter, search, selection."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.content import Content
from textual.strip import Strip

from clinasr_tui.text import visible
from clinasr_tui.training.log_pattern import LinePattern
from clinasr_tui.training.snapshot import Level
from clinasr_tui.training.time_bound import TooSlowError
from clinasr_tui.widgets.log_drawing import (
    LEAD_WIDTH,
    TIME_WIDTH,
    LineParts,
    chips,
    line_parts,
    marked,
)
from clinasr_tui.widgets.log_lines import LineFilter, LogSource
from clinasr_tui.widgets.log_scroll import LogScroll
from clinasr_tui.widgets.log_search import LogSearch
from clinasr_tui.widgets.log_window import Position, row_starts
from clinasr_tui.widgets.row_table import fit

if TYPE_CHECKING:
    from textual import events
    from textual.worker import Worker

_SIDE_STEP = 16
_SCAN_SLICE = 0.006
_SCAN_PAUSE = 0.002
"""Seconds a scan of the log runs before the screen gets its turn, and for how long that is."""
_PROGRESS_SECONDS = 0.2
_TITLE_SECONDS = 2.0
"""A followed log writes its counts into the frame this often: the frame costs a slow line dear."""
_TOO_SLOW = "needs too long for a line: not used"


class LogView(LogScroll):
    """Draws the lines of a `LogSource` that are in view; call `grow` when the source may have more.

    For a screen's keys: `toggle_follow`, `toggle_level`, `hide`, `search`, `find`, `next_error`,
    `side`, `toggle_wrap`, `toggle_selecting`, `copied`, `chosen`, `back`.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"log-view--{kind}" for kind in ("time", "info", "warning", "error", "found", "here", "selected")
    }
    DEFAULT_CSS = """
    LogView {
        border: round $line;
        border-title-color: $quiet;
        border-subtitle-color: $quiet;
        & > .log-view--time { color: $quiet; }
        & > .log-view--warning { color: $warning; }
        & > .log-view--error { color: $error; text-style: bold; }
        & > .log-view--found { background: $accent; color: $background; text-style: bold; }
        & > .log-view--here { background: $cursor; }
        & > .log-view--selected { background: $cursor; }
        &:focus { border: round $primary; border-title-color: $foreground; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._search: LogSearch | None = None
        self._side = 0
        self._told = ""
        self._scan: Worker[None] | None = None
        self._titled = 0.0
        self._frame: tuple[Content, Content] = Content(), Content()

    @property
    def searching(self) -> str:
        """What is looked for; "" without a search."""
        return "" if self._search is None else self._search.pattern.text

    # --- lines ---------------------------------------------------------------------------------

    def show(self, source: LogSource) -> None:
        """Show another log from its end, through the same filter."""
        if source is self._shown.source:
            self.grow()
            return
        self._search, self._here, self._side, self._told = None, None, 0, ""
        self.end_selection()
        self.following = True
        self._pick(source, self._shown.filter)

    def grow(self) -> None:
        """Take in new lines: scroll to them when following, count them when paused."""
        self._take()
        if not self.following or monotonic() > self._titled + _TITLE_SECONDS:
            self.retitle()
        self._scan_on()

    def _pick(self, source: LogSource, chosen: LineFilter) -> None:
        """Show other lines and look for the same pattern in them."""
        near = self._anchor() if source is self._shown.source else source.dropped + len(source)
        self._use(source, chosen, near)
        if self._search is not None:
            self._search = LogSearch(source, chosen, self._search.pattern, near)
        self._take()
        if self.following:
            self._to_end()
        else:
            self._go(Position(self._shown.place(near)))
        self._scan_on()
        self.retitle()

    def _take(self) -> None:
        """Look at some lines that have not been looked at and draw what differs."""
        try:
            came, grown = self._shown.update(_SCAN_SLICE)
        except TooSlowError:
            self._told = f"{visible(self._shown.filter.text)} {_TOO_SLOW}"
            self._pick(self._shown.source, LineFilter(self._shown.filter.levels))
            return
        try:
            if self._search is not None and not self._search.done:
                self._search.step(_SCAN_SLICE)
        except TooSlowError:
            self._give_up_search()
        if self.following and (came or grown):
            self._to_end()
        elif grown:
            self._shift(grown)
        elif came and len(self.rows) < self.size.height:
            self._repaint()

    def _scan_on(self) -> None:
        """Go on in a worker with what the last slice of time did not reach."""
        self._arrive()
        if not self._all_looked_at() and (self._scan is None or self._scan.is_finished):
            self._scan = self.run_worker(self._look_on(), name="scan log", group="scan log")

    def _all_looked_at(self) -> bool:
        return self._shown.done and (self._search is None or self._search.done)

    async def _look_on(self) -> None:
        while not self._all_looked_at():
            await asyncio.sleep(_SCAN_PAUSE)
            self._take()
            self._arrive()
            if self._all_looked_at() or monotonic() > self._titled + _PROGRESS_SECONDS:
                self.retitle()

    # --- frame ---------------------------------------------------------------------------------

    def retitle(self) -> None:
        """Bring the words of the frame up to date: state, severities, filter, search, selection."""
        self._titled = monotonic()
        if self.following:
            state = "following"
        else:
            last = min(self.last_in_view + 1, len(self._shown))
            state = f"paused at {last:,} of {len(self._shown):,}"
        more = f" · {self.new:,} new" if self.new else ""
        title = Content.assemble(f"log ── {state}{more} ── ", chips(self._shown.source, self._shown.filter))
        subtitle = Content(" · ".join(self._notes()))
        if title != self._frame[0]:
            self.border_title = title
        if subtitle != self._frame[1]:
            self.border_subtitle = subtitle
        self._frame = title, subtitle

    def _notes(self) -> list[str]:
        chosen, notes = self._shown.filter, []
        if selected := self.selected:
            notes.append(f"{selected:,} line{'' if selected == 1 else 's'} selected, y copies")
        if self._told:
            notes.append(self._told)
        if self._search is not None:
            notes.append(self._search.said(self._here))
        if chosen.pattern is not None:
            share = "" if self._shown.done else f", {self._shown.progress:.0%}"
            what = "without" if chosen.hides else "only"
            notes.append(f"{what} {visible(chosen.pattern.text)}: {self._shown.hidden:,} hidden{share}")
        if self._side:
            notes.append(f"from column {self._side + 1}")
        return notes

    # --- filter --------------------------------------------------------------------------------

    def toggle_level(self, level: Level) -> None:
        """Show or hide a severity; the lines in view stay in view. The last one cannot be hidden."""
        chosen = self._shown.filter
        if levels := frozenset(chosen.levels ^ {level}):
            self._pick(self._shown.source, LineFilter(levels, chosen.pattern, chosen.hides))

    def hide(self, text: str) -> None:
        """Show only lines that hold a regular expression; `!` before it hides them; "" shows all.

        Raises InputError where it is none.
        """
        self._told = ""
        self._pick(self._shown.source, LineFilter.typed(text, self._shown.filter.levels))

    # --- search --------------------------------------------------------------------------------

    def search(self, text: str) -> None:
        """Look for a regular expression, upwards from what is in view; "" ends the search.

        Raises InputError where it is none.
        """
        pattern = LinePattern(text) if text else None
        self._told, self._here, self._search = "", None, None
        if pattern is not None:
            start = self._beside(-1)
            self._search = LogSearch(self._shown.source, self._shown.filter, pattern, start)
            self._search.go(-1, start)
            self._take()
        self._repaint()
        self._scan_on()
        self.retitle()

    def find(self, direction: int) -> None:
        """Go to the next (1) or previous (-1) match, round the end."""
        if self._search is None:
            self._told = "nothing is looked for: / begins a search"
        else:
            self._search.go(direction, self._beside(direction))
            self._arrive()
        self.retitle()

    def _arrive(self) -> None:
        if self._search is not None and (number := self._search.arrive()) is not None:
            self._jump(number)

    def _give_up_search(self) -> None:
        if self._search is not None:
            self._told = f"/{visible(self._search.pattern.text)} {_TOO_SLOW}"
            self._search = None
            self._repaint()
            self.retitle()

    def next_error(self, direction: int = 1) -> None:
        """Go to the next (1) or previous (-1) error that is shown, round the end."""
        source, shown = self._shown.source, self._shown
        errors = [index + source.dropped for index in source.indices({Level.ERROR})]
        if not shown.filter.passes_all:
            errors = [number for number in errors if shown.holds(number)]
        if not errors:
            self._told = "no line with an error"
            self.retitle()
            return
        start = self._beside(direction)
        beyond = [place for place, number in enumerate(errors) if (number - start) * direction > 0]
        ends = (beyond[0], beyond[-1]) if beyond else (0, -1)
        place = ends[0 if direction > 0 else 1] % len(errors)
        self._told = f"error {place + 1:,} of {len(errors):,}"
        self._jump(errors[place])

    def _beside(self, direction: int) -> int:
        """The line number a jump starts from: the line found before, if in view, else the view's edge."""
        if not len(self._shown):
            return 0
        first, last = self._shown.number(self._top.place), self._shown.number(self.last_in_view)
        if self._here is not None and not self.following and first <= self._here <= last:
            return self._here
        if direction < 0:
            return last + 1
        return last if self.following else first - 1

    def _jump(self, number: int) -> None:
        place = self._shown.place(number)
        self._here = number
        self.following = False
        if not self._top.place <= place <= self.last_in_view or (place == self._top.place and self._top.row):
            self._go(Position(max(place - self.size.height // 2, 0)))
        self.retitle()
        self._repaint()

    def back(self) -> bool:
        """Leave the selection, else the search, else the filter; whether there was one to leave."""
        if self.selecting:
            self.end_selection()
        elif self._search is not None or self._told or self._here is not None:
            self.search("")
        elif self._shown.filter.pattern is not None:
            self.hide("")
        else:
            return False
        self.retitle()
        return True

    # --- long lines ----------------------------------------------------------------------------

    def side(self, step: int) -> None:
        """Move long lines sideways, as far as the longest one in view."""
        longest = max((len(self._parts(row.place).text) for row in self.rows), default=0)
        most = 0 if self.wrapping else max(longest - 1, 0) // _SIDE_STEP
        self._side = _SIDE_STEP * min(max(self._side // _SIDE_STEP + step, 0), most)
        self.retitle()
        self._repaint()

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        """A wheel that goes sideways, or Shift and the wheel."""
        event.stop()
        self.side(-1)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        """A wheel that goes sideways, or Shift and the wheel."""
        event.stop()
        self.side(1)

    def toggle_wrap(self) -> None:
        """Break long lines into several rows, or cut them."""
        self._side = 0
        super().toggle_wrap()
        self.retitle()

    # --- drawing -------------------------------------------------------------------------------

    def rows_of(self, place: int) -> int:
        """Rows the line at a place takes."""
        return len(row_starts(self._parts(place).text, self._room)) if self.wrapping else 1

    @property
    def _room(self) -> int:
        return max(self.size.width - TIME_WIDTH - LEAD_WIDTH - 1, 1)

    def _parts(self, place: int) -> LineParts:
        return line_parts(self._shown.source, max(self._shown.line(place), 0))

    def render_line(self, y: int) -> Strip:
        """Draw one visible row: time, severity, text."""
        width = self.size.width
        if y >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        place, row = self.rows[y]
        parts, number = self._parts(place), self._shown.number(place)
        style = self.get_component_rich_style(f"log-view--{parts.level}")
        quiet = self.get_component_rich_style("log-view--time")
        mark = " "
        if self.is_selected(number):
            selected = self.get_component_rich_style("log-view--selected", partial=True)
            style, quiet, mark = style + selected, quiet + selected, "┃"
        elif number == self._here:
            here = self.get_component_rich_style("log-view--here", partial=True)
            style, quiet, mark = style + here, quiet + here, "▸"
        found = self.get_component_rich_style("log-view--found")
        time, lead = ("", "") if row else (parts.time, parts.lead)
        segments = [Segment(f"{time:<{TIME_WIDTH}}{mark}", quiet), Segment(f"{lead:<{LEAD_WIDTH}}", style)]
        segments += [Segment(part, found if hit else style) for part, hit in self._row(parts, row)]
        return Strip(segments, width)

    def _row(self, parts: LineParts, row: int) -> list[tuple[str, bool]]:
        """One row of a line's text in the room there is, cut into (part, whether it was looked for)."""
        start, stop = self._side, len(parts.text)
        if self.wrapping:
            starts = [*row_starts(parts.text, self._room), stop]
            start, stop = starts[min(row, len(starts) - 2)], starts[min(row + 1, len(starts) - 1)]
        shown = fit(parts.text[start:stop], self._room)
        if self._search is None:
            return [(shown, False)]
        try:
            spans = self._search.pattern.spans(" " * parts.cut + parts.text)
        except TooSlowError:
            self.call_later(self._give_up_search)
            return [(shown, False)]
        return marked(
            shown, [(a - parts.cut - start, b - parts.cut - start) for a, b in spans], 0, len(shown)
        )
