"""What Slurm says of a job, by `scontrol show job`. It runs on the host.

Its source goes to the host before the scripts that use it, so the same holds for it: standard library,
Python 3.6. No accounting is assumed: Slurm itself knows an ended job for some minutes only.
"""

# ruff: noqa: PTH118, RUF005, UP022, UP031, S603

import os
import re
import subprocess
import time
from typing import Any

JOB_FILE = "slurm.json"  # in the run folder: {"job": id}
# Where clusters keep Slurm's commands that a shell which is no login shell may not look in.
PLACES = (
    "/usr/local/bin",
    "/opt/slurm/bin",
    "/opt/slurm/current/bin",
    "/usr/local/slurm/bin",
    "/cm/shared/apps/slurm/current/bin",
)
SECONDS = 20  # that Slurm's controller may take to answer


def tool(name: str) -> str:
    """The path of one of Slurm's commands, "" where there is none."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) + list(PLACES):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return ""


def surroundings() -> "dict[str, str]":
    """The environment for Slurm's commands: words and times as they are read here."""
    return dict(os.environ, LC_ALL="C", SLURM_TIME_FORMAT="standard")


def said(argv: "list[str]") -> "tuple[int, str, str]":
    """Exit code, output and the last lines of complaint of one of Slurm's commands."""
    try:
        done = subprocess.run(
            [tool(argv[0]) or argv[0]] + argv[1:],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=surroundings(),
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, "", "%s: %s" % (argv[0], getattr(error, "strerror", None) or "no answer")
    lines = done.stderr.decode("utf-8", "replace").replace(argv[0] + ": error: ", "").splitlines()
    complaint = "; ".join(line.strip() for line in lines[-3:] if line.strip())
    return done.returncode, done.stdout.decode("utf-8", "replace").strip(), complaint


def show(job: str) -> "list[str]":
    """The command that tells of a job."""
    return ["scontrol", "--oneliner", "show", "job", job]


def forgotten(complaint: str) -> bool:
    """True if Slurm no longer knows the job."""
    return "Invalid job id" in complaint


def state_of(job: str, line: str) -> "dict[str, Any]":
    """A job as `scontrol` tells it on one line; times in Unix seconds, None for what is not known."""
    return {
        "job": job,
        "state": value(line, "JobState"),
        "reason": value(line, "Reason"),
        "restarts": int(value(line, "Restarts") or 0),
        "exit": value(line, "ExitCode"),
        "submitted": moment(value(line, "SubmitTime")),
        "started": moment(value(line, "StartTime")),
        "ended": moment(value(line, "EndTime")),
        "limit": value(line, "TimeLimit"),
        "nodes": value(line, "NodeList"),
    }


def value(line: str, key: str) -> str:
    """The first value of a key; "" where it says nothing."""
    found = re.search(r"(?:^|\s)%s=(\S*)" % key, line)
    return found.group(1) if found and found.group(1) not in ("(null)", "None", "N/A") else ""


def moment(text: str) -> "float | None":
    """Unix seconds of a time as Slurm prints it."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
