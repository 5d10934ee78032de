"""GPU figures over time, from what `nvidia-smi --query-gpu=… --format=csv` prints."""

from __future__ import annotations

import calendar
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import NamedTuple

LIVE_COLUMNS = (
    "index",
    "name",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "temperature.gpu",
    "power.draw",
    "timestamp",
)
"""What a follower asks nvidia-smi for. The time comes last: a row cut short shows by it."""

MAX_SAMPLES = 3600
"""Samples kept of each GPU, the newest; two hours at one every two seconds."""
MAX_GPUS = 64
BUSY = 5.0
"""Utilisation (per cent) from which a GPU counts as working: a desktop or a query alone stays below."""
_MAX_LINE = 1 << 12
_ONE_ROUND = 0.2
"""Rows closer together than this (seconds) are different GPUs, where no column tells them apart."""
_UNIT = re.compile(r"\s*\[[^\]]*\]$")
_FIGURE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(?: ?(?:%|MiB|W|C))?")
_TIME = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{3})")
_IDENTITIES = ("index", "pci.bus_id", "gpu_bus_id", "uuid", "gpu_uuid", "serial")


class GpuSample(NamedTuple):
    """One GPU at one moment; None is "not known" (nvidia-smi prints [N/A])."""

    at: float | None
    """Seconds of the host's own clock and time zone: good for differences only."""
    utilisation: float | None
    """Per cent of the time in which a kernel ran."""
    memory: float | None
    """MiB in use, by every process on the card."""
    temperature: float | None
    """°C."""
    power: float | None
    """Watt."""


@dataclass(slots=True)
class GpuTrack:
    """One GPU over time, oldest sample first."""

    index: int
    name: str = ""
    """As printed: untrusted text."""
    memory_total: float | None = None
    """MiB."""
    samples: deque[GpuSample] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    count: int = 0
    """Samples ever; grows with every one, so that a widget knows when to redraw."""


class GpuReader:
    """Reads one file of nvidia-smi's CSV in any slicing, with or without header and units.

    Without a header the columns are `LIVE_COLUMNS`. What is not a row (an error message of the driver,
    a row cut short by a lost connection) is passed over.
    """

    def __init__(self) -> None:
        self._tracks: dict[str, GpuTrack] = {}
        self._columns: tuple[str, ...] = LIVE_COLUMNS
        self._tail = b""
        self._last_at = -math.inf
        self._in_round = 0

    @property
    def tracks(self) -> tuple[GpuTrack, ...]:
        """The GPUs, by index."""
        return tuple(sorted(self._tracks.values(), key=lambda track: track.index))

    @property
    def count(self) -> int:
        """Samples ever, of all GPUs."""
        return sum(track.count for track in self._tracks.values())

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *lines, tail = (self._tail + data).split(b"\n")
        # A longer line is none of nvidia-smi's; its beginning is enough to see that.
        self._tail = tail[:_MAX_LINE]
        for line in lines:
            self._line(line[:_MAX_LINE].decode("utf-8", "replace").strip())

    def _line(self, line: str) -> None:
        cells = [cell.strip() for cell in line.split(",")]
        names = tuple(_UNIT.sub("", cell).lower() for cell in cells)
        if "utilization.gpu" in names:
            self._columns = names
            return
        row = self._row(cells)
        if row is None:
            return
        at = None
        if "timestamp" in row:
            at = _seconds(row["timestamp"])
            if at is None:
                return
        track = self._track(row, at)
        if track is None:
            return
        track.name = row.get("name", track.name)
        track.memory_total = _figure(row.get("memory.total"), math.inf) or track.memory_total
        track.samples.append(
            GpuSample(
                at,
                _figure(row.get("utilization.gpu"), 100),
                _figure(row.get("memory.used"), math.inf),
                _figure(row.get("temperature.gpu"), 200),
                _figure(row.get("power.draw"), math.inf),
            )
        )
        track.count += 1

    def _row(self, cells: list[str]) -> dict[str, str] | None:
        """Cells by column; a name may hold commas. None if the line is no row."""
        extra = len(cells) - len(self._columns)
        if extra < 0 or (extra and "name" not in self._columns):
            return None
        if extra:
            at = self._columns.index("name")
            cells = [*cells[:at], ", ".join(cells[at : at + extra + 1]), *cells[at + extra + 1 :]]
        return dict(zip(self._columns, cells, strict=True))

    def _track(self, row: dict[str, str], at: float | None) -> GpuTrack | None:
        """Whose row it is, by index, else by identity, else by its place among rows of one moment."""
        named = next((row[column] for column in _IDENTITIES if row.get(column)), None)
        if "index" in row and not (row["index"].isascii() and row["index"].isdigit()):
            return None
        if named is None:
            together = at is not None and 0 <= at - self._last_at < _ONE_ROUND
            self._in_round = self._in_round + 1 if together else 0
            self._last_at = self._last_at if at is None else at
            named = str(self._in_round)
        track = self._tracks.get(named)
        if track is None and len(self._tracks) < MAX_GPUS:
            index = int(row["index"][:9]) if "index" in row else len(self._tracks)
            track = self._tracks[named] = GpuTrack(index)
        return track


