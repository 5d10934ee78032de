"""The receiver: writes files that are sent to it, each one whole or not at all. It runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library and
Python 3.6. Standard input then holds one JSON request line:

    {"root": str, "files": [[path, size, sha256, like], ...]}

It answers with lines of JSON: {"t": "need", "i": index, "offset": n} for each file that is not there yet with
this content, nor under the path `like` (`offset` bytes of it are, from an attempt that was cut off), then
{"t": "plan", "free": bytes}. Then it takes pieces: a line {"i": index, "n": bytes} and as many bytes (none
for a file of which nothing is lacking), files one after the other; {"t": "done", "i": index} once a file is
complete and its checksum right, {"t": "bad"} if it is wrong (what had come is thrown away). An empty line
ends it: {"t": "end"}. Trouble is {"t": "error", "why": str, "message": str}.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes.
# ruff: noqa: PTH103, PTH105, PTH107, PTH111, PTH117, PTH118, PTH120, PTH123, PTH202, SIM115, UP031

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from typing import Any

CHUNK = 1 << 20
BEAT = 1.0  # seconds between signs of life while checksums are computed
PART = ".part"
LOCK = ".receiving"


class Receiver:
    """Takes files for one folder."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self.root = os.path.expanduser(str(request["root"]))
        self.files = [
            (str(path), int(size), str(digest), str(like)) for path, size, digest, like in request["files"]
        ]
        self.spoke = time.monotonic()
        self.stream: Any = None
        self.digest: Any = None
        self.written = 0
        self.index = -1

    def run(self) -> None:
        """Say what is needed, take it, check it."""
        os.makedirs(self.root, exist_ok=True)
        lock = self.alone()
        for index, (path, size, digest, like) in enumerate(self.files):
            if self.is_there(path, size, digest) or self.is_linked(path, size, digest, like):
                continue
            self.say({"t": "need", "i": index, "offset": self.begun(path, size, digest)})
        self.say({"t": "plan", "free": shutil.disk_usage(self.root).free})
        while self.take():
            pass
        self.say({"t": "end"})
        lock.close()

    def alone(self) -> "Any":
        """Wait until a receiver whose connection was lost has noticed: two would write the same parts."""
        lock = open(os.path.join(self.root, LOCK), "ab")
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                self.say({"t": "beat"})
                time.sleep(0.1)

    def say(self, message: "dict[str, Any]") -> None:
        """Write one line."""
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()
        self.spoke = time.monotonic()

    def place(self, path: str) -> str:
        """Where a file belongs; refuses what leads out of the folder."""
        if os.path.isabs(path) or ".." in path.split("/") or "\0" in path:
            raise ValueError("a path leads out of the folder: %s" % path)
        return os.path.join(self.root, path)

    def part(self, path: str, digest: str) -> str:
        """Where it is written until it is complete; another content has another name."""
        return self.place(path) + "." + digest[:12] + PART

    def is_there(self, path: str, size: int, digest: str) -> bool:
        """True if the file stands there with just this content."""
        place = self.place(path)
        try:
            if os.path.getsize(place) != size:
                return False
            return bool(self.digest_of(place).hexdigest() == digest)
        except OSError:
            return False

    def is_linked(self, path: str, size: int, digest: str, like: str) -> bool:
        """True if the same content stands elsewhere and has this name too now: what is there is not sent.

        Files are only ever replaced, never written to, so that one name's end is not the other's.
        """
        if not like or not self.is_there(like, size, digest):
            return False
        part = self.part(path, digest)
        try:
            os.makedirs(os.path.dirname(part), exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.remove(part)
            os.link(self.place(like), part)
            os.replace(part, self.place(path))
        except OSError:
            return False  # a disk without links
        return True

    def begun(self, path: str, size: int, digest: str) -> int:
        """How many bytes an earlier attempt has left."""
        try:
            left = os.path.getsize(self.part(path, digest))
        except OSError:
            return 0
        return left if left <= size else 0

    def digest_of(self, place: str) -> "Any":
        """SHA-256 of a file so far."""
        digest = hashlib.sha256()
        with open(place, "rb") as stream:
            while True:
                chunk = stream.read(CHUNK)
                if not chunk:
                    return digest
                digest.update(chunk)
                if time.monotonic() - self.spoke > BEAT:
                    self.say({"t": "beat"})

    def take(self) -> bool:
        """Take one piece; False at the end."""
        line = sys.stdin.buffer.readline().strip()
        if not line:
            return False
        header = json.loads(line.decode())
        index, left = int(header["i"]), int(header["n"])
        if index != self.index:
            self.open(index)
        while left:
            chunk = sys.stdin.buffer.read(min(left, CHUNK))
            if not chunk:
                return False
            self.stream.write(chunk)
            self.digest.update(chunk)
            self.written += len(chunk)
            left -= len(chunk)
        if self.written >= self.files[index][1]:
            self.finish()
        return True

    def open(self, index: int) -> None:
        """Go on with a file where the last attempt ended."""
        self.abandon()
        path, size, digest, _ = self.files[index]
        place = self.part(path, digest)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        begun = self.begun(path, size, digest)
        self.digest = self.digest_of(place) if begun else hashlib.sha256()
        self.stream = open(place, "ab" if begun else "wb")
        self.index, self.written = index, begun

    def finish(self) -> None:
        """Put a complete file where it belongs, if it is what was announced."""
        path, size, digest, _ = self.files[self.index]
        self.stream.flush()
        os.fsync(self.stream.fileno())
        right = self.written == size and self.digest.hexdigest() == digest
        index = self.index
        self.abandon()
        if right:
            os.replace(self.part(path, digest), self.place(path))
        else:
            os.remove(self.part(path, digest))
        self.say({"t": "done" if right else "bad", "i": index})

    def abandon(self) -> None:
        """Close what is being written; it stays for the next attempt."""
        if self.stream is not None:
            self.stream.close()
        self.stream, self.index = None, -1


def receive() -> None:
    """Take what is sent; every failure is one line."""
    receiver = Receiver(json.loads(sys.stdin.buffer.readline().decode()))
    try:
        receiver.run()
    except BrokenPipeError:
        return
    except (OSError, ValueError) as error:
        receiver.abandon()
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        name = getattr(error, "filename", None)
        why = getattr(error, "strerror", None) or str(error)
        text = "%s: %s" % (name, why) if name else why
        receiver.say({"t": "error", "why": "full" if full else "failed", "message": text})


if __name__ == "__main__":
    receive()
