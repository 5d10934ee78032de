"""The follower: sends the bytes of a growing run folder as frames. It runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library
and Python 3.6 and is never installed there. Standard input then holds one JSON request line:

    {"dir": str, "patterns": [str], "have": {path: {"offset": int, "tail": str}}, "once": bool,
     "interval": seconds}

`tail` is the SHA-256 of the last bytes (at most TAIL) before `offset`: bytes the client already has are
sent again only if they are no longer the file's. Standard output carries frames: one line of JSON, and
after a "data" line exactly `n` raw bytes. The follower ends when standard input does, so a connection
that dies leaves nothing running.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes. What runs
# twenty times a second calls os, not pathlib.
# ruff: noqa: PTH110, PTH111, PTH112, PTH116, PTH118, UP031

import fnmatch
import hashlib
import json
import os
import select
import stat
import sys
import time
from typing import Any

CHUNK = 1 << 20
TURN = 8 * CHUNK  # one file's share before the others get theirs
SMALL = 1 << 16  # up to here one write is cheaper than a copy saved
TAIL = 1024
BEAT = 2.0  # seconds between signs of life
SCAN = 1.0  # seconds between looks for new files
DEPTH = 3
MAX_ENTRIES = 20000
MAX_FILES = 256
WATCHED_FOLDERS = 16
HELLO = b'{"t":"hello","v":1}'
EXIT_RECORDS = ("rc", "exit.json")
ORDER = ("console.log", "stdout.log", "stderr.log")


class Followed:
    """One file: how far it has been sent and how to know that it is still the same."""

    def __init__(self, number: int, path: str, have: "dict[str, Any]") -> None:
        self.number = number
        self.path = path
        self.offset = int(have.get("offset", 0))
        self.digest = str(have.get("tail", ""))
        self.tail = b""
        self.fd = -1
        self.ident = ""
        self.seen: tuple[int, int] | None = None
        self.refused = False

    def rewind(self) -> None:
        """Start over from the first byte."""
        self.offset, self.tail, self.digest, self.seen = 0, b"", "", None

    def forget(self) -> None:
        """Close the file; the next look opens it anew and checks what was sent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.digest = hashlib.sha256(self.tail).hexdigest()
        self.fd, self.seen = -1, None

    def intact(self) -> bool:
        """True if the last bytes sent still stand before the offset."""
        return os.pread(self.fd, len(self.tail), self.offset - len(self.tail)) == self.tail

    def rank(self) -> "tuple[int, str]":
        """Console first, then events, so that what a person reads is freshest."""
        return (ORDER.index(self.path) if self.path in ORDER else len(ORDER), self.path)


