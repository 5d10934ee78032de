"""The probe: says in one line of JSON what a machine has. It runs on the host.

Its source goes to the host's `python3` through standard input, after that of `slurm_ask`, so it needs only
the standard library and Python 3.6. The request is {"folder": str, "socket": str}: where a run would keep its
files, and Docker's socket.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes.
# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH120

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from typing import Any

# The two go to the host as one script, this one last.
if __name__ != "__main__":
    from clinasr_tui.remote.slurm_ask import said, tool

QUERY = ("name", "memory.total", "compute_cap", "driver_version")
PATIENCE = 20  # seconds for nvidia-smi, which is slow to wake a sleeping GPU


def gpus() -> "tuple[list[list[str]], str]":
    """One row of QUERY's columns a GPU, and why there is none."""
    if not shutil.which("nvidia-smi"):
        return [], "nvidia-smi is not installed"
    command = ["nvidia-smi", "--query-gpu=" + ",".join(QUERY), "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603 (words of our own)
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], "nvidia-smi: " + str(error)
    said = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        return [], said.splitlines()[-1] if said else "nvidia-smi failed"
    return [[cell.strip() for cell in line.split(",")] for line in said.splitlines()], ""


def docker_state(place: str) -> str:
    """Whether Docker's socket answers this account: "ok", "missing", "denied" or "silent"."""
    if not os.path.exists(place):
        return "missing"
    client = socket.socket(socket.AF_UNIX)
    try:
        client.settimeout(5)
        client.connect(place)
    except PermissionError:
        return "denied"
    except OSError:
        return "silent"
    finally:
        client.close()
    return "ok"


def slurm() -> "dict[str, Any]":
    """Whether jobs can be submitted from here, "ok", "missing" or "silent"; partitions as sinfo's rows."""
    if not tool("sbatch"):
        return {"state": "missing", "trouble": "", "partitions": []}
    code, lines, complaint = said(["sinfo", "--noheader", "--format=%P|%l|%G"])
    rows = [[cell.strip().replace("(null)", "") for cell in line.split("|")] for line in lines.splitlines()]
    return {"state": "silent" if code else "ok", "trouble": complaint, "partitions": rows}


def disk(folder: str) -> "tuple[int, int]":
    """Free and total bytes of the disk a folder is or would be on."""
    place = os.path.abspath(os.path.expanduser(folder))
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    usage = shutil.disk_usage(place)
    return usage.free, usage.total


def memory() -> int:
    """Bytes of memory, 0 if unknown."""
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def look(request: "dict[str, Any]") -> "dict[str, Any]":
    """All of it."""
    found, trouble = gpus()
    free, total = disk(str(request["folder"]))
    return {
        "t": "machine",
        "gpus": found,
        "gpu_trouble": trouble,
        "docker": docker_state(str(request["socket"])),
        "slurm": slurm(),
        "disk_free": free,
        "disk_total": total,
        "folder": os.path.abspath(os.path.expanduser(str(request["folder"]))),
        "memory": memory(),
        "cpus": os.cpu_count() or 1,
        "python": sys.version.split()[0],
        "uid": os.getuid(),
        "gid": os.getgid(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look(json.loads(sys.stdin.buffer.readline().decode()))) + "\n")
