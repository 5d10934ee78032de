"""The log of a run: any number of lines, follow or pause, severities, search, next error."""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.content import Content
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from clinasr_tui.text import visible
from clinasr_tui.training.snapshot import Level
from clinasr_tui.widgets.log_lines import LETTERS, LogSource, NoLog, ShownLines, read_line
from clinasr_tui.widgets.row_table import fit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual import events
    from textual.binding import BindingType

_TIME = 8
_SIDE_STEP = 16
_WHEEL = 3
_SEARCH_SLICE = 0.01
"""Seconds a search runs before the screen gets its turn."""


class LogView(Widget, can_focus=True):
    """Draws the lines of a `LogSource` that are in view; call `grow` when the source may have more.

    It scrolls by itself and has no scroll bar: a followed log repaints its lines and nothing else,
    which is what a slow line to the operator's terminal can carry.

    For a screen's keys: `toggle_follow`, `toggle_level`, `search`, `find`, `next_error`, `side`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("up,k", "line(-1)", "Up"),
        ("down,j", "line(1)", "Down"),
        ("pageup", "page(-1)", "Page up"),
        ("pagedown", "page(1)", "Page down"),
        ("home,g", "first", "First"),
        ("end,G", "follow", "Follow"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"log-view--{kind}" for kind in ("time", "info", "warning", "error", "found", "here")
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
        &:focus { border: round $primary; border-title-color: $foreground; }
    }
    """

    following: reactive[bool] = reactive(True)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._shown = ShownLines(NoLog())
        self._top = 0
        self._new = 0
        self._side = 0
        self._here: int | None = None
        self._needle = ""
        self._searching = ""

    # --- lines ---------------------------------------------------------------------------------

    @property
    def lines(self) -> ShownLines:
        """What is shown."""
        return self._shown

    @property
    def here(self) -> int | None:
        """Index in the log of the line that was found or jumped to."""
        return self._here

    @property
    def new(self) -> int:
        """Lines that came since following was paused."""
        return self._new

    @property
    def top(self) -> int:
        """Place of the first line in view."""
        return self._top

    def show(self, source: LogSource) -> None:
        """Show another log from its end."""
        if source is self._shown.source:
            self.grow()
            return
        levels = self._shown.levels
        self._shown = ShownLines(source)
        self._shown.show(levels)
        self._here, self._new, self._side = None, 0, 0
        self.following = True
        self._to_end()

    def grow(self) -> None:
        """Take in new lines: scroll to them when following, count them when paused."""
        anchor = self._anchor()
        more, gone = self._shown.update()
        if not more and not gone:
            return
        if gone:
            self._here = None if self._here is None or self._here < gone else self._here - gone
            self._go(self._shown.place(max(anchor - gone, 0)))
        if self.following:
            self._to_end()
        else:
            self._new += more
            self._repaint()
            self._retitle()

    def _repaint(self) -> None:
        """Draw the lines again, but not the frame around them."""
        self.refresh(self.size.region)

    @property
    def _highest(self) -> int:
        return max(len(self._shown) - self.size.height, 0)

    def _to_end(self) -> None:
        self._go(self._highest)

    def _go(self, top: int) -> None:
        self._top = min(max(top, 0), self._highest)
        self._repaint()

    # --- follow and pause ----------------------------------------------------------------------

    def watch_following(self, following: bool) -> None:
        """Say it in the title; following begins at the end."""
        if following:
            self._new = 0
            self._to_end()
        self._retitle()

    def toggle_follow(self) -> None:
        """Follow the end, or stay where the operator reads."""
        self.following = not self.following

    def on_resize(self) -> None:
        """Keep the end, or the first line, in view."""
        self._go(self._highest if self.following else self._top)

    def _retitle(self) -> None:
        if self.following:
            state = "following"
        else:
            last = min(self._top + self.size.height, len(self._shown))
            state = f"paused at {last:,} of {len(self._shown):,}"
        more = f" · {self._new:,} new" if self._new else ""
        self.border_title = Content(f"log ── {state}{more}")
        hidden = [str(level) for level in Level if level not in self._shown.levels]
        notes = [f"without {', '.join(hidden)}"] if hidden else []
        if self._searching or self._needle:
            notes.append(self._searching or f"/{visible(self._needle)}")
        self.border_subtitle = Content(" · ".join(notes))

    # --- severities ----------------------------------------------------------------------------

    def toggle_level(self, level: Level) -> None:
        """Show or hide a severity; the lines in view stay in view. The last one cannot be hidden."""
        levels = self._shown.levels ^ {level}
        if not levels:
            return
        anchor = self._anchor()
        self._shown.show(frozenset(levels))
        if self.following:
            self._to_end()
        else:
            self._go(self._shown.place(anchor))
        self._retitle()

    def _anchor(self) -> int:
        return self._shown.line(self._top) if self._top < len(self._shown) else len(self._shown.source)

    # --- search --------------------------------------------------------------------------------

    def search(self, needle: str) -> None:
        """Look for a text (case does not matter), newest match first; "" ends the search."""
        self._needle = needle
        self._searching = ""
        self._here = None
        self._retitle()
        self._repaint()
        if needle:
            self.find(-1)

    def find(self, direction: int) -> None:
        """Go to the next (1) or previous (-1) line with the text, round the end."""
        needle = self._needle.casefold()
        source = self._shown.source
        if needle:
            self._look(lambda line: needle in source.text(line).casefold(), direction, self._needle)

    def next_error(self, direction: int = 1) -> None:
        """Go to the next (1) or previous (-1) error, round the end."""
        source = self._shown.source
        self._look(lambda line: source.level(line) is Level.ERROR, direction, "an error")

    def _look(self, matches: Callable[[int], bool], direction: int, what: str) -> None:
        work: Callable[[], Awaitable[None]] = partial(self._look_for, matches, direction, visible(what))
        self.run_worker(work, name="search log", group="search log", exclusive=True)

    async def _look_for(self, matches: Callable[[int], bool], direction: int, what: str) -> None:
        """Try line after line, giving way to the screen between slices of time."""
        turn = monotonic() + _SEARCH_SLICE
        shown = self._shown
        self._searching = ""
        for place in shown.ring(self._start(direction), direction):
            if matches(shown.line(place)):
                self._searching = ""
                self._jump(place)
                return
            if monotonic() > turn:
                self._searching = f"looking for {what}"
                self._retitle()
                await asyncio.sleep(0)
                turn = monotonic() + _SEARCH_SLICE
        self._searching = f"no line with {what}"
        self._retitle()

    def _start(self, direction: int) -> int:
        if self._here is not None:
            place = self._shown.place(self._here)
            return place if place < len(self._shown) and self._shown.line(place) == self._here else place - 1
        return -1 if direction > 0 else len(self._shown)

    def _jump(self, place: int) -> None:
        self._here = self._shown.line(place)
        self.following = False
        height = self.size.height
        if not self._top <= place < self._top + height:
            self._go(place - height // 2)
        self._retitle()
        self._repaint()

    # --- keys ----------------------------------------------------------------------------------

    def action_line(self, step: int) -> None:
        """A line up or down; down at the end follows."""
        self._scroll(step)

    def action_page(self, step: int) -> None:
        """A screenful up or down; down at the end follows."""
        self._scroll(step * max(self.size.height - 1, 1))

    def _scroll(self, lines: int) -> None:
        """Up pauses; down at the end follows again."""
        if lines > 0 and self._top >= self._highest:
            self.following = True
        elif self._highest:
            self.following = False
            self._go(self._top + lines)
            self._retitle()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls like the keys."""
        event.stop()
        self._scroll(-_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls like the keys."""
        event.stop()
        self._scroll(_WHEEL)

    def action_first(self) -> None:
        """To the first line."""
        self._scroll(-len(self._shown))

    def action_follow(self) -> None:
        """To the end, and stay there."""
        self.following = True
        self._to_end()

    def side(self, step: int) -> None:
        """Move long lines sideways."""
        self._side = max(0, self._side + step * _SIDE_STEP)
        self._repaint()

    # --- drawing -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw one visible line: time, severity, text."""
        width = self.size.width
        place = y + self._top
        if place >= len(self._shown):
            return Strip.blank(width, self.rich_style)
        line = self._shown.line(place)
        level = self._shown.source.level(line)
        time, text = read_line(self._shown.source.text(line))
        style = self.get_component_rich_style(f"log-view--{level}")
        quiet = self.get_component_rich_style("log-view--time")
        if line == self._here:
            here = self.get_component_rich_style("log-view--here", partial=True)
            style, quiet = style + here, quiet + here
        room = max(width - _TIME - 4, 1)
        lead = f"{LETTERS[level]}  "
        shown = fit(text[self._side :], room)
        parts = [(lead, False), *_split(shown, self._needle)] if self._needle else [(lead + shown, False)]
        found = self.get_component_rich_style("log-view--found")
        segments = [Segment(f"{time:<{_TIME}} ", quiet)]
        segments += [Segment(part, found if hit else style) for part, hit in parts]
        return Strip(segments, width)


def _split(text: str, needle: str) -> list[tuple[str, bool]]:
    """Cut `text` into (part, is a match)."""
    low, wanted = text.lower(), needle.lower()
    parts: list[tuple[str, bool]] = []
    start = 0
    while len(low) == len(text) and (found := low.find(wanted, start)) >= 0:
        parts += [(text[start:found], False), (text[found : found + len(wanted)], True)]
        start = found + len(wanted)
    return [*((part, hit) for part, hit in parts if part), (text[start:], False)]
