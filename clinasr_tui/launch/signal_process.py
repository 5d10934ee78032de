"""Signal a run without a container, or say whether it still lives. It runs on the host.

Its source goes to the host's `python3` through standard input, after that of `process_start`: the standard
library and Python 3.6. The request is {"folder": str, "signal": n}; signal 0 only looks. The answer is one
line: {"t": "signalled", "alive": bool, "gone": bool, "said": str}. `gone` is true of a process that was
started on this machine and lives no more, `said` the last line of its complaints. A process that only has the
same id is left alone.
"""

import contextlib
import json
import os
import platform
import signal
import sys
from typing import Any

# The two go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.launch.process_start import last_words, lives, living, noted


def tell(request: "dict[str, Any]") -> "dict[str, Any]":
    """Send the signal if it is the process that was started."""
    folder, number = str(request["folder"]), int(request["signal"])
    pid = living(folder)
    if pid and number:
        with contextlib.suppress(ProcessLookupError):
            send(folder, pid, number)
    # Another node of the same name sees the folder, not the process.
    gone = not pid and noted(folder, "pid.json").get("on") == platform.node()
    return {"t": "signalled", "alive": pid > 0, "gone": gone, "said": last_words(folder) if gone else ""}


def send(folder: str, pid: int, number: int) -> None:
    """Tell the wrapper, which passes it on; kill the run with all its workers.

    They are one session. A wrapper that lives on without them writes the record, and lets the next run begin.
    """
    child = lives(folder, "child.json")
    if number == signal.SIGKILL and child:
        os.killpg(child, number)
    else:
        os.kill(pid, number)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tell(json.loads(sys.stdin.buffer.readline().decode()))) + "\n")
