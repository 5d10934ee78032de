"""Which tuned models a workspace has: those fetched from a run, or still in a run's folder here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.workspace import RUN_INFO_FILE, small_record

if TYPE_CHECKING:
    from clinasr_tui.flywheel.workspace import Cycle, RunRef, Workspace

FETCHED_NAME = "adapted_model.nemo"


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A .nemo that a run made."""

    path: Path
    cycle: int
    """Number of the cycle the run belongs to."""
    run: str
    fetched: bool
    """False for a file in a run's own folder, which is rewritten while the run goes on."""
    best: bool = False
    """True if it was made of the best checkpoint; what the stock script saves are the last weights."""
    base: str = ""
    """Name of the model it was tuned from, "" if the run's record does not say."""


def tuned_models(workspace: Workspace, first: RunRef | None = None) -> tuple[TunedModel, ...]:
    """Every model found, the newest cycle's newest run first; those of the run `first` before all.

    Of one run the fetched one (adapted_model.nemo) comes first, then what its folder on this machine holds.
    """
    found = [model for cycle in reversed(workspace.cycles) for model in _of_cycle(cycle)]
    if first is not None:
        found.sort(key=lambda model: (model.cycle, model.run) != (first.cycle, first.name))
    return tuple(found)


def base_of(model: Path) -> str:
    """Name of the model that one was tuned from, by the record of the run it lies in; "" if none says so.

    A model lies in the run's folder, or in `checkpoints` or `best` up to two below it.
    """
    records = (folder / RUN_INFO_FILE for folder in model.absolute().parents[:3])
    found = next((path for path in records if path.is_file()), None)
    return _base(small_record(found, []) or {}) if found else ""


def has_model(workspace: Workspace, run: RunRef | None) -> bool:
    """True if a model of the run is here; where the run is not known, if there is any."""
    found = tuned_models(workspace)
    return any(run is None or (model.cycle, model.run) == (run.cycle, run.name) for model in found)


def _of_cycle(cycle: Cycle) -> Iterator[TunedModel]:
    seen = set()
    for run in reversed(cycle.runs):
        seen.add(run.folder)
        yield from _of_run(run)
    # A model put there by hand has no run: its folder's name is all there is.
    lone = (path for path in cycle.folder.glob(f"models/*/{FETCHED_NAME}") if path.parent not in seen)
    for path in _newest_first(lone):
        yield TunedModel(path, cycle.number, path.parent.name, fetched=True)


def _of_run(run: RunRef) -> Iterator[TunedModel]:
    """Models in the run's folder of the workspace, and in its own where that is on this machine."""
    base = _base(run.info)
    if (run.folder / FETCHED_NAME).is_file():
        yield TunedModel(run.folder / FETCHED_NAME, run.cycle, run.name, fetched=True, base=base)
    for folder in run_folders(run):
        for deep in ("checkpoints", "*/checkpoints", "best"):
            for path in _newest_first(folder.glob(f"{deep}/*.nemo")):
                yield TunedModel(path, run.cycle, run.name, fetched=False, best=deep == "best", base=base)


def run_folders(run: RunRef) -> list[Path]:
    """A run's folder in the workspace, then its own where that is elsewhere on this machine."""
    if run.host is not None or "\0" in run.run_dir:
        return [run.folder]
    # Unlike Path.resolve, realpath takes a link that leads back to itself.
    here, own = (Path(os.path.realpath(path)) for path in (run.folder, run.folder / run.run_dir))
    return [run.folder] if own.is_relative_to(here) else [run.folder, own]


def _base(info: Mapping[str, object]) -> str:
    base = info.get("base")
    name = base.get("name") if isinstance(base, dict) else base
    return name if isinstance(name, str) else ""


def _newest_first(paths: Iterator[Path]) -> list[Path]:
    return sorted(paths, key=_modified, reverse=True)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
