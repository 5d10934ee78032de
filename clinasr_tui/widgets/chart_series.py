"""What a chart keeps of a growing series: extents of blocks and the smoothed curve, both incremental."""

from __future__ import annotations

import math
from array import array

from clinasr_tui.training.smoothing import SMOOTHING
from clinasr_tui.training.snapshot import Series
from clinasr_tui.widgets.chart_raster import ExtentIndex


class ChartSeries:
    """Follows a `Series`: points appended since the last look cost time, those known before do not."""

    def __init__(self, weight: float = SMOOTHING) -> None:
        self.series = Series()
        self.index = ExtentIndex()
        self.smooth: array[float] = array("d")
        """Debiased exponential average of the finite values; NaN where the value is not finite."""
        self.bad_since: int | None = None
        """Index where the unbroken run of not-finite values at the end begins; None if the end is finite."""
        self._weight = weight
        self._rewrites = 0
        self._restart_smooth()

    @property
    def weight(self) -> float:
        """Weight of the past in the smoothed curve: 0 is none, 0.99 is slow."""
        return self._weight

    @weight.setter
    def weight(self, weight: float) -> None:
        self._weight = weight
        self._restart_smooth()
        self._extend_smooth()

    def follow(self, series: Series) -> None:
        """Take in what is new in `series`, all of it if it is another one or earlier points changed."""
        if series is not self.series or series.rewrites != self._rewrites:
            self.series, self._rewrites = series, series.rewrites
            self.index.clear()
            self.bad_since = None
            self._restart_smooth()
        self._extend_bad()
        self.index.extend(series.values)
        self._extend_smooth()

    def _extend_bad(self) -> None:
        values = self.series.values
        for index in range(len(self.smooth), len(values)):
            if math.isfinite(values[index]):
                self.bad_since = None
            elif self.bad_since is None:
                self.bad_since = index

    def _restart_smooth(self) -> None:
        self.smooth = array("d")
        self._mean = self._share = 0.0

    def _extend_smooth(self) -> None:
        weight, rest = self._weight, 1.0 - self._weight
        mean, share = self._mean, self._share
        found: list[float] = []
        for value in self.series.values[len(self.smooth) :]:
            if value - value == 0.0:
                mean = mean * weight + rest * value
                share = share * weight + rest
                found.append(mean / share)
            else:
                found.append(math.nan)
        self.smooth.extend(found)
        self._mean, self._share = mean, share
