"""A terminal as far as our output needs one: what stands in each cell after the bytes a program wrote."""

from __future__ import annotations

import re

from rich.cells import cell_len

_SEQUENCE = re.compile(
    r"\x1b\[(?P<args>[?<>=\d;]*)[ -/]*(?P<kind>[@-~])"
    r"|(?P<other>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\|\x1b[=>78cM])"
    r"|(?P<text>[^\x00-\x1f\x7f])|(?P<control>[\x00-\x1a\x1c-\x1f])",
    re.DOTALL,
)
_BLANK = (" ", "")


class TerminalScreen:
    """Cells as (character, SGR parameters); the second cell of a wide character is ("", …)."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.rows = [[_BLANK] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.sgr: list[str] = []
        self.margins = (0, lines - 1)
        self._rest = ""

    def feed(self, data: str) -> None:
        """Take what was written; an unfinished sequence waits for its rest."""
        data = self._rest + data
        place = 0
        for found in _SEQUENCE.finditer(data):
            if found.start() != place:
                break
            place = found.end()
            if found["text"]:
                self._put(found["text"])
            elif found["kind"]:
                self._control(found["args"], found["kind"])
            elif found["control"] == "\n":
                self.row = min(self.row + 1, self.lines - 1)
            elif found["control"] == "\r":
                self.column = 0
        self._rest = data[place:]

    def text(self) -> list[str]:
        """The lines."""
        return ["".join(char for char, _ in row) for row in self.rows]

    def _put(self, char: str) -> None:
        width = cell_len(char)
        if width == 0 or self.column + width > self.columns:
            return
        row, column = self.rows[self.row], self.column
        for at in (column, column + width - 1):
            self._split(row, at)
        row[column] = (char, self._style)
        if width == 2:
            row[column + 1] = ("", self._style)
        self.column += width

    @staticmethod
    def _split(row: list[tuple[str, str]], at: int) -> None:
        """Half of a wide character that is written over takes the other half with it."""
        if row[at][0] == "" and at:
            row[at - 1] = _BLANK
        if at + 1 < len(row) and row[at + 1][0] == "":
            row[at + 1] = _BLANK

    @property
    def _style(self) -> str:
        return ";".join(sorted(self.sgr))

    def _control(self, args: str, kind: str) -> None:
        if args[:1] in {"?", "<", ">", "="}:
            return
        numbers = [int(part) if part.isdigit() else 0 for part in args.split(";")]
        first = numbers[0]
        if kind == "H":
            self.row = max(first, 1) - 1
            self.column = max(numbers[1] if len(numbers) > 1 else 1, 1) - 1
        elif kind == "C":
            self.column += max(first, 1)
        elif kind == "m":
            self._select(args.split(";"))
        elif kind == "r":
            self.margins = (max(first, 1) - 1, (numbers[1] if len(numbers) > 1 else self.lines) - 1)
            self.row = self.column = 0
        elif kind in "ST":
            self._scroll(max(first, 1) * (1 if kind == "S" else -1))
        elif kind == "J" and first == 2:
            self.rows = [[_BLANK] * self.columns for _ in range(self.lines)]

    def _scroll(self, count: int) -> None:
        top, bottom = self.margins
        for _ in range(abs(count)):
            gone, fresh = (top, bottom) if count > 0 else (bottom, top)
            del self.rows[gone]
            self.rows.insert(fresh, [(" ", self._style)] * self.columns)

    def _select(self, codes: list[str]) -> None:
        while codes:
            code = codes.pop(0) or "0"
            if code == "0":
                self.sgr = []
                continue
            color = code
            if code in {"38", "48"}:
                size = 4 if codes[0] == "2" else 2
                color, codes = ";".join([code, *codes[:size]]), codes[size:]
            layer = _layer(code)
            if layer:
                self.sgr = [one for one in self.sgr if _layer(one.split(";")[0]) != layer]
            if code not in {"39", "49"}:
                self.sgr.append(color)


def _layer(code: str) -> str:
    number = int(code)
    if 30 <= number <= 39 or 90 <= number <= 97:
        return "front"
    return "back" if 40 <= number <= 49 or 100 <= number <= 107 else ""


def seen(screen: TerminalScreen) -> list[list[tuple[str, str]]]:
    """The cells as an eye sees them: a blank has no ink."""
    visible = {"4", "7", "9", "21", "53"}

    def one(cell: tuple[str, str]) -> tuple[str, str]:
        char, style = cell
        codes = re.findall(r"(?:38|48);2;\d+;\d+;\d+|(?:38|48);5;\d+|\d+", style)
        if char != " " or set(codes) & visible:
            return cell
        return char, ";".join(code for code in codes if _layer(code.split(";")[0]) == "back")

    return [[one(cell) for cell in row] for row in screen.rows]
