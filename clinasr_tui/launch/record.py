"""`training_run_info.json`: everything needed to repeat a run, and what became of it (method, section 1)."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui import __version__
from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.bases import base_standing
from clinasr_tui.flywheel.files import open_input, write_atomically
from clinasr_tui.flywheel.workspace import RUN_INFO_FILE

if TYPE_CHECKING:
    from clinasr_tui.launch.flow import Prepared
    from clinasr_tui.launch.packing import Side
    from clinasr_tui.training.snapshot import RunSnapshot

SCHEMA = "clinasr.run/1"


def launch_record(
    prepared: Prepared,
    *,
    host: str | None,
    gate: Mapping[str, Any],
    consent: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is known when a run is started; `gate` is its verdict and the typed override, if any."""
    plan, machine, packed = prepared.plan, prepared.machine, prepared.packed
    places = plan.places
    standing = base_standing(plan.base)
    return {
        "schema": SCHEMA,
        "run": places.run,
        "host": host,
        "run_dir": places.at(places.run_dir),
        "state": "launching",
        "base": {"name": plan.base, "standing": str(standing.standing)},
        "backend": str(plan.backend),
        "image": plan.image if plan.mounts else None,
        "image_digest": prepared.image or None,
        "container": places.container if plan.mounts else None,
        "command": plan.command,
        "overrides": plan.overrides,
        "mounts": plan.mounts,
        "hyperparameters": asdict(plan.recipe),
        "steps": plan.recipe.steps(packed.train.rows),
        "data": {**_side("train", packed.train), **_side("validation", packed.validation)},
        "gate": dict(gate),
        "consent": dict(consent) if consent else None,
        "machine": {
            "gpus": [
                {"name": gpu.name, "memory_mib": gpu.memory_mib, "capability": list(gpu.capability)}
                for gpu in machine.gpus
            ],
            "driver": machine.driver,
            "cpus": machine.cpus,
            "memory": machine.memory,
        },
        "versions": {"clinasr-tui": __version__},
        "resumed": plan.resume,
        "launched_at": time.time(),
    }


def _side(name: str, side: Side) -> dict[str, Any]:
    return {
        f"{name}_rows": side.rows,
        f"{name}_seconds": round(side.seconds, 3),
        f"{name}_sha256": side.sha256,
    }


def end_record(snapshot: RunSnapshot) -> dict[str, Any]:
    """What a run's end adds: outcome, last figures, alerts. No figure is there that the run did not log."""
    return {
        "state": "ended",
        "outcome": str(snapshot.outcome),
        "exit_code": snapshot.exit_code,
        "ended_at": time.time(),
        "end": {
            "train_loss": _finite(snapshot.train_loss),
            "val_wer": [[step, _finite(value)] for step, value in snapshot.val_wer],
            "steps": None if snapshot.step is None else snapshot.step + 1,
            "points": snapshot.points,
        },
        "health": [
            {"id": alert.id, "severity": str(alert.severity), "message": alert.message}
            for alert in snapshot.health
        ],
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def write_record(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write the record into the run's folder of the workspace, whole or not at all."""
    path = folder / RUN_INFO_FILE
    write_atomically(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    return path


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a run. Raises InputError if it is missing or no JSON object."""
    path = folder / RUN_INFO_FILE
    with open_input(path, "run record") as stream:
        try:
            record = json.loads(stream.read())
        except ValueError as error:
            raise InputError(f"not valid JSON ({error})", where=str(path)) from None
    if not isinstance(record, dict):
        raise InputError("not a JSON object", where=str(path))
    return record


def amend_record(folder: Path, changes: Mapping[str, Any]) -> None:
    """Change some of a record's keys and keep the rest, also what others have written there."""
    write_record(folder, {**read_record(folder), **changes})
