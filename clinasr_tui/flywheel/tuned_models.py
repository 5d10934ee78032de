"""Which tuned models a workspace has: those fetched from a run, or still in a run's folder here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.flywheel.workspace import Cycle, RunRef, Workspace

FETCHED_NAME = "adapted_model.nemo"


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A .nemo of a run; it holds the run's last weights."""

    path: Path
    cycle: int
    """Number of the cycle the run belongs to."""
    run: str
    fetched: bool
    """False for the file in a run's own folder, which is rewritten while the run goes on."""


def tuned_models(workspace: Workspace, first: RunRef | None = None) -> tuple[TunedModel, ...]:
    """Every model found, the newest cycle's newest run first; those of the run `first` before all.

    Fetched ones (adapted_model.nemo) come before the .nemo files in the same run's folder on this machine.
    """
    found = [model for cycle in reversed(workspace.cycles) for model in _of_cycle(cycle)]
    if first is not None:
        found.sort(key=lambda model: (model.cycle, model.run) != (first.cycle, first.name))
    return tuple(found)


def _of_cycle(cycle: Cycle) -> Iterator[TunedModel]:
    seen = set()
    for run in reversed(cycle.runs):
        seen.add(run.folder)
        yield from _of_folder(run.folder, cycle.number, run.name)
        own = (run.folder / run.run_dir).resolve() if run.host is None else None
        if own is not None and not own.is_relative_to(run.folder.resolve()):
            yield from _checkpoints(own, cycle.number, run.name)
    # A model put there by hand has no run: its folder's name is all there is.
    lone = (path for path in cycle.folder.glob(f"models/*/{FETCHED_NAME}") if path.parent not in seen)
    for path in sorted(lone, key=_modified, reverse=True):
        yield TunedModel(path, cycle.number, path.parent.name, fetched=True)


def _of_folder(folder: Path, cycle: int, run: str) -> Iterator[TunedModel]:
    if (folder / FETCHED_NAME).is_file():
        yield TunedModel(folder / FETCHED_NAME, cycle, run, fetched=True)
    yield from _checkpoints(folder, cycle, run)


def _checkpoints(folder: Path, cycle: int, run: str) -> Iterator[TunedModel]:
    """The .nemo files the stock script leaves in `checkpoints/`, in the folder or one below it."""
    files = {path for deep in ("", "*/") for path in folder.glob(f"{deep}checkpoints/*.nemo")}
    for path in sorted(files, key=_modified, reverse=True):
        yield TunedModel(path, cycle, run, fetched=False)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
