"""The local copy of a run folder's bytes: what makes a reconnect or a restart lossless.

A file's bytes stand in a file of the same relative name, as they came. When the host's file starts over,
the old bytes stay where they are and the new ones go to `name~2`, `name~3`, …: places once given out
(an offset in a named file) stay true. `state.json` says which one is current.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.remote.backlog import Backlog
from clinasr_tui.remote.followed import TAIL
from clinasr_tui.remote.follower import DEPTH
from clinasr_tui.training.layout import WATCHED_PATTERNS

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

_STATE = "state.json"
LOCK = ".lock"
"""In every mirror from its first moment on, and by this known as one: its bytes are copies, no run's own."""
_PIECE = 1 << 18
_ROOM = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_KEEP = re.compile(r"\.lock|earlier~[0-9]+")
# Also names of our own making.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\\\\\ud800-\udfff]|~[0-9]+(/|$)")


class NoRoomError(InputError):
    """The disk of this machine is full: following can go on once there is room again."""


@dataclass(slots=True)
class _Mirrored:
    """One file: its current generation and the open end of it."""

    generation: int = 1
    identity: str = ""
    end: io.FileIO | None = None
    size: int = 0

    def close(self) -> None:
        """Close the end; the next append opens it anew."""
        if self.end is not None:
            self.end.close()
            self.end = None


def safe_path(path: str) -> bool:
    """True if a path named by the host is one we asked for and stays inside the mirror."""
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and "/".join(parts) == path
        and len(parts) <= DEPTH + 1
        and ".." not in parts
        and all(len(part.encode("utf-8", "replace")) <= 250 for part in parts)
        and not _UNSAFE.search(path)
        and any(fnmatchcase(path, pattern) for pattern in WATCHED_PATTERNS)
    )


