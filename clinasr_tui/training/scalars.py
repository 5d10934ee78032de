"""Points of an event file, kept in columns: what its reader gives and the timeline takes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import lt
from typing import NamedTuple


class Scalar(NamedTuple):
    """One logged value. `step` is 0-based, `wall` in Unix seconds; the value may be NaN or infinite."""

    tag: str
    step: int
    wall: float
    value: float


@dataclass(slots=True)
class Columns:
    """Points of one tag in file order: three columns of equal length."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    walls: array[float] = field(default_factory=lambda: array("d"))
    """Unix seconds."""
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.steps)

    def append(self, step: int, wall: float, value: float) -> None:
        """Take one point."""
        self.steps.append(step)
        self.walls.append(wall)
        self.values.append(value)

    @property
    def ascends(self) -> bool:
        """True if every step is greater than the one before."""
        return all(map(lt, self.steps, islice(self.steps, 1, None)))


def merged(old: Columns, new: Columns) -> Columns:
    """One point for each step, ascending: of several the one with the later wall time.

    At the same wall time NaN wins, then the greater value, then the earlier in `old` and `new`.
    """
    import numpy as np

    # Backwards, so that of equals a stable sort puts the earlier one last.
    steps, walls, values = (
        np.concatenate([np.frombuffer(one, kind) for one in pair])[::-1]
        for pair, kind in (
            ((old.steps, new.steps), np.int64),
            ((old.walls, new.walls), np.float64),
            ((old.values, new.values), np.float64),
        )
    )
    order = np.lexsort((values, walls, steps))
    order = order[np.append(np.diff(steps[order]) != 0, True)]
    return Columns(
        array("q", steps[order].tobytes()),
        array("d", walls[order].tobytes()),
        array("d", values[order].tobytes()),
    )


class Scalars(dict[str, Columns]):
    """Points by tag, tags in the order they were first met. Iterate `points()` for single ones."""

    def column(self, tag: str) -> Columns:
        """The columns of a tag, made if need be."""
        columns = self.get(tag)
        if columns is None:
            columns = self[tag] = Columns()
        return columns

    def points(self) -> Iterator[Scalar]:
        """Every point: tag by tag, in file order within a tag."""
        for tag, columns in self.items():
            for step, wall, value in zip(columns.steps, columns.walls, columns.values, strict=True):
                yield Scalar(tag, step, wall, value)
