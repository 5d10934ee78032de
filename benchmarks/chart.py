"""Processor time of one loss-chart frame, from a new point to the painted screen, at several sizes."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App, ComposeResult

from clinasr_tui.theme import DARK, THEMES
from clinasr_tui.training.snapshot import Series
from clinasr_tui.widgets.chart_window import Window
from clinasr_tui.widgets.loss_chart import LossChart

if TYPE_CHECKING:
    from textual.widget import Widget

SIZES = ((47, 12), (138, 40))
COUNTS = (1_000, 100_000, 1_000_000)
RIVAL_COUNTS = (1_000, 100_000)
FRAMES, RIVAL_FRAMES = 20, 5


class Bench(App[None]):
    """Shows one widget in our theme."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.animation_level = "none"
        self._widget = widget
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK

    def compose(self) -> ComposeResult:
        """The widget alone."""
        yield self._widget


def losses(count: int) -> array[float]:
    """A falling noisy curve with spikes."""
    chance = random.Random(1)
    return array(
        "d",
        (
            2 * math.exp(-5 * i / count) + 0.05 + chance.random() * 0.1 + (chance.random() < 1e-4)
            for i in range(count)
        ),
    )


async def frames(widget: Widget, size: tuple[int, int], change: Callable[[], object], count: int) -> float:
    """Median processor seconds from a change to the picture."""
    app = Bench(widget)
    found = []
    async with app.run_test(size=size) as pilot:
        change()
        await pilot.pause()
        for _ in range(count):
            begin = time.process_time()
            change()
            await pilot.pause()
            found.append(time.process_time() - begin)
    return statistics.median(found)


async def ours(size: tuple[int, int], count: int, share: float) -> float:
    """A live chart that gets one more point a frame; `share` of the steps is in view."""
    values = losses(count)
    series = Series(array("q", range(count)), values, array("d", range(count)), version=count)
    chart, val = LossChart(), Series()

    def change() -> None:
        series.add(len(series), 0.1, float(len(series)))
        chart.follow(series, val)
        if share < 1:
            chart.window = Window(count * share, count * (0.5 + share) + len(series) % 2)

    return await frames(chart, size, change, FRAMES)


async def rival(size: tuple[int, int], count: int) -> float | None:
    """The same with textual-plot, as its documentation shows it; None where it is not installed."""
    try:
        from textual_plot import HiResMode, PlotWidget  # type: ignore[import-not-found]
    except ImportError:
        return None
    steps, values = list(range(count)), losses(count).tolist()
    plot = PlotWidget()

    def change() -> None:
        steps.append(len(steps))
        values.append(0.1)
        plot.clear()
        plot.plot(steps, values, hires_mode=HiResMode.BRAILLE)

    return await frames(plot, size, change, RIVAL_FRAMES)


async def main() -> None:
    """Measure in turn and print."""
    for size in SIZES:
        for count in COUNTS:
            told = [f"{name} {1000 * await ours(size, count, share):6.1f} ms" for name, share in VIEWS]
            print(f"{size[0]}×{size[1]}, {count:>9,} points: clinasr-tui {', '.join(told)}", flush=True)
        for count in RIVAL_COUNTS:
            other = await rival(size, count)
            if other is None:
                print("textual-plot is not installed here (pip install textual-plot): no rival measured")
                break
            print(f"{size[0]}×{size[1]}, {count:>9,} points: textual-plot {1000 * other:6.1f} ms", flush=True)


VIEWS = (("whole", 1.0), ("zoomed ×10", 0.1), ("zoomed ×1000", 0.001))

if __name__ == "__main__":
    asyncio.run(main())
