"""One part of a transcript or manifest file, read and scored in a process of its own.

What comes back is arrays and every distinct value once: a million rows must go through a pipe and
stay small. Texts stay in the file. Imports little: scoring processes start with it.
"""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

from clinasr_tui.flywheel import row_scores
from clinasr_tui.flywheel.transcript_blocks import (
    HYPOTHESIS,
    LineFault,
    Row,
    columns_of,
    parse_lines,
    whole_lines,
)

Identity = tuple[int, int, int, int]
"""Device, inode, size and time of change: while it is the same, so are the bytes."""


class Part(NamedTuple):
    """The rows of the lines that begin in one range of bytes, in file order."""

    lines: int
    """Lines read, blank ones included."""
    blocks: tuple[array[int], array[int], array[int]]
    """Where each block of lines begins in the file, its rows, its lines."""
    audio: list[bytes]
    """UTF-8, the rows' values without anything between them."""
    audio_lengths: array[int]
    """Bytes of each."""
    text_checks: array[int]
    """CRC-32 of each row's reference (a manifest's text): tells two texts apart without having them."""
    terms: tuple[list[str], array[int]]
    """Distinct terms in order of first appearance, and which of them each row has."""
    kinds: tuple[list[tuple[str, ...]], array[int]]
    """The same of the other clinical fields, all of them together: they have few combinations."""
    scores: list[array[int]]
    """`row_scores.COLUMNS`; empty where there are no hypotheses."""
    fault: tuple[int, str, str, str] | None
    """The first unusable line: how many lines stand before it in this part, fault id, field, what."""


def file_identity(descriptor: int) -> Identity:
    """What an open file is now."""
    stat = os.fstat(descriptor)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def read_part(
    path: str,
    identity: Identity,
    start: int,
    stop: int,
    keys: tuple[str, ...],
    *,
    progress: Callable[[float], bool] | None = None,
) -> Part:
    """Read the lines of `path` that begin in [start, stop) and score them if `keys` has hypotheses.

    Raises OSError if the file cannot be read or is another one than `identity` by now.
    """
    reader = _Reader(keys)
    # Only a file's first line may begin with a byte-order mark: elsewhere no line is called the first.
    first = line = 2 if start else 1
    fault = None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for offset, block in whole_lines(descriptor, start, stop):
            line += reader.add(offset, block, line)
            if progress is not None and not progress((offset + len(block) - start) / (stop - start)):
                raise InterruptedError
        if file_identity(descriptor) != identity:
            raise OSError("it changed while it was being read")
    except LineFault as found:
        fault = (found.line - first, found.fault.id, found.fault.field, found.fault.what)
    finally:
        os.close(descriptor)
    return reader.part(line - first, fault)


class _Kinds(dict[tuple[object, ...], int]):
    """Numbers combinations of values. Raises _NotTexts for values that must be read one by one."""

    def __init__(self) -> None:
        self.distinct: list[tuple[str, ...]] = []
        self._seen: dict[str, str] = {}

    def __missing__(self, values: tuple[object, ...]) -> int:
        texts = tuple([self._seen.setdefault(v, v) if type(v) is str else _absent(v) for v in values])
        number = super().get(texts)
        if number is None:
            number = self[texts] = len(self.distinct)
            self.distinct.append(texts)
        if texts != values:
            self[values] = number
        return number


class _NotTexts(TypeError):  # noqa: N818  (caught where it is raised)
    """Other values than texts: equal ones (1, 1.0, true) can be different texts."""


def _absent(value: object) -> str:
    if value is not None:
        raise _NotTexts
    return ""


class _Reader:
    """Collects blocks."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        term = keys.index("term") + 1
        self._keys, self._own, self._shared = keys, keys[:term], keys[term:]
        self._shared_of = itemgetter(*self._shared)
        self._terms: defaultdict[str, int] = defaultdict(count().__next__)
        self._kinds = _Kinds()
        self._term_codes, self._kind_codes = array("I"), array("I")
        self._scores = [array(kind) for kind in row_scores.COLUMNS.values()]
        self._blocks = array("Q"), array("I"), array("I")
        self._audio: list[bytes] = []
        self._audio_lengths, self._checks = array("I"), array("I")

    def add(self, offset: int, block: bytes, line: int) -> int:
        """Read one block whose first line is number `line`; returns its lines. Raises LineFault."""
        rows, numbers, lines = parse_lines(block, line, self._keys)
        for column, number in zip(self._blocks, (offset, len(rows), lines), strict=True):
            column.append(number)
        if not rows:
            return lines
        columns = columns_of(rows, numbers, self._own)
        audio, texts, terms = columns[0], columns[1], columns[-1]
        self._term_codes.extend(map(self._terms.__getitem__, terms))
        self._kind_codes.extend(self._kinds_of(rows, numbers))
        joined = "".join(audio)
        self._audio.append(joined.encode(errors="surrogatepass"))
        self._audio_lengths.extend(map(len, audio if joined.isascii() else _encoded(audio)))
        self._checks.extend(map(crc32, _encoded(texts)))
        if HYPOTHESIS in self._keys:
            found = row_scores.score_texts(texts, columns[2], terms)
            for scores, more in zip(self._scores, found, strict=True):
                scores.extend(more)
        return lines

    def _kinds_of(self, rows: Sequence[Row], numbers: Sequence[int]) -> list[int]:
        try:
            return list(map(self._kinds.__getitem__, map(self._shared_of, rows)))
        except (KeyError, TypeError):
            # A key that is not there, or a value that is no text: column by column.
            columns = columns_of(rows, numbers, self._shared)
            return list(map(self._kinds.__getitem__, zip(*columns, strict=True)))

    def part(self, lines: int, fault: tuple[int, str, str, str] | None) -> Part:
        """Everything collected."""
        terms, kinds = list(self._terms), self._kinds.distinct
        return Part(
            lines,
            self._blocks,
            self._audio,
            self._audio_lengths,
            self._checks,
            (terms, array(code_type(len(terms)), self._term_codes)),
            (kinds, array(code_type(len(kinds)), self._kind_codes)),
            self._scores,
            fault,
        )


def _encoded(texts: Sequence[str]) -> list[bytes]:
    try:
        return list(map(str.encode, texts))
    except UnicodeEncodeError:
        return [text.encode(errors="surrogatepass") for text in texts]


def code_type(values: int) -> str:
    """The smallest `array` type for numbers of so many values."""
    return "B" if values <= 1 << 8 else "H" if values <= 1 << 16 else "I"
