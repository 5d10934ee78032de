"""Rows out of transcript lines, a block of lines at a time. Imports little: scoring processes start with it.

The lines of a block are joined to one JSON array and parsed by one call, which costs a third of a
call for each line. A random text stands between the rows: it comes back between them only if every
line is one JSON value, so a block that parses otherwise (a row over two lines, two on one) is noticed
and read line by line, which also says which line is at fault.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

if TYPE_CHECKING:
    from clinasr_tui.flywheel.manifest import RowFault

HYPOTHESIS = "hyp"
KEYS = ("audio_filepath", "ref", HYPOTHESIS, *CLINICAL_FIELDS)
"""The keys a transcript row is read from, in the order of its columns."""
MANIFEST_KEYS = ("audio_filepath", "text", *CLINICAL_FIELDS)
"""The keys of a manifest row that fill a transcript row."""
BLOCK_BYTES = 1 << 15
"""Measured: what is made of a block then fits the processor's cache."""

_BOM = b"\xef\xbb\xbf"
_REQUIRED = ("ref", "text", HYPOTHESIS)
_ALL_TEXT = {str}
_between = os.urandom(6).hex()
_JOINT = f',"{_between}",'

Row = Mapping[str, object]


class LineFault(Exception):  # noqa: N818  (a finding about a line, raised only to the next caller)
    """Line `line` (1-based, or counted as the caller does) cannot be used, for `fault`."""

    def __init__(self, line: int, fault: RowFault) -> None:
        self.line = line
        self.fault = fault
        super().__init__(line, fault.what)