class Mirror:
    """The mirrored files of one run.

    `folder` None, or one that another process writes to, makes it a temporary folder that goes with the
    object. `source` names the run: bytes of another run found in the folder are put aside, not continued.
    What cannot be written raises InputError, NoRoomError where the disk is full; what is here then is as it
    was before the call.
    """

    def __init__(self, folder: Path | None, source: str) -> None:
        self._files: dict[str, _Mirrored] = {}
        self._source = source
        self.doubted: set[str] = set()
        """Exit records that belong to an earlier start of the run."""
        self.backlog = Backlog()
        self._lock = -1 if folder is None else _lock(folder)
        self.shared = folder is not None and self._lock < 0
        """True if another process writes to the folder that was asked for."""
        if folder is None or self.shared:
            folder = Path(tempfile.mkdtemp(prefix="clinasr-mirror-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = folder
        self._load()

    def name(self, path: str) -> str:
        """Name, in the mirror, of the file that holds the current bytes of `path`."""
        known = self._files.get(path)
        return _generation(path, known.generation if known else 1)

    def size(self, path: str) -> int:
        """Bytes of the current generation that are here."""
        known = self._files.get(path)
        return known.size if known else 0

    def content(self, path: str) -> bytes:
        """All bytes of the current generation of a small file."""
        return (self.folder / self.name(path)).read_bytes() if self.size(path) else b""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Bytes of a file of the mirror. Raises InputError if they are no longer there."""
        try:
            with (self.folder / name).open("rb") as file:
                data = os.pread(file.fileno(), length, start)
        except OSError as error:
            raise _unreadable(self.folder / name, error.strerror or "unknown") from error
        if not data:
            raise _unreadable(self.folder / name, "bytes that were written are gone")
        return data

    def have(self) -> dict[str, dict[str, object]]:
        """What the follower must know to send only the bytes after ours."""
        return {path: self._have(path, known) for path, known in self._files.items() if known.size}

    def _have(self, path: str, known: _Mirrored) -> dict[str, object]:
        with (self.folder / self.name(path)).open("rb") as file:
            file.seek(max(0, known.size - TAIL))
            tail = file.read(TAIL)
        return {"offset": known.size, "id": known.identity, "tail": hashlib.sha256(tail).hexdigest()}

    def history(self) -> Iterator[tuple[str, str, bytes, float]]:
        """All bytes here, oldest generation of each file first: path, name, piece, when it was written.

        The time is Unix seconds; an empty piece ends each generation but the current one.
        """
        for path, known in self._files.items():
            for generation in range(1, known.generation + 1):
                name = _generation(path, generation)
                with contextlib.suppress(FileNotFoundError), (self.folder / name).open("rb") as file:
                    written = os.fstat(file.fileno()).st_mtime
                    while piece := file.read(_PIECE):
                        yield path, name, piece, written
                if generation < known.generation:
                    yield path, name, b"", 0.0

    def begin(self, path: str, identity: str) -> None:
        """Bytes of `path` are going to come, after those already here."""
        known = self._files.get(path)
        if known is None:
            self._set(path, _Mirrored(identity=identity))
        elif known.identity != identity:
            known.close()
            self._set(path, _Mirrored(known.generation, identity, size=known.size))

    def start_over(self, path: str, identity: str) -> None:
        """What comes next is the beginning of `path`; the bytes so far stay under the name they have."""
        old = self._files[path]
        with contextlib.suppress(FileNotFoundError):
            (self.folder / _generation(path, old.generation + 1)).unlink()
        self._set(path, _Mirrored(old.generation + 1, identity))
        old.close()

    def _set(self, path: str, mirrored: _Mirrored) -> None:
        """Note what is known of a file, on disk and here, or neither."""
        before = self._files.get(path)
        self._files[path] = mirrored
        try:
            self._save()
        except InputError:
            del self._files[path]
            if before is not None:
                self._files[path] = before
            raise

    def append(self, path: str, data: bytes) -> None:
        """Take the next bytes of `path`, all or none of them."""
        known = self._files[path]
        try:
            if known.end is None:
                known.end = self._open_end(path, known.size)
            view = memoryview(data)
            while view:
                view = view[known.end.write(view) :]
        except OSError as error:
            if known.end is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(known.end.fileno(), known.size)
                known.close()
            raise _unwritable(self.folder, error) from error
        known.size += len(data)

    def _open_end(self, path: str, size: int) -> io.FileIO:
        """The file that takes the bytes of `path`, cut to those that are known to be its."""
        target = self.folder / self.name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        end = target.open("ab", buffering=0)
        if os.fstat(end.fileno()).st_size > size:
            os.ftruncate(end.fileno(), size)
        return end

    def has_room(self) -> bool:
        """True if a good piece can be written after the longest file: the disk is not full any more."""
        probe = self.folder / ".room"
        try:
            with probe.open("wb", buffering=0) as file:
                file.seek(max((known.size for known in self._files.values()), default=0))
                fits = file.write(bytes(_ROOM)) == _ROOM
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
        return fits

    def close(self) -> None:
        """Let another process have the folder; what is here can still be read."""
        for known in self._files.values():
            known.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def reopen(self) -> None:
        """Go on after `close`. Raises InputError if another process has taken the folder meanwhile."""
        if self._lock >= 0 or self.shared or not (self.folder / LOCK).exists():
            return
        self._lock = _lock(self.folder)
        if self._lock < 0:
            remedy = "Close the other one, then watch again."
            raise InputError("another process is following this run", where=str(self.folder), remedy=remedy)

    def _load(self) -> None:
        """Take over what is there. The files' real sizes count, whatever was written down about them."""
        try:
            state = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            if state["source"] != self._source:
                raise ValueError("another run's bytes")
            found = {
                str(path): _Mirrored(int(entry["generation"]), str(entry["id"]))
                for path, entry in state["files"].items()
                if safe_path(str(path))
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._put_aside()
            return
        for path, known in found.items():
            with contextlib.suppress(OSError):
                known.size = (self.folder / _generation(path, known.generation)).stat().st_size
        self._files = found

    def _put_aside(self) -> None:
        """Move what cannot be continued into a folder of its own."""
        entries = [entry for entry in self.folder.iterdir() if not _KEEP.fullmatch(entry.name)]
        if not entries:
            return
        number = next(n for n in range(1, 1 << 20) if not (self.folder / f"earlier~{n}").exists())
        try:
            (self.folder / f"earlier~{number}").mkdir()
            for entry in entries:
                entry.rename(self.folder / f"earlier~{number}" / entry.name)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def _save(self) -> None:
        files = {
            path: {"generation": known.generation, "id": known.identity}
            for path, known in self._files.items()
        }
        text = json.dumps({"schema": "clinasr.mirror/1", "source": self._source, "files": files}, indent=1)
        partial = self.folder / f"{_STATE}.partial"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.folder / _STATE)
        except OSError as error:
            raise _unwritable(self.folder, error) from error


def _generation(path: str, generation: int) -> str:
    return path if generation == 1 else f"{path}~{generation}"


def _lock(folder: Path) -> int:
    """Take the folder for this process: an open lock file, or -1 if another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return -1
    except OSError:
        # Some network file systems have no locks; following must not depend on them.
        return fd
    return fd


def _unreadable(path: Path, why: str) -> InputError:
    remedy = "Leave the mirror's files alone while the run is followed; watch again to go on."
    return InputError(f"the run's mirrored bytes cannot be read: {why}", where=str(path), remedy=remedy)


def _unwritable(folder: Path, error: OSError) -> InputError:
    if error.errno in _FULL:
        remedy = "Free space: following waits for it and goes on by itself; nothing is lost on the host."
        return NoRoomError(
            "this disk is full, the run's bytes find no room", where=str(folder), remedy=remedy
        )
    return InputError(
        f"the run's bytes cannot be mirrored here: {error.strerror}",
        where=str(folder),
        remedy="Make the folder writable, then watch again; nothing is lost on the host.",
    )
