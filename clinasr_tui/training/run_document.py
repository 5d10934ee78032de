"""A run as the JSON document of `watch --json`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinasr_tui.training.slurm_job import SlurmJob
    from clinasr_tui.training.snapshot import RunSnapshot


def to_json(snapshot: RunSnapshot) -> dict[str, Any]:
    """The document of `watch --json`, without its schema key. What is not finite is null."""
    loss = snapshot.train_loss
    return {
        "name": snapshot.name,
        "phase": str(snapshot.phase),
        "outcome": str(snapshot.outcome),
        "headline": snapshot.headline,
        "epoch": snapshot.epoch,
        "max_epochs": snapshot.max_epochs,
        "step": snapshot.step,
        "max_steps": snapshot.max_steps,
        "exit_code": snapshot.exit_code,
        "points": snapshot.points,
        "train_loss": {
            "last": finite(loss),
            "ema": finite(snapshot.train_loss_ema),
            "finite": None if loss is None else math.isfinite(loss),
        },
        "val_wer": [[step, finite(value)] for step, value in snapshot.val_wer],
        "learning_rate": finite(snapshot.learning_rate),
        "eta_seconds": finite(snapshot.eta_seconds),
        "event_files": snapshot.event_files,
        "train_files": snapshot.train_files,
        "validation_files": snapshot.validation_files,
        "filtered_files": snapshot.filtered_files,
        "job": _job(snapshot.job),
        "health": [
            {
                "id": alert.id,
                "severity": str(alert.severity),
                "message": alert.message,
                "remedy": alert.remedy,
                "first_step": alert.first_step,
            }
            for alert in snapshot.health
        ],
    }


def _job(job: SlurmJob | None) -> dict[str, Any] | None:
    """The Slurm job the run is; None for a run that is none, or of which Slurm was not asked."""
    if job is None:
        return None
    return {"id": job.id, "state": job.state, "reason": job.reason or None, "restarts": job.restarts}


def finite(value: float | None) -> float | None:
    """A number JSON can carry; None for NaN and infinities."""
    return value if value is not None and math.isfinite(value) else None
