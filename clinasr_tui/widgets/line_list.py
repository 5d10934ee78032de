"""A list of lines with a cursor: draws only what is seen, so that any number of lines is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.binding import BindingType

    from clinasr_tui.widgets.figures import Line

_MARGIN = 2
"""Cells of the cursor mark before each line."""


class LineList(ScrollView, can_focus=True):
    """Lines with headings between them. Posts `Moved` when the cursor comes to another line."""

    DEFAULT_CSS = """
    LineList {
        background: transparent;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
    }
    LineList > .line-list--cursor { background: $panel; }
    LineList:focus > .line-list--cursor { background: $cursor; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"line-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        ("up,k", "move(-1)", "Up"),
        ("down,j", "move(1)", "Down"),
        ("pageup", "page(-1)", "Page up"),
        ("pagedown", "page(1)", "Page down"),
        ("home,g", "end(-1)", "First"),
        ("end,G", "end(1)", "Last"),
    ]

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, lines: LineList, key: str) -> None:
            super().__init__()
            self.lines = lines
            self.key = key

        @property
        def control(self) -> LineList:
            """The list."""
            return self.lines

    def __init__(
        self,
        *,
        cursor: bool = True,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """Without a cursor the list is only looked at."""
        super().__init__(id=id, classes=classes)
        self.can_focus = cursor
        self._has_cursor = cursor
        self._lines: Sequence[Line] = ()
        self._cursor = -1

    @property
    def cursor_key(self) -> str:
        """Key of the line under the cursor; "" without one."""
        return self._lines[self._cursor].key if 0 <= self._cursor < len(self._lines) else ""

    @property
    def lines(self) -> Sequence[Line]:
        """All lines, headings included."""
        return self._lines

    def __len__(self) -> int:
        return len(self._lines)

    def show(self, lines: Sequence[Line]) -> None:
        """Show other lines; the cursor stays on its key if that is still there."""
        before = self.cursor_key
        self._lines = lines
        kept = next((place for place, line in enumerate(lines) if line.key and line.key == before), -1)
        self._cursor = kept if kept >= 0 else self._next(-1, 1)
        self.virtual_size = Size(self.size.width, len(lines))
        self.refresh(layout=self.styles.height is not None and self.styles.height.is_auto)
        if self._cursor >= 0:
            self._reveal()
            if self.cursor_key != before:
                self.post_message(self.Moved(self, self.cursor_key))

    def move_to(self, key: str) -> None:
        """Put the cursor on the line with this key."""
        place = next((place for place, line in enumerate(self._lines) if line.key == key), -1)
        if place >= 0:
            self._set(place)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As high as it has lines, where the style sheet says auto."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """Draw one visible line."""
        place = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if not 0 <= place < len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[place]
        here = place == self._cursor
        # The column of the scrollbar stays free without one, so that nothing moves when it appears.
        bar = 0 if self.show_vertical_scrollbar else 1
        text = line.draw(max(1, width - _MARGIN - bar))
        mark = Content.styled("▸ ", "bold $primary") if here else Content("  ")
        style = self.visual_style
        if here:
            style += self.get_visual_style("line-list--cursor")
        content = Content.assemble(mark, text)
        content = content.pad_right(max(0, width - content.cell_length))
        strips = Visual.to_strips(self, content, width, 1, style)
        return strips[0] if strips else Strip.blank(width, self.rich_style)

    # --- cursor --------------------------------------------------------------------------------

    def _next(self, place: int, step: int) -> int:
        place += step
        while self._has_cursor and 0 <= place < len(self._lines):
            if self._lines[place].key:
                return place
            place += step
        return -1

    def _set(self, place: int) -> None:
        if place < 0 or place == self._cursor:
            return
        self._cursor = place
        self._reveal()
        self.refresh()
        self.post_message(self.Moved(self, self.cursor_key))

    def _reveal(self) -> None:
        first = self._next(-1, 1)
        top = 0 if self._cursor == first else self._cursor
        if self._cursor > 0 and not self._lines[self._cursor - 1].key and self._cursor != first:
            top -= 1
        bottom = self._cursor if self._next(self._cursor, 1) >= 0 else len(self._lines) - 1
        region = Region(0, top, self.size.width, bottom - top + 1)
        self.scroll_to_region(region, animate=False, force=True, x_axis=False)

    def action_move(self, step: int) -> None:
        """Up or down; from the first or last line on, scroll to what the cursor skips."""
        place = self._next(self._cursor, step)
        if place >= 0:
            self._set(place)
        elif step < 0:
            self.scroll_home(animate=False)
        else:
            self.scroll_end(animate=False)

    def action_page(self, step: int) -> None:
        """A screenful up or down."""
        goal = self._cursor + step * max(1, self.scrollable_content_region.height - 1)
        goal = min(max(goal, 0), len(self._lines) - 1)
        place = goal if self._lines and self._lines[goal].key else self._next(goal, step)
        self._set(place if place >= 0 else self._next(goal, -step))

    def action_end(self, step: int) -> None:
        """To the first or the last line."""
        self._set(self._next(-1, 1) if step < 0 else self._next(len(self._lines), -1))

    async def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; a click on the cursor opens."""
        place = event.get_content_offset_capture(self).y + self.scroll_offset.y
        if 0 <= place < len(self._lines) and self._lines[place].key:
            if place == self._cursor:
                await self.run_action("screen.select")
            self._set(place)
