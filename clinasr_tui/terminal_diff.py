"""What a slow line to the operator's terminal carries: only the cells that differ from what is there.

Textual writes whole lines of a widget for one changed cell, and every line of a log that scrolled. The
driver made here keeps what the terminal shows, lets the terminal scroll where lines only moved, and
writes the rest cell by cell. Output that it does not understand passes unchanged and is forgotten: what
is not known to be on the terminal is always written.
"""

from __future__ import annotations

import re
import shutil
import time
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.driver import Driver

Cell = tuple[str, str]
"""A character and the parameters of its SGR sequence."""
Row = list["Cell | None"]
"""Cells from column 0; None is not known."""

REPAIR_SECONDS = 3.0
"""A whole screen is written as it comes if the last one is so long ago: whoever wrote over it is undone."""

_TOKEN = re.compile(r"\x1b\[(?:(\d+);(\d+)H|([\d;]*)m)|([^\x00-\x1f\x7f]+)|\n")
_PASSED = re.compile(r"\x1b\[\?[\d;]+[hl]")
_SEEN_WHEN_BLANK = {"4", "7", "9", "21", "53"}
_GAP, _FEWEST_SCROLLED = 4, 3


class _Piece(NamedTuple):
    """Text of one style at a place; not `narrow` if a character of it does not take exactly one cell."""

    row: int
    column: int
    sgr: str
    text: str
    narrow: bool


class _Pen(NamedTuple):
    """A style taken apart: attributes, foreground and background parameters."""

    attributes: frozenset[str]
    front: str
    back: str


@lru_cache(maxsize=4096)
def _pen(sgr: str) -> _Pen:
    attributes: set[str] = set()
    front = back = ""
    codes = [code for code in sgr.split(";") if code]
    while codes:
        code = codes.pop(0)
        if code in {"38", "48"} and codes:
            size = 4 if codes[0] == "2" else 2
            color = ";".join([code, *codes[:size]])
            codes = codes[size:]
            front, back = (color, back) if code == "38" else (front, color)
        elif 30 <= int(code) <= 39 or 90 <= int(code) <= 97:
            front = "" if code == "39" else code
        elif 40 <= int(code) <= 49 or 100 <= int(code) <= 107:
            back = "" if code == "49" else code
        elif code == "0":
            attributes, front, back = set(), "", ""
        else:
            attributes.add(code)
    return _Pen(frozenset(attributes), front, back)


@lru_cache(maxsize=4096)
def _blank(sgr: str) -> str:
    """The style of a blank as far as it can be seen: its background, unless it is underlined or reversed."""
    pen = _pen(sgr)
    return sgr if pen.attributes & _SEEN_WHEN_BLANK else pen.back


@lru_cache(maxsize=4096)
def _change(before: str, after: str) -> str:
    """The shortest sequence from one style to another."""
    if before == after:
        return ""
    old, new = _pen(before), _pen(after)
    parts: list[str] = []
    if not old.attributes <= new.attributes:
        parts, old = ["0"], _Pen(frozenset(), "", "")
    parts += sorted(new.attributes - old.attributes)
    if new.front != old.front:
        parts.append(new.front or "39")
    if new.back != old.back:
        parts.append(new.back or "49")
    return f"\x1b[{';'.join(parts)}m" if parts else ""


def _fits(cell: Cell, pen: str) -> bool:
    """True if the cell looks right written in the style `pen`."""
    return cell[1] == (_blank(pen) if cell[0] == " " else pen)


@lru_cache(maxsize=65536)
def _is_narrow(char: str) -> bool:
    return cell_len(char) == 1


