"""Submit a run to Slurm, say how its job stands, signal it. It runs on the host: a login node.

Its source goes to the host's `python3` through standard input, after that of `process_start` and `slurm_ask`:
the standard library and Python 3.6. The request is {"folder": str, "name": str, "do": "submit" | "state" |
"signal"}; to submit with {"argv": [str], "logs": [str]}, to signal with {"signal": name}, "" to end the job.
The answer is one line: {"t": "slurm", "job": id, "state": str, …}, {"t": "slurm", "taken": true} where the
folder's job goes on, or {"t": "slurm", "trouble": str}. The job's number stands in the folder, and is asked
for by name where it got lost.
"""

# ruff: noqa: PTH102, PTH104, PTH105, PTH110, PTH118, PTH123, UP031

import getpass
import json
import os
import sys
from typing import Any

# They go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.launch.process_start import alone
    from clinasr_tui.remote.slurm_ask import JOB_FILE, forgotten, said, show, state_of

# States of a job that goes on no more.
OVER = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "DEADLINE", "FAILED"),
    *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
)


def known(folder: str, name: str) -> str:
    """The number of the folder's job; "" if it never had one."""
    try:
        with open(os.path.join(folder, JOB_FILE)) as stream:
            return str(json.load(stream)["job"])
    except (OSError, ValueError, KeyError, TypeError):
        job = queued(folder, name)
        if job:
            note(folder, job)
        return job


def note(folder: str, job: str) -> None:
    """Keep the job's number in the folder: Slurm's queue names it only while it is in it."""
    place = os.path.join(folder, JOB_FILE)
    with open(place + ".new", "w") as stream:
        json.dump({"job": job}, stream)
    os.replace(place + ".new", place)


def queued(folder: str, name: str) -> str:
    """The job of this name and folder, by Slurm's queue: contact may be lost while it is submitted."""
    argv = ["squeue", "--noheader", "--user", getpass.getuser(), "--name", name, "--format=%i|%Z"]
    _, lines, _ = said(argv)
    for line in lines.splitlines():
        job, _, place = line.partition("|")
        if place.strip() and os.path.realpath(place.strip()) == os.path.realpath(folder):
            return job.strip()
    return ""


def state(folder: str, name: str) -> "dict[str, Any]":
    """How the folder's job stands; state "" if there is none, or none that Slurm still knows."""
    job = known(folder, name)
    if not job:
        return {"job": "", "state": ""}
    code, line, complaint = said(show(job))
    if code == 0:
        return state_of(job, line)
    return {"job": job, "state": ""} if forgotten(complaint) else {"job": job, "trouble": complaint}


def submit(request: "dict[str, Any]") -> "dict[str, Any]":
    """Submit it, and note its number."""
    folder = str(request["folder"])
    with alone(folder):
        stands = str(state(folder, str(request["name"])).get("state", "")).partition(" ")[0]
        if stands and stands not in OVER:
            return {"taken": True}
        keep_earlier(folder, request["logs"])
        code, output, complaint = said(request["argv"])
        job = output.splitlines()[-1].partition(";")[0] if output else ""
        if code or not job.isdigit():
            return {"trouble": complaint or "sbatch gave no job's number: %s" % (output[:200] or "nothing")}
        note(folder, job)
    return {"job": job, "state": "PENDING"}


def keep_earlier(folder: str, names: "list[str]") -> None:
    """Move what an earlier start left: it would be taken for this one's while this one waits."""
    found = [name for name in [*names, JOB_FILE] if os.path.exists(os.path.join(folder, name))]
    if found == [JOB_FILE] or not found:
        return
    number = 0
    while os.path.exists(os.path.join(folder, "start_%d" % number)):
        number += 1
    place = os.path.join(folder, "start_%d" % number)
    os.mkdir(place)
    for name in found:
        os.rename(os.path.join(folder, name), os.path.join(place, name))


def send(request: "dict[str, Any]") -> "dict[str, Any]":
    """Signal the job's batch process alone, which is the run's wrapper; without a name end the job."""
    job = known(str(request["folder"]), str(request["name"]))
    name = str(request["signal"])
    code, _, complaint = said(["scancel"] + (["--batch", "--signal=" + name] if name else []) + [job])
    return {"job": job, "trouble": complaint} if code else {"job": job}


def answer(request: "dict[str, Any]") -> "dict[str, Any]":
    """Do what is asked."""
    folder, name = str(request["folder"]), str(request["name"])
    if request["do"] == "submit":
        return submit(request)
    return send(request) if request["do"] == "signal" else state(folder, name)


if __name__ == "__main__":
    asked = json.loads(sys.stdin.buffer.readline().decode())
    sys.stdout.write(json.dumps(dict(answer(asked), t="slurm")) + "\n")
