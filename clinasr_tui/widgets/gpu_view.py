"""The GPUs of a run as sparklines: utilisation, memory, temperature, power, each with its current figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import NONE

if TYPE_CHECKING:
    from textual.geometry import Size

    from clinasr_tui.training.gpu import GpuSample, GpuTrack

WINDOW = 300
"""Samples drawn, the newest: ten minutes at one every two seconds."""
MAX_LINES = 4
WIDE = 56
"""Cells from which two sparklines stand side by side."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_COOLEST, _HOTTEST = 20.0, 100.0  # °C


def sparkline(values: Sequence[float | None], low: float, high: float, width: int) -> str:
    """The newest values in `width` cells, right-aligned; what is not known is blank.

    Where there are more values than cells, a cell shows the mean of several.
    """
    if width <= 0:
        return ""
    size = -(-len(values) // width) or 1
    # Cells are cut from the newest value backwards, so that the last one is as full as the others.
    first = len(values) % size
    cuts = [*([0] if first else []), *range(first, len(values), size)]
    cells = [_cell(values[start : start + size if start >= first else first], low, high) for start in cuts]
    return "".join(cells)[-width:].rjust(width)


def _cell(values: Sequence[float | None], low: float, high: float) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return " "
    share = (sum(known) / len(known) - low) / (high - low) if high > low else 0.0
    return _BLOCKS[min(max(int(share * len(_BLOCKS)), 0), len(_BLOCKS) - 1)]


def memory_text(used: float | None, total: float | None) -> str:
    """MiB as `4.1/139 GB`, as cards are sold (GiB by count); – for none."""
    if used is None:
        return NONE
    whole = "" if total is None else f"/{total / 1024:.0f}"
    return f"{used / 1024:.1f}{whole} GB" if used < 100 * 1024 else f"{used / 1024:.0f}{whole} GB"


def _unit_text(value: float | None, unit: str) -> str:
    return NONE if value is None else f"{value:.0f} {unit}"


def gpu_lines(tracks: Sequence[GpuTrack], width: int) -> list[Content]:
    """What the view shows: four sparklines of one GPU, on two lines where there is room; else a line each."""
    shown = [track for track in tracks if track.samples]
    if not shown or width < 12:
        return []
    if len(shown) == 1:
        return _one(shown[0], width)
    room = MAX_LINES if len(shown) <= MAX_LINES else MAX_LINES - 1
    lines = [_of_several(track, width) for track in shown[:room]]
    if len(shown) > room:
        busy = [track.samples[-1].utilisation for track in shown[room:]]
        known = [value for value in busy if value is not None]
        mean = f", {sum(known) / len(known):.0f} % on average" if known else ""
        lines.append(Content.styled(f"and {len(shown) - room} more{mean}", "$quiet"))
    return [line.truncate(width, ellipsis=True) for line in lines]


def _one(track: GpuTrack, width: int) -> list[Content]:
    recent = _recent(track)
    last = recent[-1]
    most = max((sample.power for sample in recent if sample.power is not None), default=0.0)
    parts: list[tuple[str, list[float | None], float, float, str]] = [
        ("util ", [s.utilisation for s in recent], 0, 100, _unit_text(last.utilisation, "%")),
        (
            "mem  ",
            [s.memory for s in recent],
            0,
            track.memory_total or max((s.memory or 0 for s in recent), default=0),
            memory_text(last.memory, track.memory_total),
        ),
        ("temp ", [s.temperature for s in recent], _COOLEST, _HOTTEST, _unit_text(last.temperature, "°C")),
        ("power", [s.power for s in recent], 0, most, _unit_text(last.power, "W")),
    ]
    if width < WIDE:
        return [_part(*part, width) for part in parts]
    left = (width - 2) // 2
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [
        Content.assemble(_part(*one, left).pad_right(2), _part(*other, width - 2 - left))
        for one, other in pairs
    ]


def _part(name: str, values: list[float | None], low: float, high: float, figure: str, width: int) -> Content:
    """One sparkline in exactly `width` cells: name, curve, figure."""
    room = max(len(figure), 11 if width >= 26 else 0)
    drawn = sparkline(values, low, high, width - len(name) - room - 2)
    line = Content.assemble((name, "$quiet"), " ", (drawn, "$secondary"), " ", figure.rjust(room))
    return line.truncate(width)


def _of_several(track: GpuTrack, width: int) -> Content:
    recent = _recent(track)
    last = recent[-1]
    figures = [
        _unit_text(last.utilisation, "%").rjust(5),
        memory_text(last.memory, track.memory_total),
        _unit_text(last.temperature, "°C"),
        _unit_text(last.power, "W"),
    ]
    text = " ".join(figures)
    curve = sparkline([s.utilisation for s in recent], 0, 100, min(width - len(text) - 5, 24))
    text = f" {text}" if curve else text
    return Content.assemble((f"{track.index:>2} ", "$quiet"), (curve, "$secondary"), text)


def _recent(track: GpuTrack) -> list[GpuSample]:
    """The newest samples, oldest first."""
    return list(islice(track.samples, max(0, len(track.samples) - WINDOW), None))


class GpuView(Widget):
    """The GPUs of the machine a run is on; takes no room while nothing is known of them."""

    DEFAULT_CSS = """
    GpuView { height: auto; max-height: 6; padding: 0 1; display: none; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._tracks: Sequence[GpuTrack] = ()
        self._counts: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """Names of the GPUs, for a border: `NVIDIA H200` or `8 × NVIDIA H200`; safe to show."""
        names = list(dict.fromkeys(track.name for track in self._tracks if track.name))
        count = f"{len(self._tracks)} × " if len(self._tracks) > 1 else ""
        return f"{count}{visible(', '.join(names))}" if names else ""

    def show(self, tracks: Sequence[GpuTrack]) -> None:
        """Show the GPUs as they are now; drawn only if there are new samples."""
        counts = tuple(track.count for track in tracks)
        same = [id(track) for track in tracks] == [id(track) for track in self._tracks]
        if same and counts == self._counts:
            return
        self._tracks, self._counts = tuple(tracks), counts
        self.display = bool(tracks)
        self.refresh(layout=not same)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as are shown."""
        return len(gpu_lines(self._tracks, width))

    def render(self) -> Content:
        """The lines."""
        return Content("\n").join(gpu_lines(self._tracks, self.content_size.width))
