"""Which lines of a log are shown, and how a console line reads: time, severity, text."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from clinasr_tui.training.snapshot import Level

LETTERS = {Level.INFO: "I", Level.WARNING: "W", Level.ERROR: "E"}
_PREFIX = re.compile(r"(\d\d:\d\d:\d\d) [A-Z] ")


class LogSource(Protocol):
    """Lines by index, read where they lie when they are drawn (`training.log_store.LogStore`).

    `dropped` oldest lines have been forgotten: when it grows, every index shrinks by as many.
    """

    dropped: int

    def __len__(self) -> int:
        """Lines there are now."""

    def text(self, index: int) -> str:
        """One line's text, safe to show; NeMo's prefix is shortened to `17:03:05 I `."""

    def level(self, index: int) -> Level:
        """One line's severity."""

    def indices(
        self, levels: Collection[Level] | None = None, hide: re.Pattern[str] | None = None, start: int = 0
    ) -> array[int]:
        """Indices from `start` of the lines of these levels."""


class NoLog:
    """An empty log."""

    dropped = 0

    def __len__(self) -> int:
        return 0

    def text(self, index: int) -> str:
        """Never asked."""
        raise IndexError(index)

    def level(self, index: int) -> Level:
        """Never asked."""
        raise IndexError(index)

    def indices(
        self, levels: Collection[Level] | None = None, hide: re.Pattern[str] | None = None, start: int = 0
    ) -> array[int]:
        """None."""
        return array("L")


class ReadLine(NamedTuple):
    """A console line taken apart: `time` is "" where the line carries none."""

    time: str
    text: str


def read_line(text: str) -> ReadLine:
    """Take time and letter off a line: they stand in columns of their own."""
    match = _PREFIX.match(text)
    return ReadLine(match[1], text[match.end() :]) if match else ReadLine("", text)


class ShownLines:
    """The lines whose severity is switched on, in order; costs new lines only when the log grows."""

    def __init__(self, source: LogSource) -> None:
        self.source = source
        self.levels = frozenset(Level)
        self._picked: array[int] = array("L")
        self._looked = 0
        self._dropped = source.dropped

    def __len__(self) -> int:
        return len(self._picked) if self._filtered else self._looked

    @property
    def _filtered(self) -> bool:
        return len(self.levels) < len(Level)

    def show(self, levels: frozenset[Level]) -> None:
        """Show other severities."""
        self.levels = levels
        self._restart()

    def _restart(self) -> None:
        self._picked = array("L")
        self._looked = 0
        self._dropped = self.source.dropped
        self._extend()

    def _extend(self) -> None:
        if self._filtered:
            self._picked.extend(self.source.indices(self.levels, None, self._looked))
        self._looked = len(self.source)

    def update(self) -> tuple[int, int]:
        """Take in what is new in the log; returns (shown lines added, lines of the log forgotten)."""
        before, gone = len(self), self.source.dropped - self._dropped
        if gone:
            before = len(self) - self.place(gone)
            self._restart()
        else:
            self._extend()
        return len(self) - before, gone

    def line(self, place: int) -> int:
        """Index in the log of the shown line at `place`."""
        return self._picked[place] if self._filtered else place

    def place(self, line: int) -> int:
        """Place of the first shown line at or after index `line` of the log."""
        if not self._filtered:
            return min(line, self._looked)
        return bisect_left(self._picked, line)

    def ring(self, start: int, direction: int) -> Iterator[int]:
        """Every place once, beginning beside `start` and going round in `direction`."""
        size = len(self)
        for step in range(1, size + 1):
            yield (start + direction * step) % size
