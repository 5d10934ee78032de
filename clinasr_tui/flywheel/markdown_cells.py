"""Untrusted text in and out of a Markdown table cell without loss, and tables out of Markdown text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NONE = "(none)"
"""What a cell shows for an empty text."""

_SPECIAL = re.compile(r"[\\|<>*`\[\]&~]|^\(|^ | $")
_ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt]|[!-/:-@\[-`{-~])")
_LETTERS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t"}
_RULE = re.compile(r"[\s|:+-]*-{2,}[\s|:+-]*")
_PIPE = re.compile(r"\\.|\|")
_COLUMNS = re.compile(r"\s{2,}")


def escape(text: str) -> str:
    """One line that stands in a cell, shows as `text` and comes back from `unescape` unchanged.

    Markdown's own backslash escapes where they exist; control characters, odd spaces, lone
    surrogates and text direction marks as `\\n`, `\\u202e`.
    """
    if not text:
        return NONE
    marked = _SPECIAL.sub(lambda match: "\\u0020" if match[0] == " " else "\\" + match[0], text)
    if marked.isprintable():
        return marked
    return "".join(character if character.isprintable() else _code(character) for character in marked)


def unescape(cell: str) -> str:
    """The text behind a cell."""
    cell = cell.strip()
    return "" if cell == NONE else _ESCAPE.sub(_character, cell)


def _code(character: str) -> str:
    code = ord(character)
    return _LETTERS.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def _character(match: re.Match[str]) -> str:
    escaped = match[1]
    if len(escaped) == 1:
        return _CHARACTERS.get(escaped, escaped)
    code = int(escaped[1:], 16)
    return chr(code) if code < 0x110000 else match[0]


def row(*cells: str) -> str:
    """A table line of ready cells."""
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Table:
    """A table found in Markdown text: its heading, its header and its rows, cells as written."""

    heading: str
    line: int
    """1-based line of the header."""
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Rows as (1-based line, cells)."""


def tables(text: str) -> Iterator[Table]:
    """Tables with pipes, and in fenced blocks also tables in columns two or more spaces apart."""
    heading = ""
    fenced = False
    block: list[tuple[int, tuple[str, ...]]] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        cells = _cells(line, fenced)
        if cells:
            block.append((number, cells))
        elif not (block and _RULE.fullmatch(line)):
            if len(block) > 1:
                yield Table(heading, block[0][0], block[0][1], tuple(block[1:]))
            block = []
        if line.startswith("```"):
            fenced = not fenced
        elif line.startswith("#") and not fenced:
            heading = line.lstrip("#").strip()


def _cells(line: str, fenced: bool) -> tuple[str, ...]:
    """The cells of a table line; empty for anything else, rules included."""
    line = line.strip()
    if _RULE.fullmatch(line) or line.startswith(("#", "<!--", "```")):
        return ()
    if line.startswith("|"):
        return _piped(line)
    columns = _COLUMNS.split(line) if fenced else ()
    return tuple(columns) if len(columns) > 1 else ()


def _piped(line: str) -> tuple[str, ...]:
    cells, start = [], 1
    for match in _PIPE.finditer(line, 1):
        if match[0] == "|":
            cells.append(line[start : match.start()].strip())
            start = match.end()
    rest = line[start:].strip()
    return tuple([*cells, rest] if rest else cells)
