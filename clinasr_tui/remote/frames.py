"""The follower's frames, read in any slicing: one JSON line each, raw bytes after a "data" line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clinasr_tui.errors import RemoteError
from clinasr_tui.remote.follower import CHUNK, HELLO

_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Hello:
    """The follower runs."""


@dataclass(frozen=True, slots=True)
class FileFrame:
    """The bytes of file `number` follow from `offset` on; `why` is not empty if it starts over."""

    number: int
    path: str
    """Relative to the run folder, as the host says it: untrusted."""
    identity: str
    offset: int
    why: str


@dataclass(frozen=True, slots=True)
class DataFrame:
    """A piece of file `number` at `offset`; `age` (seconds) is how long ago the file was written to."""

    number: int
    offset: int
    data: bytes
    age: float


@dataclass(frozen=True, slots=True)
class Record:
    """File `number` is an exit record; `stale` if it belongs to an earlier start of the run."""

    number: int
    stale: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Something the operator should know, such as a file that cannot be read: untrusted text."""

    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The follower cannot follow: `why` "folder" means that there is no such folder."""

    why: str
    message: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that was there at the start has been sent."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The follower is alive and has nothing to say."""


@dataclass(frozen=True, slots=True)
class End:
    """The follower has sent what it was asked for."""


Frame = Hello | FileFrame | DataFrame | Record | Note | Failure | CaughtUp | Beat | End
_MADE: dict[object, Callable[[dict[str, Any]], Frame]] = {
    "file": lambda it: FileFrame(
        int(it["f"]), str(it["path"]), str(it["id"]), int(it["off"]), str(it["why"])
    ),
    "record": lambda it: Record(int(it["f"]), bool(it["stale"])),
    "note": lambda it: Note(str(it["message"])),
    "error": lambda it: Failure(str(it["why"]), str(it["message"])),
}
_PLAIN: dict[object, Frame] = {"hello": Hello(), "caught_up": CaughtUp(), "beat": Beat(), "end": End()}


class FrameDecoder:
    """Turns chunks of the follower's output into frames.

    A data frame cut by a chunk's end comes as several frames, so no chunk is copied or kept. What a login
    shell prints before the first frame is passed over. Raises RemoteError if the rest is no frame.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._line = bytearray()
        self._greeted = False
        self._left = 0
        self._number = 0
        self._offset = 0
        self._age = 0.0

    def feed(self, chunk: bytes) -> list[Frame]:
        """Frames finished, or begun and carried, by this chunk."""
        frames: list[Frame] = []
        at = 0
        while at < len(chunk):
            if self._left:
                piece = chunk[at : at + self._left]
                frames.append(DataFrame(self._number, self._offset, piece, self._age))
                at += len(piece)
                self._left -= len(piece)
                self._offset += len(piece)
                continue
            end = chunk.find(b"\n", at)
            self._line += chunk[at : end if end >= 0 else None]
            if len(self._line) > _LONGEST_LINE:
                raise self._broken()
            if end < 0:
                break
            at = end + 1
            line = bytes(self._line)
            self._line.clear()
            frame = self._header(line)
            if frame is not None:
                frames.append(frame)
        return frames

    def _header(self, line: bytes) -> Frame | None:
        """The frame a line is; None for a data line, whose bytes follow, and for a shell's greeting."""
        if not self._greeted:
            self._greeted = line.endswith(HELLO)
            return Hello() if self._greeted else None
        try:
            header = json.loads(line)
            kind = header["t"]
            if kind == "data":
                self._number, self._offset = int(header["f"]), int(header["off"])
                self._left, self._age = int(header["n"]), float(header["age"])
                if not 0 < self._left <= CHUNK or self._offset < 0:
                    raise self._broken()
                return None
            made = _MADE.get(kind)
            return made(header) if made else _PLAIN[kind]
        except (ValueError, KeyError, TypeError):
            raise self._broken() from None

    def _broken(self) -> RemoteError:
        return RemoteError(
            "what the follower sent cannot be understood",
            where=self._host,
            remedy="Try again; if it stays so, something on the host writes into the login's output.",
        )