def whole_lines(descriptor: int, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of whole lines for those whose first byte lies in [start, stop).

    About `BLOCK_BYTES` at a time, a longer line in one piece. Any division of a file gives every line
    exactly once.
    """
    position = _line_start(descriptor, start) if start else 0
    while position < stop:
        block = b""
        end = 0
        while not end:
            more = os.pread(descriptor, max(BLOCK_BYTES, len(block)), position + len(block))
            block += more
            end = _end_of_lines(block, stop - position) if more else len(block)
            if not more:
                break
        if not block:
            return
        yield position, block[:end]
        position += end


def _line_start(descriptor: int, position: int) -> int:
    """The first line start at `position` or behind it; the file's end if there is none."""
    position -= 1
    while block := os.pread(descriptor, BLOCK_BYTES, position):
        end = block.find(b"\n") + 1
        if end:
            return position + end
        position += len(block)
    return position


def _end_of_lines(block: bytes, wanted: int) -> int:
    """Where the last whole line of `block` ends whose start lies in the first `wanted` bytes; 0 if none."""
    return block.find(b"\n", wanted - 1) + 1 if len(block) >= wanted else block.rfind(b"\n") + 1


def is_array(descriptor: int) -> bool:
    """Whether a file begins like a JSON array."""
    position = 0
    while block := os.pread(descriptor, BLOCK_BYTES, position):
        start = (block if position else block.removeprefix(_BOM)).lstrip()
        if start:
            return start.startswith(b"[")
        position += len(block)
    return False


class Parsed(NamedTuple):
    """What a block of whole lines holds."""

    rows: list[Row]
    numbers: Sequence[int]
    """Each row's line."""
    lines: int
    """Lines, blank ones and a last one without an end included."""


def parse_lines(block: bytes, line: int, keys: tuple[str, ...] = KEYS) -> Parsed:
    """Parse a block of whole lines, the first of which is number `line`.

    Blank lines are counted and skipped. Raises LineFault for the first line that is no JSON object, or
    for one before it that lacks a text of `keys`.
    """
    text = block.removesuffix(b"\n")
    rows = _parse_joined(text.removeprefix(_BOM) if line == 1 else text)
    if rows is not None:
        return Parsed(rows, range(line, line + len(rows)), len(rows))
    return Parsed(*_parse_each(text, line, keys), text.count(b"\n") + 1)


def _parse_joined(text: bytes) -> list[Row] | None:
    """The rows of lines without blank ones, one a line; None if they must be read line by line."""
    try:
        plain = text.decode()
        joined = plain.replace("\n", _JOINT)
        rows: list[Any] = json.loads(f"[{joined}]")
    except (ValueError, RecursionError):
        return None
    # What joining adds tells how many lines there are: counting their ends costs ten times as much.
    count = (len(joined) - len(plain)) // (len(_JOINT) - 1) + 1
    if len(rows) != 2 * count - 1 or rows[1::2] != [_between] * (count - 1):
        return None
    del rows[1::2]
    if set(map(type, rows)) != {dict}:
        return None
    # Every pair has its colon: if there are more, one stands in a text, or a key stands twice.
    if text.count(b":") != sum(map(len, rows)) and not _colons_in_texts(text, rows):
        return None
    return rows


def _colons_in_texts(text: bytes, rows: Sequence[Row]) -> bool:
    """Whether texts hold all colons too many; False if that cannot be told quickly."""
    if b"\\u003" in text:
        return False
    values = "".join([value for row in rows for value in row.values() if type(value) is str])
    return text.count(b":") == sum(map(len, rows)) + values.count(":")


def _parse_each(text: bytes, line: int, keys: tuple[str, ...]) -> tuple[list[Row], Sequence[int]]:
    from clinasr_tui.flywheel.files import numbered_lines
    from clinasr_tui.flywheel.manifest import RowFault, decode_object

    rows: list[Row] = []
    numbers: list[int] = []
    # Lines end at "\n" only, which `splitlines` does not know.
    for number, raw in numbered_lines((part + b"\n" for part in text.split(b"\n")), line):
        try:
            fields = decode_object(raw, number)
            repeated = repeated_key(raw.removeprefix(_BOM).decode(), [fields])
            if repeated is not None:
                key = repeated[1]
                raise RowFault("duplicate_key", key, f"{key} stands twice in the row")
        except RowFault as fault:
            if rows:
                columns_of(rows, numbers, keys)
            raise LineFault(number, fault) from None
        rows.append(fields)
        numbers.append(number)
    return rows, numbers


def repeated_key(text: str, rows: Sequence[object]) -> tuple[int, str] | None:
    """The first row (counted from 1) in which a key that is read stands twice, and that key.

    `text` is the JSON the rows came from, one object or an array of them. Which of two values is meant
    cannot be known, and a parser would take the last one silently.
    """
    # Every pair has its colon: without one too many, no key stands twice.
    if text.count(":") == sum(len(row) for row in rows if isinstance(row, dict)):
        return None
    found = json.JSONDecoder(object_pairs_hook=_Pairs.of).decode(text)
    for number, row in enumerate(found if isinstance(found, list) else [found], 1):
        if isinstance(row, _Pairs) and row.repeated:
            return number, row.repeated
    return None


class _Pairs(dict[str, object]):
    """An object in which a key stands twice."""

    repeated = ""
    """The first such key of those that are read."""

    @classmethod
    def of(cls, pairs: list[tuple[str, object]]) -> dict[str, object]:
        """The object; a plain one if every key stands once."""
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        keys = [key for key, _ in pairs]
        marked = cls(found)
        marked.repeated = next((key for key in (*KEYS, *MANIFEST_KEYS) if keys.count(key) > 1), "")
        return marked


def columns_of(
    rows: Sequence[Row], numbers: Sequence[int], keys: tuple[str, ...] = KEYS
) -> list[Sequence[str]]:
    """The rows' values as one column a key; null or absent is "" where a text is not required.

    Raises LineFault with its number for the first row without a text it needs (`ref`, `hyp`, `text`).
    """
    try:
        columns: list[Sequence[object]] = list(zip(*map(itemgetter(*keys), rows), strict=True))
    except KeyError:
        columns = [[row.get(key) for row in rows] for key in keys]
    return [
        cast("Sequence[str]", column)
        if set(map(type, column)) == _ALL_TEXT
        else _mended(key, column, rows, numbers, [name for name in keys if name in _REQUIRED])
        for key, column in zip(keys, columns, strict=True)
    ]


def _mended(
    key: str, column: Sequence[object], rows: Sequence[Row], numbers: Sequence[int], required: Sequence[str]
) -> list[str]:
    """A column some of whose values are no texts."""
    from clinasr_tui.flywheel.manifest import RowFault, clinical_text, required_text

    if key not in required:
        try:
            return [clinical_text(value) for value in column]
        except RecursionError:
            raise LineFault(numbers[0], RowFault("bad_field", key, f"{key} is nested too deeply")) from None
    for row, number in zip(rows, numbers, strict=True):
        for name in required:
            try:
                required_text(row, name)
            except RowFault as fault:
                raise LineFault(number, fault) from None
    raise AssertionError("a column of texts was taken for another")
