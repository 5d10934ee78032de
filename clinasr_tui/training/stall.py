"""Silence: when it is still normal, when it is a stall, and a GPU that has little to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.training.findings import RESUME, duration
from clinasr_tui.training.gpu import idle_seconds, usual_utilisation, worked_within
from clinasr_tui.training.snapshot import Alert, Level, Outcome, Phase

if TYPE_CHECKING:
    from clinasr_tui.training.findings import Findings

LOW_USE = 15.0
"""Median utilisation (per cent) below which a GPU waits more than it works."""
LOW_USE_OVER = 600.0
"""Seconds the utilisation is judged over; a run with less left than that is not worth changing."""
GIVEN_UP = 7200.0
"""Seconds of silence after which nobody can say that a run still goes on."""
_GPU_WORKS = 3
"""How many times longer silence is normal while the GPU works."""


def patience(found: Findings) -> float | None:
    """Seconds of silence that are still normal, from the run's own rhythm; None if any silence is.

    Downloads and loading may take half an hour. A validation or a checkpoint may take ten minutes the
    first time; afterwards the longest gap so far tells.
    """
    if found.phase in (Phase.QUEUED, Phase.WAITING, Phase.PULLING):
        return None
    if found.phase in (Phase.LOADING, Phase.SLEEPING) or found.rhythm.between_points is None:
        return 1800.0
    own = max(60.0, 20 * found.rhythm.between_points, 3 * found.rhythm.longest_gap)
    main = found.told.main
    pausing = (
        found.phase in (Phase.VALIDATING, Phase.SAVING) or not main.batches or main.batch >= main.batches - 1
    )
    return min(3600.0, max(own, 600.0) if pausing else own)


def stalled(found: Findings) -> Alert | None:
    """No bytes, and no work on the GPU where its figures are known, for longer than is normal here."""
    if found.silence is None or found.outcome is not Outcome.RUNNING or found.gone:
        return None
    limit = patience(found)
    if limit is None or found.silence <= limit:
        return None
    idle = idle_seconds(found.gpus)
    works = worked_within(found.gpus, min(limit, found.silence)) is True
    if works and found.silence <= _GPU_WORKS * limit:
        return None
    pace = found.rhythm.between_points
    usual = f"; points used to come every {pace:.1f} s" if pace is not None else ""
    return Alert(
        "stalled",
        Level.WARNING,
        f"Nothing new for {duration(found.silence)}{_gpu(idle, works)}{usual}.",
        _remedy(works=works, known=idle is not None),
        found.step,
    )


def _gpu(idle: float | None, works: bool) -> str:
    if works:
        return " although the GPU is busy"
    return "" if not idle else f" and no GPU work for {duration(idle)}"


def _remedy(*, works: bool, known: bool) -> str:
    if works:
        return (
            "A busy GPU and no output can be processes that wait for each other (of several GPUs one has "
            "died) or another program on the card: see with nvidia-smi whose it is."
        )
    look = "See whether the process still lives" + ("" if known else " and the GPU works (nvidia-smi)")
    return f"{look}; a hung data loader or a full disk look like this."


def gone(found: Findings) -> Alert | None:
    """The process has gone without a finish line or an exit code: killed, or the machine restarted."""
    if not found.gone:
        return None
    return Alert(
        "crashed",
        Level.ERROR,
        "No process writes to this run any more, and nothing says how it ended: neither finish line nor exit "
        "code.",
        "It was killed, or the machine was restarted (the host's dmesg and `last -x` tell). To go on: "
        f"{RESUME}.",
        found.step,
    )


def low_gpu(found: Findings) -> Alert | None:
    """A GPU that mostly waits, over ten minutes of plain training with at least as much to come."""
    if found.outcome is not Outcome.RUNNING or found.phase is not Phase.TRAINING or found.silence is None:
        return None
    walls = found.timeline.loss.walls
    if found.eta is None or found.eta < LOW_USE_OVER or not walls or found.silence > 60:
        return None
    usual = usual_utilisation(found.gpus, LOW_USE_OVER)
    if usual is None or usual >= LOW_USE or _trained_for(found) < LOW_USE_OVER:
        return None
    last = max(found.gpus, key=lambda track: track.samples[-1].utilisation or 0.0)
    used, total = last.samples[-1].memory, last.memory_total
    free = f", {used / total:.0%} of its memory in use" if used is not None and total else ""
    return Alert(
        "low_gpu",
        Level.WARNING,
        f"The GPU works only {usual:.0f} % of the time (median of the last ten minutes{free}).",
        "The data loader is the likely brake: more model.train_ds.num_workers, audio on a local disk, a "
        "larger batch_size where memory is free. Or take a smaller, cheaper GPU next time.",
    )


def _trained_for(found: Findings) -> float:
    """Seconds since the first loss point of the run's last start without a pause between them."""
    walls = found.timeline.loss.walls
    index = len(walls) - 1
    while index > 0 and 0 <= walls[index] - walls[index - 1] <= 120:
        index -= 1
        if walls[-1] - walls[index] >= LOW_USE_OVER:
            break
    return walls[-1] - walls[index]


def given_up(found: Findings) -> bool:
    """True if "running" would be a guess: its process has gone or it has been silent for hours."""
    if found.gone:
        return True
    in_slurm = found.told.job is not None and found.told.job.lives
    if found.silence is None or found.outcome is not Outcome.RUNNING or in_slurm:
        return False
    return found.silence > GIVEN_UP and not worked_within(found.gpus, 600.0)
