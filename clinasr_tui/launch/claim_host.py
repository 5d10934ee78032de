"""Claim a run's folder, so that no other run's files are taken for its own. It runs on the host.

Its source goes to the host's `python3` through standard input, after that of `process_start`: the standard
library and Python 3.6. The request is {"folder": str, "owner": str, "undone": bool}: `owner` marks the run of
a workspace, `undone` says that what is there is of a start of its own that was undone. The answer is one
line: {"t": "claimed"}, with "taken" or "trouble": why where it cannot be had. The mark stays, in claim.json:
a folder belongs to one run of one workspace.
"""

# ruff: noqa: PTH103, PTH104, PTH105, PTH110, PTH118, PTH120, PTH123, UP031

import json
import os
import sys
from typing import Any

# The two go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.launch.process_start import alone

CLAIM_FILE = "claim.json"
TRACES = ("run", "stdout.log", "stderr.log", "exit.json")  # what a run that began has left
EARLIER = "an earlier run of this name is there"


def claim(request: "dict[str, Any]") -> "dict[str, Any]":
    """Mark the folder, if it is nobody's and no run began in it."""
    folder, owner = str(request["folder"]), str(request["owner"])
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with alone(folder):
        held = owner_of(folder)
        if held not in ("", owner):
            return {"taken": "a run of this name belongs to another workspace"}
        if any(os.path.exists(os.path.join(folder, name)) for name in TRACES):
            if not request["undone"]:
                return {"taken": EARLIER}
            put_aside(folder)
        os.makedirs(folder, exist_ok=True)
        mark(folder, owner)
    return {}


def owner_of(folder: str) -> str:
    """Whose the folder is; "" if nobody's."""
    try:
        with open(os.path.join(folder, CLAIM_FILE)) as stream:
            return str(json.load(stream)["owner"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def mark(folder: str, owner: str) -> None:
    """Say whose it is, whole or not at all."""
    place = os.path.join(folder, CLAIM_FILE)
    with open(place + ".new", "w") as stream:
        json.dump({"owner": owner}, stream)
    os.replace(place + ".new", place)


def put_aside(folder: str) -> None:
    """Rename it whole: inside the new one its event files would be read as the new run's."""
    number = 1
    while os.path.exists("%s~%d" % (folder, number)):
        number += 1
    os.rename(folder, "%s~%d" % (folder, number))


def answer(request: "dict[str, Any]") -> "dict[str, Any]":
    """What became of it; a folder that cannot be had is told in one line."""
    try:
        return claim(request)
    except OSError as error:
        return {"trouble": "%s: %s" % (error.filename, error.strerror)}


if __name__ == "__main__":
    asked = json.loads(sys.stdin.buffer.readline().decode())
    sys.stdout.write(json.dumps(dict(answer(asked), t="claimed")) + "\n")
