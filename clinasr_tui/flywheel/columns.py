"""Text columns of a million rows in little memory: each reads like a list of strings.

Values that repeat are numbers into their distinct values, audio paths stand in one run of bytes, and
references and hypotheses stay in the file they came from.
"""

from __future__ import annotations

import os
import weakref
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, count, pairwise
from pathlib import Path
from typing import overload
from zlib import crc32

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.transcript_blocks import LineFault, Row, columns_of, parse_lines
from clinasr_tui.flywheel.transcript_parts import code_type, file_identity

GONE = "(the file was changed after it was scored)"
"""Stands for a text that cannot be read back any more."""
_STEP = 1 << 14


class TextColumn(Sequence[str]):
    """A read-only column; equal to any sequence of the same texts."""

    def _at(self, index: int) -> str:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        places = range(len(self))[index]
        return self._at(places) if isinstance(places, int) else [self._at(place) for place in places]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str) or len(other) != len(self):
            return False
        return all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class CodedColumn(TextColumn):
    """Values that repeat: `codes` holds each row's place in `values`, which are all different."""

    def __init__(self, values: list[str], codes: array[int]) -> None:
        self.values = values
        self.codes = codes

    @classmethod
    def of(cls, texts: Iterable[str]) -> CodedColumn:
        """Number values in order of first appearance."""
        if isinstance(texts, CodedColumn):
            return texts
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        codes = array("I", map(numbers.__getitem__, texts))
        return cls(list(numbers), array(code_type(len(numbers)), codes))

    @classmethod
    def joined(cls, parts: Iterable[tuple[Sequence[str], array[int]]]) -> CodedColumn:
        """One column from parts (values, codes) that number their values each for themselves."""
        numbers: dict[str, int] = {}
        known = [
            ([numbers.setdefault(value, len(numbers)) for value in values], codes) for values, codes in parts
        ]
        joined = array(code_type(len(numbers)))
        for new, codes in known:
            if len(new) <= 1 << 8 and joined.typecode == "B":
                joined.frombytes(codes.tobytes().translate(bytes(new).ljust(1 << 8, b"\0")))
            else:
                joined.extend(map(new.__getitem__, codes))
        return cls(list(numbers), joined)

    @classmethod
    def separated(
        cls, parts: Iterable[tuple[Sequence[tuple[str, ...]], array[int]]], fields: int
    ) -> list[CodedColumn]:
        """One column a field from parts (combinations of the fields' values, codes)."""
        import numpy as np

        known = [(kinds, np.frombuffer(codes, codes.typecode)) for kinds, codes in parts]
        columns = []
        for field in range(fields):
            numbers: dict[str, int] = {}
            new = [
                np.array([numbers.setdefault(kind[field], len(numbers)) for kind in kinds], dtype="I")
                for kinds, _ in known
            ]
            kind = code_type(len(numbers))
            joined = array(kind)
            for table, (_, codes) in zip(new, known, strict=True):
                joined.frombytes(table.astype(kind)[codes].tobytes())
            columns.append(cls(list(numbers), joined))
        return columns

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return map(self.values.__getitem__, self.codes)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CodedColumn) and other.values == self.values:
            return self.codes == other.codes
        return super().__eq__(other)

    __hash__ = None

    def __contains__(self, text: object) -> bool:
        # Every value is some row's.
        return text in self.values

    def _at(self, index: int) -> str:
        return self.values[self.codes[index]]


class PackedColumn(TextColumn):
    """Texts that are mostly different, one behind the other as UTF-8; `lengths` in bytes."""

    def __init__(self, data: bytes, lengths: Iterable[int]) -> None:
        self._data = data
        self._ends = array("I" if len(data) < 1 << 32 else "Q", accumulate(lengths))

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for first in range(0, len(self._ends), _STEP):
            ends = self._ends[first : first + _STEP]
            data = self._data[start : ends[-1]]
            places = pairwise((0, *(end - start for end in ends)))
            if data.isascii():
                text = data.decode("ascii")
                yield from (text[begin:end] for begin, end in places)
            else:
                yield from (_decoded(data[begin:end]) for begin, end in places)
            start = ends[-1]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedColumn):
            return self._data == other._data and self._ends == other._ends
        return super().__eq__(other)

    __hash__ = None

    def _at(self, index: int) -> str:
        return _decoded(self._data[self._ends[index - 1] if index else 0 : self._ends[index]])


