"""Play a recorded run back: the same bytes into the same files, at the pace of the time stamps in them.

Event records carry the time they were written. Console and logs carry NeMo's time stamps (whole
seconds, in UTC as recorded): what stands between two stamps is spread evenly between them. Files
without any time come with the first event.
"""

from __future__ import annotations

import asyncio
import re
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

_STAMP = re.compile(rb"\[NeMo [A-Z] (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ")
_BREAK = re.compile(rb"\n|(?=\r)")
_LAST_SECOND = 1.0
_RECORD_HEADER = struct.Struct("<Q4x")
_RECORD_FRAME = 16  # length, its checksum, and the payload's checksum
_WALL_TIME = struct.Struct("<xd")  # first field of an event: tag, then Unix seconds


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of `file` up to `end` are there at `at` seconds after the recording's begin."""

    at: float
    file: str
    end: int


def schedule(recording: Path) -> list[Piece]:
    """When which bytes of a recorded folder were written, in order of time."""
    stamped: dict[str, list[tuple[float, int]]] = {}
    timeless: dict[str, int] = {}
    for path in sorted(path for path in recording.rglob("*") if path.is_file()):
        data = path.read_bytes()
        times = list(_event_times(data) if ".tfevents." in path.name else _console_times(data))
        name = str(path.relative_to(recording))
        if times:
            stamped[name] = times
        else:
            timeless[name] = len(data)
    begin = min(times[0][0] for times in stamped.values())
    logged = [times[0][0] for name, times in stamped.items() if ".tfevents." in name]
    first_event = min(logged, default=begin)
    pieces = [Piece(at - begin, name, end) for name, times in stamped.items() for at, end in times]
    pieces += [Piece(first_event - begin, name, size) for name, size in timeless.items()]
    return sorted(pieces, key=lambda piece: (piece.at, piece.end))


def _event_times(data: bytes) -> Iterator[tuple[float, int]]:
    """Wall time and end of each record of an event file; times never go back."""
    start, latest = 0, 0.0
    while start < len(data):
        (length,) = _RECORD_HEADER.unpack_from(data, start)
        (wall,) = _WALL_TIME.unpack_from(data, start + _RECORD_HEADER.size)
        start += length + _RECORD_FRAME
        latest = max(latest, wall)
        yield latest, start


def _console_times(data: bytes) -> Iterator[tuple[float, int]]:
    """Time and end of each line or progress bar; nothing if no line carries a stamp."""
    ends = sorted({match.end() for match in _BREAK.finditer(data)} | {len(data)})
    groups: list[tuple[float, list[int]]] = []
    start = 0
    untimed: list[int] = []
    for end in ends:
        stamp = _STAMP.search(data, start, end)
        start = end
        if stamp:
            second = datetime.fromisoformat(stamp[1].decode()).replace(tzinfo=UTC).timestamp()
            if not groups or second > groups[-1][0]:
                groups.append((second, untimed))
                untimed = []
        (groups[-1][1] if groups else untimed).append(end)
    for number, (second, members) in enumerate(groups):
        following = groups[number + 1][0] if number + 1 < len(groups) else second + _LAST_SECOND
        for place, end in enumerate(members):
            yield second + (following - second) * place / len(members), end


async def replay(recording: Path, target: Path, speed: float) -> None:
    """Write the recorded files into `target`, `speed` times as fast as recorded."""
    pieces = schedule(recording)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with ExitStack() as stack:
        files: dict[str, tuple[io.FileIO, io.FileIO]] = {}
        done = 0
        while done < len(pieces):
            now = (loop.time() - begin) * speed
            due: dict[str, int] = {}
            while done < len(pieces) and pieces[done].at <= now:
                due[pieces[done].file] = max(pieces[done].end, due.get(pieces[done].file, 0))
                done += 1
            for name, end in due.items():
                if name not in files:
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    source = stack.enter_context((recording / name).open("rb", buffering=0))
                    files[name] = source, stack.enter_context((target / name).open("ab", buffering=0))
                source, copy = files[name]
                copy.write(source.read(end - source.tell()))
            if done < len(pieces):
                await asyncio.sleep((pieces[done].at - now) / speed)
