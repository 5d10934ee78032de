"""Draw the loss chart as lines of (kind, text): no widget, no style, only what stands where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    thin,
    value_axis,
)

if TYPE_CHECKING:
    from clinasr_tui.training.snapshot import Series
    from clinasr_tui.widgets.chart_series import ChartSeries

Run = tuple[str, str]
"""(kind, text); kind is space, axis, label, ghost, line, mark, best, bad or cursor."""

MARK, BAD = "◆", "✖"
_BRAILLE = tuple(chr(0x2800 + bits) for bits in range(256))


@dataclass(frozen=True, slots=True)
class ChartOptions:
    """What to draw: size in cells, logarithmic value axis, index of the point under the cursor."""

    width: int
    height: int
    log: bool = True
    cursor: int | None = None


@dataclass(slots=True)
class Frame:
    """A drawn chart: `lines` from top to bottom, and the dot columns it was made from."""

    lines: list[list[Run]] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)


def draw(data: ChartSeries, val: Series, options: ChartOptions) -> Frame:
    """Draw the series with its smoothed curve, axes, marks of `val` and every value that is no number."""
    # A live series grows between the message that announced points and the moment of drawing.
    data.follow(data.series)
    frame = Frame()
    if not len(data.series) or options.width < 16 or options.height < 4:
        return frame
    marks = len(val) > 0 and options.height >= 6
    rows = options.height - 1 - marks
    columns, axis, values, gutter = _axes(data, val, options, rows)
    plot = options.width - gutter
    frame.columns = columns
    kinds = _plot(data, columns, values, plot, rows)
    if options.cursor is not None:
        _draw_cursor(kinds, _cell_of(columns, options.cursor))
    _draw_bad(kinds, data, columns)
    labels = _value_labels(values, rows)
    for y, cells in enumerate(kinds):
        label = labels.get(y)
        left: list[Run] = [
            ("label", (label or "").rjust(gutter - 1)),
            ("axis", "┤" if label is not None else "│"),
        ]
        frame.lines.append([*left, *_runs(cells)])
    frame.lines.append(_step_line(axis, gutter, plot))
    if marks:
        frame.lines.append(_mark_line(val, axis, gutter, options.width))
    return frame


def _axes(
    data: ChartSeries, val: Series, options: ChartOptions, rows: int
) -> tuple[list[Column], StepAxis, ValueAxis | None, int]:
    """Columns, axes and the width left of the plot that the value labels need."""
    steps = data.series.steps
    low, high = min([steps[0], *val.steps[:1]]), max([steps[-1], *val.steps[-1:]])
    whole = data.index.query(data.series.values, 0, len(steps))
    columns: list[Column] = []
    if options.log and whole.low <= 0:
        columns = thin(steps, data.series.values, data.index, StepAxis(low, high, 2 * options.width))
    extents = [column.extent for column in columns] or [whole]
    values = value_axis(extents, 4 * rows, log=options.log)
    gutter = max((len(text) for text in _value_labels(values, rows).values()), default=2) + 2
    axis = StepAxis(low, high, 2 * (options.width - gutter))
    return thin(steps, data.series.values, data.index, axis), axis, values, gutter


def _value_labels(axis: ValueAxis | None, rows: int) -> dict[int, str]:
    """Tick labels by plot row, top row 0, never two in a row next to each other if three fit."""
    if axis is None:
        return {}
    count = max(2, rows // 3 + 1)
    ticks = log_ticks(axis.low, axis.high, count) if axis.log else linear_ticks(axis.low, axis.high, count)
    return {rows - 1 - axis.row(tick) // 4: short_number(tick) for tick in ticks}


def _plot(
    data: ChartSeries, columns: Sequence[Column], axis: ValueAxis | None, width: int, height: int
) -> list[list[Run]]:
    ghost, line = Raster(width, height), Raster(width, height)
    if axis is not None:
        if data.weight > 0:
            ghost.draw(columns, axis)
            line.draw([_smoothed(data, column) for column in columns], axis)
        else:
            line.draw(columns, axis)
    blank: Run = ("space", " ")
    return [
        [
            ("line", _BRAILLE[front]) if front else ("ghost", _BRAILLE[back]) if back else blank
            for front, back in zip(fronts, backs, strict=True)
        ]
        for fronts, backs in zip(line.rows(), ghost.rows(), strict=True)
    ]


def _smoothed(data: ChartSeries, column: Column) -> Column:
    value = data.smooth[column.stop - 1]
    if not math.isfinite(value):
        return column._replace(first=math.nan, last=math.nan, extent=NOTHING)
    return column._replace(first=value, last=value, extent=Extent(value, value, False))


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
    if data.bad_since is None:
        return
    start = _cell_of(columns, data.bad_since) or 0
    for x in range(start, bad[-1] + 1):
        top[x] = ("bad", "╌")
    top[start] = ("bad", BAD)
    series = data.series
    what = short_number(series.values[data.bad_since])
    text = f" {what} since step {series.steps[data.bad_since]} "
    first = start + 1 if start + 1 + len(text) <= len(top) else start - len(text)
    for offset, char in enumerate(text if first >= 0 else ""):
        top[first + offset] = ("bad", char)


def _runs(cells: Sequence[Run]) -> list[Run]:
    """Join cells of one kind. A blank takes the kind before it: each run costs some 40 bytes of terminal."""
    runs: list[Run] = []
    for kind, text in cells:
        if runs and (text == " " or kind == runs[-1][0]):
            runs[-1] = (runs[-1][0], runs[-1][1] + text)
        else:
            runs.append((kind, text))
    return runs


def _step_line(axis: StepAxis, gutter: int, plot: int) -> list[Run]:
    """The step axis with its labels in the line: `└─0────50────100────149 step`."""
    low, high = int(axis.low), int(axis.high)
    unit = " step"
    ticks = step_ticks(low, high, max(2, plot // 9)) or [low]
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
    for index in dict.fromkeys((len(val) - 1, best, *range(len(val) - 2, -1, -1))):
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
