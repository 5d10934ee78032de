"""Start the wrapper as a process of its own that outlives the connection. It runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library and
Python 3.6. The request is {"argv": [str], "folder": str}; the answer is one line: {"t": "started", "pid": n}.
The process id and when the process began also go to `folder`/pid.json, for whoever ends the run later.
"""

# ruff: noqa: PTH118, PTH123, SIM115

import json
import os
import subprocess
import sys
from typing import Any

# The two go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.launch.process_start import begun


def start(request: "dict[str, Any]") -> "dict[str, Any]":
    """Start it in a session of its own, with nothing of ours open."""
    folder = str(request["folder"])
    process = subprocess.Popen(  # noqa: S603 (what the operator launched)
        request["argv"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=open(os.path.join(folder, "wrapper.log"), "ab"),
        cwd=folder,
        start_new_session=True,
    )
    found = {"pid": process.pid, "begun": begun(process.pid)}
    with open(os.path.join(folder, "pid.json"), "w") as stream:
        json.dump(found, stream)
    return dict(found, t="started")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(start(json.loads(sys.stdin.buffer.readline().decode()))) + "\n")
