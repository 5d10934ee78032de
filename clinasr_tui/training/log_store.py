"""The lines of a run's log as positions in the mirrored files: bounded, whatever the log's size."""

from __future__ import annotations

import os
import re
from array import array
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.text import visible
from clinasr_tui.training.snapshot import Level

if TYPE_CHECKING:
    from clinasr_tui.training.console import LogLine

MAX_LINES = 1_000_000
MAX_CHARACTERS = 10_000
"""Longest line shown; the rest is counted, not shown."""
NOT_READABLE = "(this line can no longer be read from the mirror)"

_CACHE = 4096
_BLOCK = 1 << 18
_NOTES = 0
_CODES = {Level.INFO: 0, Level.WARNING: 1, Level.ERROR: 2}
_LEVELS = (Level.INFO, Level.WARNING, Level.ERROR)
# Cursor movements and colours of progress bars and warnings; other sequences are made visible.
_BAR_SEQUENCES = re.compile(r"\x1b\[[0-9;]*[A-DKm]")
_NEMO_PREFIX = re.compile(r"\[NeMo ([A-Z]) \d{4}-\d\d-\d\d (\d\d:\d\d:\d\d) [^\]]{0,80}\] ?")


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
        self._length = array("L")
        self._level = bytearray()
        self._notes: list[str] = []
        self._texts: OrderedDict[int, str] = OrderedDict()
        self.dropped = 0
        self.version = 0
        """Grows with every change."""

    def __len__(self) -> int:
        return len(self._level)

    def append(self, lines: Iterable[LogLine]) -> None:
        """Take lines as the reader gives them."""
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
        return _LEVELS[self._level[index]]

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

    def count(self, level: Level) -> int:
        """Lines of exactly this level."""
        return self._level.count(_CODES[level])

    def indices(
        self, levels: Collection[Level] | None = None, hide: re.Pattern[str] | None = None, start: int = 0
    ) -> array[int]:
        """Indices from `start` of the lines of these levels (None: all) that `hide` is not found in."""
        wanted = _wanted(levels)
        found = array("L")
        for index in range(max(0, start), len(self)):
            if wanted[self._level[index]] and (hide is None or not hide.search(self._peek(index))):
                found.append(index)
        return found

    def find(self, pattern: re.Pattern[str], start: int, backwards: bool = False) -> int | None:
        """Index of the next line at or after `start` (or before, going backwards) that holds `pattern`."""
        return next(
            (index for index in self._walk(start, backwards) if pattern.search(self._peek(index))), None
        )

    def next_at_level(self, level: Level, start: int, backwards: bool = False) -> int | None:
        """Index of the next line at or after `start` that is at least as severe as `level`."""
        least = _CODES[level]
        return next((index for index in self._walk(start, backwards) if self._level[index] >= least), None)

    def _walk(self, start: int, backwards: bool) -> range:
        return range(min(start, len(self) - 1), -1, -1) if backwards else range(max(0, start), len(self))

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
        self._level.append(_CODES[level])
        self.version += 1

    def _trim(self) -> None:
        if len(self) <= self._limit:
            return
        gone = len(self) - self._limit + self._limit // 10
        for column in (self._file, self._offset, self._length, self._level):
            del column[:gone]
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
    text = _BAR_SEQUENCES.sub("", text) if "\x1b" in text else text
    match = _NEMO_PREFIX.match(text)
    if match:
        text = f"{match[2]} {match[1]} {text[match.end() :]}"
    text = visible(text.expandtabs(4).rstrip())
    more = len(text) - MAX_CHARACTERS + unread
    return text if more <= 0 else f"{text[:MAX_CHARACTERS]}… (+{more} characters)"


def _wanted(levels: Collection[Level] | None) -> tuple[bool, ...]:
    return tuple(levels is None or level in levels for level in _LEVELS)
