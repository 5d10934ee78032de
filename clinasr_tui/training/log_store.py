"""The lines of a run's log as positions in the mirrored files: bounded, whatever the log's size."""

from __future__ import annotations

import os
import re
from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, compress, repeat
from operator import add, sub
from pathlib import Path

from clinasr_tui.text import visible
from clinasr_tui.training.log_lines import CODES, LEVELS, LogLine, LogLines
from clinasr_tui.training.snapshot import Level

MAX_LINES = 2_500_000
"""Lines kept: 15 bytes each."""
MAX_CHARACTERS = 10_000
"""Longest line shown; the rest is counted, not shown."""
NOT_READABLE = "(this line can no longer be read from the mirror)"

_CACHE = 4096
_BLOCK = 1 << 18
_NOTES = 0
# Cursor movements and colours of progress bars and warnings; other sequences are made visible.
_BAR_SEQUENCES = re.compile(r"\x1b\[[0-9;]*[A-DKm]")
# At the beginning of a line: said after the literal, which is found much faster than a beginning.
_NEMO_PREFIX = re.compile(
    r"\[NeMo (?<![^\n]\[NeMo )([A-Z]) \d{4}-\d\d-\d\d (\d\d:\d\d:\d\d) [^\]\n]{0,80}\] ?"
)


