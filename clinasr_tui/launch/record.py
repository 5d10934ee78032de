"""`training_run_info.json`: everything needed to repeat a run, and what became of it (method, section 1)."""

from __future__ import annotations

import json
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
from clinasr_tui.training.run_document import finite

if TYPE_CHECKING:
    from clinasr_tui.box.record import BoxRecord
    from clinasr_tui.launch.flow import Prepared
    from clinasr_tui.launch.packing import Side
    from clinasr_tui.training.snapshot import RunSnapshot

SCHEMA = "clinasr.run/1"
LAUNCHING, STARTED, ENDED = "launching", "started", "ended"
UNCLEAR = "start unclear"
"""Contact was lost while the start was asked for: looking at the machine tells."""
_OF_A_START = (
    *("launched_at", "ended_at", "outcome", "exit_code"),
    *("hyperparameters", "data", "gate", "end", "health"),
)


def launch_record(
    prepared: Prepared,
    *,
    host: str | None,
    gate: Mapping[str, Any],
    box: BoxRecord | None = None,
    socket: str = "",
) -> dict[str, Any]:
    """What is known when a run is started; `gate` is its verdict and the typed override, if any, `box` the
    rented machine it runs on, `socket` where its Docker engine listens."""
    plan, machine, packed = prepared.plan, prepared.machine, prepared.packed
    places = plan.places
    standing, slurm = base_standing(plan.base), plan.script is not None
    return {
        "schema": SCHEMA,
        "run": places.run,
        "host": host,
        "run_dir": places.at(places.run_dir),
        "root": places.root,
        "state": LAUNCHING,
        "base": {"name": plan.base, "standing": str(standing.standing)},
        "backend": str(plan.backend),
        "image": plan.image if plan.mounts else None,
        "image_digest": prepared.image or None,
        "container": places.container if plan.mounts else None,
        "job_name": places.container if slurm else None,
        "slurm_options": dict(plan.slurm.items) if slurm else None,
        "python": plan.python,
        "nemo_root": plan.nemo_root or None,
        "cpu": plan.cpu,
        "docker_socket": socket if plan.mounts and socket else None,
        "command": plan.command,
        "overrides": plan.overrides,
        "mounts": plan.mounts,
        "hyperparameters": asdict(plan.recipe),
        "steps": plan.recipe.steps(packed.train.rows),
        "data": {**_side("train", packed.train), **_side("validation", packed.validation)},
        "gate": dict(gate),
        "consent": None if box is None else _consent(box),
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


def _consent(box: BoxRecord) -> dict[str, Any]:
    """What the operator agreed to pay; the consent log has more under the id."""
    return {
        "id": box.consent,
        "box": box.name,
        "type": box.offer.type,
        "price_per_hour": box.offer.hourly,
        "price_source": str(box.offer.source),
        "asked_at": box.asked_at,
    }


def has_started_anew(record: Mapping[str, Any]) -> bool:
    """True for a run that was to be resumed and had left no checkpoint to go on from."""
    return record.get("resumed") is True and record.get("resumed_from", "") is None


def earlier_start(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed run's record keeps of a start before."""
    return {key: record[key] for key in _OF_A_START if key in record}


def _side(name: str, side: Side) -> dict[str, Any]:
    return {
        f"{name}_rows": side.rows,
        f"{name}_seconds": round(side.seconds, 3),
        f"{name}_sha256": side.sha256,
    }


def end_record(snapshot: RunSnapshot, exit_record: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a run's end adds: outcome, last figures, alerts. No figure is there that the run did not log.

    `exit_record` is the run's exit.json, which knows when it ended and what it ran with.
    """
    left = exit_record or {}
    at = left.get("ended")
    found: dict[str, Any] = {
        "state": ENDED,
        "outcome": str(snapshot.outcome),
        "exit_code": snapshot.exit_code,
        "ended_at": at if isinstance(at, int | float) else snapshot.last_activity or time.time(),
        "end": {
            "train_loss": finite(snapshot.train_loss),
            "val_wer": [[step, finite(value)] for step, value in snapshot.val_wer],
            "steps": None if snapshot.step is None else snapshot.step + 1,
            "max_steps": snapshot.max_steps,
            "points": snapshot.points,
            "headline": snapshot.headline,
        },
        "health": [
            {
                "id": alert.id,
                "severity": str(alert.severity),
                "message": alert.message,
                "first_step": alert.first_step,
            }
            for alert in snapshot.health
        ],
    }
    if left:
        found["exit"] = {
            key: left.get(key) for key in ("signal", "asked", "oom", "started", "queued_seconds", "by")
        }
    return found


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
