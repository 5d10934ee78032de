"""Play a recorded run back: the same bytes into the same files, at the pace of the time stamps in them.

Event records carry the time they were written. Console and logs carry NeMo's time stamps (whole
seconds, in UTC as recorded): what stands between two stamps is spread evenly between them. A line about a
validation comes with the event that has its figure, the finish line after all that carries a time, the exit
record when the process ended. Files without any time come with the first event.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping

_STAMP = re.compile(rb"\[NeMo [A-Z] (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ")
_BREAK = re.compile(rb"\n|(?=\r)")
_VALIDATED, _FINISHED = re.compile(rb"global step \d+: 'val_wer'"), b"`Trainer.fit` stopped"
_LAST_SECOND = 1.0
_RECORD_HEADER = struct.Struct("<Q4x")
_RECORD_FRAME = 16  # length, its checksum, and the payload's checksum
_WALL_TIME = struct.Struct("<xd")  # first field of an event: tag, then Unix seconds
_VALIDATION_TAG = b"val_wer"
_EXIT_RECORD = "exit.json"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of `file` up to `end` are there at `at` seconds after the recording's begin."""

    at: float
    file: str
    end: int


class _Marks(NamedTuple):
    """Times the lines without a stamp go by, in Unix seconds."""

    validated: tuple[float, ...] = ()
    finished: float | None = None


_NO_MARKS = _Marks()


def schedule(recording: Path) -> list[Piece]:
    """When which bytes of a recorded folder were written, in order of time."""
    contents = {
        str(path.relative_to(recording)): path.read_bytes()
        for path in sorted(recording.rglob("*"))
        if path.is_file()
    }
    marks = _marks(contents)
    stamped: dict[str, list[tuple[float, int]]] = {}
    timeless: dict[str, int] = {}
    for name, data in contents.items():
        times = list(_times(name, data, marks))
        if times:
            stamped[name] = times
        else:
            timeless[name] = len(data)
    begin = min(times[0][0] for times in stamped.values())
    logged = [times[0][0] for name, times in stamped.items() if _is_event_file(name)]
    first_event = min(logged, default=begin)
    pieces = [Piece(at - begin, name, end) for name, times in stamped.items() for at, end in times]
    pieces += [Piece(first_event - begin, name, size) for name, size in timeless.items()]
    return sorted(pieces, key=lambda piece: (piece.at, piece.end))


def _is_event_file(name: str) -> bool:
    return ".tfevents." in name


def _marks(contents: Mapping[str, bytes]) -> _Marks:
    """When validations were written, and the last time any file carries."""
    walls: list[float] = []
    validated: list[float] = []
    for name, data in contents.items():
        if _is_event_file(name):
            for wall, start, end in _records(data):
                walls.append(wall)
                if _VALIDATION_TAG in data[start:end]:
                    validated.append(wall)
        else:
            walls += [_seconds(stamp) for stamp in _STAMP.findall(data)]
    return _Marks(tuple(validated), max(walls, default=None))


def _times(name: str, data: bytes, marks: _Marks) -> Iterator[tuple[float, int]]:
    """Times and ends of a file's pieces; nothing if it carries no time."""
    if _is_event_file(name):
        for wall, _, end in _records(data):
            yield wall, end
    elif name == _EXIT_RECORD:
        yield float(json.loads(data)["ended"]), len(data)
    else:
        yield from _console_times(data, marks)


def _records(data: bytes) -> Iterator[tuple[float, int, int]]:
    """Wall time, start and end of each record of an event file; times never go back."""
    start, latest = 0, 0.0
    while start < len(data):
        (length,) = _RECORD_HEADER.unpack_from(data, start)
        (wall,) = _WALL_TIME.unpack_from(data, start + _RECORD_HEADER.size)
        end = start + length + _RECORD_FRAME
        latest = max(latest, wall)
        yield latest, start, end
        start = end


def _seconds(stamp: bytes) -> float:
    return datetime.fromisoformat(stamp.decode()).replace(tzinfo=UTC).timestamp()


def _console_times(data: bytes, marks: _Marks = _NO_MARKS) -> Iterator[tuple[float, int]]:
    """Time and end of each line or progress bar; nothing if no line carries a stamp."""
    ends = sorted({match.end() for match in _BREAK.finditer(data)} | {len(data)})
    groups: list[tuple[float, list[int]]] = []
    start = 0
    untimed: list[int] = []
    validated = iter(marks.validated)
    for end in ends:
        second = _line_time(data, start, end, validated, marks.finished)
        start = end
        if second is not None and (not groups or second > groups[-1][0]):
            groups.append((second, untimed))
            untimed = []
        (groups[-1][1] if groups else untimed).append(end)
    for number, (second, members) in enumerate(groups):
        following = groups[number + 1][0] if number + 1 < len(groups) else second + _LAST_SECOND
        for place, end in enumerate(members):
            yield second + (following - second) * place / len(members), end


def _line_time(
    data: bytes, start: int, end: int, validated: Iterator[float], finished: float | None
) -> float | None:
    """The time a line itself tells or belongs to."""
    if stamp := _STAMP.search(data, start, end):
        return _seconds(stamp[1])
    if _VALIDATED.search(data, start, end):
        return next(validated, None)
    if data.find(_FINISHED, start, end) >= 0:
        return finished
    return None


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
