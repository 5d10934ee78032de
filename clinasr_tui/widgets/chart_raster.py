"""Braille raster and thinning for line charts: pure Python, cost per frame independent of the points.

A cell holds two columns of four dots. A dot column is one integer, bit 0 at the bottom, so that a
vertical run of dots is one shift. A column shows the minimum and maximum of everything that falls
into it: a spike of one point among a million stays visible, and so does a value that is no number.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BLOCK = 64
"""Values a block of the pyramid sums up, and blocks a block of the level above."""

_HUGE, _TINY, _FLAT = 1e300, 1e-300, 1e-9
"""Values beyond are drawn at the edge, smaller ones as nothing, closer ones as equal: floats end there."""

_LEFT = tuple(sum(dot for bit, dot in enumerate((0x40, 0x04, 0x02, 0x01)) if n >> bit & 1) for n in range(16))
_RIGHT = tuple(
    sum(dot for bit, dot in enumerate((0x80, 0x20, 0x10, 0x08)) if n >> bit & 1) for n in range(16)
)


class Extent(NamedTuple):
    """Smallest and largest finite value of a range (`low > high` if it has none)."""

    low: float
    high: float
    bad: bool
    """True if the range holds a NaN or an infinity."""

    @property
    def empty(self) -> bool:
        """True without any finite value."""
        return self.low > self.high


NOTHING = Extent(math.inf, -math.inf, False)


def join(a: Extent, b: Extent) -> Extent:
    """The extent of two ranges together."""
    return Extent(min(a.low, b.low), max(a.high, b.high), a.bad or b.bad)


def extent_of(values: Sequence[float]) -> Extent:
    """The extent of a few values, looked at one by one only if one of them is not finite."""
    if not values:
        return NOTHING
    if math.isfinite(sum(values)):
        return Extent(min(values), max(values), False)
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Extent(math.inf, -math.inf, True)
    return Extent(min(finite), max(finite), len(finite) < len(values))


class ExtentIndex:
    """Pyramid of block extents over a growing array: any range in O(log n), appending amortised O(1)."""

    def __init__(self) -> None:
        self._size = 0
        self._levels: list[tuple[array[float], array[float], bytearray]] = []

    def __len__(self) -> int:
        """Values summed up in whole blocks so far."""
        return self._size

    def clear(self) -> None:
        """Forget everything."""
        self._size = 0
        self._levels.clear()

    def extend(self, values: Sequence[float]) -> None:
        """Take in what `values` has beyond the blocks known; earlier values must be unchanged."""
        for start in range(self._size, len(values) - BLOCK + 1, BLOCK):
            self._push(0, extent_of(values[start : start + BLOCK]))
            self._size = start + BLOCK

    def _push(self, level: int, extent: Extent) -> None:
        if level == len(self._levels):
            self._levels.append((array("d"), array("d"), bytearray()))
        lows, highs, bad = self._levels[level]
        lows.append(extent.low)
        highs.append(extent.high)
        bad.append(extent.bad)
        if len(lows) % BLOCK == 0:
            above = Extent(min(lows[-BLOCK:]), max(highs[-BLOCK:]), any(bad[-BLOCK:]))
            self._push(level + 1, above)

    def query(self, values: Sequence[float], start: int, stop: int) -> Extent:
        """The extent of `values[start:stop]`; `values` is what `extend` was given last."""
        if stop - start < 2 * BLOCK or stop > len(values) or not self._levels:
            return extent_of(values[start:stop])
        first, last = -(-start // BLOCK), min(stop // BLOCK, len(self._levels[0][0]))
        if first >= last:
            return extent_of(values[start:stop])
        edges = join(extent_of(values[start : first * BLOCK]), extent_of(values[last * BLOCK : stop]))
        return join(edges, self._blocks(0, first, last))

    def _blocks(self, level: int, start: int, stop: int) -> Extent:
        lows, highs, bad = self._levels[level]
        if stop - start < 2 * BLOCK or level + 1 == len(self._levels):
            return _block_extent(lows, highs, bad, start, stop)
        first, last = -(-start // BLOCK), min(stop // BLOCK, len(self._levels[level + 1][0]))
        if first >= last:
            return _block_extent(lows, highs, bad, start, stop)
        left = _block_extent(lows, highs, bad, start, first * BLOCK)
        right = _block_extent(lows, highs, bad, last * BLOCK, stop)
        return join(join(left, right), self._blocks(level + 1, first, last))


def _block_extent(lows: array[float], highs: array[float], bad: bytearray, start: int, stop: int) -> Extent:
    if start >= stop:
        return NOTHING
    return Extent(min(lows[start:stop]), max(highs[start:stop]), any(bad[start:stop]))


class Column(NamedTuple):
    """What falls into dot column `x`: the points `start` to `stop` of the series.

    `first` and `last` are the values where lines join on; one that is not finite breaks the line.
    """

    x: int
    start: int
    stop: int
    first: float
    last: float
    extent: Extent


@dataclass(frozen=True, slots=True)
class StepAxis:
    """Horizontal axis: steps `low` to `high` over `columns` dot columns."""

    low: float
    high: float
    columns: int

    @property
    def scale(self) -> float:
        """Dot columns a step."""
        return (self.columns - 1) / (self.high - self.low) if self.high > self.low else 0.0

    def column(self, step: float) -> int:
        """The dot column of a step."""
        return math.floor((step - self.low) * self.scale + 0.5)

    def start(self, column: int) -> float:
        """The step where a dot column begins."""
        return self.low + (column - 0.5) / self.scale if self.scale else self.low


def thin(
    steps: Sequence[int],
    values: Sequence[float],
    index: ExtentIndex,
    axis: StepAxis,
    inside: tuple[int, int] | None = None,
) -> list[Column]:
    """Thin a series (steps ascending) to its non-empty dot columns, minimum and maximum kept.

    `inside` is the range of indices to look at; None is all of them.
    """
    found: list[Column] = []
    start, size = inside or (0, len(steps))
    while start < size:
        x = axis.column(steps[start])
        stop = bisect_left(steps, axis.start(x + 1), start + 1, size) if axis.scale else size
        extent = index.query(values, start, stop)
        found.append(Column(x, start, stop, values[start], values[stop - 1], extent))
        start = stop
    return found


def beside(steps: Sequence[int], values: Sequence[float], axis: StepAxis, index: int) -> Column:
    """A single point outside the axis that lines inside it join on to."""
    return Column(axis.column(steps[index]), index, index + 1, values[index], values[index], NOTHING)


class ValueAxis:
    """Vertical axis: finite `low` < `high` over `rows` dots, linear or logarithmic (then `low` > 0)."""

    def __init__(self, low: float, high: float, rows: int, *, log: bool = False) -> None:
        self.low = low
        self.high = high
        self.rows = rows
        self.log = log
        self._start, end = (math.log(low), math.log(high)) if log else (low, high)
        self._scale = (rows - 1) / (end - self._start)

    def row(self, value: float) -> int:
        """The dot row (0 at the bottom) of a finite value, clamped to the axis."""
        if value <= self.low:
            return 0
        if value >= self.high:
            return self.rows - 1
        return int(((math.log(value) if self.log else value) - self._start) * self._scale + 0.5)


def _drawable(value: float) -> float:
    return 0.0 if abs(value) < _TINY else min(max(value, -_HUGE), _HUGE)


def value_axis(extents: Sequence[Extent], rows: int, *, log: bool) -> ValueAxis | None:
    """The axis that shows every finite value; None if there is none.

    A logarithmic axis begins at the smallest positive bound and is linear without any.
    """
    bounds = [_drawable(bound) for extent in extents if not extent.empty for bound in extent[:2]]
    if not bounds:
        return None
    low, high = min(bounds), max(bounds)
    if log and high > 0:
        low = low if low > 0 else min(bound for bound in bounds if bound > 0)
        if high / low < 1 + _FLAT:
            low, high = low / 1.5, high * 1.5
        if low > 0:
            return ValueAxis(low, high, rows, log=True)
    size = max(abs(low), abs(high))
    if high - low <= size * _FLAT:
        pad = size * 0.1 or 1.0
        low, high = low - pad, high + pad
    return ValueAxis(low, high, rows)


class Raster:
    """A canvas of `width` × `height` cells in braille dots."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._columns = [0] * (2 * width)

    def span(self, x: int, low: int, high: int) -> None:
        """Set the dots `low` to `high` (both included, any order) of dot column `x`."""
        if low > high:
            low, high = high, low
        if 0 <= x < len(self._columns):
            self._columns[x] |= ((1 << (high - low + 1)) - 1) << low

    def segment(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """A line between two dots, x0 < x1, unbroken in every column between them; clipped to the canvas."""
        slope = (y1 - y0) / (x1 - x0)
        first = max(x0, 0)
        previous = round(y0 + slope * max(first - 0.5 - x0, 0))
        for x in range(first, min(x1, len(self._columns) - 1) + 1):
            y = round(y0 + slope * (min(x + 0.5, x1) - x0))
            self.span(x, previous, y)
            previous = y

    def draw(self, columns: Sequence[Column], axis: ValueAxis) -> None:
        """Draw a thinned series: every column's extent, joined unless a value is not finite."""
        pen: tuple[int, int] | None = None
        for column in columns:
            low, high, _ = column.extent
            if low <= high:
                self.span(column.x, axis.row(low), axis.row(high))
            if pen is not None and math.isfinite(column.first) and column.x > pen[0]:
                self.segment(*pen, column.x, axis.row(column.first))
            pen = (column.x, axis.row(column.last)) if math.isfinite(column.last) else None

    def dots(self) -> Iterator[tuple[int, int, int]]:
        """(line from the top, cell, offset into the braille block) of every cell that is not empty."""
        last = self.height - 1
        columns = self._columns
        for cell in range(self.width):
            left, right = columns[2 * cell], columns[2 * cell + 1]
            both = left | right
            while both:
                line = ((both & -both).bit_length() - 1) >> 2
                shift = 4 * line
                yield last - line, cell, _LEFT[left >> shift & 15] | _RIGHT[right >> shift & 15]
                both &= -16 << shift

    def rows(self) -> list[list[int]]:
        """Dots of every cell, top row first, as offsets into the braille block (0 is empty)."""
        found = [[0] * self.width for _ in range(self.height)]
        for y, x, bits in self.dots():
            found[y][x] = bits
        return found
