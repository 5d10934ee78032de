"""Which lines of a log are shown, and how a console line reads: time, severity, text.

A line's number counts from the beginning of the log and stays the same when old lines are
forgotten; its index counts from the oldest line kept: number = index + `dropped`.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from operator import neg
from time import perf_counter
from typing import NamedTuple, Protocol

from clinasr_tui.training.log_pattern import LinePattern
from clinasr_tui.training.snapshot import Level
from clinasr_tui.training.time_bound import TimeBound, TooSlowError

LETTERS = {Level.INFO: "I", Level.WARNING: "W", Level.ERROR: "E"}
_NEMO = re.compile(r"(\d\d:\d\d:\d\d) [A-Z] ")
_STAMP = re.compile(r"\[?\d{4}-\d\d-\d\d[T ](\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?(?:\]|\b) ?")

_FIRST_CHUNK = 256
_LEAST_CHUNK = 8
_MOST_CHUNK = 1 << 14
_QUICK = 0.002
_SLOW = 0.006
"""Seconds a chunk takes: quicker ones grow, slower ones shrink."""
_BOUND = 0.1
"""Seconds of processor time a chunk may take at all."""
_FOREVER = 1 << 62


class LogSource(Protocol):
    """Lines by index, read where they lie when they are drawn (`training.log_store.LogStore`).

    `dropped` oldest lines have been forgotten: when it grows, every index shrinks by as many.
    """

    dropped: int

    def __len__(self) -> int:
        """Lines there are now."""

    def text(self, index: int) -> str:
        """One line's text, safe to show; NeMo's prefix is shortened to `17:03:05 I `."""

    def joined(self, start: int, stop: int) -> str:
        r"""The texts of many lines with `\n` between them."""

    def level(self, index: int) -> Level:
        """One line's severity."""

    def is_note(self, index: int) -> bool:
        """Whether the line was written by us: contact lost, a file that starts over."""

    def count(self, level: Level) -> int:
        """Lines of a severity."""

    def indices(self, levels: Collection[Level], start: int = 0, stop: int | None = None) -> array[int]:
        """Indices of the lines of these severities."""


class NoLog:
    """An empty log."""

    dropped = 0

    def __len__(self) -> int:
        return 0

    def text(self, index: int) -> str:
        """Never asked."""
        raise IndexError(index)

    def joined(self, start: int, stop: int) -> str:
        """Nothing."""
        return ""

    def level(self, index: int) -> Level:
        """Never asked."""
        raise IndexError(index)

    def is_note(self, index: int) -> bool:
        """Never asked."""
        raise IndexError(index)

    def count(self, level: Level) -> int:
        """None."""
        return 0

    def indices(self, levels: Collection[Level], start: int = 0, stop: int | None = None) -> array[int]:
        """None."""
        return array("L")


class ReadLine(NamedTuple):
    """A console line taken apart: `time` is "" where the line carries none."""

    time: str
    text: str


