"""Where a view of lines stands when a line may take several rows of the screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rich.cells import chop_cells


class Position(NamedTuple):
    """The first line in view by its place, and how many of its rows are above the view."""

    place: int = 0
    row: int = 0


RowsOf = Callable[[int], int]
"""Rows the line at a place takes, 1 or more."""


def lowest(size: int, height: int, rows_of: RowsOf) -> Position:
    """The position that shows the end of `size` lines in `height` rows."""
    place, room = size, height
    while place > 0 and room > 0:
        place -= 1
        room -= rows_of(place)
    return Position(place, max(-room, 0))


def moved(position: Position, rows: int, size: int, rows_of: RowsOf) -> Position:
    """`rows` further down (up where less than 0), not above the first row; may be past the end."""
    place, row = position.place, position.row + rows
    while row < 0 and place > 0:
        place -= 1
        row += rows_of(place)
    row = max(row, 0)
    while place < size and row >= (taken := rows_of(place)):
        row -= taken
        place += 1
    return Position(place, row)


def rows_in_view(position: Position, height: int, size: int, rows_of: RowsOf) -> list[Position]:
    """Which row of which line each row of the view shows; shorter than `height` at the end."""
    rows: list[Position] = []
    place, row = position
    while place < size and len(rows) < height:
        taken = rows_of(place)
        rows += [Position(place, one) for one in range(row, min(taken, row + height - len(rows)))]
        place, row = place + 1, 0
    return rows


def row_starts(text: str, width: int) -> list[int]:
    """Where the rows of a wrapped text begin, in characters; at least one row."""
    if len(text) <= width and text.isascii():
        return [0]
    if text.isascii():
        return list(range(0, len(text), width))
    starts = [0]
    for part in chop_cells(text, width)[:-1]:
        starts.append(starts[-1] + len(part))
    return starts
