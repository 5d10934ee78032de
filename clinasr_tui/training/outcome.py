"""How a run ended, what it is doing, and one line that says so.

Finished is the finish line and exit code 0 and a finite loss: exit code 0 alone also comes from
SIGTERM and from a run whose loss was NaN to the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clinasr_tui.training.snapshot import Alert, Level, Outcome, Phase, RunSnapshot

if TYPE_CHECKING:
    from clinasr_tui.training.told import Told

_STOPS = ("SIGTERM", "SIGINT")
_REASONS = {
    "oom": "out of GPU memory",
    "missing_audio": "an audio file is missing",
    "bad_manifest": "the manifest cannot be read",
    "disk_full": "the disk is full",
    "shm": "shared memory ran out",
}


def decide(told: Told, *, loss_is_bad: bool, step: int | None, has_points: bool) -> Outcome:
    """The outcome as far as it is known; `loss_is_bad` is a last loss that is NaN or infinite."""
    if told.job is not None and told.job.waits:
        return Outcome.RUNNING
    success = Outcome.DIVERGED if loss_is_bad else Outcome.FINISHED
    if told.exit is not None:
        return _with_exit(told, success, step)
    if told.failed:
        return Outcome.INTERRUPTED if _was_stopped(told) else Outcome.FAILED
    if told.finished:
        return success
    if told.stop_signal:
        return Outcome.INTERRUPTED if _was_stopped(told) else Outcome.FAILED
    return Outcome.RUNNING if told.heard or has_points else Outcome.UNKNOWN


def _with_exit(told: Told, success: Outcome, step: int | None) -> Outcome:
    assert told.exit is not None
    if told.exit.code is None and told.finished:
        return success
    if told.exit.code == 0 and not told.exit.oom:
        at_end = step is not None and told.max_steps is not None and step + 1 >= told.max_steps
        if told.finished or (at_end and not told.hears_end and told.exit.asked is None):
            return success
        return Outcome.INTERRUPTED if told.hears_end or told.exit.asked else Outcome.UNKNOWN
    if told.exit.signal_name in _STOPS or _was_stopped(told):
        return Outcome.INTERRUPTED
    return Outcome.FAILED


def _was_stopped(told: Told) -> bool:
    """Stopped from outside: a signal is named and no exception but the interrupt's own.

    When one process of several fails or runs out of memory, the others are sent SIGTERM: the failure is
    what counts.
    """
    own = told.exception is None or told.exception.startswith(("KeyboardInterrupt", "SystemExit"))
    out_of_memory = "oom" in told.evidence and "oom" not in told.survived
    return told.stop_signal is not None and own and told.killed is None and not out_of_memory


def phase_of(told: Told, outcome: Outcome, has_points: bool) -> Phase:
    """What the run is doing. Without progress bars the points of its last start say that it trains."""
    if outcome is Outcome.FINISHED:
        return Phase.FINISHED
    if outcome in (Outcome.FAILED, Outcome.DIVERGED, Outcome.INTERRUPTED):
        return Phase.FAILED
    if told.job is not None and told.job.waits:
        return Phase.QUEUED
    quiet = told.main.epoch is None and told.phase in (Phase.WAITING, Phase.LOADING)
    return Phase.TRAINING if quiet and has_points else told.phase


def headline(snapshot: RunSnapshot) -> str:
    """One line for people: epochs count from 1, "step 112 of 150" counts steps done."""
    if snapshot.outcome is Outcome.FINISHED:
        return f"finished: {_done(snapshot)}{_val_wer(snapshot)}"
    if snapshot.outcome is Outcome.DIVERGED:
        return f"diverged: {_nan(snapshot)}{_hidden_by(snapshot)}"
    if snapshot.outcome is Outcome.FAILED:
        return f"failed: {_reason(snapshot)}{_exit(snapshot)}{_where(snapshot)}"
    if snapshot.outcome is Outcome.INTERRUPTED:
        return f"interrupted{_where(snapshot).replace(',', '')}{_exit(snapshot)}"
    return _unknown(snapshot) if snapshot.outcome is Outcome.UNKNOWN else _going_on(snapshot)


def _unknown(snapshot: RunSnapshot) -> str:
    if snapshot.exit_code is not None:
        return f"exit code {snapshot.exit_code}, but nothing says how the run went"
    if snapshot.phase is Phase.WAITING and not snapshot.points:
        return "waiting for the run to say something"
    if _alert(snapshot, "crashed"):
        return f"the process has gone{_where(snapshot)}; nothing says how the run ended"
    return f"nothing new for hours{_where(snapshot)}; nothing says whether or how the run ended"


def _going_on(snapshot: RunSnapshot) -> str:
    plain = {
        Phase.WAITING: "waiting for the run to say something",
        Phase.PULLING: "pulling the container image",
        Phase.LOADING: "loading the model and the data",
        Phase.SLEEPING: "sleeping at least 60 s for the model download: meant, not a hang",
    }
    if snapshot.phase is Phase.QUEUED and snapshot.job is not None:
        return snapshot.job.line()
    if snapshot.phase in plain:
        return plain[snapshot.phase]
    parts = []
    if snapshot.epoch is not None:
        parts.append(
            f"epoch {snapshot.epoch + 1}" + (f" of {snapshot.max_epochs}" if snapshot.max_epochs else "")
        )
    parts.append(_step(snapshot) or "training")
    if snapshot.phase is Phase.VALIDATING:
        parts.append("validating")
    elif snapshot.phase is Phase.SAVING:
        parts.append("saving a checkpoint")
    if any(alert.id == "nan_loss" and alert.severity is Level.ERROR for alert in snapshot.health):
        parts.append(_nan(snapshot))
    return ", ".join(parts)


def _step(snapshot: RunSnapshot) -> str:
    if snapshot.step is None:
        return ""
    return f"step {snapshot.step + 1}" + (f" of {snapshot.max_steps}" if snapshot.max_steps else "")


def _done(snapshot: RunSnapshot) -> str:
    return "no step recorded" if snapshot.step is None else f"{snapshot.step + 1} steps"


def _val_wer(snapshot: RunSnapshot) -> str:
    if not snapshot.val_wer:
        return ""
    last = snapshot.val_wer[-1]
    best = min(snapshot.val_wer, key=lambda point: point[1] if point[1] == point[1] else math.inf)
    behind = "" if best[1] == last[1] else f" (best {best[1]:.3f} at step {best[0]})"
    return f", val WER {last[1]:.3f}{behind}"


def _nan(snapshot: RunSnapshot) -> str:
    alert = _alert(snapshot, "nan_loss")
    since = f" since step {alert.first_step}" if alert and alert.first_step is not None else ""
    return f"loss is NaN{since}"


def _hidden_by(snapshot: RunSnapshot) -> str:
    return "; exit code 0 hides it" if snapshot.exit_code == 0 else "; the log does not say so"


def _reason(snapshot: RunSnapshot) -> str:
    for alert in snapshot.health:
        if alert.id in _REASONS:
            return _REASONS[alert.id]
    crash = _alert(snapshot, "crashed")
    return crash.message if crash else "the script ended with an error"


def _exit(snapshot: RunSnapshot) -> str:
    return "" if snapshot.exit_code is None else f" (exit code {snapshot.exit_code})"


def _where(snapshot: RunSnapshot) -> str:
    step = _step(snapshot)
    return f", at {step}" if step else ""


def _alert(snapshot: RunSnapshot, name: str) -> Alert | None:
    return next((alert for alert in snapshot.health if alert.id == name), None)
