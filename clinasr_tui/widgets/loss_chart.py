"""The loss chart: raw values dim under the smoothed curve, validation WER marked, NaN never lost."""

from __future__ import annotations

from math import isfinite
from typing import ClassVar

from rich.segment import Segment
from textual.content import Content
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from clinasr_tui.training.snapshot import Series
from clinasr_tui.widgets.chart_axes import short_number
from clinasr_tui.widgets.chart_frame import ChartOptions, Frame, draw
from clinasr_tui.widgets.chart_series import ChartSeries

WEIGHTS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Steps of the smoothing key; 0 shows the raw values only."""


class LossChart(Widget):
    """Draws a train-loss series with its validation WER; drawn again only when they have grown.

    For a screen's keys: `toggle_log`, `smooth(±1)`, `move_cursor(±1)`, `clear_cursor`.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"loss-chart--{kind}"
        for kind in ("space", "axis", "label", "ghost", "line", "mark", "best", "bad", "cursor")
    }

    DEFAULT_CSS = """
    LossChart {
        height: 1fr;
        min-height: 5;
        border: round $line;
        border-title-color: $quiet;
        border-subtitle-color: $quiet;
        & .loss-chart--axis { color: $line; }
        & .loss-chart--label { color: $quiet; }
        & .loss-chart--ghost { color: $foreground 35%; }
        & .loss-chart--line { color: $primary; }
        & .loss-chart--mark { color: $accent; }
        & .loss-chart--best { color: $accent; text-style: bold; }
        & .loss-chart--bad { color: $error; text-style: bold; }
        & .loss-chart--cursor { color: $accent; }
    }
    """

    log_scale: reactive[bool] = reactive(True)
    cursor: reactive[int | None] = reactive(None)
    """Index of the point read out; None shows the newest."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._data = ChartSeries()
        self._val = Series()
        self._shown: tuple[object, ...] = ()
        self._key: tuple[object, ...] = ()
        self._frame = Frame()
        self._strips: list[Strip] = []

    @property
    def weight(self) -> float:
        """Smoothing: weight of the past in the curve."""
        return self._data.weight

    def follow(self, train_loss: Series, val_wer: Series) -> None:
        """Show these series as they are now; call again whenever they may have grown."""
        state = (id(train_loss), train_loss.version, id(val_wer), val_wer.version)
        if state == self._shown:
            return
        if train_loss is not self._data.series:
            self.cursor = None
        self._shown = state
        self._data.follow(train_loss)
        self._val = val_wer
        self._redraw()

    def toggle_log(self) -> None:
        """Change between a logarithmic and a linear value axis."""
        self.log_scale = not self.log_scale

    def smooth(self, direction: int) -> None:
        """Smooth more (1) or less (-1)."""
        place = WEIGHTS.index(self.weight) + direction
        if 0 <= place < len(WEIGHTS):
            self._data.weight = WEIGHTS[place]
            self._redraw()

    def move_cursor(self, direction: int) -> None:
        """Read out the next (1) or previous (-1) column of points, beginning at the newest."""
        columns = self._frame.columns
        if not columns:
            return
        last = len(columns) - 1
        here = self.cursor
        place = last + 1 if here is None else next((i for i, c in enumerate(columns) if here < c.stop), last)
        column = columns[min(max(place + direction, 0), last)]
        self.cursor = column.stop - 1

    def clear_cursor(self) -> None:
        """Read out the newest point again."""
        self.cursor = None

    def watch_log_scale(self) -> None:
        """Draw on the other axis."""
        self._redraw()

    def watch_cursor(self) -> None:
        """Draw the cursor and what stands under it."""
        self._redraw()

    def on_mount(self) -> None:
        """Name the chart before there are points."""
        self._redraw()

    def _redraw(self) -> None:
        self._key = ()
        scale = "log" if self.log_scale else "linear"
        smoothed = f" ── smoothed {short_number(self.weight)}" if self.weight else ""
        self.border_title = Content(f"train loss ({scale}){smoothed}")
        self.border_subtitle = Content(self.read_out())
        self.refresh()

    def read_out(self) -> str:
        """Step, loss and smoothed loss under the cursor, or of the newest point; "" without points."""
        series, size = self._data.series, len(self._data.smooth)
        if not size:
            return ""
        index = size - 1 if self.cursor is None else min(self.cursor, size - 1)
        column = next((c for c in self._frame.columns if c.start <= index < c.stop), None)
        if self.cursor is not None and column is not None and column.stop - column.start > 1:
            low, high, bad = column.extent
            steps = f"steps {series.steps[column.start]}–{series.steps[column.stop - 1]}"
            values = f"{short_number(low)} … {short_number(high)}" if low <= high else ""
            text = f"{steps} · loss {values}{' NaN' if bad else ''}"
        else:
            text = f"step {series.steps[index]} · loss {short_number(series.values[index])}"
        smooth = self._data.smooth[index]
        return f"{text} · smoothed {short_number(smooth)}" if self.weight and isfinite(smooth) else text

    def render_line(self, y: int) -> Strip:
        """One line of the chart."""
        width, height = self.size
        styles = {
            name.removeprefix("loss-chart--"): self.get_component_rich_style(name)
            for name in self.COMPONENT_CLASSES
        }
        key = (width, height, *styles.values())
        if key != self._key:
            self._key = key
            options = ChartOptions(width, height, self.log_scale, self.cursor)
            self._frame = draw(self._data, self._val, options)
            lines = self._frame.lines or _waiting(width, height)
            self._strips = [
                Strip([Segment(text, styles[kind]) for kind, text in runs], width) for runs in lines
            ]
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, styles["space"])


def _waiting(width: int, height: int) -> list[list[tuple[str, str]]]:
    """Says why there is no curve yet."""
    text = "no loss points in the event file"[:width]
    lines: list[list[tuple[str, str]]] = [[("space", " " * width)] for _ in range(height)]
    if height:
        lines[height // 2] = [("label", text.center(width))]
    return lines
