"""Signal a run without a container, or say whether it still lives. It runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library and
Python 3.6. The request is {"folder": str, "signal": n}; signal 0 only looks. The answer is one line:
{"t": "signalled", "alive": bool}. A process that only has the same id is left alone.
"""

# ruff: noqa: PTH118, PTH123

import json
import os
import sys
from typing import Any

# The two go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.launch.process_start import begun


def living(folder: str) -> int:
    """Process id of the wrapper, or of the run's own process where only that lives on; 0 for none."""
    for name in ("pid.json", "child.json"):
        try:
            with open(os.path.join(folder, name)) as stream:
                known = json.load(stream)
            if known["begun"] and begun(int(known["pid"])) == known["begun"]:
                return int(known["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return 0


def tell(request: "dict[str, Any]") -> "dict[str, Any]":
    """Send the signal if it is the process that was started."""
    pid = living(str(request["folder"]))
    if pid and request["signal"]:
        os.kill(pid, int(request["signal"]))
    return {"t": "signalled", "alive": pid > 0}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tell(json.loads(sys.stdin.buffer.readline().decode()))) + "\n")