def read_line(text: str) -> ReadLine:
    """Take time and letter off a line: they stand in columns of their own."""
    match = _NEMO.match(text) or _STAMP.match(text)
    return ReadLine(match[1], text[match.end() :]) if match else ReadLine("", text)


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines are shown: these severities and, with a pattern, those that hold it (or do not)."""

    levels: frozenset[Level] = field(default_factory=lambda: frozenset(Level))
    pattern: LinePattern | None = None
    hides: bool = False
    """Lines that hold the pattern are left out, not the others."""

    @property
    def passes_all(self) -> bool:
        """Nothing is left out."""
        return self.pattern is None and len(self.levels) == len(Level)

    @property
    def text(self) -> str:
        """As it is typed: `!` hides."""
        return "" if self.pattern is None else ("!" if self.hides else "") + self.pattern.text

    @classmethod
    def typed(cls, text: str, levels: frozenset[Level]) -> LineFilter:
        """From a prompt. Raises InputError where it is no regular expression."""
        hides = text.startswith("!")
        wanted = text[1:] if hides else text
        return cls(levels, LinePattern(wanted) if wanted else None, hides and bool(wanted))


class PickedLines:
    """Numbers of the lines that pass a filter and hold a pattern, looked for in both directions.

    Every `step` costs milliseconds, whatever the log's size; what has been found so far can be used.
    """

    def __init__(
        self, source: LogSource, chosen: LineFilter, start: int, holds: LinePattern | None = None
    ) -> None:
        """Begin beside the line with the number `start`."""
        self._source = source
        self._levels = chosen.levels
        self._tests = [(chosen.pattern, not chosen.hides)] if chosen.pattern else []
        if holds is not None:
            self._tests.append((holds, True))
        self._low = self._high = min(max(start, source.dropped), source.dropped + len(source))
        self._older: array[int] = array("Q")
        self._newer: array[int] = array("Q")
        self._chunk = _FIRST_CHUNK if self._tests else _MOST_CHUNK

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    def __getitem__(self, place: int) -> int:
        """The line number at a place, in the log's order."""
        older = len(self._older)
        return self._older[older - 1 - place] if place < older else self._newer[place - older]

    def place(self, number: int) -> int:
        """Place of the first one at or after a line number."""
        older = bisect_right(self._older, -number, key=neg)
        if older:
            return len(self._older) - older
        return len(self._older) + bisect_left(self._newer, number)

    def numbers(self) -> array[int]:
        """All that were found, in the log's order."""
        return self._older[::-1] + self._newer

    @property
    def done(self) -> bool:
        """All lines there are now have been looked at."""
        source = self._source
        return self._low <= source.dropped and self._high >= source.dropped + len(source)

    @property
    def progress(self) -> float:
        """Share of the lines that have been looked at."""
        size = len(self._source)
        return min(self.looked / size, 1.0) if size else 1.0

    @property
    def looked(self) -> int:
        """Lines that have been looked at and are still there."""
        return max(self._high - max(self._low, self._source.dropped), 0)

    def step(self) -> int:
        """Look at some newer lines, then at some older ones; returns how many older ones were found.

        Raises TooSlowError where a pattern needs too long for a few lines.
        """
        gone = self._source.dropped
        end = gone + len(self._source)
        self._low, self._high = max(self._low, gone), max(self._high, gone)
        if self._high < end:
            stop = min(self._high + self._chunk, end)
            found, stop = self._look(self._high, stop, older=False)
            self._newer.extend(found)
            self._high = stop
        if self._low > gone:
            found, start = self._look(max(self._low - self._chunk, gone), self._low, older=True)
            found.reverse()
            self._older.extend(found)
            self._low = start
            return len(found)
        return 0

    def forget(self) -> int:
        """Let go of lines the log has forgotten; returns how many."""
        gone = self._source.dropped
        before = len(self)
        del self._older[bisect_right(self._older, -gone, key=neg) :]
        if not self._older:
            del self._newer[: bisect_left(self._newer, gone)]
        return before - len(self)

    def _look(self, start: int, stop: int, *, older: bool) -> tuple[array[int], int]:
        """The numbers picked from a chunk and where it ends, which is nearer if the chunk was too big."""
        begun = perf_counter()
        try:
            with TimeBound(_BOUND):
                found = self._pick(start, stop)
        except TooSlowError:
            if self._chunk <= _LEAST_CHUNK:
                raise
            self._chunk = _LEAST_CHUNK
            return array("Q"), stop if older else start
        took = perf_counter() - begun
        if took < _QUICK and stop - start >= self._chunk:
            self._chunk = min(self._chunk * 2, _MOST_CHUNK)
        elif took > _SLOW:
            self._chunk = max(self._chunk // 2, _LEAST_CHUNK)
        return found, start if older else stop

    def _pick(self, start: int, stop: int) -> array[int]:
        source, gone = self._source, self._source.dropped
        first, last = start - gone, stop - gone
        lines = source.indices(self._levels, first, last)
        if lines and self._tests:
            joined = source.joined(first, last)
            for pattern, wanted in self._tests:
                held = {first + place for place in pattern.places(joined)}
                lines = array("L", [line for line in lines if (line in held) is wanted])
        return array("Q", [line + gone for line in lines] if gone else lines)


class ShownLines:
    """The lines that pass the filter, by their place from the top."""

    def __init__(self, source: LogSource, chosen: LineFilter | None = None, near: int = _FOREVER) -> None:
        """Lines beside the number `near` come first; `update` takes them in."""
        self.source = source
        self.filter = LineFilter() if chosen is None else chosen
        self._dropped = source.dropped
        self._end = source.dropped
        self._picked = None if self.filter.passes_all else PickedLines(source, self.filter, near)

    def __len__(self) -> int:
        return self._end - self._dropped if self._picked is None else len(self._picked)

    @property
    def done(self) -> bool:
        """All lines of the log have been looked at."""
        if self._picked is not None:
            return self._picked.done
        return self._end == self.source.dropped + len(self.source)

    @property
    def progress(self) -> float:
        """Share of the log that has been looked at."""
        return 1.0 if self._picked is None else self._picked.progress

    @property
    def hidden(self) -> int:
        """Lines looked at and not shown."""
        return 0 if self._picked is None else self._picked.looked - len(self._picked)

    def update(self, seconds: float = 0.0) -> tuple[int, int]:
        """Look at what has not been looked at, for `seconds` at least.

        Returns how many lines came at the end and by how many the places of the lines before grew
        (less than 0 when old ones were forgotten). Raises TooSlowError as `PickedLines.step` does.
        """
        before, grown = len(self), -self._forget()
        until = perf_counter() + seconds
        if self._picked is None:
            self._end = self._dropped + len(self.source)
        else:
            grown += self._picked.step()
            while not self._picked.done and perf_counter() < until:
                grown += self._picked.step()
        return len(self) - before - grown, grown

    def _forget(self) -> int:
        gone = self.source.dropped - self._dropped
        self._dropped += gone
        if self._picked is not None:
            return self._picked.forget()
        lost = min(gone, self._end - (self._dropped - gone))
        self._end = max(self._end, self._dropped)
        return lost

    def number(self, place: int) -> int:
        """The line number of the shown line at `place`."""
        return self._dropped + place if self._picked is None else self._picked[place]

    def line(self, place: int) -> int:
        """Index in the log of the shown line at `place`; negative when it has just been forgotten."""
        return self.number(place) - self.source.dropped

    def place(self, number: int) -> int:
        """Place of the first shown line at or after a line number."""
        if self._picked is None:
            return min(max(number, self._dropped), self._end) - self._dropped
        return self._picked.place(number)

    def numbers(self, places: range) -> Sequence[int]:
        """The line numbers of the shown lines at these places."""
        if self._picked is None:
            return range(self._dropped + places.start, self._dropped + places.stop)
        return self._picked.numbers()[places.start : places.stop]

    def holds(self, number: int) -> bool:
        """Whether the line with this number is shown."""
        place = self.place(number)
        return place < len(self) and self.number(place) == number
