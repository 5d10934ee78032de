"""What is known of a run at one moment: the types the reader produces and everybody else reads."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from clinasr_tui.training.scalars import Columns, merged

if TYPE_CHECKING:
    from clinasr_tui.training.slurm_job import SlurmJob

_MANY = 64
"""Points from which on they are taken together."""


class Phase(StrEnum):
    """What the run is doing."""

    QUEUED = "queued"
    """In Slurm's queue, or suspended there."""
    WAITING = "waiting"
    PULLING = "pulling"
    LOADING = "loading"
    SLEEPING = "sleeping"
    TRAINING = "training"
    VALIDATING = "validating"
    SAVING = "saving"
    FINISHED = "finished"
    FAILED = "failed"


class Outcome(StrEnum):
    """How the run ended, if it has."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"


class Level(StrEnum):
    """Severity of a health alert or a log line."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding about the run. `id` is one of the health ids of the command-line contract."""

    id: str
    severity: Level
    message: str
    """What is wrong, with its evidence, in one or two sentences."""
    remedy: str
    """What to do, in order."""
    first_step: int | None = None
    """0-based training step where it began, for an end the last one done; None if it has none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample prediction NeMo printed during training, as printed: untrusted text."""

    step: int | None
    reference: str
    prediction: str


@dataclass(slots=True)
class Series:
    """One scalar of the event files, merged by step, steps ascending; NaN and infinities are kept."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    walls: array[float] = field(default_factory=lambda: array("d"))
    """Unix seconds."""
    version: int = 0
    """Grows with every change, so that a widget knows when to redraw."""
    rewrites: int = 0
    """Grows when an earlier point is replaced or inserted; until then all changes were appends."""
    newest: int | None = None
    """Step of the point with the latest wall time: where the run is, also after a resume went back."""
    newest_wall: float = -math.inf

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: int, value: float, wall: float) -> None:
        """Take a point. Of two points of one step (a resumed run) the later wall time wins.

        At the same wall time NaN wins, then the greater value, so that the order in which event
        files are read does not matter.
        """
        steps = self.steps
        if not steps or step > steps[-1]:
            steps.append(step)
            self.values.append(value)
            self.walls.append(wall)
        elif not self._insert(step, value, wall):
            return
        self.version += 1
        if wall > self.newest_wall or (wall == self.newest_wall and step > (self.newest or 0)):
            self.newest, self.newest_wall = step, wall

    def extend(self, columns: Columns) -> None:
        """Take many points, as `add` would one by one."""
        if len(columns) < _MANY:
            for step, wall, value in zip(columns.steps, columns.walls, columns.values, strict=True):
                self.add(step, value, wall)
            return
        if columns.ascends and (not self.steps or columns.steps[0] > self.steps[-1]):
            new = columns
        else:
            begin = bisect_left(self.steps, min(columns.steps))
            new = merged(Columns(self.steps[begin:], self.walls[begin:], self.values[begin:]), columns)
            del self.steps[begin:], self.walls[begin:], self.values[begin:]
            self.rewrites += 1
        self.steps.extend(new.steps)
        self.walls.extend(new.walls)
        self.values.extend(new.values)
        self.version += 1
        wall, step = max(zip(columns.walls, columns.steps, strict=True))
        if self.newest is None or (wall, step) > (self.newest_wall, self.newest):
            self.newest, self.newest_wall = step, wall

    def _insert(self, step: int, value: float, wall: float) -> bool:
        """Replace or insert in the middle; False if what is there stays."""
        at = bisect_left(self.steps, step)
        if self.steps[at] == step:
            old = self.values[at]
            if wall < self.walls[at] or (wall == self.walls[at] and not (math.isnan(value) or value > old)):
                return False
            self.values[at], self.walls[at] = value, wall
        else:
            self.steps.insert(at, step)
            self.values.insert(at, value)
            self.walls.insert(at, wall)
        self.rewrites += 1
        return True

    def at(self, step: int | None) -> float | None:
        """The value logged for `step`, None if there is none."""
        if step is None:
            return None
        at = bisect_left(self.steps, step)
        return self.values[at] if at < len(self.steps) and self.steps[at] == step else None


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A run at one moment. Steps and epochs are 0-based as in the event file; None is "not known"."""

    name: str
    phase: Phase
    outcome: Outcome
    epoch: int | None = None
    max_epochs: int | None = None
    step: int | None = None
    max_steps: int | None = None
    exit_code: int | None = None
    points: int = 0
    """Loss points in the event files."""
    train_loss: float | None = None
    """Last value; may be NaN."""
    train_loss_ema: float | None = None
    val_wer: tuple[tuple[int, float], ...] = ()
    learning_rate: float | None = None
    seconds_per_step: float | None = None
    eta_seconds: float | None = None
    started: float | None = None
    """Unix seconds of the first event."""
    last_activity: float | None = None
    train_files: int | None = None
    train_hours: float | None = None
    validation_files: int | None = None
    filtered_files: int | None = None
    """Files NeMo dropped by its length filters."""
    samples: int = 0
    event_files: int = 0
    health: tuple[Alert, ...] = ()
    headline: str = ""
    """One line: what happened or happens, for example "epoch 2 of 3, step 112 of 150"."""
    damaged: int = 0
    """Damaged stretches met in the event files."""
    job: SlurmJob | None = None
    """The Slurm job it is, as far as Slurm was asked."""

    @property
    def ended(self) -> bool:
        """True once the run is over, however it ended."""
        return self.outcome not in (Outcome.RUNNING, Outcome.UNKNOWN)
