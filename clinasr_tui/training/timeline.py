"""The scalars of all event files of a run, merged by step, and the run's rhythm."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from clinasr_tui.training.smoothing import LossWatch
from clinasr_tui.training.snapshot import Series

if TYPE_CHECKING:
    from clinasr_tui.training.scalars import Scalars

MAX_TAGS = 200
"""Tags kept; a run of the stock script has ten."""

_RECENT = 50
_MAX_WINDOW = 2000


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How fast points come. Seconds; None before two points are there."""

    per_step: float | None = None
    """Median of the recent steps."""
    overall: float | None = None
    """Mean over about an epoch, validation and saving included: the pace an ETA needs."""
    between_points: float | None = None
    """Median time between recent points."""
    longest_gap: float = 0.0
    """Longest time between two of the recent points."""


class Timeline:
    """Series by tag. Points may come in any order and from any number of event files."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {"train_loss": Series(), "val_wer": Series()}
        self.loss = self.series["train_loss"]
        self.val_wer = self.series["val_wer"]
        self.loss_watch = LossWatch(self.loss)

    def add(self, scalars: Scalars) -> None:
        """Merge points."""
        for tag, columns in scalars.items():
            one = self.series.get(tag)
            if one is None:
                if len(self.series) >= MAX_TAGS:
                    continue
                one = self.series[tag] = Series()
            one.extend(columns)

    def newest(self, tag: str) -> float | None:
        """Value of a tag's point with the latest wall time."""
        one = self.series.get(tag)
        return one.at(one.newest) if one else None

    @property
    def step(self) -> int | None:
        """0-based step the run is at, by the point with the latest wall time."""
        known = [one for one in (self.loss, self.val_wer, self.series.get("epoch")) if one]
        return max(known, key=lambda one: one.newest_wall).newest if known else None

    def rhythm(self, steps_per_epoch: int | None, since: float) -> Rhythm:
        """The rhythm of the points logged at or after `since` (Unix seconds), the run's last start."""
        if self.loss.newest is None:
            return Rhythm()
        stop = bisect_right(self.loss.steps, self.loss.newest)
        window = min(_MAX_WINDOW, max(_RECENT, steps_per_epoch or 0))
        start = _first_since(self.loss.walls, max(0, stop - window), stop, since)
        steps, walls = self.loss.steps, self.loss.walls
        gaps = [
            (walls[i] - walls[i - 1], steps[i] - steps[i - 1])
            for i in range(max(start + 1, stop - _RECENT), stop)
            if walls[i] > walls[i - 1]
        ]
        if not gaps:
            return Rhythm()
        return Rhythm(
            per_step=median(gap / count for gap, count in gaps),
            overall=(walls[stop - 1] - walls[start]) / (steps[stop - 1] - steps[start]),
            between_points=median(gap for gap, _ in gaps),
            longest_gap=max(gap for gap, _ in gaps),
        )


def _first_since(walls: array[float], start: int, stop: int, since: float) -> int:
    """First index of the last stretch of points that are not older than `since`."""
    index = stop - 1
    while index > start and walls[index - 1] >= since:
        index -= 1
    return index
