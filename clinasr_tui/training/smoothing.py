"""The exponential average TensorBoard draws: smoothing 0.9, corrected for its start at zero."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.training.snapshot import Series

SMOOTHING = 0.9
SETTLED = 20
"""Finite points after which the average says something."""


def ema(values: Iterable[float], smoothing: float = SMOOTHING) -> array[float]:
    """Debiased exponential average, one value per input value.

    NaN and infinite values do not enter the average; their place holds the average so far (NaN
    before the first finite value), so that one spike does not erase the curve.
    """
    averages = array("d")
    state, weight = 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            state = smoothing * state + (1 - smoothing) * value
            weight = smoothing * weight + (1 - smoothing)
        averages.append(state / weight if weight else math.nan)
    return averages


def average_at(series: Series, step: int) -> float | None:
    """The average as it stood at `step`; None before the first finite value.

    What lies 400 points back weighs 0.9 to the 400th power, less than a double can tell.
    """
    stop = bisect_right(series.steps, step)
    averages = ema(series.values[max(0, stop - 400) : stop])
    return averages[-1] if averages and not math.isnan(averages[-1]) else None


class LossWatch:
    """What a growing loss series says as a whole, kept up to date at the cost of its new points only.

    Points behind the newest one (by wall time) are what an earlier start left and are not looked at.
    """

    def __init__(self, series: Series) -> None:
        self._series = series
        self._restart()

    def _restart(self) -> None:
        self._rewrites = self._series.rewrites
        self._seen = 0
        self._state = 0.0
        self._weight = 0.0
        self.first_bad: int | None = None
        """First step whose value is NaN or infinite, ever."""
        self.bad = 0
        """Points that are NaN or infinite."""
        self.bad_since: int | None = None
        """Step since which no value has been finite, None if the last one is."""
        self.finite = 0
        """Points that are finite."""
        self.lowest: float | None = None
        """The lowest the average has been, None before it has settled."""
        self.risen_since: int | None = None
        """Step since which the average has been above twice its lowest, None if it is not."""

    def update(self) -> None:
        """Take in what is new in the series; start over if an earlier point has changed."""
        series = self._series
        if series.rewrites != self._rewrites:
            self._restart()
        values, steps = series.values, series.steps
        stop = bisect_right(steps, series.newest) if series.newest is not None else 0
        for index in range(self._seen, stop):
            value = values[index]
            if math.isfinite(value):
                self._state = SMOOTHING * self._state + (1 - SMOOTHING) * value
                self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)
                self.bad_since = None
                self.finite += 1
                if self.finite >= SETTLED:
                    self._level(self._state / self._weight, steps[index])
                continue
            self.bad += 1
            if self.first_bad is None:
                self.first_bad = steps[index]
            if self.bad_since is None:
                self.bad_since = steps[index]
        self._seen = max(self._seen, stop)

    def _level(self, average: float, step: int) -> None:
        if self.lowest is None or average < self.lowest:
            self.lowest, self.risen_since = average, None
        elif average <= 2 * self.lowest:
            self.risen_since = None
        elif self.risen_since is None:
            self.risen_since = step

    @property
    def average(self) -> float | None:
        """Exponential average of the finite values, None before the first."""
        return self._state / self._weight if self._weight else None
