"""Draw the loss chart as lines of (kind, text): no widget, no style, only what stands where."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len

from clinasr_tui.text import visible
from clinasr_tui.widgets.chart_axes import (
    linear_ticks,
    log_ticks,
    place_labels,
    short_number,
    step_ticks,
)
from clinasr_tui.widgets.chart_raster import (
    NOTHING,
    Column,
    Extent,
    Raster,
    StepAxis,
    ValueAxis,
    beside,
    thin,
    value_axis,
)

if TYPE_CHECKING:
    from clinasr_tui.training.snapshot import Series
    from clinasr_tui.widgets.chart_series import ChartSeries

Run = tuple[str, str]
"""(kind, text); kind is space, axis, label, ghost, line, mark, best, bad, cursor or an overlay's letter."""

MARK, BAD = "◆", "✖"
_LETTER_EVERY = 15
"""Cells between two letters on an overlay's curve."""
_BRAILLE = tuple(chr(0x2800 + bits) for bits in range(256))


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """What to draw: size in cells, logarithmic value axis, index of the point under the cursor.

    `steps` are the first and last step in view, None shows all; `others` are curves drawn behind.
    """

    width: int
    height: int
    log: bool = True
    cursor: int | None = None
    steps: tuple[float, float] | None = None
    others: tuple[Overlay, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlay:
    """Another run's smoothed curve, told apart by its letter and not by colour alone."""

    name: str
    data: ChartSeries


LETTERS = "abcd"
"""Letters of the overlays, one each: more curves could not be told apart."""


@dataclass(slots=True)
class Frame:
    """A drawn chart: `lines` from top to bottom, the dot columns it was made from, where steps stand."""

    lines: list[list[Run]] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    axis: StepAxis | None = None
    gutter: int = 0
    """Cells left of the plot."""


def draw(data: ChartSeries, val: Series, options: ChartOptions) -> Frame:
    """Draw the series with its smoothed curve, axes, marks of `val` and every value that is no number."""
    # A live series grows between the message that announced points and the moment of drawing.
    for one in (data, *(other.data for other in options.others)):
        one.follow(one.series)
    frame = Frame()
    if not len(data.series) or options.width < 16 or options.height < 4:
        return frame
    marks = len(val) > 0 and options.height >= 6
    rows = options.height - 1 - marks
    layers, values, gutter = _axes(data, val, options, rows)
    axis = layers[0].axis
    frame.axis, frame.gutter, frame.columns = axis, gutter, layers[0].columns()
    kinds = _plot(layers, frame.columns, values, rows)
    if options.cursor is not None:
        _draw_cursor(kinds, _cell_of(frame.columns, options.cursor))
    _draw_legend(kinds, layers[1:])
    _draw_bad(kinds, data, frame.columns)
    labels = _value_labels(values, rows)
    for y, cells in enumerate(kinds):
        label = labels.get(y)
        left: list[Run] = [
            ("label", (label or "").rjust(gutter - 1)),
            ("axis", "┤" if label is not None else "│"),
        ]
        frame.lines.append([*left, *_runs(cells)])
    frame.lines.append(_step_line(axis, gutter, options.width - gutter))
    if marks:
        frame.lines.append(_mark_line(val, axis, gutter, options.width))
    return frame


class _Layer:
    """A series as far as it is in view: its columns, and the two points its line joins on to outside."""

    def __init__(self, data: ChartSeries, axis: StepAxis, name: str = "") -> None:
        self.data, self.axis, self.name = data, axis, name
        steps = data.series.steps
        self._start, self._stop = bisect_left(steps, axis.low), bisect_right(steps, axis.high)

    def extent(self) -> Extent:
        """Of the points in view."""
        return self.data.index.query(self.data.series.values, self._start, self._stop)

    def columns(self) -> list[Column]:
        """The dot columns in view."""
        series = self.data.series
        return thin(series.steps, series.values, self.data.index, self.axis, (self._start, self._stop))

    def joined(self, columns: list[Column]) -> list[Column]:
        """With the points beside the view."""
        series = self.data.series
        edges = [
            [beside(series.steps, series.values, self.axis, index)] if 0 <= index < len(series) else []
            for index in (self._start - 1, self._stop)
        ]
        return [*edges[0], *columns, *edges[1]]


def _axes(
    data: ChartSeries, val: Series, options: ChartOptions, rows: int
) -> tuple[list[_Layer], ValueAxis | None, int]:
    """The series and those behind it on one step axis, the value axis of all, and the cells left of it."""
    low, high = options.steps or whole_steps(data, val)
    named = [(data, ""), *((other.data, other.name) for other in options.others)]
    wide = StepAxis(low, high, 2 * options.width)
    layers = [_Layer(one, wide, name) for one, name in named]
    extents = [layer.extent() for layer in layers]
    if options.log and any(extent.low <= 0 for extent in extents):
        extents = [column.extent for layer in layers for column in layer.columns()] or extents
    values = value_axis(extents, 4 * rows, log=options.log)
    gutter = max((len(text) for text in _value_labels(values, rows).values()), default=2) + 2
    axis = StepAxis(low, high, 2 * (options.width - gutter))
    return [_Layer(one, axis, name) for one, name in named], values, gutter


def whole_steps(data: ChartSeries, val: Series) -> tuple[float, float]:
    """First and last step of a series that is not empty and of its validations."""
    steps = data.series.steps
    return min([steps[0], *val.steps[:1]]), max([steps[-1], *val.steps[-1:]])


def _value_labels(axis: ValueAxis | None, rows: int) -> dict[int, str]:
    """Tick labels by plot row, top row 0, never two in a row next to each other if three fit."""
    if axis is None:
        return {}
    count = max(2, rows // 3 + 1)
    ticks = log_ticks(axis.low, axis.high, count) if axis.log else linear_ticks(axis.low, axis.high, count)
    return {rows - 1 - axis.row(tick) // 4: short_number(tick) for tick in ticks}


def _plot(
    layers: Sequence[_Layer], columns: list[Column], axis: ValueAxis | None, height: int
) -> list[list[Run]]:
    """The plot's cells: the smoothed curve over other runs' curves over the raw values."""
    width = layers[0].axis.columns // 2
    blank: Run = ("space", " ")
    cells = [[blank] * width for _ in range(height)]
    if axis is None:
        return cells
    smooth = layers[0].data.weight > 0
    first = layers[0].joined(columns)
    if smooth:
        _lay(cells, "ghost", first, axis)
    for letter, layer in zip(LETTERS, layers[1:], strict=False):
        curve = [_smoothed(layer.data, column) for column in layer.joined(layer.columns())]
        _lay(cells, letter, curve, axis)
        _letter(cells, letter, curve, axis)
    _lay(cells, "line", [_smoothed(layers[0].data, column) for column in first] if smooth else first, axis)
    return cells


def _lay(cells: list[list[Run]], kind: str, columns: Sequence[Column], axis: ValueAxis) -> None:
    """Draw one curve over what is there."""
    raster = Raster(len(cells[0]), len(cells))
    raster.draw(columns, axis)
    for y, x, bits in raster.dots():
        cells[y][x] = (kind, _BRAILLE[bits])


def _letter(cells: list[list[Run]], letter: str, curve: Sequence[Column], axis: ValueAxis) -> None:
    """Write a curve's letter on it now and then; each curve's stand elsewhere."""
    wanted = _LETTER_EVERY * (1 + LETTERS.index(letter)) // (1 + len(LETTERS))
    seen = [one for one in curve if 0 <= one.x // 2 < len(cells[0]) and math.isfinite(one.last)]
    for column in seen:
        x = column.x // 2
        if x >= wanted or (column is seen[-1] and wanted < _LETTER_EVERY):
            cells[-1 - axis.row(column.last) // 4][x] = (letter, letter)
            wanted = x + _LETTER_EVERY


def _draw_legend(cells: list[list[Run]], layers: Sequence[_Layer]) -> None:
    """Name the overlays at the right edge, under the row that belongs to what is no number."""
    for letter, row, layer in zip(LETTERS, cells[1:], layers, strict=False):
        name = "".join(char if cell_len(char) == 1 else "?" for char in visible(layer.name))
        text = f" {letter} {name[: max(len(row) // 2, 8)]} "
        if len(text) <= len(row):
            row[-len(text) :] = [(letter, char) for char in text]


def _smoothed(data: ChartSeries, column: Column) -> Column:
    value = data.smooth[column.stop - 1] if data.weight else column.last
    if not math.isfinite(value):
        return column._replace(first=math.nan, last=math.nan, extent=NOTHING)
    extent = NOTHING if column.extent == NOTHING else Extent(value, value, False)
    return column._replace(first=value, last=value, extent=extent)


def _cell_of(columns: Sequence[Column], index: int) -> int | None:
    return next((column.x // 2 for column in columns if column.start <= index < column.stop), None)


def _draw_cursor(cells: list[list[Run]], x: int | None) -> None:
    if x is not None:
        for row in cells:
            if row[x][0] == "space":
                row[x] = ("cursor", "│")


def _draw_bad(cells: list[list[Run]], data: ChartSeries, columns: Sequence[Column]) -> None:
    """Mark what is no number in the top row; name the step if it has stayed so to the end."""
    top = cells[0]
    bad = sorted({column.x // 2 for column in columns if column.extent.bad})
    for x in bad:
        top[x] = ("bad", "╌" if x - 1 in bad else BAD)
    if data.bad_since is None or not bad:
        return
    began = _cell_of(columns, data.bad_since)
    start = began or 0
    for x in range(start, bad[-1] + 1):
        top[x] = ("bad", "╌" if x != began else BAD)
    series = data.series
    what = short_number(series.values[data.bad_since])
    text = f" {what} since step {series.steps[data.bad_since]} "
    first = start + 1 if start + 1 + len(text) <= len(top) else start - len(text)
    for offset, char in enumerate(text if first >= 0 else ""):
        top[first + offset] = ("bad", char)


def _runs(cells: Sequence[Run]) -> list[Run]:
    """Join cells of one kind. A blank takes the kind before it: each run costs some 40 bytes of terminal."""
    runs: list[Run] = []
    text, last = "", cells[0][0] if cells else ""
    for kind, char in cells:
        if kind == last or char == " ":
            text += char
        else:
            runs.append((last, text))
            text, last = char, kind
    if text:
        runs.append((last, text))
    return runs


def _step_line(axis: StepAxis, gutter: int, plot: int) -> list[Run]:
    """The step axis with its labels in the line: `└─0────50────100────149 step`."""
    unit = " step"
    ticks = step_ticks(axis.low, axis.high, max(2, plot // 9)) or [math.ceil(axis.low)]
    labels = [(axis.column(tick) // 2, short_number(tick)) for tick in ticks]
    line = ["─"] * plot
    kinds = ["axis"] * plot
    for start, text in place_labels(labels, plot - len(unit)):
        line[start : start + len(text)] = text
        kinds[start : start + len(text)] = ["label"] * len(text)
    line[-len(unit) :] = unit
    kinds[-len(unit) :] = ["label"] * len(unit)
    return [("axis", " " * (gutter - 1) + "└"), *_runs(list(zip(kinds, line, strict=True)))]


def _mark_line(val: Series, axis: StepAxis, gutter: int, width: int) -> list[Run]:
    """Validation WER under the steps it was measured at; the newest first, then the best, then others."""
    title = "val WER "
    line: list[Run] = [("label", char) for char in title.ljust(width)]
    free = [index >= len(title) for index in range(width)]
    values = [value if math.isfinite(value) else math.inf for value in val.values]
    best = values.index(min(values))
    first, stop = bisect_left(val.steps, axis.low), bisect_right(val.steps, axis.high)
    for index in dict.fromkeys((stop - 1, best, *range(stop - 2, first - 1, -1))):
        if not first <= index < stop:
            continue
        kind = "best" if index == best else "mark"
        _place_mark(line, free, gutter + axis.column(val.steps[index]) // 2, val.values[index], kind)
    return _runs(line)


def _place_mark(line: list[Run], free: list[bool], x: int, value: float, kind: str) -> None:
    """Write `◆ .083` with the mark at `x`, or `.083 ◆` where the right side has no room."""
    number = f"{value:.3f}".removeprefix("0") if abs(value) < 10 else short_number(value)
    x = min(max(x, 0), len(line) - 1)
    for start, text in ((x, f"{MARK} {number}"), (x - len(number) - 1, f"{number} {MARK}")):
        stop = start + len(text)
        margin = free[max(start - 1, 0) : stop + 1]
        if start >= 0 and stop <= len(line) and all(margin):
            line[start:stop] = [(kind, char) for char in text]
            free[start:stop] = [False] * len(text)
            return
