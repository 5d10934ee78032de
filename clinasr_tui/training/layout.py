"""Which files of a run folder matter and what each is."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath


class FileKind(StrEnum):
    """What a file of a run folder holds."""

    CONSOLE = "console"
    """console.log (both streams) or stdout.log."""
    STDERR = "stderr"
    EVENTS = "events"
    NEMO_LOG = "nemo_log"
    """Used as console only where no console was captured."""
    EXIT = "exit"
    """exit.json of our launcher ({"exit_code": 0, …}) or an `rc` file (last word is the code)."""
    GPU = "gpu"
    """nvidia-smi query output."""
    RECORD = "record"
    """training_run_info.json, where the launcher left one in the run folder."""
    WRITERS = "writers"
    """What a follower saw of the processes that write the run's files."""
    SLURM = "slurm"
    """What Slurm said of the run's job."""


GPU_LIVE = "nvidia-smi.live.csv"
"""Name, in the mirror, of what nvidia-smi printed while the run was followed; no file on the host."""

WRITERS_LIVE = "writers.live.txt"
"""Name, in the mirror, of when a process had the run's files open and when none any more."""

SLURM_LIVE = "slurm.live.jsonl"
"""Name, in the mirror, of what Slurm said of the run's job."""

SLURM_LOG = "slurm.log"
"""What Slurm itself and the batch script print: a word about its end, no console."""

LIVE_FILES = (GPU_LIVE, WRITERS_LIVE, SLURM_LIVE)
"""Files a follower makes itself."""

# fnmatch patterns relative to the run folder that a follower looks for, at most three folders down.
WATCHED_PATTERNS = (
    "console.log",
    "stdout.log",
    "stderr.log",
    "rc",
    "exit.json",
    "nvidia-smi.csv",
    "gpu.csv",
    GPU_LIVE,
    WRITERS_LIVE,
    SLURM_LIVE,
    SLURM_LOG,
    "training_run_info.json",
    "*events.out.tfevents.*",
    "*nemo_log_globalrank-0_localrank-0.txt",
)

_BY_NAME = {
    "console.log": FileKind.CONSOLE,
    "stdout.log": FileKind.CONSOLE,
    "stderr.log": FileKind.STDERR,
    "rc": FileKind.EXIT,
    "exit.json": FileKind.EXIT,
    "nemo_log_globalrank-0_localrank-0.txt": FileKind.NEMO_LOG,
    "nvidia-smi.csv": FileKind.GPU,
    "gpu.csv": FileKind.GPU,
    GPU_LIVE: FileKind.GPU,
    WRITERS_LIVE: FileKind.WRITERS,
    SLURM_LIVE: FileKind.SLURM,
    SLURM_LOG: FileKind.STDERR,
    "training_run_info.json": FileKind.RECORD,
}
_EARLIER_START = re.compile(r"run_\d+")


def kind_of(path: str) -> FileKind | None:
    """What a file is, by its path relative to the run folder; None if it does not matter.

    Text logs under `run_<n>/` belong to an earlier start of the same run and do not matter; event
    files there still hold points of it.
    """
    parts = PurePosixPath(path)
    if ".tfevents." in parts.name:
        return FileKind.EVENTS
    if any(_EARLIER_START.fullmatch(folder) for folder in parts.parts[:-1]):
        return None
    return _BY_NAME.get(parts.name)
