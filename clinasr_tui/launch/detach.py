"""Start the wrapper as a process of its own that outlives the connection. It runs on the host.

Its source goes to the host's `python3` through standard input, after that of `process_start`: the standard
library and Python 3.6. The request is {"argv": [str], "folder": str}; the answer is one line: {"t":
"started", "pid": n}, or with "taken": true where the folder's run lives, or with "trouble": why for one that
ended before the run could begin. The process id and when the process began also go to `folder`/pid.json, for
whoever ends the run later.
"""

# ruff: noqa: PTH105, PTH116, PTH118, PTH123, UP031

import json
import os
import platform
import subprocess
import sys
import time
from typing import Any

# The two go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.launch.process_start import alone, begun, last_words, living

BEGINS_WITHIN = 5.0  # seconds for Python to come up; the wrapper opens its console first of all


def start(request: "dict[str, Any]") -> "dict[str, Any]":
    """Start it, unless the folder's run lives, and wait until the wrapper is at work."""
    folder = str(request["folder"])
    earlier = console_of(folder)
    with alone(folder):
        if living(folder):
            return {"taken": True}
        try:
            process, found = detached(request["argv"], folder)
        except OSError as error:
            return {"trouble": "%s cannot be started: %s" % (request["argv"][0], error.strerror)}
    deadline = time.monotonic() + BEGINS_WITHIN
    while console_of(folder) == earlier and time.monotonic() < deadline:
        code = process.poll()
        if code is not None and console_of(folder) == earlier:
            said = last_words(folder)
            return {"trouble": "it ended at once (exit code %d)%s" % (code, said and ": " + said)}
        time.sleep(0.02)
    return found


def detached(argv: "list[str]", folder: str) -> "tuple[Any, dict[str, Any]]":
    """The process in a session of its own, with nothing of ours open, and what is noted of it."""
    with open(os.path.join(folder, "wrapper.log"), "ab") as log:
        said = log.tell()
        process = subprocess.Popen(  # noqa: S603 (what the operator launched)
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    found = {"pid": process.pid, "begun": begun(process.pid), "on": platform.node(), "said": said}
    place = os.path.join(folder, "pid.json")
    with open(place + ".new", "w") as stream:
        json.dump(found, stream)
    os.replace(place + ".new", place)
    return process, found


def console_of(folder: str) -> "tuple[int, int]":
    """Which file the run's console is; (0, 0) without one."""
    try:
        found = os.stat(os.path.join(folder, "stdout.log"))
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


if __name__ == "__main__":
    asked = json.loads(sys.stdin.buffer.readline().decode())
    sys.stdout.write(json.dumps(dict(start(asked), t="started")) + "\n")
