"""A histogram of values in block characters, with its axis: durations of a manifest's rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.widgets.chart_axes import linear_ticks, place_labels, short_number

FINE_BINS = 840
"""Divides by most widths with little rest."""
_LARGEST = 1e12
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts of equal stretches of [low, high]; the last one includes `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


def count_bins(values: Sequence[float], bins: int) -> Bins | None:
    """Count finite values into `bins` stretches that begin at 0; None without any value.

    Values beyond ±10^12 count as that: nothing measured is larger, and floats get coarse there.
    """
    finite = [min(max(value, -_LARGEST), _LARGEST) for value in values if math.isfinite(value)]
    if not finite or bins < 1:
        return None
    low, high = min(0.0, *finite), max(finite)
    if high - low < 1e-6:
        high = low + 1.0
    width = high - low
    counts = [0] * bins
    for value in finite:
        counts[min(int((value - low) / width * bins), bins - 1)] += 1
    return Bins(low, high, tuple(counts))


def rebin(bins: Bins, count: int) -> Bins:
    """The same stretch in `count` bins, each whole fine bin in the coarse one it begins in."""
    fine = len(bins.counts)
    counts = [0] * count
    for place, number in enumerate(bins.counts):
        counts[place * count // fine] += number
    return Bins(bins.low, bins.high, tuple(counts))


def draw_histogram(bins: Bins, width: int, height: int, unit: str = "") -> list[str]:
    """`height` lines: bars of one cell a bin, the axis with its labels below."""
    rows = height - 1
    if rows < 1 or width < 4:
        return []
    most = max(bins.counts)
    levels = [math.ceil(count / most * rows * 8) if count else 0 for count in bins.counts[:width]]
    lines = [
        "".join(_BLOCKS[min(max(level - 8 * row, 0), 8)] for level in levels)
        for row in range(rows - 1, -1, -1)
    ]
    per_cell = (bins.high - bins.low) / len(bins.counts)
    axis = ["─"] * width
    labels = [
        (int((tick - bins.low) / per_cell), short_number(tick))
        for tick in linear_ticks(bins.low, bins.high, max(width // 8, 2))
    ]
    for start, text in place_labels(labels, width - len(unit) - 1):
        axis[start : start + len(text)] = text
    if unit:
        axis[-len(unit) :] = unit
    return [*lines, "".join(axis)]


class Histogram(Widget):
    """Shows how values are spread, from fine `Bins` counted elsewhere (`FINE_BINS` of them)."""

    DEFAULT_CSS = """
    Histogram { height: 4; color: $secondary; }
    """

    def __init__(
        self,
        unit: str = "",
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._unit = unit
        self._bins: Bins | None = None

    def show(self, bins: Bins | None) -> None:
        """Show these counts; None for no values at all."""
        if bins != self._bins:
            self._bins = bins
            self.refresh()

    def render(self) -> Content:
        """Draw at the present size."""
        width, height = self.content_size
        if self._bins is None or width < 1:
            return Content.styled("no durations", "$quiet")
        lines = draw_histogram(rebin(self._bins, width), width, height, self._unit)
        if not lines:
            return Content("")
        return Content.assemble("\n".join(lines[:-1]), "\n", (lines[-1], "$quiet"))
