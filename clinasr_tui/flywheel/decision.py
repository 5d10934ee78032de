"""The decision table after a re-evaluation (method, section 7), and what stands beside its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from clinasr_tui.flywheel.thresholds import DecisionLimits


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


ACTIONS = {
    Verdict.KEEP: "Keep the model; deploying is possible.",
    Verdict.GROW: "Grow the manifest (build): signal density beats learning-rate sweeps.",
    Verdict.WORSE: "Overfit on a small manifest: grow it (build) before retraining, do not tune harder.",
    Verdict.UNCHANGED: (
        "No measurable change: check the per-category numbers first, the terms may already have been known; "
        "then grow the manifest (build)."
    ),
}
FORGETTING_NOT_MEASURED = (
    "General speech is not in these rows; fine-tuning may make it worse (forgetting): measure it."
)
_ROUNDING = 1e-9
_NOTHING = 0.01
"""Relative rise that is told from none where no interval can be had."""
_CHANCE = 0.05
_COUNTS = {1: "one cycle", 2: "two cycles", 3: "three cycles"}


def difference(
    a: float | None,
    b: float | None,
    n: int,
    *,
    ci95: tuple[float, float] | None = None,
    p: float | None = None,
) -> Difference:
    """Put two figures side by side; nothing is said of the change if one is missing."""
    delta = None if a is None or b is None else b - a
    relative = delta / a if delta is not None and a else None
    return Difference(a, b, delta, relative, ci95, p, n)


def published(ker: Difference, limits: DecisionLimits | None = None) -> Verdict:
    """The table's row for the KER of the targeted categories, by the figures alone.

    The method does not say how small "no measurable change" is; less than its own measure of no
    progress (5 % relative) counts as none.
    """
    limits = limits or DecisionLimits()
    if not ker.delta:
        return Verdict.UNCHANGED
    if ker.relative is not None and abs(ker.relative) < limits.unchanged_relative - _ROUNDING:
        return Verdict.UNCHANGED
    return _direction(ker, limits)


def measured(ker: Difference, limits: DecisionLimits | None = None) -> Verdict:
    """The table's row where only what is beyond chance counts as a change (honesty rule b).

    Chance is an interval that includes 0, or so few changed rows that McNemar's test allows for it.
    Without either (leaderboards only) the figures alone decide.
    """
    if ker.ci95 is None and ker.p is None:
        return published(ker, limits)
    if not ker.delta or by_chance(ker):
        return Verdict.UNCHANGED
    return _direction(ker, limits or DecisionLimits())


def by_chance(figure: Difference) -> bool:
    """True if the interval of a change includes 0 or its p is not below 0.05."""
    within = figure.ci95 is not None and figure.ci95[0] <= 0 <= figure.ci95[1]
    return within or (figure.p is not None and figure.p >= _CHANCE)


def _direction(ker: Difference, limits: DecisionLimits) -> Verdict:
    if ker.delta is not None and ker.delta > 0:
        return Verdict.WORSE
    # −20 % exactly counts as down 20 %, whatever binary fractions make of it.
    meaningful = ker.relative is not None and ker.relative <= -limits.keep_relative + _ROUNDING
    return Verdict.KEEP if meaningful else Verdict.GROW


def stop_tuning(changes: Sequence[float | None], limits: DecisionLimits | None = None) -> str | None:
    """Why no further tuning is worth it, or None: two cycles in a row below 5 % relative improvement.

    `changes` holds each cycle's relative change of the KER to the one before, oldest first; None is
    a cycle whose change is not known and breaks the row.
    """
    limits = limits or DecisionLimits()
    last = changes[-limits.stop_cycles :]
    if len(last) < limits.stop_cycles or not all(no_progress(change, limits) for change in last):
        return None
    shown = ", then ".join(percent(change) for change in last)
    count = _COUNTS.get(limits.stop_cycles, f"{limits.stop_cycles} cycles")
    below = f"below {limits.stop_relative * 100:g} % relative improvement"
    return f"Stop tuning: {count} in a row {below} ({shown})."


def no_progress(change: float | None, limits: DecisionLimits) -> bool:
    """True if a known relative change improves by less than the method asks of a cycle."""
    return change is not None and change > -limits.stop_relative + _ROUNDING


def verdict_reasons(
    names: tuple[str, ...], ker: Difference, limits: DecisionLimits | None = None
) -> Iterator[str]:
    """Why the published verdict on the targeted categories `names` is what it is."""
    limits = limits or DecisionLimits()
    verdict = published(ker, limits)
    yield f"{', '.join(names)} {sentence(ker)}: {_words(ker, verdict, limits)}."
    if verdict is not Verdict.UNCHANGED and ker.p is not None and ker.p >= _CHANCE:
        yield f"So few changed rows may be chance (exact McNemar p {ker.p:.2f})."


def held_out_reasons(names: tuple[str, ...], targeted: Difference, overall: Difference) -> Iterator[str]:
    """The held-out rows' own figures beside those of all rows (honesty rule a)."""
    yield f"Held-out rows, all categories: {sentence(overall)}."
    if targeted.n == 0:
        yield f"No held-out row of {', '.join(names)} has a term."


def _words(ker: Difference, verdict: Verdict, limits: DecisionLimits) -> str:
    if ker.delta is None:
        return "nothing can be said"
    if verdict is Verdict.UNCHANGED:
        return "no measurable change"
    if verdict is Verdict.WORSE:
        return "worse"
    least = f"{limits.keep_relative * 100:g} %"
    return f"down at least {least}" if verdict is Verdict.KEEP else f"down less than {least}"


def sentence(figure: Difference, name: str = "KER") -> str:
    """`KER 0.978 → 0.111 (−89 %, 95 % −0.95 … −0.77, n 90)`."""
    if figure.a is None or figure.b is None:
        return f"{name} not known (n {figure.n})"
    parts = [percent(figure.relative)] if figure.relative is not None else []
    if figure.ci95 is not None:
        parts.append(f"95 % of the change {_signed(figure.ci95[0])} … {_signed(figure.ci95[1])}")
    parts.append(f"n {figure.n}")
    return f"{name} {figure.a:.3f} → {figure.b:.3f} ({', '.join(parts)})"


def percent(value: float | None) -> str:
    """A relative change with its sign, `−89 %`."""
    return "–" if value is None else f"{value * 100:+.0f} %".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def clearly_worse(figure: Difference) -> bool:
    """True if an error rate went up by more than its interval (or 1 %, without one) allows for chance."""
    if figure.delta is None or figure.delta <= 0:
        return False
    if figure.ci95 is not None:
        return figure.ci95[0] > 0
    return figure.relative is None or figure.relative >= _NOTHING