def _figure(text: str | None, most: float) -> float | None:
    """A figure with or without its unit; None for [N/A] and what cannot be."""
    match = _FIGURE.fullmatch(text) if text else None
    value = float(match[1]) if match else math.inf
    return value if value <= most and math.isfinite(value) else None


def _seconds(text: str) -> float | None:
    """`2026/11/22 17:19:42.698` as seconds, taken as if it were UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, milli = (int(part) for part in match.groups())
    if year < 1970 or not 1 <= month <= 12 or not 1 <= day <= 31:
        return None
    return calendar.timegm((year, month, day, hour, minute, second)) + milli / 1000


def idle_seconds(tracks: Iterable[GpuTrack]) -> float | None:
    """For how long, up to the newest sample, no GPU of the machine has worked; None if not known.

    A GPU of which nothing is known makes it unknown. Samples too far apart say nothing of the time
    between them.
    """
    idle = [_idle(track) for track in tracks]
    known = [seconds for seconds in idle if seconds is not None]
    return min(known) if known and len(known) == len(idle) else None


def _idle(track: GpuTrack) -> float | None:
    newest, oldest = None, None
    for sample in reversed(track.samples):
        if sample.at is None or sample.utilisation is None:
            break
        newest = sample.at if newest is None else newest
        if sample.utilisation >= BUSY or (oldest is not None and not 0 <= oldest - sample.at <= 30):
            break
        oldest = sample.at
    if newest is None:
        return None
    return 0.0 if oldest is None else newest - oldest


def worked_within(tracks: Iterable[GpuTrack], seconds: float) -> bool | None:
    """True if a GPU of the machine has worked in the last `seconds`; None if that is not known."""
    known = None
    for track in tracks:
        for sample in _within(track.samples, seconds):
            if sample.utilisation is not None:
                known = known or sample.utilisation >= BUSY
    return known


def usual_utilisation(tracks: Iterable[GpuTrack], seconds: float) -> float | None:
    """Median utilisation (per cent) over the last `seconds` of the GPU that works most.

    None unless the samples cover that time without large gaps.
    """
    usual = [value for track in tracks if (value := _usual(track, seconds)) is not None]
    return max(usual, default=None)


def _usual(track: GpuTrack, seconds: float) -> float | None:
    recent = list(_within(track.samples, seconds))
    times = [sample.at for sample in recent if sample.at is not None]
    values = [sample.utilisation for sample in recent if sample.utilisation is not None]
    if len(values) < 30 or len(times) < len(recent) or times[-1] - times[0] < 0.9 * seconds:
        return None
    gaps = (after - before for before, after in pairwise(times))
    return median(values) if max(gaps) <= 30 else None


def _within(samples: Sequence[GpuSample] | deque[GpuSample], seconds: float) -> Iterator[GpuSample]:
    """The samples of the last `seconds`, oldest first."""
    newest = samples[-1].at if samples else None
    for sample in samples:
        if newest is not None and sample.at is not None and 0 <= newest - sample.at <= seconds:
            yield sample
