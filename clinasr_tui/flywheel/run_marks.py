"""What a run's record says that every screen must show or know (method, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clinasr_tui.flywheel.workspace import RunRef, Workspace

SMOKE = "smoke run"
"""The mark of a run that was made under a blocked gate, and of the model it made."""


def is_smoke(run: RunRef | None) -> bool:
    """True for a run that a typed override let through a blocked gate."""
    gate = run.info.get("gate") if run is not None else None
    return isinstance(gate, dict) and bool(gate.get("override"))


def is_launched(run: RunRef) -> bool:
    """True for a run this program launched: only such a one can be ended, resumed or fetched."""
    return isinstance(run.info.get("backend"), str) and "run_dir" in run.info


def was_fetched(run: RunRef) -> bool:
    """True once the run's result is in the workspace and checked."""
    return _completeness(run.info) is True


def lacks_checkpoint(info: Mapping[str, Any]) -> bool:
    """True for the record of a run that was fetched without the checkpoint it has left in a model's place."""
    return _completeness(info) is False


def _completeness(info: Mapping[str, Any]) -> object:
    result = info.get("result")
    return result.get("complete") if isinstance(result, dict) else None


def smoke_mark(workspace: Workspace, cycle: int) -> str:
    """`smoke run` if the model scored in that cycle is of one, else ""."""
    return SMOKE if is_smoke(workspace.run_of(cycle)) else ""
