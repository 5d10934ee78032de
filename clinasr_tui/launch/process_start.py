"""Whose process lives in a run's folder, and one start at a time. Part of scripts that run on the host.

The standard library and Python 3.6 only, as the scripts it goes with.
"""

# ruff: noqa: PTH118, PTH120, PTH123, UP031

import contextlib
import fcntl
import json
import os
from typing import Any

MOST = 1 << 14  # bytes of complaints that are looked at
LOCK = ".starting"  # in the workspace's folder there, for all its runs


def begun(pid: int) -> str:
    """When a process began, in the kernel's ticks: tells it from a later one with the same id.

    "" if it lives no more.
    """
    try:
        with open("/proc/%d/stat" % pid) as stream:
            fields = stream.read().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return ""


def noted(folder: str, name: str) -> "dict[str, Any]":
    """What a file of the folder (pid.json, child.json) says of a process; nothing if it cannot be read."""
    try:
        with open(os.path.join(folder, name)) as stream:
            known = json.load(stream)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def lives(folder: str, name: str) -> int:
    """Id of the process that such a file names; 0 if it has gone."""
    known = noted(folder, name)
    try:
        return int(known["pid"]) if known["begun"] and begun(int(known["pid"])) == known["begun"] else 0
    except (ValueError, KeyError, TypeError):
        return 0


def living(folder: str) -> int:
    """Process id of the wrapper, or of the run's own process where only that lives on; 0 for none."""
    return lives(folder, "pid.json") or lives(folder, "child.json")


@contextlib.contextmanager
def alone(folder: str) -> "Any":
    """Wait until no other launch looks at this folder or starts in it, as far as the disk has locks."""
    workspace = os.path.dirname(os.path.dirname(folder))
    with open(os.path.join(workspace, LOCK), "ab") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def last_words(folder: str) -> str:
    """The last line that the newest start's wrapper has complained with; "" if it did not."""
    try:
        with open(os.path.join(folder, "wrapper.log"), "rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(int(noted(folder, "pid.json").get("said", 0)), end - MOST))
            lines = log.read(MOST).decode("utf-8", "replace").split("\n")
    except (OSError, ValueError, TypeError):
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
