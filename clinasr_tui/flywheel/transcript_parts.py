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
from typing import NamedTuple
from zlib import crc32

from clinasr_tui.flywheel import row_scores
from clinasr_tui.flywheel.transcript_blocks import (
    HYPOTHESIS,
    LineFault,
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
    values: list[list[str]]
    """Distinct values of each clinical field in order of first appearance."""
    codes: list[array[int]]
    """Which value each row has, one array a clinical field."""
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


class _Reader:
    """Collects blocks."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys
        self._clinical = keys.index("term")
        self._numbers: list[defaultdict[str, int]] = [
            defaultdict(count().__next__) for _ in keys[self._clinical :]
        ]
        self._codes = [array("I") for _ in self._numbers]
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
        columns = columns_of(rows, numbers, self._keys)
        audio, texts, clinical = columns[0], columns[1], columns[self._clinical :]
        for codes, known, values in zip(self._codes, self._numbers, clinical, strict=True):
            codes.extend(map(known.__getitem__, values))
        joined = "".join(audio)
        self._audio.append(joined.encode(errors="surrogatepass"))
        self._audio_lengths.extend(map(len, audio if joined.isascii() else _encoded(audio)))
        self._checks.extend(map(crc32, _encoded(texts)))
        if HYPOTHESIS in self._keys:
            found = row_scores.score_texts(texts, columns[2], clinical[0])
            for scores, more in zip(self._scores, found, strict=True):
                scores.extend(more)
        return lines

    def part(self, lines: int, fault: tuple[int, str, str, str] | None) -> Part:
        """Everything collected."""
        values = [list(known) for known in self._numbers]
        return Part(
            lines,
            self._blocks,
            self._audio,
            self._audio_lengths,
            self._checks,
            values,
            [array(code_type(len(known)), codes) for known, codes in zip(values, self._codes, strict=True)],
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
