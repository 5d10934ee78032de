"""Everything the streams of a run have told, joined: what snapshot, outcome and alerts are judged from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clinasr_tui.training.exit_record import ExitRecord
from clinasr_tui.training.facts import Dataset, Facts
from clinasr_tui.training.slurm_job import SKEW

if TYPE_CHECKING:
    from clinasr_tui.training.slurm_job import SlurmJob
    from clinasr_tui.training.snapshot import Phase


@dataclass(slots=True)
class Told:
    """The joined facts of the streams that count. `main` is the one with bars and NeMo's messages."""

    main: Facts
    exit: ExitRecord | None = None
    job: SlurmJob | None = None
    """The Slurm job it is, as far as Slurm was asked."""
    hears_end: bool = False
    """True if the stream that carries the finish line and tracebacks was captured."""
    heard: bool = False
    """True if any text came."""
    max_epochs: int | None = None
    max_steps: int | None = None
    log_every: int | None = None
    precision: str | None = None
    tdt: bool = False
    finished: bool = False
    failed: bool = False
    """An exception ended the script, as far as the text says."""
    exception: str | None = None
    stop_signal: str | None = None
    stop_reason: str | None = None
    """Who stopped it, where more is known than the signal."""
    killed: str | None = None
    """Signal that ended the script, by a shell's or scheduler's word."""
    validations: list[tuple[int, float]] = field(default_factory=list)
    evidence: dict[str, str] = field(default_factory=dict)
    survived: set[str] = field(default_factory=set)
    """Causes after which training went on."""
    expected_train: int | None = None
    """Rows of the training manifest, by the run's record."""
    expected_validation: int | None = None

    @property
    def phase(self) -> Phase:
        """What the main stream says the run is doing."""
        return self.main.phase

    @property
    def train_set(self) -> Dataset | None:
        """The training manifest: the first one the script loads."""
        return self.main.datasets[0] if self.main.datasets else None

    @property
    def validation_set(self) -> Dataset | None:
        """The validation manifest: the second one the script loads."""
        return self.main.datasets[1] if len(self.main.datasets) > 1 else None

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps in an epoch."""
        if self.main.batches is not None:
            return -(-self.main.batches // self.main.accumulate)
        if self.max_steps and self.max_epochs and self.max_epochs > 0:
            return -(-self.max_steps // self.max_epochs)
        return None


def join(
    main: Facts | None, streams: Iterable[Facts], exit_record: ExitRecord | None, hears_end: bool
) -> Told:
    """Join the facts of all streams. A stream that has not heard of the last start yet is left out.

    Once an exit record is there nothing newer can come, so that every stream counts.
    """
    everyone = list(streams)
    starts = max((facts.starts for facts in everyone), default=0)
    current = [facts for facts in everyone if starts in (facts.starts, 1) or exit_record is not None]
    told = Told(main or Facts(), exit=exit_record, hears_end=hears_end, heard=bool(everyone))
    for facts in current:
        told.max_epochs = told.max_epochs or facts.max_epochs
        told.max_steps = told.max_steps or facts.max_steps
        told.log_every = told.log_every or facts.log_every
        told.precision = told.precision or facts.precision
        told.tdt = told.tdt or facts.tdt
        told.finished = told.finished or facts.finished
        told.failed = told.failed or facts.crashed or facts.fatal
        told.exception = told.exception or facts.exception
        told.stop_signal = told.stop_signal or facts.stop_signal
        told.stop_reason = told.stop_reason or facts.stop_reason
        told.killed = told.killed or facts.killed
        told.validations = told.validations or facts.validations
        for cause, line in facts.evidence.items():
            if cause not in told.evidence and facts.survived(cause):
                told.survived.add(cause)
            told.evidence.setdefault(cause, line)
    if exit_record is not None:
        told.stop_signal = told.stop_signal or exit_record.asked
        if exit_record.code is not None:
            told.stop_reason = exit_record.reason or told.stop_reason
    if exit_record is not None and exit_record.oom:
        told.evidence.setdefault("oom", "the container was killed for exceeding its memory")
    return told


def with_job(told: Told, job: SlurmJob | None) -> None:
    """Weigh Slurm's word of the run's job against what the run has told, and complete that.

    The exit record is the truth where it is this start's; Slurm's word stands where there is none.
    """
    if job is None or not job.state:
        return
    told.job = job
    left = told.exit.ended if told.exit else None
    if job.waits:
        if left is not None and left > job.at + SKEW:
            told.job = None
        else:
            # What an earlier start left does not count: it is going to be started again.
            told.exit, told.finished, told.failed, told.stop_signal = None, False, False, None
            told.exception, told.killed = None, None
        return
    if left is not None and job.submitted is not None and left < job.submitted:
        told.exit = None
    if job.ended_by is not None and not told.finished:
        told.stop_reason = (told.exit.reason if told.exit else None) or job.ended_by
    if job.stopped_by is not None and not told.finished:
        told.stop_signal = told.stop_signal or "SIGTERM"
    if told.exit is None and job.out_of_memory:
        told.evidence.setdefault("oom", "the job used more memory than Slurm had given it (--mem)")
    if told.exit is None and job.has_exit_code:
        told.exit = ExitRecord(job.exit_code, oom=job.out_of_memory)
    elif told.exit is None and job.node_failure:
        told.failed, told.exception = True, told.exception or job.node_failure
