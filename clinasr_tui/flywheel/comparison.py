"""Two cycles side by side, paired by row, and the decision table's action (method, section 7)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clinasr_tui.flywheel.leaderboard import Leaderboard
from clinasr_tui.flywheel.scoring import ScoredSet


class Verdict(StrEnum):
    """What the decision table says of the targeted categories."""

    KEEP = "keep"
    GROW = "grow"
    WORSE = "worse"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in both cycles; `delta` = b − a, `relative` = delta / a."""

    a: float | None
    b: float | None
    delta: float | None
    relative: float | None
    ci95: tuple[float, float] | None
    """95 % interval of delta: bootstrap over terms, paired by row; None without paired rows."""
    p: float | None
    """Exact McNemar for KER and SER; None elsewhere."""
    n: int
    """Paired rows behind the figure (rows with a term for KER)."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One set of paired rows (all, held-out, trained): headline and KER by section field."""

    rows: int
    headline: dict[str, Difference]
    by: dict[str, dict[str, Difference]]


@dataclass(frozen=True, slots=True)
class RowPair:
    """One row in both cycles: indices into set A and set B."""

    a: int
    b: int
    held_out: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything Compare shows. Paired parts are None/empty when only leaderboards are known."""

    every: Slice
    held_out: Slice | None
    trained: Slice | None
    pairs: tuple[RowPair, ...]
    only_a: int
    only_b: int
    fixed: tuple[int, ...]
    """Indices into `pairs`: term missed in A, heard in B."""
    broken: tuple[int, ...]
    still_wrong: tuple[int, ...]
    still_right: tuple[int, ...]
    priority: tuple[str, ...]
    verdict: Verdict
    """The published table on the priority categories, all rows."""
    action: str
    """What to do next, one sentence."""
    reasons: tuple[str, ...]
    """Why, figures included; the held-out rows' own verdict where it differs."""


def compare(
    a: ScoredSet,
    b: ScoredSet,
    *,
    held_out: Collection[tuple[str, str]] | None = None,
    priority: tuple[str, ...] = ("drug",),
    seed: int = 42,
    resamples: int = 10_000,
) -> Comparison:
    """Compare two scored sets, rows matched on (audio_filepath, term).

    `held_out` holds the (audio_filepath, term) keys of rows the tuned model was not trained on.
    """
    raise NotImplementedError


def compare_leaderboards(a: Leaderboard, b: Leaderboard, *, priority: tuple[str, ...] = ("drug",)) -> Comparison:
    """Compare two cycles of which only the leaderboards are known: no pairs, intervals or p."""
    raise NotImplementedError


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The JSON keys of the `compare` command, without `schema`."""
    raise NotImplementedError
