"""The loss chart: raw values dim under the smoothed curve, validation WER marked, NaN never lost."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.content import Content
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from clinasr_tui.training.snapshot import Series
from clinasr_tui.widgets.chart_axes import short_number
from clinasr_tui.widgets.chart_frame import LETTERS, ChartOptions, Frame, Overlay, draw, whole_steps
from clinasr_tui.widgets.chart_series import ChartSeries
from clinasr_tui.widgets.chart_window import Window, room_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

WEIGHTS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Steps of the smoothing key; 0 shows the raw values only."""
_NEARER = 0.7
"""Share of the steps that a zoom leaves in view."""
_STRIDE = 0.2
"""Share of the view that a key moves it by."""


class LossChart(Widget):
    """Draws a train-loss series with its validation WER; drawn again only when they have grown.

    For a screen's keys: `toggle_log`, `smooth(±1)`, `move_cursor(±1)`, `clear_cursor`, `zoom(±1)`,
    `pan(±1)`, `show_all`, `overlay`. The wheel zooms at the pointer, dragging pans, pointing reads out,
    a click keeps the read-out there.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"loss-chart--{kind}"
        for kind in ("space", "axis", "label", "ghost", "line", "mark", "best", "bad", "cursor", *LETTERS)
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
        & .loss-chart--a { color: $secondary; }
        & .loss-chart--b { color: $bad; }
        & .loss-chart--c { color: $warning; }
        & .loss-chart--d { color: $foreground; }
    }
    """

    log_scale: reactive[bool] = reactive(True)
    cursor: reactive[int | None] = reactive(None)
    """Index of the point read out; None shows the newest."""
    pointed: reactive[int | None] = reactive(None)
    """Index of the point under the mouse, read out while it is there and no cursor is set."""
    window: reactive[Window] = reactive(Window())
    """The steps in view."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._data = ChartSeries()
        self._val = Series()
        self._most: int | None = None
        self._others: tuple[Overlay, ...] = ()
        self._grip: tuple[int, Window] | None = None
        self._dragged = False
        self._shown: tuple[object, ...] = ()
        self._key: tuple[object, ...] = ()
        self._frame = Frame()
        self._strips: list[Strip] = []

    @property
    def weight(self) -> float:
        """Smoothing: weight of the past in the curve."""
        return self._data.weight

    def follow(self, train_loss: Series, val_wer: Series, most: int | None = None) -> None:
        """Show these series as they are now; call again whenever they may have grown.

        `most` is the last step of a run that is still going, if known: the axis leaves room for it.
        """
        state = (id(train_loss), train_loss.version, id(val_wer), val_wer.version, most)
        if state == self._shown:
            return
        if train_loss is not self._data.series:
            self.cursor = self.pointed = None
            self.window = Window()
        self._shown = state
        self._data.follow(train_loss)
        self._val, self._most = val_wer, most
        self._redraw()

    def overlay(self, others: Sequence[tuple[str, Series]]) -> None:
        """Draw other runs' (name, train loss) behind this one's; () takes them away. At most four."""
        kept = {id(one.data.series): one for one in self._others}
        found = []
        for name, series in others[: len(LETTERS)]:
            one = kept.get(id(series), Overlay(name, ChartSeries(self.weight)))
            one.data.follow(series)
            found.append(one)
        self._others = tuple(found)
        self._redraw()

    @property
    def overlaid(self) -> tuple[str, ...]:
        """Names of the runs drawn behind."""
        return tuple(one.name for one in self._others)

    @property
    def _whole(self) -> tuple[float, float]:
        """The steps of a view of everything."""
        if not len(self._data.series):
            return (0.0, 0.0)
        low, high = whole_steps(self._data, self._val)
        for one in self._others:
            if len(one.data.series):
                low, high = min(low, one.data.series.steps[0]), max(high, one.data.series.steps[-1])
        return low, room_for(int(high), self._most)

    @property
    def _newest(self) -> tuple[float, float]:
        """The run's own steps: a window that follows ends at the newest, not in the room left for more."""
        return whole_steps(self._data, self._val) if len(self._data.series) else (0.0, 0.0)

    def zoom(self, direction: int, at: float | None = None) -> None:
        """Nearer (1) or farther (-1); step `at` stays in place, else the cursor's, else the newest."""
        low, high = self._newest
        if at is None:
            at = high if self.cursor is None else float(self._data.series.steps[self.cursor])
        self.window = self.window.zoomed(_NEARER if direction > 0 else 1 / _NEARER, at, (low, high))

    def pan(self, direction: int) -> None:
        """To later (1) or earlier (-1) steps; at the newest it follows."""
        low, high = self.window.bounds(self._newest)
        self.window = self.window.moved(direction * (high - low) * _STRIDE, self._newest)

    def show_all(self) -> None:
        """The whole run again."""
        self.window = Window()

    def toggle_log(self) -> None:
        """Change between a logarithmic and a linear value axis."""
        self.log_scale = not self.log_scale

    def smooth(self, direction: int) -> None:
        """Smooth more (1) or less (-1)."""
        place = WEIGHTS.index(self.weight) + direction
        if 0 <= place < len(WEIGHTS):
            for data in (self._data, *(one.data for one in self._others)):
                data.weight = WEIGHTS[place]
            self._redraw()

    def move_cursor(self, direction: int) -> None:
        """Read out the next (1) or previous (-1) column of points, beginning at the newest."""
        columns = self._frame.columns
        if not columns:
            return
        last = len(columns) - 1
        here = self.cursor
        place = last + 1
        if here is not None:
            place = next((i for i, column in enumerate(columns) if here < column.stop), last)
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

    def watch_pointed(self) -> None:
        """Draw the pointer's read-out."""
        if self.cursor is None:
            self._redraw()

    def watch_window(self) -> None:
        """Draw other steps."""
        self._redraw()

    # --- mouse ---------------------------------------------------------------------------------

    def _step_at(self, x: int) -> float | None:
        """The step at column `x` of the widget's content; None outside of the plot."""
        axis, x = self._frame.axis, x - self._frame.gutter
        if axis is None or not axis.scale or not 0 <= 2 * x < axis.columns:
            return None
        return axis.low + (2 * x + 0.5) / axis.scale

    def _point_at(self, x: int) -> int | None:
        """Index of the last point drawn at or before column `x`."""
        cell = x - self._frame.gutter
        near = [column for column in self._frame.columns if column.x // 2 <= cell]
        return near[-1].stop - 1 if near and cell >= 0 else None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel zooms at the pointer."""
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel zooms at the pointer."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, direction: int) -> None:
        event.stop()
        at = self._step_at(event.x - self.content_offset.x)
        if at is not None:
            self.zoom(direction, at)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the curve."""
        self._grip, self._dragged = (event.x, self.window), False
        self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go; without a drag the read-out stays where the click was."""
        if self._grip is None:
            return
        self._grip = None
        self.release_mouse()
        if not self._dragged:
            self.cursor = self._point_at(event.x - self.content_offset.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag what is in view, or read out what is pointed at."""
        axis = self._frame.axis
        if self._grip is None or axis is None or not axis.scale:
            self.pointed = self._point_at(event.x - self.content_offset.x)
            return
        x, window = self._grip
        if event.x != x:
            self._dragged = True
        if self._dragged:
            self.window = window.moved((x - event.x) * 2 / axis.scale, self._newest)

    def on_leave(self) -> None:
        """Nothing is pointed at."""
        self.pointed = None

    # --- drawing -------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Name the chart before there are points."""
        self._redraw()

    def _redraw(self) -> None:
        self._key = ()
        scale = "log" if self.log_scale else "linear"
        smoothed = f" ── smoothed {short_number(self.weight)}" if self.weight else ""
        near = " ── zoomed" if self.window.span is not None else ""
        self.border_title = Content(f"train loss ({scale}){smoothed}{near}")
        self.border_subtitle = Content(self.read_out())
        self.refresh()

    @property
    def _read(self) -> int | None:
        """Index of the point that is read out, if one is chosen."""
        chosen = self.pointed if self.cursor is None else self.cursor
        return None if chosen is None else min(chosen, len(self._data.series) - 1)

    def read_out(self) -> str:
        """Step, loss and smoothed loss under the cursor, or of the newest point; "" without points."""
        series, size = self._data.series, len(self._data.smooth)
        if not size:
            return ""
        index = size - 1 if self._read is None else min(self._read, size - 1)
        column = next((c for c in self._frame.columns if c.start <= index < c.stop), None)
        if self._read is not None and column is not None and column.stop - column.start > 1:
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
            steps = self._whole if self.window.span is None else self.window.bounds(self._newest)
            options = ChartOptions(width, height, self.log_scale, self._read, steps, self._others)
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
