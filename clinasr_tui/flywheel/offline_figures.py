"""Where a tuned model's offline figures are: in the cycle whose eval_info.json names the model's run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.tuned_models import run_folders
from clinasr_tui.flywheel.workspace import open_workspace

if TYPE_CHECKING:
    from clinasr_tui.flywheel.workspace import Cycle, Workspace

_CYCLE = re.compile(r"cycle([0-9]{1,6})")
_ANY = "cycle2"


class _Maker(NamedTuple):
    """A run by the cycle it belongs to and its name."""

    cycle: int
    run: str


def offline_cycle(model: Path, workspace: Workspace | None = None) -> str:
    """Folder of the cycle with a model's offline figures, as a path from the current folder. Reads files.

    It is looked for in `workspace`, then in the one around the model. A model that no cycle has heard yet
    is told the next cycle that is no other run's; one of which nothing is known, `cycle2`.
    """
    for place in (workspace, _around(model)):
        maker = _maker_of(place, model) if place is not None else None
        if place is not None and maker is not None:
            cycle = _heard_by(place, maker)
            return _from_here(cycle.folder if cycle is not None else place.root / _next(place, maker))
    folder = _cycle_folder(model)
    return _ANY if folder is None else _from_here(folder.parent / f"cycle{_number(folder) + 1}")


def heard_in(workspace: Workspace, model: Path, unknown: Cycle | None = None) -> Cycle | None:
    """The cycle of a workspace that holds a model's offline figures; None if none does. Reads files.

    `unknown` is the answer for a model that belongs to nothing in the workspace.
    """
    maker = _maker_of(workspace, model)
    return unknown if maker is None else _heard_by(workspace, maker)


def _around(model: Path) -> Workspace | None:
    folder = _cycle_folder(model)
    try:
        return None if folder is None else open_workspace(folder.parent)
    except InputError:
        return None


def _cycle_folder(model: Path) -> Path | None:
    """The cycle's folder a model lies in, going by its name."""
    whole = model.expanduser().absolute()
    return next((place for place in whole.parents if _CYCLE.fullmatch(place.name)), None)


def _number(cycle_folder: Path) -> int:
    return int(cycle_folder.name.removeprefix("cycle"))


def _maker_of(workspace: Workspace, model: Path) -> _Maker | None:
    """The run whose folder a model lies in; one put there by hand goes by the name of its folder."""
    file = model.expanduser().resolve()
    for run in workspace.runs:
        if any(file.is_relative_to(folder.resolve()) for folder in run_folders(run)):
            return _Maker(run.cycle, run.name)
    for cycle in workspace.cycles:
        models = (cycle.folder / "models").resolve()
        if file.is_relative_to(models):
            return _Maker(cycle.number, file.relative_to(models).parts[0])
    return None


def _heard_by(workspace: Workspace, maker: _Maker) -> Cycle | None:
    """The newest cycle that a run's model was scored in."""
    later = (cycle for cycle in reversed(workspace.cycles) if cycle.number > maker.cycle)
    return next((cycle for cycle in later if _scored(workspace, cycle) == maker), None)


def _scored(workspace: Workspace, cycle: Cycle) -> _Maker | None:
    """The run whose model was scored in a cycle, if that is known."""
    if not (cycle.hypotheses or cycle.leaderboard):
        return None
    run = workspace.run_of(cycle.number)
    if run is not None:
        return _Maker(run.cycle, run.name)
    before = cycle.number - 1 if cycle.trained_on is None else cycle.trained_on
    return _Maker(before, cycle.run) if cycle.run else None


def _next(workspace: Workspace, maker: _Maker) -> str:
    """Name of the first later cycle that no other run's model was scored in."""
    number = maker.cycle + 1
    while (cycle := workspace.cycle(number)) is not None and _scored(workspace, cycle) is not None:
        number += 1
    return f"cycle{number}"


def _from_here(folder: Path) -> str:
    """A folder as it can be named in the current one."""
    whole, here = folder.absolute(), Path.cwd()
    return str(whole.relative_to(here) if here in whole.parents else whole)
