"""A table of any number of rows: no object per row, a frame costs what is seen and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from clinasr_tui.text import visible

if TYPE_CHECKING:
    from rich.style import Style
    from textual import events
    from textual.binding import BindingType

_MARGIN = 2
"""Cells of the cursor mark before each row."""
_GAP = 1
_LEAST = 6
"""A column with a weight gives way down to this width."""


class RowSource(Protocol):
    """Where rows come from. Every call must be quick whatever the number of rows: it draws a line."""

    def __len__(self) -> int:
        """Rows there are now; may grow."""

    def cells(self, index: int) -> Sequence[str]:
        """One text per column; untrusted text is fine. The last of fewer texts takes the rest of the line."""

    def tone(self, index: int) -> str:
        """ "" for an ordinary row, else "warning", "error" or "quiet" (never without a sign in a cell)."""


class NoRows:
    """An empty source."""

    def __len__(self) -> int:
        return 0

    def cells(self, index: int) -> Sequence[str]:
        """Never asked."""
        raise IndexError(index)

    def tone(self, index: int) -> str:
        """Never asked."""
        raise IndexError(index)


@dataclass(frozen=True, slots=True)
class Column:
    """A column at least `width` cells wide.

    Cells left over are shared by `weight`; where the table is too narrow, the columns with the
    highest `drop` go first, those with 0 stay and those with a weight give way.
    """

    title: str
    width: int
    weight: int = 0
    align: Literal["left", "right"] = "left"
    drop: int = 0


def fit(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """`text` in exactly `width` cells, cut with … where it is longer; wide characters count two."""
    size = len(text) if text.isascii() else cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    pad = " " * (width - size)
    return pad + text if align == "right" else text + pad


def layout_columns(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """(place, width) of the columns that fit into `width` cells with one cell between them."""
    shown = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[place].width for place in shown) + _GAP * (len(shown) - 1)

    while needed() > width:
        droppable = max(shown, key=lambda place: (columns[place].drop, place))
        if columns[droppable].drop == 0:
            break
        shown.remove(droppable)
    widths = {place: columns[place].width for place in shown}
    while sum(widths.values()) + _GAP * (len(shown) - 1) > width:
        widest = max(
            (place for place in shown if columns[place].weight), key=widths.__getitem__, default=None
        )
        if widest is None or widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    spare = max(width - needed(), 0)
    weights = sum(columns[place].weight for place in shown)
    for place in shown:
        weight = columns[place].weight
        share = spare * weight // weights if weights else 0
        spare, weights = spare - share, weights - weight
        widths[place] += share
    return list(widths.items())


class RowTable(ScrollView, can_focus=True, inherit_bindings=False):
    """A virtual table with a header, a cursor row and the usual keys.

    Posts `Highlighted` when the cursor comes to another row and `Selected` on Enter or a click on it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("up,k", "move(-1)", "Up"),
        ("down,j", "move(1)", "Down"),
        ("pageup", "page(-1)", "Page up"),
        ("pagedown", "page(1)", "Page down"),
        ("home,g", "end(-1)", "First"),
        ("end,G", "end(1)", "Last"),
        ("enter", "select", "Open"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"row-table--{kind}" for kind in ("header", "plain", "quiet", "warning", "error", "cursor", "mark")
    }
    DEFAULT_CSS = """
    RowTable {
        background: transparent;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        overflow-y: scroll;
        & > .row-table--header { color: $quiet; text-style: underline; }
        & > .row-table--quiet { color: $quiet; }
        & > .row-table--warning { color: $warning; }
        & > .row-table--error { color: $error; }
        & > .row-table--mark { color: $primary; text-style: bold; }
        & > .row-table--cursor { background: $panel; }
        &:focus > .row-table--cursor { background: $cursor; }
    }
    """

    class Highlighted(Message):
        """The cursor is on another row."""

        def __init__(self, table: RowTable, index: int) -> None:
            super().__init__()
            self.table = table
            self.index = index

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RowTable.Highlighted) and message.table is self.table

        @property
        def control(self) -> RowTable:
            """The table."""
            return self.table

    class Selected(Highlighted):
        """The row under the cursor was opened."""

        def can_replace(self, message: Message) -> bool:
            return False

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._source: RowSource = NoRows()
        self._cursor = 0
        self._layout: list[tuple[int, int]] = []
        self._layout_width = -1

    # --- rows ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._source)

    @property
    def cursor(self) -> int:
        """Index of the row under the cursor; 0 in an empty table."""
        return self._cursor

    def show(self, source: RowSource, *, cursor: int = 0) -> None:
        """Show other rows with the cursor on row `cursor`."""
        self._source = source
        self._cursor = min(max(cursor, 0), max(len(source) - 1, 0))
        self.grow()
        self._reveal()
        self.refresh()
        if len(source):
            self.post_message(self.Highlighted(self, self._cursor))

    def retitle(self, columns: Sequence[Column]) -> None:
        """Change the columns, for example to mark the sorted one."""
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self._layout_width = -1
            self.refresh()

    def grow(self) -> None:
        """Take notice that the source has more rows (or new content); keeps cursor and place."""
        size = Size(0, len(self._source) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self.refresh()

    def move_to(self, index: int) -> None:
        """Put the cursor on a row and bring it into view."""
        index = min(max(index, 0), len(self._source) - 1)
        if index < 0 or index == self._cursor:
            return
        before, self._cursor = self._cursor, index
        self._refresh_row(before)
        self._reveal()
        self._refresh_row(index)
        self.post_message(self.Highlighted(self, index))

    def _refresh_row(self, index: int) -> None:
        y = index + 1 - self.scroll_offset.y
        if 0 < y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    @property
    def _page(self) -> int:
        return max(self.scrollable_content_region.height - 1, 1)

    def _reveal(self) -> None:
        top = self.scroll_offset.y
        if self._cursor < top:
            top = self._cursor
        elif self._cursor >= top + self._page:
            top = self._cursor - self._page + 1
        else:
            return
        self.scroll_to(y=top, animate=False, force=True)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._reveal()

    # --- drawing -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw the header (line 0) or one visible row."""
        width = self.scrollable_content_region.width
        if width != self._layout_width:
            self._layout = layout_columns(self._columns, width - _MARGIN)
            self._layout_width = width
        if y == 0:
            titles = [column.title for column in self._columns]
            style = self.get_component_rich_style("row-table--header")
            return self._strip("  ", style, titles, style, width)
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._source):
            return Strip.blank(width, self.rich_style)
        style = self.get_component_rich_style(f"row-table--{self._source.tone(index) or 'plain'}")
        mark, mark_style = "  ", style
        if index == self._cursor:
            here = self.get_component_rich_style("row-table--cursor", partial=True)
            mark, style = "▸ ", style + here
            mark_style = self.get_component_rich_style("row-table--mark") + here
        cells = [visible(cell) for cell in self._source.cells(index)]
        return self._strip(mark, mark_style, cells, style, width)

    def _strip(self, mark: str, mark_style: Style, cells: Sequence[str], style: Style, width: int) -> Strip:
        last = len(cells) - 1 if len(cells) < len(self._columns) else None
        parts = [
            cells[place] if place == last else fit(cells[place], wide, self._columns[place].align)
            for place, wide in self._layout
            if last is None or place <= last
        ]
        rest = fit(" ".join(parts), max(width - _MARGIN, 0))
        return Strip([Segment(mark, mark_style), Segment(rest, style)], width)

    # --- keys and mouse ------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """Up or down."""
        self.move_to(self._cursor + step)

    def action_page(self, step: int) -> None:
        """A screenful up or down."""
        self.move_to(self._cursor + step * self._page)

    def action_end(self, step: int) -> None:
        """To the first or the last row."""
        self.move_to(0 if step < 0 else len(self._source) - 1)

    def action_select(self) -> None:
        """Open the row under the cursor."""
        if len(self._source):
            self.post_message(self.Selected(self, self._cursor))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; a click on the cursor opens the row."""
        y = event.get_content_offset_capture(self).y
        index = y - 1 + self.scroll_offset.y
        if y < 1 or index >= len(self._source):
            return
        if index == self._cursor:
            self.action_select()
        self.move_to(index)
