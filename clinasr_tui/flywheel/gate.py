"""What to do with a baseline and the stage-4 gate (method, sections 3 and 4), as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clinasr_tui.flywheel.bases import BaseStanding
from clinasr_tui.flywheel.leaderboard import Leaderboard


class Route(StrEnum):
    """Where the way leads."""

    FINETUNE = "finetune"
    BUILD = "build"
    HARDEN = "harden"
    EXPAND = "expand"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The published thresholds. KER comparisons are strict where the method says so."""

    finetune_above: float = 0.3
    harden_below: float = 0.1
    min_rows: int = 100
    min_priority_rows: int = 5


@dataclass(frozen=True, slots=True)
class Criterion:
    """One gate criterion: texts ready to show (`measured` "0.978 (n 90)", `threshold` "> 0.300")."""

    id: str
    title: str
    passed: bool
    measured: str
    threshold: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's verdict; `passed` only if every criterion holds and the route is fine-tuning."""

    passed: bool
    route: Route
    reasons: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    base: BaseStanding
    priority: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`pass` or `blocked`."""
        return "pass" if self.passed else "blocked"


def evaluate_gate(
    board: Leaderboard,
    *,
    base: BaseStanding,
    preflight_errors: int | None,
    priority: tuple[str, ...] = ("drug",),
    first_eval: bool = True,
    thresholds: Thresholds | None = None,
) -> GateResult:
    """Apply sections 3 and 4. `preflight_errors` is None when there is no manifest to check."""
    raise NotImplementedError
