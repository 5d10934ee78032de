"""One file of a followed run folder: how far it has been sent, and where it stands now. Runs on the host.

A file may be truncated, replaced, renamed away or copied away and truncated, while it is looked at or while
nobody looks. Its source goes to the host before the follower's: standard library, Python 3.6.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes.
# ruff: noqa: PTH118, PTH208, UP031

import hashlib
import os
import stat
from typing import Any

TAIL = 1024
MAX_ROTATIONS = 16
LATE = 10.0  # seconds a run's last words may come after its exit record
RECENT = 300.0  # seconds
EXIT_RECORDS = ("rc", "exit.json")
ORDER = ("console.log", "stdout.log", "stderr.log")


class Followed:
    """One file: how far it has been sent and how to know that it is still the same."""

    def __init__(self, root: str, number: int, path: str, have: "dict[str, Any]") -> None:
        self.number = number
        self.path = path
        self.place = os.path.join(root, path)
        self.offset = int(have.get("offset", 0))
        self.digest = str(have.get("tail", ""))
        self.tail = b""
        self.fd = -1
        self.ident = str(have.get("id", ""))
        self.seen: tuple[int, int] | None = None
        self.refused = False
        self.first_written = self.written = 0.0  # Unix seconds: as found at first, as found last
        self.stale: bool | None = None

    def rewind(self) -> None:
        """Start over from the first byte."""
        self.offset, self.tail, self.digest, self.seen = 0, b"", "", None

    def forget(self) -> None:
        """Close the file; the next look opens it anew and checks what was sent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.digest = hashlib.sha256(self.tail).hexdigest()
        self.fd, self.seen = -1, None

    def sent(self, data: bytes) -> None:
        """Count bytes that have just been sent."""
        self.offset += len(data)
        self.tail = (self.tail + data)[-TAIL:] if len(data) < TAIL else data[-TAIL:]

    def looked_at(self, now: os.stat_result, more: bool) -> None:
        """Remember what the file was when it was read; `more` of it is still to be sent."""
        self.seen = None if more else (now.st_size, now.st_mtime_ns)
        self.written = now.st_mtime
        self.first_written = self.first_written or now.st_mtime

    def last_sent(self, fd: int) -> "bytes | None":
        """The bytes of `fd` before the offset if they are the last ones sent, else None."""
        length = min(self.offset, TAIL)
        tail = os.pread(fd, length, self.offset - length)
        if self.fd >= 0:
            return tail if tail == self.tail else None
        return tail if not length or hashlib.sha256(tail).hexdigest() == self.digest else None

    def rewritten(self, now: os.stat_result) -> bool:
        """True for an exit record written anew with as many bytes: another start of the run has ended."""
        return (
            self.path in EXIT_RECORDS
            and self.seen is not None
            and self.seen[0] == now.st_size == self.offset > 0
            and self.seen[1] != now.st_mtime_ns
        )

    def look(self) -> "os.stat_result | None":
        """What the file is now, None if it is gone, irregular or unchanged since the last look."""
        now = regular(self.place)
        if self.fd >= 0 and (now is None or (not now.st_size and identity(now) != self.ident)):
            # Renamed away: its writer goes on with the old file until the new one has bytes.
            now = os.fstat(self.fd)
        if now is None and self.fd < 0:
            now = regular(self.moved_to())
        same = now and self.fd >= 0 and identity(now) == self.ident
        return None if same and now and self.seen == (now.st_size, now.st_mtime_ns) else now

    def moved_to(self) -> str:
        """Where the file being sent stands now if it was renamed while nobody looked, else ""."""
        if not (self.offset and self.ident):
            return ""
        now = regular(self.place)
        if now is not None and identity(now) == self.ident:
            return ""
        for path in self.rotations():
            there = regular(path)
            if there is not None and identity(there) == self.ident and self.continues_in(path):
                return path
        return ""

    def copied_to(self) -> str:
        """A copy that was made before the file was truncated and holds more than has been sent, else ""."""
        if self.offset < TAIL:
            return ""  # too few bytes to know a copy by
        for path in self.rotations():
            there = regular(path)
            if there is not None and there.st_size > self.offset and self.continues_in(path):
                return path
        return ""

    def rotations(self) -> "list[str]":
        """Files beside it with its name and an ending (console.log.1, console.log-20261122), newest first."""
        folder, name = os.path.split(self.place)
        found = []
        try:
            for entry in os.listdir(folder):
                if entry != name and entry.startswith(name):
                    now = regular(os.path.join(folder, entry))
                    if now is not None:
                        found.append((-now.st_mtime, os.path.join(folder, entry)))
        except OSError:
            return []
        return [path for _, path in sorted(found)[:MAX_ROTATIONS]]

    def continues_in(self, path: str) -> bool:
        """True if the file at `path` begins with what has been sent, judged by the last of it."""
        try:
            fd = open_quietly(path)
        except OSError:
            return False
        try:
            return self.last_sent(fd) is not None
        finally:
            os.close(fd)

    def rank(self) -> "tuple[int, str]":
        """Console first, then events, so that what a person reads is freshest."""
        return (ORDER.index(self.path) if self.path in ORDER else len(ORDER), self.path)

    def outlived_by(self, file: "Followed", now: float) -> bool:
        """True if `file` shows that the run has gone on after this exit record (`now`: Unix seconds).

        A copied folder has any times: what counts is growth, news of the last minutes, and the time of its
        writer's start in an event file's name.
        """
        if file.path not in ORDER and ".tfevents." not in file.path:
            return False
        live = file.written != file.first_written or now - file.written < RECENT
        return (live and file.written > self.written + LATE) or begun(file.path) > self.written + LATE


def identity(now: os.stat_result) -> str:
    """A file's device and inode."""
    return "%d:%d" % (now.st_dev, now.st_ino)


def regular(path: str) -> "os.stat_result | None":
    """What a regular file is now, None if there is none."""
    try:
        now = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return now if stat.S_ISREG(now.st_mode) else None


def open_quietly(path: str) -> int:
    """Open for reading; without O_NONBLOCK a named pipe put there would block for good."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def begun(path: str) -> float:
    """Unix seconds in an event file's name, when its writer began; 0 for other names."""
    stamp = path.rpartition(".tfevents.")[2].split(".")[0]
    return float(stamp) if ".tfevents." in path and stamp.isdigit() else 0.0
