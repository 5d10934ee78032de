"""Log lines in columns: a million of them cost no million objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from clinasr_tui.training.snapshot import Level

LEVELS = (Level.INFO, Level.WARNING, Level.ERROR)
"""What the codes of the level columns mean."""
CODES = {level: code for code, level in enumerate(LEVELS)}


class LogLine(NamedTuple):
    """One line for the log view: where its bytes stand in the mirrored file, never the text itself."""

    file: str
    """Name of the file in the run folder, relative, as given to `RunReader.feed`."""
    offset: int
    length: int
    level: Level


@dataclass(slots=True)
class Batch:
    """Lines of one file in order: three columns of equal length."""

    file: str
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    levels: bytearray = field(default_factory=bytearray)
    """Places in `LEVELS`."""

    def __len__(self) -> int:
        return len(self.levels)

    def __iter__(self) -> Iterator[LogLine]:
        for offset, length, code in zip(self.offsets, self.lengths, self.levels, strict=True):
            yield LogLine(self.file, offset, length, LEVELS[code])

    def forget(self, count: int) -> None:
        """Drop the first lines."""
        del self.offsets[:count], self.lengths[:count], self.levels[:count]


class LogLines(Sequence[LogLine]):
    """Lines of any files in the order they came."""

    def __init__(self, batches: Iterable[Batch] = ()) -> None:
        self.batches: list[Batch] = [batch for batch in batches if batch]

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def __bool__(self) -> bool:
        return bool(self.batches)

    def __iter__(self) -> Iterator[LogLine]:
        for batch in self.batches:
            yield from batch

    @overload
    def __getitem__(self, index: int) -> LogLine: ...
    @overload
    def __getitem__(self, index: slice) -> list[LogLine]: ...
    def __getitem__(self, index: int | slice) -> LogLine | list[LogLine]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: LogLines) -> LogLines:
        return LogLines([*self.batches, *other.batches])

    def __radd__(self, other: list[LogLine]) -> list[LogLine]:
        return [*other, *self]

    def take(self, other: LogLines) -> None:
        """Put another's lines behind one's own; the other must not be used any more."""
        self.batches += other.batches

    def renamed(self, names: dict[str, str]) -> LogLines:
        """The same lines under other file names."""
        return LogLines(
            Batch(names.get(one.file, one.file), one.offsets, one.lengths, one.levels) for one in self.batches
        )

    def without(self, file: str) -> LogLines:
        """The lines of the other files."""
        return LogLines(batch for batch in self.batches if batch.file != file)

    def keep_last(self, count: int) -> None:
        """Forget the oldest lines until at most `count` are left."""
        more = len(self) - count
        while more > 0:
            first = self.batches[0]
            gone = min(more, len(first))
            first.forget(gone)
            more -= gone
            if not first:
                del self.batches[0]