class Follower:
    """Follows one folder until standard input ends."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self.root = os.path.expanduser(str(request["dir"]))
        self.patterns = [str(pattern) for pattern in request["patterns"]]
        self.have: dict[str, dict[str, Any]] = request.get("have", {})
        self.once = bool(request.get("once"))
        self.interval = float(request.get("interval", 0.05))
        self.files: dict[str, Followed] = {}
        self.spoke = 0.0
        self.next_scan = 0.0
        self.soonest_scan = 0.0
        self.folders: dict[str, int] = {"": 0}
        self.crowded = False

    def send(self, header: "dict[str, Any]", body: bytes = b"") -> None:
        """Write one frame; blocks while the client is slow."""
        line = json.dumps(header, separators=(",", ":")).encode() + b"\n"
        if len(body) > SMALL:
            write(line)
            write(body)
        else:
            write(line + body)
        self.spoke = time.monotonic()

    def run(self) -> None:
        """Send what is there, then what comes."""
        write(HELLO + b"\n")
        if not os.path.isdir(self.root):
            why = "is a file, no folder" if os.path.exists(self.root) else "does not exist"
            self.send({"t": "error", "why": "folder", "message": why})
            return
        caught_up = False
        while True:
            self.scan()
            busy = self.turn()
            if not busy and not caught_up:
                caught_up = True
                self.send({"t": "caught_up"})
                if self.once:
                    self.send({"t": "end"})
                    return
            if time.monotonic() - self.spoke >= BEAT:
                self.send({"t": "beat"})
            if input_ended(0 if busy else self.interval):
                return

    def scan(self) -> None:
        """Look for new files about once a second, and at once where a folder has changed."""
        started = time.monotonic()
        if started < (self.soonest_scan if self.folders_changed() else self.next_scan):
            return
        found, self.folders, complete = matching(self.root, self.patterns)
        for path in found:
            if path not in self.files and len(self.files) < MAX_FILES:
                self.files[path] = Followed(len(self.files), path, self.have.get(path, {}))
        if not (complete and len(found) <= MAX_FILES) and not self.crowded:
            self.crowded = True
            self.send({"t": "note", "message": "the folder holds too many files; some are not followed"})
        self.soonest_scan = started + 20 * (time.monotonic() - started)  # never above 5 % of a core
        self.next_scan = max(started + SCAN, self.soonest_scan)

    def folders_changed(self) -> bool:
        """True if a folder's entries have changed since the last look."""
        return any(changed_at(os.path.join(self.root, path)) != at for path, at in self.folders.items())

    def turn(self) -> bool:
        """Send each file's news, exit records last; True if a file has more than its share."""
        every = sorted(self.files.values(), key=Followed.rank)
        # An exit record is noticed before the others are read, so all bytes written before it precede it.
        ended = [file for file in every if file.path in EXIT_RECORDS and self.look(file)]
        busy = False
        for file in every:
            if file.path not in EXIT_RECORDS:
                busy = self.news(file) or busy
        if not busy:
            for file in ended:
                self.news(file)
        return busy

    def look(self, file: Followed) -> "os.stat_result | None":
        """What the file is now, None if it is gone, irregular or unchanged since the last look."""
        try:
            now = os.stat(os.path.join(self.root, file.path))
        except OSError:
            return None
        same = file.fd >= 0 and identity(now) == file.ident and file.seen == (now.st_size, now.st_mtime_ns)
        return None if same or not stat.S_ISREG(now.st_mode) else now

    def news(self, file: Followed) -> bool:
        """Send what is new in `file`; True if its share did not suffice."""
        now = self.look(file)
        if now is None:
            return False
        try:
            if file.fd < 0:
                self.open(file)
            elif identity(now) != file.ident:
                while self.pour(file, now):  # the rest of the file that was renamed away
                    pass
                file.forget()
                file.rewind()
                self.open(file, "replaced")
            elif now.st_size < file.offset or not file.intact():
                file.rewind()
                self.announce(file, now, "truncated")
            more = self.pour(file, now)
        except OSError as error:
            file.forget()
            if not file.refused:
                file.refused = True
                self.send({"t": "note", "message": "cannot read %s: %s" % (file.path, error.strerror)})
            return False
        file.seen = None if more else (now.st_size, now.st_mtime_ns)
        return more

    def open(self, file: Followed, why: str = "") -> None:
        """Open the file and say where its bytes go on; start over if what was sent is not in it."""
        # Without O_NONBLOCK a named pipe put there would block for good.
        fd = os.open(os.path.join(self.root, file.path), os.O_RDONLY | os.O_NONBLOCK)
        now = os.fstat(fd)
        file.fd, file.ident = fd, identity(now)
        length = min(file.offset, TAIL)
        tail = os.pread(fd, length, file.offset - length)
        if file.offset and (now.st_size < file.offset or hashlib.sha256(tail).hexdigest() != file.digest):
            why = "truncated" if now.st_size < file.offset else "replaced"
            file.rewind()
            tail = b""
        file.tail = tail
        self.announce(file, now, why)

    def announce(self, file: Followed, now: os.stat_result, why: str) -> None:
        """Say from which offset the file's bytes follow; `why` it starts over, if it does."""
        header = {"t": "file", "f": file.number, "path": file.path, "id": file.ident, "size": now.st_size}
        self.send(dict(header, off=file.offset, why=why))

    def pour(self, file: Followed, now: os.stat_result) -> bool:
        """Send the bytes after the last one, one share at most; True if there may be more."""
        age = max(0.0, round(time.time() - now.st_mtime, 3))
        for _ in range(TURN // CHUNK):
            data = os.pread(file.fd, CHUNK, file.offset)
            if not data:
                return False
            self.send({"t": "data", "f": file.number, "off": file.offset, "n": len(data), "age": age}, data)
            file.offset += len(data)
            file.tail = (file.tail + data)[-TAIL:] if len(data) < TAIL else data[-TAIL:]
        return True


def identity(now: os.stat_result) -> str:
    """A file's device and inode."""
    return "%d:%d" % (now.st_dev, now.st_ino)


def changed_at(folder: str) -> int:
    """When entries of a folder last came or went (nanoseconds), 0 if it cannot be looked at."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def matching(root: str, patterns: "list[str]") -> "tuple[list[str], dict[str, int], bool]":
    """Relative paths that match, nearest folders first; when the nearest folders changed; if all was seen."""
    found: list[str] = []
    stamps: dict[str, int] = {}
    folders = [("", 0)]
    left = MAX_ENTRIES
    while folders:
        folder, depth = folders.pop(0)
        if len(stamps) < WATCHED_FOLDERS:
            stamps[folder] = changed_at(os.path.join(root, folder))
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return found, stamps, False
                    path = folder + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if depth < DEPTH:
                            folders.append((path + "/", depth + 1))
                    elif any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                        found.append(path)
        except OSError:
            continue
    return found, stamps, True


def write(data: bytes) -> None:
    """Write all of `data` to standard output; ends the follower if nobody reads it any more."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(1, view) :]
    except OSError:
        raise SystemExit(0) from None


def input_ended(seconds: float) -> bool:
    """Wait at most `seconds`; True if the client has closed our standard input."""
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and not os.read(0, 4096)


def main() -> None:
    """Read the request and follow."""
    Follower(json.loads(sys.stdin.buffer.readline().decode())).run()


if __name__ == "__main__":
    main()
