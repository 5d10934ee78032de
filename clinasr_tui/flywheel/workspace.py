"""A workspace: its cycles, runs and settings, and the stepper that says what comes next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunRef:
    """A fine-tuning run known to a workspace: `cycle<N>/models/<name>/training_run_info.json`."""

    name: str
    cycle: int
    folder: Path
    """The local folder of the run; mirrored logs live in `folder / "mirror"`."""
    run_dir: str
    """The run folder on `host`, or a local path if `host` is None (relative to `folder`)."""
    host: str | None
    """Host alias of the ssh config, None for this machine."""
    info: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One `cycle<N>` folder and what was found in it; absent files are None."""

    number: int
    folder: Path
    manifest: Path | None
    hypotheses: Path | None
    """per_sample.json (baseline) or offline_hyps.jsonl (re-evaluation); the later one wins."""
    train: Path | None
    validation: Path | None
    leaderboard: Path | None
    model: str
    """Label of the model that was scored (`eval_info.json`), "" if unknown."""
    runs: tuple[RunRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """`clinasr.toml` of the workspace; every key has a default."""

    priority: tuple[str, ...] = ("drug",)
    base: str = ""
    ssh_config: Path | None = None
    """ssh config to read instead of ~/.ssh/config."""
    known_hosts: Path | None = None
    """Our own known-hosts file; None means the one in the operator's state folder."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with cycles, in number order."""

    root: Path
    name: str
    cycles: tuple[Cycle, ...]
    settings: Settings

    def cycle(self, number: int) -> Cycle | None:
        """The cycle with this number."""
        return next((cycle for cycle in self.cycles if cycle.number == number), None)

    @property
    def runs(self) -> tuple[RunRef, ...]:
        """All runs, oldest cycle first."""
        return tuple(run for cycle in self.cycles for run in cycle.runs)

    def held_out(self, number: int) -> frozenset[tuple[str, str]] | None:
        """(audio_filepath, term) keys of the validation rows of the latest earlier-or-same split."""
        raise NotImplementedError


def open_workspace(root: Path) -> Workspace:
    """Find what is in a folder. Raises InputError if it is no workspace and no cycle.

    A cycle folder opens as the workspace around it (its parent).
    """
    raise NotImplementedError


def open_cycle(folder: Path) -> Cycle:
    """One cycle folder on its own. Raises InputError saying what a cycle needs."""
    raise NotImplementedError


class StepState(StrEnum):
    """State of a step of the flywheel."""

    DONE = "done"
    RUNNING = "running"
    READY = "ready"
    BLOCKED = "blocked"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the stepper: `screen` is where Enter leads, `detail` the reason or next action."""

    id: str
    label: str
    state: StepState
    detail: str
    screen: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the stepper needs beyond files: results computed in workers (None: not known yet)."""

    preflight_errors: int | None = None
    gate_passed: bool | None = None
    gate_reason: str = ""
    run_outcome: str | None = None
    """training.snapshot.Outcome of the newest run as text, None if not watched yet."""
    run_progress: str = ""
    """For example "epoch 2/3, about 40 s left"."""
    verdict: str | None = None
    """Verdict of the newest comparison."""


def steps(workspace: Workspace, facts: Facts) -> tuple[Step, ...]:
    """manifest, baseline, gate, split, box, train, re-eval, decide, deploy, in this order."""
    raise NotImplementedError


def next_step(all_steps: tuple[Step, ...]) -> Step | None:
    """The step to do next: the running one, else the first ready one, else the first blocked one."""
    raise NotImplementedError
