"""What is submitted to Slurm: the options of sbatch and the batch script around the run's wrapper."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.remote.slurm_ask import JOB_FILE
from clinasr_tui.text import visible
from clinasr_tui.training.layout import SLURM_LOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCRIPT_FILE = "job.sh"
END_SIGNAL, END_REASON = "SIGUSR1", "Slurm (time limit)"
"""What Slurm sends before the time limit, and what it says; nothing else sends it."""
END_LEAD = 120
"""Seconds before the time limit in which the run saves its `-last` checkpoint."""
_KEY = re.compile(r"[a-z][a-z0-9-]*")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f]")
_TELLS = "sbatch would only tell of itself, and submit nothing"
_OURS = {
    "array": "a run is one job",
    "chdir": "the job runs in its run folder",
    "clusters": "log in on the cluster that is meant",
    "error": "console and errors go into the run folder",
    "help": _TELLS,
    "input": "a run reads no input",
    "job-name": "the run is found again by it",
    "nodes": "a run launched from here uses one machine",
    "ntasks": "the run starts its own workers (devices)",
    "ntasks-per-node": "the run starts its own workers (devices)",
    "open-mode": "console and errors go into the run folder",
    "output": "console and errors go into the run folder",
    "parsable": "it is given already",
    "signal": "the run is told of its time limit by it",
    "tasks-per-node": "the run starts its own workers (devices)",
    "test-only": "use --dry-run",
    "usage": _TELLS,
    "version": _TELLS,
    "wait": "a run is detached",
    "wrap": "the script is the run's own",
}
_GPU_KEYS = {"gres", "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket"}


class SlurmOptions(NamedTuple):
    """Options of sbatch as they were chosen, in order; "" for one without a value (`exclusive`)."""

    items: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> SlurmOptions:
        """From `KEY=VALUE` or `KEY`; the later one wins. Raises InputError."""
        found: dict[str, str] = {}
        for text in texts:
            key, equals, value = text.partition("=")
            _expect_usable(key, value)
            if equals and not value:
                raise InputError(f"{key} has no value", remedy=f"Write {key}=VALUE, or leave it out")
            found[key] = value
        return cls(tuple(found.items()))

    @classmethod
    def typed(cls, line: str) -> SlurmOptions:
        """From one line, quoted as in a shell. Raises InputError."""
        try:
            return cls.of(shlex.split(line))
        except ValueError as error:
            raise InputError(f"not readable: {error}", remedy="Close the quote") from None

    @classmethod
    def recorded(cls, found: object) -> SlurmOptions:
        """From a run's record; what is no option there is left out."""
        items = found.items() if isinstance(found, dict) else ()
        return cls(tuple((key, value) for key, value in items if isinstance(value, str)))

    def and_then(self, later: SlurmOptions) -> SlurmOptions:
        """Both; of a key in both the later value."""
        return SlurmOptions(tuple({**dict(self.items), **dict(later.items)}.items()))

    def __str__(self) -> str:
        return shlex.join(_word(key, value) for key, value in self.items)


NO_OPTIONS = SlurmOptions()


def _expect_usable(key: str, value: str) -> None:
    if not _KEY.fullmatch(key) or _UNUSABLE.search(value):
        raise InputError(
            f"{visible(key + ('=' if value else '') + value)!r} is no option of sbatch",
            remedy="Write it as partition=gpu, time=04:00:00 or exclusive: sbatch's own long names",
        )
    # sbatch takes the beginning of a name for the name.
    meant = next((name for name in _OURS if name.startswith(key)), None)
    if meant is not None:
        raise InputError(f"{key} cannot be chosen: {_OURS[meant]}", remedy="Leave it out")


def _word(key: str, value: str) -> str:
    return f"{key}={value}" if value else key


def sbatch(name: str, run_dir: str, options: SlurmOptions, *, devices: int, cpu: bool) -> list[str]:
    """The submission as an argument list. GPUs are asked for as `gres` unless an option does."""
    chosen = dict(options.items)
    # They come first: one whose value was forgotten would take the script for it.
    words = [_word(key, value) for key, value in options.items]
    words += ["parsable", f"job-name={name}", f"chdir={run_dir}", f"output={SLURM_LOG}", "open-mode=truncate"]
    words.append(f"signal=B:{END_SIGNAL.removeprefix('SIG')}@{END_LEAD}")
    if "no-requeue" not in chosen:
        words.append("requeue")
    if not cpu and not _GPU_KEYS & chosen.keys():
        words.append(f"gres=gpu:{devices}")
    return ["sbatch", *(f"--{word}" for word in dict.fromkeys(words)), f"{run_dir}/{SCRIPT_FILE}"]


def script(run: str, run_dir: str, wrapper: Sequence[str]) -> str:
    """The batch script: it becomes the run's wrapper, so that a signal to the batch process reaches that."""
    place = shlex.quote(f"{run_dir}/{JOB_FILE}")
    return f"""#!/bin/sh
# clinasr-tui: run {run}. Started again by Slurm (preempted, failed node) it goes on from its last checkpoint.
# The run starts its own workers. With these set Lightning would expect srun to have done so, and NeMo would
# take each for the first. The time limit's signal is the wrapper's: it must not end this shell before.
trap '' USR1
unset SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_PROCID SLURM_LOCALID SLURM_NODEID
[ -e {place} ] || printf '{{"job": "%s"}}' "$SLURM_JOB_ID" > {place}
exec {shlex.join(wrapper)}
"""


def spec_of_job() -> Mapping[str, object]:
    """What the wrapper is told beside the rest: Slurm shares out the GPUs, and says when time is up."""
    return {"lock": "", "ends": {END_SIGNAL: END_REASON}}
