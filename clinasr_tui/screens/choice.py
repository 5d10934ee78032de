"""Which cycle the screens look at: one choice shared by all, so that a change of screen keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.flywheel.workspace import Cycle, Workspace
    from clinasr_tui.session import Session


def scored_cycles(workspace: Workspace) -> tuple[Cycle, ...]:
    """Cycles with transcripts or at least a leaderboard."""
    return tuple(cycle for cycle in workspace.cycles if cycle.hypotheses or cycle.leaderboard)


def in_view(session: Session, cycles: Sequence[Cycle], *, newest: bool) -> Cycle | None:
    """The cycle the operator chose, else the newest or the oldest of `cycles`."""
    chosen = next((cycle for cycle in cycles if cycle.number == session.cycle_in_view), None)
    if chosen is not None or not cycles:
        return chosen
    return cycles[-1 if newest else 0]


def neighbour(cycles: Sequence[Cycle], cycle: Cycle | None, step: int) -> Cycle | None:
    """The cycle `step` places on; None at the end."""
    numbers = [one.number for one in cycles]
    if cycle is None or cycle.number not in numbers:
        return None
    place = numbers.index(cycle.number) + step
    return cycles[place] if 0 <= place < len(cycles) else None


def move(session: Session, cycle: Cycle | None, step: int) -> bool:
    """Choose the cycle `step` places on; False at the end."""
    other = neighbour(scored_cycles(session.workspace), cycle, step)
    if other is not None:
        session.cycle_in_view = other.number
    return other is not None