def _decoded(data: bytes) -> str:
    return data.decode(errors="surrogatepass")


class StoredRows:
    """A transcript file kept open, and where its blocks of lines begin.

    A file that is replaced goes on being read as it was. One that is written over is noticed.
    """

    def __init__(
        self,
        path: Path,
        descriptor: int,
        keys: tuple[str, ...],
        offsets: Sequence[int],
        block_rows: Sequence[int],
        block_lines: Sequence[int],
    ) -> None:
        """Takes the descriptor over. The blocks' rows and lines are counts, the offsets bytes."""
        self.path = path
        self._descriptor = descriptor
        self._keys = keys
        self._identity = file_identity(descriptor)
        self._offsets = [*offsets, self._identity[2]]
        self._first_rows = list(accumulate(block_rows, initial=0))
        self._first_lines = list(accumulate(block_lines, initial=1))
        self._last: tuple[int, list[Row], Sequence[int]] | None = None
        weakref.finalize(self, os.close, descriptor)

    def __len__(self) -> int:
        return self._first_rows[-1]

    def row(self, index: int) -> tuple[Row, int] | None:
        """The JSON object of row `index` and its line; None if the file is another one by now."""
        block = bisect_right(self._first_rows, index) - 1
        last = self._last
        if last is None or last[0] != block or not self.unchanged():
            found = self._parsed(block)
            if found is None:
                return None
            self._last = last = (block, *found)
        place = index - self._first_rows[block]
        return last[1][place], last[2][place]

    def column(self, key: str) -> Iterator[str]:
        """One key's texts of all rows. Raises InputError if the file is another one by now."""
        for block in range(len(self._offsets) - 1):
            found = self._parsed(block)
            if found is None:
                raise InputError(
                    "it was changed after it was scored", where=str(self.path), remedy="Score it again"
                )
            if found[0]:
                yield from columns_of(*found, self._keys)[self._keys.index(key)]

    def unchanged(self) -> bool:
        """Whether the file still holds what was scored."""
        return file_identity(self._descriptor) == self._identity

    def _parsed(self, block: int) -> tuple[list[Row], Sequence[int]] | None:
        start, line = self._offsets[block], self._first_lines[block]
        try:
            data = os.pread(self._descriptor, self._offsets[block + 1] - start, start)
            rows, numbers, _ = parse_lines(data, line, self._keys)
        except (LineFault, OSError):
            return None
        expected = self._first_rows[block + 1] - self._first_rows[block]
        return (rows, numbers) if len(rows) == expected and self.unchanged() else None


class StoredColumn(TextColumn):
    """One key's texts, read from the file when they are asked for.

    A single text that cannot be read back any more is `GONE`; going through all of them then raises
    InputError.
    """

    def __init__(self, rows: StoredRows, key: str, checks: array[int] | None = None) -> None:
        """`checks` are the CRC-32 of every text, where they are known."""
        self._rows = rows
        self._key = key
        self._checks = checks
        self._instead: dict[int, str] = {}

    @property
    def checks(self) -> array[int]:
        """CRC-32 of every text: tells two texts apart without reading them."""
        if self._checks is None:
            self._checks = _checks_of(self)
        return self._checks

    def put(self, texts: Mapping[int, str]) -> None:
        """Have other texts at some places than the file has."""
        self._instead.update(texts)
        for index, check in zip(texts, _checks_of(texts.values()), strict=True):
            self.checks[index] = check

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        texts = self._rows.column(self._key)
        if not self._instead:
            return texts
        return (self._instead.get(index, text) for index, text in enumerate(texts))

    def _at(self, index: int) -> str:
        if index in self._instead:
            return self._instead[index]
        found = self._rows.row(index)
        return GONE if found is None else str(found[0][self._key])


def text_checks(texts: Iterable[str]) -> array[int]:
    """CRC-32 of every text."""
    return texts.checks if isinstance(texts, StoredColumn) else _checks_of(texts)


def _checks_of(texts: Iterable[str]) -> array[int]:
    return array("I", (crc32(text.encode(errors="surrogatepass")) for text in texts))


class StoredLines(Sequence[int]):
    """Every row's line number in a file with blank lines; 0 once the file is another one."""

    def __init__(self, rows: StoredRows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        places = range(len(self))[index]
        return self._at(places) if isinstance(places, int) else [self._at(place) for place in places]

    def _at(self, index: int) -> int:
        found = self._rows.row(index)
        return 0 if found is None else found[1]
