"""Columns of cells cut with … and aligned; one of them may take the room the others leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = 2


class Column(NamedTuple):
    """A column: `width` cells, or for width 0 an equal share of what is left; figures stand right."""

    title: str
    width: int
    right: bool = False


def _widths(columns: Sequence[Column], width: int, gap: int) -> list[int]:
    fixed = sum(column.width for column in columns) + gap * (len(columns) - 1)
    shares = sum(column.width == 0 for column in columns)
    share, rest = divmod(max(4 * shares, width - fixed), max(shares, 1))
    found = []
    for column in columns:
        found.append(column.width or share + (rest > 0))
        rest -= column.width == 0
    return found


def cells(
    columns: Sequence[Column], texts: Sequence[Content | str], width: int, *, gap: int = GAP
) -> Content:
    """One line of cells."""
    parts = []
    for column, text, room in zip(columns, texts, _widths(columns, width, gap), strict=True):
        content = (text if isinstance(text, Content) else Content(text)).truncate(room, ellipsis=True)
        free = room - content.cell_length
        parts.append(content.pad_left(free) if column.right else content.pad_right(free))
    return Content(" " * gap).join(parts).truncate(width, ellipsis=True)


class ColumnHead(Widget):
    """The titles over a LineList, in line with its cells."""

    DEFAULT_CSS = """
    ColumnHead { height: 1; padding: 0 1 0 2; color: $quiet; }
    """

    def __init__(self, columns: Sequence[Column] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns = tuple(columns)

    def show(self, columns: Sequence[Column]) -> None:
        """Show other titles."""
        if self._columns != tuple(columns):
            self._columns = tuple(columns)
            self.refresh()

    def render(self) -> Content:
        """One line."""
        return cells(self._columns, [column.title for column in self._columns], self.content_size.width)