class _File:
    """One mirrored file: where it is, and the block read last."""

    __slots__ = ("block", "name", "path", "start")

    def __init__(self, name: str, path: Path | None) -> None:
        self.name = name
        self.path = path
        self.block = b""
        self.start = 0

    def read(self, offset: int, length: int) -> bytes | None:
        """Bytes at `offset`, from the block kept if it covers them; None if they cannot be read."""
        begin = offset - self.start
        if begin < 0 or begin + length > len(self.block):
            if not self._load(offset, length):
                return None
            begin = offset - self.start
        return self.block[begin : begin + length]

    def _load(self, offset: int, length: int) -> bool:
        """Read a block around the line, so that going either way needs no new one for a while."""
        if self.path is None:
            return False
        self.start = max(0, offset - _BLOCK // 4)
        try:
            with self.path.open("rb") as file:
                self.block = os.pread(file.fileno(), offset - self.start + max(length, _BLOCK), self.start)
        except OSError:
            self.block = b""
        return offset - self.start + length <= len(self.block)


class LogStore:
    """Lines of all streams in the order they came; texts are read from the mirror when they are shown.

    An index counts from the oldest line kept. When more than `limit` lines are there, the oldest
    tenth is forgotten: `dropped` grows by as many and every index shrinks by as many.
    """

    def __init__(self, resolve: Callable[[str], Path], limit: int = MAX_LINES) -> None:
        self._resolve = resolve
        self._limit = max(10, limit)
        self._files: list[_File] = [_File("", None)]
        self._numbers: dict[str, int] = {}
        self._file = array("H")
        self._offset = array("Q")
        self._length = array("I")
        self._level = bytearray()
        self._counts = [0] * len(LEVELS)
        self._counted = 0
        self._notes: list[str] = []
        self._texts: OrderedDict[int, str] = OrderedDict()
        self.dropped = 0
        self.version = 0
        """Grows with every change."""

    def __len__(self) -> int:
        return len(self._level)

    def append(self, lines: Iterable[LogLine]) -> None:
        """Take lines as the reader gives them."""
        if isinstance(lines, LogLines):
            for batch in lines.batches:
                self._file.extend(repeat(self._file_id(batch.file), len(batch)))
                self._offset.extend(batch.offsets)
                self._length.extend(batch.lengths)
                self._level.extend(batch.levels)
                self.version += 1
        else:
            for line in lines:
                self._add(self._file_id(line.file), line.offset, line.length, line.level)
        self._trim()

    def note(self, text: str, level: Level = Level.INFO) -> None:
        """A line of our own, such as a lost connection."""
        self._notes.append(text)
        self._add(_NOTES, len(self._notes) - 1, len(text), level)
        self._trim()

    def level(self, index: int) -> Level:
        """Severity of a line."""
        return LEVELS[self._level[index]]

    def file(self, index: int) -> str:
        """Name of the file a line stands in; "" for a note."""
        return self._files[self._file[index]].name

    def text(self, index: int) -> str:
        """A line as it is shown: safe, NeMo's prefix shortened to "17:03:05 I", cut at 10,000 characters."""
        key = index + self.dropped
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = self._read(index)
            if len(self._texts) > _CACHE:
                self._texts.popitem(last=False)
        return text

    def raw(self, index: int) -> bytes | None:
        """The line's bytes as the run wrote them, for an export; None if they cannot be read."""
        file = self._file[index]
        if file == _NOTES:
            return self._notes[self._offset[index]].encode()
        return self._files[file].read(self._offset[index], self._length[index])

    def is_note(self, index: int) -> bool:
        """Whether a line is ours and not the run's."""
        return self._file[index] == _NOTES

    def count(self, level: Level) -> int:
        """Lines of exactly this level."""
        for code in range(len(LEVELS)):
            self._counts[code] += self._level.count(code, self._counted)
        self._counted = len(self._level)
        return self._counts[CODES[level]]

    def indices(self, levels: Collection[Level], start: int = 0, stop: int | None = None) -> array[int]:
        """Indices of the lines of these levels from `start` to before `stop` (None: the end)."""
        wanted = bytes(level in levels for level in LEVELS)
        stop = len(self) if stop is None else min(stop, len(self))
        start = max(0, start)
        return array("L", compress(range(start, stop), self._level[start:stop].translate(wanted.ljust(256))))

    def joined(self, start: int, stop: int) -> str:
        r"""The texts of lines `start` to before `stop` as `text` gives them, with `\n` between them.

        For scans: lines that stand close together in a file are read and cleaned in one go.
        """
        parts: list[str] = []
        while start < stop:
            end = self._run_of(start, stop)
            text = None if end == start + 1 else self._clean_run(start, end)
            parts.append("\n".join(map(self._peek, range(start, end))) if text is None else text)
            start = end
        return "\n".join(parts)

    def frozen(self) -> LogStore:
        """A copy for a thread, such as an export: what comes later does not change it."""
        copy = LogStore(self._resolve, self._limit)
        copy._files = [_File(file.name, file.path) for file in self._files]
        copy._file, copy._offset, copy._length = self._file[:], self._offset[:], self._length[:]
        copy._level, copy._notes, copy.dropped = self._level[:], self._notes[:], self.dropped
        return copy

    def raw_lines(self, indices: Iterable[int]) -> Iterator[bytes]:
        r"""Lines as the run wrote them, each with `\n`; a line that cannot be read says so."""
        for index in indices:
            raw = self.raw(index)
            yield (NOT_READABLE.encode() if raw is None else raw) + b"\n"

    def _run_of(self, start: int, stop: int) -> int:
        """End of lines from `start` that can be read together: one file, none long, a block at most."""
        file, begin = self._file[start], self._offset[start]
        while stop - start > 1:
            size = self._offset[stop - 1] + self._length[stop - 1] - begin
            alike = self._file[start:stop].count(file) == stop - start
            if alike and 0 <= size <= _BLOCK and max(self._length[start:stop]) <= MAX_CHARACTERS:
                break
            stop = start + (stop - start) // 2
        return stop

    def _clean_run(self, start: int, stop: int) -> str | None:
        """Texts of lines of one file, cleaned together; None if that is not possible."""
        offsets, lengths = self._offset[start:stop], self._length[start:stop]
        begin, size = offsets[0], offsets[-1] + lengths[-1] - offsets[0]
        ends = list(map(add, offsets, lengths))
        gaps = set(map(sub, offsets[1:], ends))
        data = None if min(gaps) < 0 else self._files[self._file[start]].read(begin, size)
        if data is None:
            return None
        if gaps != {1} or b"\r" in data:
            places = zip(offsets, ends, strict=True)
            data = b"\n".join([data[first - begin : last - begin] for first, last in places])
        text = _shortened(data.decode("utf-8", "replace"))
        if text.count("\n") != stop - start - 1:
            return None
        if " \n" not in text and not text.endswith(" ") and text.replace("\n", "").isprintable():
            return text
        return "\n".join(
            [line if line.isprintable() else visible(line) for line in map(str.rstrip, text.split("\n"))]
        )

    def _file_id(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._files)
            self._files.append(_File(name, self._resolve(name)))
        return number

    def _add(self, file: int, offset: int, length: int, level: Level) -> None:
        self._file.append(file)
        self._offset.append(offset)
        self._length.append(length)
        self._level.append(CODES[level])
        self.version += 1

    def _trim(self) -> None:
        if len(self) <= self._limit:
            return
        gone = len(self) - self._limit + self._limit // 10
        for column in (self._file, self._offset, self._length, self._level):
            del column[:gone]
        self._counts, self._counted = [0] * len(LEVELS), 0
        self.dropped += gone
        self.version += 1

    def _peek(self, index: int) -> str:
        """The text for a search: like `text`, but a scan does not throw out what is on the screen."""
        text = self._texts.get(index + self.dropped)
        return self._read(index) if text is None else text

    def _read(self, index: int) -> str:
        file = self._file[index]
        if file == _NOTES:
            return _clean(self._notes[self._offset[index]], 0)
        length = self._length[index]
        data = self._files[file].read(self._offset[index], min(length, 4 * MAX_CHARACTERS))
        if data is None:
            return NOT_READABLE
        return _clean(data.decode("utf-8", "replace"), length - len(data))


def _clean(text: str, unread: int) -> str:
    """Safe to show. `unread` bytes were not even read."""
    text = visible(_shortened(text).rstrip())
    more = len(text) - MAX_CHARACTERS + unread
    return text if more <= 0 else f"{text[:MAX_CHARACTERS]}… (+{more} characters)"


def _shortened(text: str) -> str:
    """Lines without bar sequences and tabs, NeMo's prefix shortened."""
    text = _BAR_SEQUENCES.sub("", text) if "\x1b" in text else text
    if "[NeMo " in text:
        # Split and joined again: three times as fast as a substitution by a template.
        first, *parts = _NEMO_PREFIX.split(text)
        letters, times, rests = parts[::3], parts[1::3], parts[2::3]
        lines = zip(times, repeat(" "), letters, repeat(" "), rests, strict=False)
        text = first + "".join(chain.from_iterable(lines))
    return text.expandtabs(4)
