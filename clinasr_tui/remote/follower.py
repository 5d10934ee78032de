"""The follower: sends the bytes of a growing run folder as frames. It runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library
and Python 3.6 and is never installed there. Standard input then holds one JSON request line:

    {"dir": str, "patterns": [str], "have": {path: {"offset": int, "id": str, "tail": str}}, "once": bool,
     "interval": seconds, "lease": seconds, "gpu": {"file": str, "columns": [str]},
     "writers": {"file": str, "every": seconds}, "slurm": {"file": str}}

`tail` is the SHA-256 of the last bytes (at most TAIL) before `offset`: bytes the client already has are
sent again only if they are no longer the file's. With `gpu` the output of one nvidia-smi that goes round by
itself is sent as the further bytes of a file of that name, with `writers` whether a process has the run's
files open, with `slurm` what Slurm says of the job the folder names. Standard output carries frames: one line
of JSON, and after a "data" line exactly `n` raw bytes.
The follower ends when standard input does or says nothing for the time of a lease, so a connection that
dies leaves nothing running.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes. What runs
# twenty times a second calls os, not pathlib.
# ruff: noqa: PTH110, PTH111, PTH112, PTH116, PTH118, UP031

import fnmatch
import json
import os
import sys
import time
from typing import Any

# They go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.remote.followed import EXIT_RECORDS, Followed, identity, open_quietly
    from clinasr_tui.remote.follower_io import Client, write
    from clinasr_tui.remote.gpu_loop import GpuLoop
    from clinasr_tui.remote.slurm_loop import SlurmLoop
    from clinasr_tui.remote.writer_watch import WriterWatch

CHUNK = 1 << 20
TURN = 8 * CHUNK  # one file's share before the others get theirs
SMALL = 1 << 16  # up to here one write is cheaper than a copy saved
BEAT = 2.0  # seconds between signs of life
SCAN = 1.0  # seconds between looks for new files
DEPTH = 3
MAX_ENTRIES = 20000
MAX_FILES = 256
WATCHED_FOLDERS = 16
LEASE = 30.0  # seconds; the client speaks more often
HELLO = b'{"t":"hello","v":1}'


class Follower:
    """Follows one folder until standard input ends."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self.root = os.path.expanduser(str(request["dir"]))
        self.patterns = [str(pattern) for pattern in request["patterns"]]
        self.have: dict[str, dict[str, Any]] = request.get("have", {})
        self.once = bool(request.get("once"))
        self.interval = float(request.get("interval", 0.05))
        self.mirror = str(request.get("mirror", ""))
        self.files: dict[str, Followed] = {}
        self.spoke = 0.0
        self.next_scan = 0.0
        self.soonest_scan = 0.0
        self.folders: dict[str, int] = {"": 0}
        self.crowded = False
        self.client = Client()
        self.gpu = GpuLoop(request.get("gpu"), self.have)
        self.writers = WriterWatch(request.get("writers"), self.have)
        self.slurm = SlurmLoop(request.get("slurm"), self.have, self.root)
        self.announced: dict[str, int] = {}

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
        try:
            self.follow()
        finally:
            self.gpu.stop()
            self.slurm.stop()

    def follow(self) -> None:
        """Go round until standard input ends, or once everything there has been sent."""
        caught_up = False
        while True:
            self.scan()
            busy = self.turn()
            if not busy:
                self.judge()
            if not busy and not caught_up:
                self.ask_slurm()
            if not busy and not caught_up and self.slurm.has_answered():
                caught_up = True
                self.send({"t": "caught_up"})
                if self.once:
                    self.send({"t": "end"})
                    return
                # A job's GPUs are those of its node, which this machine need not be.
                if not self.slurm.job:
                    self.gpu.allow()
                self.writers.allow()
            self.tell_more()
            if time.monotonic() - self.spoke >= BEAT:
                self.send({"t": "beat"})
            if self.client.ended(0 if busy else self.interval):
                return

    def scan(self) -> None:
        """Look for new files about once a second, and at once where a folder has changed."""
        started = time.monotonic()
        if started < (self.soonest_scan if self.folders_changed() else self.next_scan):
            return
        found, self.folders, complete = matching(self.root, self.patterns, self.mirror)
        for path in found:
            self.add(Followed(self.root, len(self.files), path, self.have.get(path, {})))
        if not self.next_scan:
            for path, have in self.have.items():
                file = Followed(self.root, len(self.files), path, have)
                if path in EXIT_RECORDS:
                    self.expect_record(file)
                elif file.moved_to():
                    self.add(file)
        if not (complete and len(found) <= MAX_FILES) and not self.crowded:
            self.crowded = True
            self.send({"t": "note", "message": "the folder holds too many files; some are not followed"})
        self.soonest_scan = started + 20 * (time.monotonic() - started)  # never above 5 % of a core
        self.next_scan = max(started + SCAN, self.soonest_scan)

    def expect_record(self, file: Followed) -> None:
        """Say that an exit record the client knows is gone: a new start of the run has moved it away."""
        if file.offset and file.path not in self.files and not os.path.exists(file.place):
            file.rewind()
            self.add(file)
            header = {"t": "file", "f": file.number, "path": file.path, "id": "", "size": 0}
            self.send(dict(header, off=0, why="removed"))

    def add(self, file: Followed) -> None:
        """Follow one more file."""
        if file.path not in self.files and len(self.files) < MAX_FILES:
            self.files[file.path] = file

    def folders_changed(self) -> bool:
        """True if a folder's entries have changed since the last look."""
        return any(changed_at(os.path.join(self.root, path)) != at for path, at in self.folders.items())

    def turn(self) -> bool:
        """Send each file's news, exit records last; True if a file has more than its share."""
        every = sorted(self.files.values(), key=Followed.rank)
        # An exit record is noticed before the others are read, so all bytes written before it precede it.
        ended = [file for file in every if file.path in EXIT_RECORDS and file.look()]
        busy = False
        for file in every:
            if file.path not in EXIT_RECORDS:
                busy = self.news(file) or busy
        if not busy:
            for file in ended:
                self.news(file)
        return busy

    def tell_more(self) -> None:
        """Send what is known beside the folder, as the bytes of files that only the client has."""
        over = self.has_ended()
        self.ask_slurm()
        # A folder with a file of that name is itself a mirror: its figures are another machine's.
        if self.gpu.path not in self.files:
            self.tell(self.gpu, self.gpu.turn(over))
        if self.writers.path not in self.files:
            self.tell(self.writers, self.writers.turn(over, self.files))

    def ask_slurm(self) -> None:
        """Send what Slurm says of the run's job."""
        if self.slurm.path not in self.files:
            self.tell(self.slurm, self.slurm.turn(self.has_ended()))

    def tell(self, source: "GpuLoop | WriterWatch | SlurmLoop", data: bytes) -> None:
        """Send the next bytes of such a file."""
        if not data:
            return
        number = self.announced.get(source.path)
        if number is None:
            number = self.announced[source.path] = MAX_FILES + len(self.announced)
            header = {"t": "file", "f": number, "path": source.path, "id": source.ident}
            self.send(dict(header, size=source.offset, off=source.offset, why=""))
        self.send({"t": "data", "f": number, "off": source.offset, "n": len(data), "age": 0.0}, data)
        source.offset += len(data)

    def has_ended(self) -> bool:
        """True if there is an exit record of the run's last start."""
        return any(file.stale is False for file in self.files.values())

    def judge(self) -> None:
        """Say of each exit record if it is an earlier start's: the run has gone on since."""
        now = time.time()
        for record in self.files.values():
            if record.path in EXIT_RECORDS and record.fd >= 0:
                stale = any(record.outlived_by(file, now) for file in self.files.values())
                if stale is not record.stale:
                    record.stale = stale
                    self.send({"t": "record", "f": record.number, "stale": stale})

    def news(self, file: Followed) -> bool:
        """Send what is new in `file`; True if its share did not suffice."""
        try:
            now = file.look()
            if now is None:
                return False
            if file.fd < 0:
                self.open(file)
            elif identity(now) != file.ident:
                while self.pour(file, now):  # the rest of the file that was renamed away
                    pass
                file.forget()
                file.rewind()
                file.ident = ""
                self.open(file, "replaced")
            elif now.st_size < file.offset or file.last_sent(file.fd) is None:
                self.salvage(file)
                file.rewind()
                self.announce(file, now, "truncated")
            elif file.rewritten(now):
                file.rewind()
                self.announce(file, now, "replaced")
            more = self.pour(file, now)
        except OSError as error:
            file.forget()
            if not file.refused:
                file.refused = True
                self.send({"t": "note", "message": "cannot read %s: %s" % (file.path, error.strerror)})
            return False
        file.looked_at(now, more)
        return more

    def open(self, file: Followed, why: str = "") -> None:
        """Open the file and say where its bytes go on; start over if what was sent is not in it."""
        fd = open_quietly(file.moved_to() or file.place)
        now = os.fstat(fd)
        tail = file.last_sent(fd)
        if tail is None:
            self.salvage(file)
            why = "truncated" if now.st_size < file.offset else "replaced"
            file.rewind()
        file.fd, file.ident, file.tail = fd, identity(now), tail or b""
        self.announce(file, now, why)

    def salvage(self, file: Followed) -> None:
        """Send what a file held beyond the offset when it was copied away and truncated."""
        path = file.copied_to()
        if not path or any(path == other.place for other in self.files.values()):
            return
        own, file.fd = file.fd, open_quietly(path)
        try:
            now = os.fstat(file.fd)
            self.announce(file, now, "")
            while self.pour(file, now):
                pass
        finally:
            os.close(file.fd)
            file.fd = own

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
            file.sent(data)
        return True


def changed_at(folder: str) -> int:
    """When entries of a folder last came or went (nanoseconds), 0 if it cannot be looked at."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def matching(root: str, patterns: "list[str]", mirror: str = "") -> "tuple[list[str], dict[str, int], bool]":
    """Relative paths that match, nearest folders first; when the nearest folders changed; if all was seen.

    A folder that holds `mirror` is a follower's copy of a run, which may lie in the run's own folder.
    """
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
                        a_copy = mirror and os.path.lexists(os.path.join(root, path, mirror))
                        if depth < DEPTH and not a_copy:
                            folders.append((path + "/", depth + 1))
                    elif any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                        found.append(path)
        except OSError:
            continue
    return found, stamps, True


def main() -> None:
    """Read the request and follow."""
    request = json.loads(sys.stdin.buffer.readline().decode())
    follower = Follower(request)
    follower.client.hold_to(float(request.get("lease", LEASE)))
    follower.run()


if __name__ == "__main__":
    main()
