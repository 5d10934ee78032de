"""A histogram of values in block characters, with its axis: durations of a manifest's rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.widgets.chart_axes import linear_ticks, place_labels, short_number

_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts of equal stretches of [low, high]; the last one includes `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


def count_bins(values: Sequence[float], bins: int) -> Bins | None:
    """Count finite values into `bins` stretches that begin at 0; None without any value."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or bins < 1:
        return None
    low, high = min(0.0, *finite), max(finite)
    if high <= low:
        high = low + 1.0
    scale = bins / (high - low)
    counts = [0] * bins
    for value in finite:
        counts[min(int((value - low) * scale), bins - 1)] += 1
    return Bins(low, high, tuple(counts))


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
    """Shows how values are spread. `show` takes the values' counts for `bins` stretches."""

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
        self._values: Sequence[float] = ()
        self._drawn: tuple[tuple[int, int], list[str]] | None = None

    def show(self, values: Sequence[float]) -> None:
        """Show the spread of these values."""
        self._values = values
        self._drawn = None
        self.refresh()

    def render(self) -> Content:
        """Draw at the present size; counted once for a width."""
        width, height = self.content_size
        if self._drawn is None or self._drawn[0] != (width, height):
            bins = count_bins(self._values, width)
            self._drawn = ((width, height), draw_histogram(bins, width, height, self._unit) if bins else [])
        lines = self._drawn[1]
        if not lines:
            return Content.styled("no durations", "$quiet")
        return Content.assemble("\n".join(lines[:-1]), "\n", (lines[-1], "$quiet"))