class ScreenDiff:
    """Shortens a program's writes to what changes on the terminal of `size` (columns, lines; asked again)."""

    def __init__(
        self, size: Callable[[], tuple[int, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._clock = clock
        self._known = (0, 0)
        self._rows: list[Row] = []
        self._whole_at = -REPAIR_SECONDS

    def forget(self) -> None:
        """Nothing is known of the terminal any more."""
        columns, lines = self._known
        self._rows = [[None] * columns for _ in range(lines)]

    def reduce(self, data: str) -> str:
        """What has to be written so that the terminal shows what `data` would have made it show."""
        if _PASSED.fullmatch(data):
            return data
        size = self._size()
        if size != self._known:
            self._known = size
            self.forget()
            self._whole_at = -REPAIR_SECONDS
        read = self._read(data)
        if read is None:
            self.forget()
            return data
        pieces, cursor = read
        target = self._painted(pieces)
        rows = {piece.row for piece in pieces}
        now = self._clock()
        if len(rows) == size[1] and now - self._whole_at >= REPAIR_SECONDS:
            self._whole_at = now
            self._rows = target
            return data
        out: list[str] = []
        rows.update(self._scroll(out, target, rows))
        pen = ""
        for row in sorted(rows):
            pen = self._write_row(out, row, target[row], pen)
        for piece in pieces:
            if not piece.narrow:
                out.append(f"\x1b[{piece.row + 1};{piece.column + 1}H{_change(pen, piece.sgr)}{piece.text}")
                pen = piece.sgr
        self._rows = target
        out += [_change(pen, ""), cursor]
        return "".join(out)

    def _read(self, data: str) -> tuple[list[_Piece], str] | None:
        """Pieces of text, each after the one before, and the last move; None if `data` is anything else."""
        columns, lines = self._known
        pieces: list[_Piece] = []
        row = column = -1
        sgr, cursor, place, end = "", "", 0, (0, 0)
        for token in _TOKEN.finditer(data):
            if token.start() != place:
                return None
            place = token.end()
            down, right, style, text = token.groups()
            if text is not None:
                narrow = text.isascii() or all(map(_is_narrow, text))
                cells = len(text) if narrow else cell_len(text)
                if (row, column) < end or row >= lines or column + cells > columns:
                    return None
                pieces.append(_Piece(row, column, sgr, text, narrow))
                column += cells
                cursor, end = "", (row, column)
            elif style is not None:
                sgr = "" if style in {"", "0"} else style
            elif down is not None:
                row, column, cursor = int(down) - 1, int(right) - 1, token[0]
            else:
                row = -1
        return (pieces, cursor) if place == len(data) and cursor and not sgr else None

    def _painted(self, pieces: list[_Piece]) -> list[Row]:
        """The screen after the pieces; only rows that are written are new lists."""
        rows = list(self._rows)
        fresh: set[int] = set()
        for row, column, sgr, text, narrow in pieces:
            if row not in fresh:
                fresh.add(row)
                rows[row] = list(rows[row])
            if narrow:
                blank = (" ", _blank(sgr))
                cells: Row = [blank if char == " " else (char, sgr) for char in text]
            else:
                cells = [None] * cell_len(text)
            rows[row][column : column + len(cells)] = cells
        return rows

    # --- lines that only moved -----------------------------------------------------------------

    def _scroll(self, out: list[str], target: list[Row], written: set[int]) -> range:
        """Let the terminal move lines that stand elsewhere already; gives the rows that are then wrong."""
        old = self._rows
        changed = [row for row in sorted(written) if target[row] != old[row] and None not in target[row]]
        run, last, shift = 0, 0, 0
        for one in self._shifts(target, changed):
            same = 0
            for row in range(changed[0], changed[-1] + 1):
                fits = 0 <= row - one < len(target) and target[row] == old[row - one]
                same = same + 1 if fits and None not in target[row] else 0
                if same > run:
                    run, last, shift = same, row, one
        first = last - run + 1
        low, high = min(first, first - shift), max(last, last - shift)
        bare = range(low, first) if shift > 0 else range(last + 1, high + 1)
        if run < _FEWEST_SCROLLED or any(None in target[row] for row in bare):
            return range(0)
        unknown: list[Row] = [[None] * self._known[0] for _ in bare]
        kept = old[first - shift : last - shift + 1]
        self._rows[low : high + 1] = [*unknown, *kept] if shift > 0 else [*kept, *unknown]
        out.append(f"\x1b[{low + 1};{high + 1}r\x1b[{abs(shift)}{'T' if shift > 0 else 'S'}\x1b[r")
        return bare

    def _shifts(self, target: list[Row], changed: list[int]) -> set[int]:
        """By how many rows changed lines may have moved; negative is up."""
        before = {tuple(self._rows[row]): row for row in changed}
        found = {row - before.get(tuple(target[row]), row) for row in changed}
        return found - {0}

    # --- cells that differ ---------------------------------------------------------------------

    def _write_row(self, out: list[str], row: int, cells: Row, pen: str) -> str:
        """Write the known cells of a row that differ; gives the style the terminal is left in."""
        old = self._rows[row]
        if old == cells:
            return pen
        at = -1
        for column, cell in enumerate(cells):
            if cell is None or cell == old[column]:
                continue
            gap = cells[at:column] if at >= 0 and column - at <= _GAP else [None]
            if at < 0:
                out.append(f"\x1b[{row + 1};{column + 1}H")
            elif all(one is not None and _fits(one, pen) for one in gap):
                out.extend(one[0] for one in gap if one is not None)
            else:
                out.append(f"\x1b[{column - at}C")
            if not _fits(cell, pen):
                out.append(_change(pen, cell[1]))
                pen = cell[1]
            out.append(cell[0])
            at = column + 1
        return pen


def frugal(driver_class: type[Driver]) -> type[Driver]:
    """A driver for terminals like `driver_class` that writes only what changes."""

    class FrugalDriver(driver_class):  # type: ignore[valid-type, misc]
        """Writes only what changes."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._diff = ScreenDiff(shutil.get_terminal_size)
            self._turn = Lock()

        def write(self, data: str) -> None:
            # The thread that reads the keys writes too.
            with self._turn:
                super().write(self._diff.reduce(data))

    return FrugalDriver
