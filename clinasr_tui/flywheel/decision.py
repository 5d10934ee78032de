"""The decision table after a re-evaluation (method, section 7), and what stands beside its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


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
        "No measurable change: check the per-category numbers; the terms may already have been known."
    ),
}
MEANINGFUL = -0.20
"""Relative change of the KER from which on the model is kept."""
_ROUNDING = 1e-9
_NOTHING = 0.01
"""Relative change that counts as none where no interval can be had."""
_CHANCE = 0.05
STOP_BELOW = 0.05
"""Relative improvement two cycles in a row must stay under for tuning to be exhausted."""


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


def decide(ker: Difference) -> Verdict:
    """The table's row for the KER of the targeted categories.

    An interval of the change that includes 0 means no measurable change. Without an interval
    (leaderboards only, or all rows of one term) less than 1 % relative counts as none.
    """
    if ker.delta is None or ker.delta == 0:
        return Verdict.UNCHANGED
    if ker.ci95 is not None:
        if ker.ci95[0] <= 0 <= ker.ci95[1]:
            return Verdict.UNCHANGED
    elif ker.relative is not None and abs(ker.relative) < _NOTHING:
        return Verdict.UNCHANGED
    if ker.delta > 0:
        return Verdict.WORSE
    # −20 % exactly counts as down 20 %, whatever binary fractions make of it.
    meaningful = ker.relative is not None and ker.relative <= MEANINGFUL + _ROUNDING
    return Verdict.KEEP if meaningful else Verdict.GROW


def stop_tuning(changes: Sequence[float | None]) -> str | None:
    """Why no further tuning is worth it, or None: two cycles in a row below 5 % relative improvement.

    `changes` holds each cycle's relative change of the KER to the one before, oldest first; None is
    a cycle whose change is not known and breaks the row.
    """
    last = changes[-2:]
    if len(last) < 2 or any(change is None or change <= -STOP_BELOW for change in last):
        return None
    shown = ", then ".join(percent(change) for change in last)
    return f"Stop tuning: two cycles in a row below 5 % relative improvement ({shown})."


def verdict_reasons(names: tuple[str, ...], ker: Difference) -> Iterator[str]:
    """Why the verdict on the targeted categories `names` is what it is."""
    verdict = decide(ker)
    yield f"{', '.join(names)} {sentence(ker)}: {_measured(ker, verdict)}."
    if verdict is not Verdict.UNCHANGED and ker.p is not None and ker.p >= _CHANCE:
        yield f"So few changed rows may be chance (exact McNemar p {ker.p:.2f})."


def held_out_reasons(
    names: tuple[str, ...], verdict: Verdict, targeted: Difference, overall: Difference
) -> Iterator[str]:
    """The held-out rows' own figures and verdict beside that of all rows (honesty rule a)."""
    yield f"Held-out rows, all categories: {sentence(overall)}."
    if targeted.n == 0:
        yield f"No held-out row of {', '.join(names)} has a term."
        return
    alone = decide(targeted)
    says = "the same verdict" if alone is verdict else f"by themselves they say {alone.upper()}"
    yield f"Held-out rows, {', '.join(names)}: {sentence(targeted)}, {says}."


def _measured(ker: Difference, verdict: Verdict) -> str:
    if ker.delta is None:
        return "nothing can be said"
    if verdict is Verdict.UNCHANGED:
        return "no measurable change" + (", the interval includes 0" if ker.ci95 and ker.delta else "")
    if verdict is Verdict.WORSE:
        return "worse"
    return "down at least 20 %" if verdict is Verdict.KEEP else "down less than 20 %"


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
