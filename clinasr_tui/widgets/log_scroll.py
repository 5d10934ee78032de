"""Moving about in the log: by keys and wheel, and selecting lines by keys and mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.reactive import reactive
from textual.widget import Widget

from clinasr_tui.widgets.log_lines import LineFilter, LogSource, NoLog, ShownLines
from clinasr_tui.widgets.log_window import Position, lowest, moved, rows_in_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.binding import BindingType

_WHEEL = 3
MAX_COPY = 74_994
"""Bytes a clipboard takes through the terminal: 100,000 of OSC 52, in base64."""


class LogScroll(Widget, can_focus=True):
    """A view of `ShownLines` that scrolls by itself and has no scroll bar.

    A followed log repaints its lines and nothing else, which is what a slow line to the operator's
    terminal can carry.
    """

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("up,k", "line(-1)", "Up"),
        ("down,j", "line(1)", "Down"),
        ("pageup", "page(-1)", "Page up"),
        ("pagedown", "page(1)", "Page down"),
        ("home,g", "first", "First"),
        ("end,G", "last", "Follow"),
    ]

    following: reactive[bool] = reactive(True)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._shown = ShownLines(NoLog())
        self._top = Position()
        self._rows: list[Position] | None = None
        self._seen = 0
        self._here: int | None = None
        self._mark: int | None = None
        self._point = 0
        self._pressed: int | None = None
        self.wrapping = False
        """Long lines take several rows."""

    # --- what the view adds --------------------------------------------------------------------

    def rows_of(self, place: int) -> int:
        """Rows the line at a place takes."""
        raise NotImplementedError

    def retitle(self) -> None:
        """Bring the words of the frame up to date."""
        raise NotImplementedError

    # --- where the view stands -----------------------------------------------------------------

    @property
    def lines(self) -> ShownLines:
        """What is shown."""
        return self._shown

    @property
    def top(self) -> int:
        """Place of the first line in view."""
        return self._top.place

    @property
    def here(self) -> int | None:
        """Number of the line that was found or jumped to."""
        return self._here

    @property
    def new(self) -> int:
        """Shown lines that came since following was paused."""
        return 0 if self.following else len(self._shown) - self._shown.place(self._seen)

    @property
    def rows(self) -> list[Position]:
        """Which row of which line each row of the view shows."""
        if self._rows is None:
            self._rows = rows_in_view(self._top, self.size.height, len(self._shown), self.rows_of)
        return self._rows

    @property
    def last_in_view(self) -> int:
        """Place of the last line in view; -1 without one."""
        return self.rows[-1].place if self.rows else -1

    def _use(self, source: LogSource, chosen: LineFilter, near: int) -> None:
        self._shown = ShownLines(source, chosen, near)
        self._top, self._rows = Position(), None

    def _anchor(self) -> int:
        """Number of the first line in view; where nothing is in view, the end."""
        if not self.following and self._top.place < len(self._shown):
            return self._shown.number(self._top.place)
        return self._end

    @property
    def _end(self) -> int:
        """Number the next line will have."""
        return self._shown.source.dropped + len(self._shown.source)

    def _repaint(self) -> None:
        """Draw the lines again, but not the frame around them."""
        self._rows = None
        self.refresh(self.size.region)

    @property
    def _highest(self) -> Position:
        return lowest(len(self._shown), self.size.height, self.rows_of)

    def _to_end(self) -> None:
        self._go(self._highest)

    def _go(self, top: Position) -> None:
        self._top = min(top, self._highest)
        self._repaint()

    def _shift(self, grown: int) -> None:
        """The places of all lines grew: the same lines stay in view."""
        if grown:
            place = self._top.place + grown
            self._go(Position(place, self._top.row) if place >= 0 else Position())

    def on_resize(self) -> None:
        """Keep the end, or the first line, in view."""
        self._rows = None
        self._go(self._highest if self.following else Position(self._top.place))

    def watch_following(self, following: bool) -> None:
        """Say it in the frame; following begins at the end."""
        self._seen = self._end
        if following:
            self._to_end()
        self.retitle()

    def toggle_follow(self) -> None:
        """Follow the end, or stay where the operator reads."""
        self.end_selection()
        self.following = not self.following

    def toggle_wrap(self) -> None:
        """Break long lines into several rows, or cut them."""
        self.wrapping = not self.wrapping
        self.on_resize()

    # --- keys and wheel ------------------------------------------------------------------------

    def action_line(self, step: int) -> None:
        """A row up or down; down at the end follows."""
        self._scroll(step)

    def action_page(self, step: int) -> None:
        """A screenful up or down; down at the end follows."""
        self._scroll(step * max(self.size.height - 1, 1))

    def action_first(self) -> None:
        """To the first line."""
        if self.selecting:
            self._select_to(0)
        elif self._highest > Position():
            self.following = False
            self._go(Position())
            self.retitle()

    def action_last(self) -> None:
        """To the end, and stay there."""
        if self.selecting:
            self._select_to(len(self._shown) - 1)
        else:
            self.following = True
            self._to_end()

    def _scroll(self, rows: int) -> None:
        """Up pauses; down at the end follows again. In a selection, its end moves."""
        highest = self._highest
        if self.selecting:
            self._select_to(self._shown.place(self._point) + rows)
        elif rows > 0 and self._top >= highest:
            self.following = True
        elif highest > Position():
            self.following = False
            self._go(moved(self._top, rows, len(self._shown), self.rows_of))
            self.retitle()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls like the keys."""
        event.stop()
        self._scroll(-_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls like the keys."""
        event.stop()
        self._scroll(_WHEEL)

    # --- selection -----------------------------------------------------------------------------

    @property
    def selecting(self) -> bool:
        """Lines are being selected."""
        return self._mark is not None

    @property
    def selected(self) -> int:
        """How many lines are selected."""
        return len(self._selection())

    def is_selected(self, number: int) -> bool:
        """Whether a shown line belongs to the selection."""
        if self._mark is None:
            return False
        return min(self._mark, self._point) <= number <= max(self._mark, self._point)

    def _selection(self) -> range:
        """Places of the selected lines."""
        if self._mark is None:
            return range(0)
        first, last = sorted((self._mark, self._point))
        return range(self._shown.place(first), self._shown.place(last + 1))

    def toggle_selecting(self) -> None:
        """Begin with the line that was found, if it is in view, else with the last one in view; or end."""
        if self.selecting or not self.rows:
            self.end_selection()
            return
        place = self.last_in_view
        if self._here is not None and self.top <= self._shown.place(self._here) <= place:
            place = self._shown.place(self._here)
        self._begin(place)

    def _begin(self, place: int) -> None:
        self.following = False
        self._mark = self._point = self._shown.number(place)
        self.retitle()
        self._repaint()

    def end_selection(self) -> None:
        """Select nothing."""
        if self.selecting:
            self._mark = None
            self._repaint()
            self.retitle()

    def _select_to(self, place: int) -> None:
        """Move the end of the selection and bring it into view."""
        place = min(max(place, 0), len(self._shown) - 1)
        if place < 0:
            return
        self._point = self._shown.number(place)
        if place < self._top.place or (place == self._top.place and self._top.row):
            self._go(Position(place))
        elif place > self.last_in_view:
            self._go(lowest(place + 1, self.size.height, self.rows_of))
        self.retitle()
        self._repaint()

    def chosen(self) -> Sequence[int]:
        """Numbers of the selected lines, without a selection those of all shown ones."""
        return self._shown.numbers(self._selection() if self.selecting else range(len(self._shown)))

    def copied(self) -> tuple[str, int, int]:
        """The text of the selected lines, or of those in view: (text, lines in it, lines wanted)."""
        places = self._selection() if self.selecting else range(self.top, self.last_in_view + 1)
        texts: list[str] = []
        room = MAX_COPY
        for place in places:
            text = self._shown.source.text(max(self._shown.line(place), 0))
            room -= len(text.encode()) + 1
            if room < 0:
                break
            texts.append(text)
        return "".join(f"{text}\n" for text in texts), len(texts), len(places)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A press ends the selection and may begin another."""
        place = self._place_at(event)
        self.end_selection()
        if place is not None and event.button == 1:
            self._pressed = place
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Moving with the button held selects; above and below the view it scrolls."""
        if self._pressed is None:
            return
        place = self._place_at(event)
        if place is None:
            place = self.top - 1 if event.y < 1 else self.last_in_view + 1
        if not self.selecting and place != self._pressed:
            self._begin(self._pressed)
        if self.selecting:
            self._select_to(place)

    def on_mouse_up(self) -> None:
        """The selection stays."""
        if self._pressed is not None:
            self._pressed = None
            self.release_mouse()

    def _place_at(self, event: events.MouseEvent) -> int | None:
        offset = event.get_content_offset(self)
        return self.rows[offset.y].place if offset is not None and offset.y < len(self.rows) else None
