"""Whether a process still has the run's files open for writing. It runs on the host.

Its source goes to the host before the follower's, so the same holds for it: standard library, Python 3.6.
An account sees its own processes only (root all). So a writer's absence counts only where one has been
seen before; a machine without /proc says nothing.
"""

# ruff: noqa: PTH115, PTH116, PTH118, PTH119, PTH123, PTH208, UP031

import os
import time
from typing import Any

WRITERS_SHARE = 50  # a look that took a second is followed by 50 s of rest
PRESENT_LOOKS = 3  # in a row: one that opens a file for each line has not the whole run in hand
ABSENT_LOOKS = 2
BESIDE = (".csv", ".json", "rc")  # written beside the run, by what may outlive it


class WriterWatch:
    """Looks now and then for writers and tells when there is one, and when the last has gone.

    A row is `<Unix seconds> open` or `<Unix seconds> gone`; rows continue what the client has.
    """

    def __init__(self, wanted: "dict[str, Any] | None", have: "dict[str, dict[str, Any]]") -> None:
        self.path = str(wanted["file"]) if wanted else ""
        self.every = float(wanted["every"]) if wanted else 0.0
        self.ident = "writers"
        self.offset = int(have.get(self.path, {}).get("offset", 0))
        self.seen = self.offset > 0  # an earlier contact of the same account has seen one
        self.told = ""
        self.present = self.absent = 0
        self.next_look = float("inf")

    def allow(self) -> None:
        """Everything else has been sent: it may look, if it was asked to."""
        if self.path:
            self.next_look = time.monotonic()

    def turn(self, over: bool, files: "dict[str, Any]") -> bytes:
        """A row to send, b"" for none; `files` are those followed, by path."""
        started = time.monotonic()
        if over or started < self.next_look:
            return b""
        open_here = [file for file in files.values() if file.fd >= 0 and not file.path.endswith(BESIDE)]
        names = {os.path.basename(file.path) for file in open_here}
        there = has_writer(names, {file.ident for file in open_here})
        took = time.monotonic() - started
        self.next_look = started + max(self.every, WRITERS_SHARE * took)
        self.present, self.absent = (self.present + 1, 0) if there else (0, self.absent + 1)
        state = "open" if there else "gone"
        self.seen = self.seen or self.present >= PRESENT_LOOKS
        if state == self.told or not self.seen or 0 < self.absent < ABSENT_LOOKS:
            return b""
        self.told = state
        return ("\n%.3f %s\n" % (time.time(), state)).encode()


def has_writer(names: "set[str]", idents: "set[str]") -> bool:
    """True if a process of which we may know it has a file of these open for writing."""
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return False
    return any(writes(os.path.join("/proc", process), names, idents) for process in processes)


def writes(process: str, names: "set[str]", idents: "set[str]") -> bool:
    """The same for one process. A container's paths differ: names are compared, then device and inode."""
    try:
        numbers = os.listdir(process + "/fd")
    except OSError:
        return False
    for number in numbers:
        place = "%s/fd/%s" % (process, number)
        try:
            # Only what has a name of ours is looked at closely: a stat on a dead network disk blocks.
            if os.path.basename(os.readlink(place)) not in names:
                continue
            found = os.stat(place)
            if "%d:%d" % (found.st_dev, found.st_ino) in idents and writable(process, number):
                return True
        except OSError:
            continue
    return False


def writable(process: str, number: str) -> bool:
    """True if a process's open file was opened for writing."""
    with open("%s/fdinfo/%s" % (process, number)) as info:
        for line in info:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
