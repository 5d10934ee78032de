"""The sender: lists a folder's files, tells their checksums and sends them on demand. It runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library and
Python 3.6. Standard input then holds one JSON request line, {"root": str}. It answers with a line
{"t": "file", "path": str, "size": n} for each regular file below the root (no link is followed), then {"t":
"listed"}. After that it takes commands, a line of JSON each, until standard input ends:

    {"hash": path}                  {"t": "hash", "sha256": hex, "size": n}
    {"send": path, "offset": n}     {"t": "piece", "n": bytes} and as many bytes, repeatedly; {"t": "sent"}

{"t": "beat"} comes while it computes; {"t": "error", "message": str} ends it.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes.
# ruff: noqa: PTH111, PTH112, PTH117, PTH118, PTH123, UP031

import hashlib
import json
import os
import stat
import sys
import time
from typing import Any

CHUNK = 1 << 18
BEAT = 1.0  # seconds between signs of life while checksums are computed
DEPTH = 4
MOST = 5000


class Sender:
    """Sends the files of one folder."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self.root = os.path.realpath(os.path.expanduser(str(request["root"])))

    def say(self, message: "dict[str, Any]", body: bytes = b"") -> None:
        """Write one line, and the bytes it announces."""
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n" + body)
        sys.stdout.buffer.flush()

    def place(self, path: str) -> str:
        """A file of the folder; refuses what leads out of it."""
        place = os.path.join(self.root, path)
        if os.path.isabs(path) or ".." in path.split("/") or os.path.realpath(place) != place:
            raise ValueError("not a file of the folder: %s" % path)
        return place

    def list(self) -> None:
        """Say which files there are."""
        if not os.path.isdir(self.root):
            raise ValueError("there is no folder %s" % self.root)
        told = 0
        for folder, folders, files in os.walk(self.root):
            deep = os.path.relpath(folder, self.root).count(os.sep)
            folders[:] = sorted(folders) if deep < DEPTH else []
            for name in sorted(files):
                place = os.path.join(folder, name)
                known = os.lstat(place)
                if stat.S_ISREG(known.st_mode) and told < MOST:
                    told += 1
                    path = os.path.relpath(place, self.root)
                    self.say({"t": "file", "path": path, "size": known.st_size})
        self.say({"t": "listed"})

    def hash(self, path: str) -> None:
        """Tell the SHA-256 of a file."""
        digest, size, spoke = hashlib.sha256(), 0, time.monotonic()
        with open(self.place(path), "rb") as stream:
            while True:
                chunk = stream.read(CHUNK)
                if not chunk:
                    break
                digest.update(chunk)
                size += len(chunk)
                if time.monotonic() - spoke > BEAT:
                    spoke = time.monotonic()
                    self.say({"t": "beat"})
        self.say({"t": "hash", "sha256": digest.hexdigest(), "size": size})

    def send(self, path: str, offset: int) -> None:
        """Send a file from an offset on."""
        with open(self.place(path), "rb") as stream:
            stream.seek(offset)
            while True:
                chunk = stream.read(CHUNK)
                if not chunk:
                    break
                self.say({"t": "piece", "n": len(chunk)}, chunk)
        self.say({"t": "sent"})


def serve() -> None:
    """Do what is asked; every failure is one line."""
    sender = Sender(json.loads(sys.stdin.buffer.readline().decode()))
    try:
        sender.list()
        for line in iter(sys.stdin.buffer.readline, b""):
            command = json.loads(line.decode())
            if "hash" in command:
                sender.hash(str(command["hash"]))
            else:
                sender.send(str(command["send"]), int(command["offset"]))
    except BrokenPipeError:
        return
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        name = getattr(error, "filename", None)
        sender.say({"t": "error", "message": "%s: %s" % (name, why) if name else why})


if __name__ == "__main__":
    serve()
