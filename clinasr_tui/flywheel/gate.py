"""What to do with a baseline and the stage-4 gate (method, sections 3 and 4), as pure functions.

Section 3 gives the route, section 4 the criteria; the gate passes if every criterion holds and the
route is fine-tuning. Where the two meet:

* Each priority category is judged on its own and each must be above the threshold. The one with the
  lowest KER, which is the one that blocks, gives the route.
* Later evals with a KER of 0.1 to 0.3 are routed to fine-tuning by section 3 and still blocked by
  section 4, which asks for more than 0.3 in any eval: only the typed override leads on.
* Too few rows, or a manifest that fails pre-flight, turn a route to fine-tuning into one to build.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.findings import (
    ALL_MISS,
    MISALIGNED,
    PRONUNCIATION_GAP,
    ROBUSTNESS_GAP,
    Finding,
    Route,
    find,
)
from clinasr_tui.flywheel.leaderboard import GUESSED, HINTED, GroupFigure
from clinasr_tui.flywheel.thresholds import Deviation, Thresholds, deviations

if TYPE_CHECKING:
    from clinasr_tui.flywheel.bases import BaseStanding
    from clinasr_tui.flywheel.leaderboard import Leaderboard

__all__ = [
    "Criterion",
    "Finding",
    "GateResult",
    "HonestGate",
    "PriorityFigure",
    "Route",
    "Thresholds",
    "evaluate_gate",
    "headline_result",
]

Interval = tuple[float, float]


class PriorityFigure(NamedTuple):
    """KER of one priority category with the rows that have a term and its 95 % interval, if known."""

    ker: float | None
    n: int
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One gate criterion: texts ready to show (`measured` "0.978 (n 90)", `threshold` "> 0.300")."""

    id: str
    title: str
    passed: bool
    measured: str
    threshold: str
    remedy: str = ""


class HonestGate(NamedTuple):
    """What the gate says with the interval of the priority KER: `pass`, `blocked` or `uncertain`, and why."""

    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's verdict; `passed` only if every criterion holds and the route is fine-tuning."""

    passed: bool
    route: Route
    reasons: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    base: BaseStanding
    priority: tuple[str, ...]
    figures: Mapping[str, PriorityFigure]
    """The priority categories' KER."""
    findings: tuple[Finding, ...]
    """Special cases, each with where it leads by itself."""
    deviations: tuple[Deviation, ...]
    """Thresholds the workspace sets otherwise than the method."""
    finetune_above: float
    """The threshold of the priority KER, the published one or the workspace's."""
    honest: HonestGate
    """Beside `verdict`, which takes the KER as exact like the method does."""

    @property
    def verdict(self) -> str:
        """`pass` or `blocked`."""
        return "pass" if self.passed else "blocked"


def headline_result() -> str:
    """The published result, quoted wherever fine-tuning is recommended."""
    return (
        "Published result: 39-row reference manifest, nvidia/parakeet-tdt-0.6b-v2, stock NeMo SFT, 3 epochs: "
        "KER 0.513 → 0.128 (−75 % relative); drug 0.857 → 0.214, condition 0.500 → 0.000, "
        "procedure 0.250 → 0.000."
    )


def evaluate_gate(
    board: Leaderboard,
    *,
    base: BaseStanding,
    preflight_errors: int | None,
    priority: tuple[str, ...] = ("drug",),
    first_eval: bool = True,
    thresholds: Thresholds | None = None,
    intervals: Mapping[str, Interval | None] | None = None,
    scored_model: str = "",
) -> GateResult:
    """Apply sections 3 and 4. `preflight_errors` is None when there is no manifest to check.

    `intervals` holds the 95 % interval of the KER by priority category, where it is known.
    `scored_model` names the model of the transcripts, if it is known and another one than the base.
    """
    limits = thresholds or Thresholds()
    groups, known = board.by.get("entity_category", {}), intervals or {}
    figures = {
        name: PriorityFigure(*groups.get(name, GroupFigure(None, 0)), known.get(name)) for name in priority
    }
    findings = find(board, priority, limits)
    criteria = (
        _priority_ker(figures, findings, limits),
        _total_rows(board, limits),
        _priority_rows(figures, limits),
        _pronunciation(board, findings, limits),
        _plausible(board, findings, limits),
        _base(base),
        _preflight(preflight_errors),
    )
    held = {criterion.id for criterion in criteria if criterion.passed}
    route, reasons = _route(figures, findings, held, first_eval, limits)
    if route is Route.FINETUNE and preflight_errors:
        route = Route.BUILD
        reasons.append("Pre-flight found errors: mend the manifest first (build).")
    passed = route is Route.FINETUNE and len(held) == len(criteria)
    honest = _honest(figures, held, len(criteria), passed, limits)
    changed = deviations(limits)
    reasons += _beside(findings, honest, base, scored_model, preflight_errors)
    reasons += map(str, changed)
    if route is Route.FINETUNE:
        reasons.append(headline_result())
    return GateResult(
        passed=passed,
        route=route,
        reasons=tuple(reasons),
        criteria=criteria,
        base=base,
        priority=tuple(priority),
        figures=figures,
        findings=findings,
        deviations=changed,
        finetune_above=limits.finetune_above,
        honest=honest,
    )


def _beside(
    findings: tuple[Finding, ...],
    honest: HonestGate,
    base: BaseStanding,
    scored_model: str,
    preflight_errors: int | None,
) -> Iterator[str]:
    """What is to be known besides the route."""
    yield from (finding.message for finding in findings if finding.id == ROBUSTNESS_GAP)
    if honest.verdict == "uncertain":
        yield honest.why
    if not base.allowed:
        yield f"{base.name}: {base.reason} Take {base.substitute} instead."
    elif scored_model:
        yield f"The KER is that of {scored_model}, not of {base.name}: score the base before tuning it."
    if preflight_errors is None:
        yield "There is no manifest to check, so pre-flight cannot be said to be clean."


def _honest(
    figures: dict[str, PriorityFigure], held: set[str], criteria: int, passed: bool, limits: Thresholds
) -> HonestGate:
    """The verdict with the interval of the priority KER, the one criterion that is an estimate."""
    if len(held - {"priority_ker"}) < criteria - 1:
        return HonestGate("blocked", "What blocks the gate is no matter of chance.")
    verdict = "pass" if passed else "blocked"
    unknown = [name for name, figure in figures.items() if figure.interval is None]
    if unknown:
        return HonestGate(verdict, f"No interval is known of the KER of {', '.join(unknown)}.")
    limit = limits.finetune_above
    open_ones = {name: one for name, one in figures.items() if one.interval and one.interval[0] <= limit}
    if passed and open_ones:
        side = f"is above {limit:g} but its 95 % interval is not"
    elif not passed and all(one.interval and one.interval[1] > limit for one in figures.values()):
        side = f"is not above {limit:g} but its 95 % interval reaches there"
        open_ones = {name: one for name, one in figures.items() if (one.ker or 0.0) <= limit}
    else:
        return HonestGate(verdict, f"The 95 % interval stays on the same side of {limit:g}.")
    told = ", ".join(f"{name} KER {_figure(one)}" for name, one in open_ones.items())
    return HonestGate("uncertain", f"{told} {side}: more terms would settle it (build).")


def _route(
    figures: dict[str, PriorityFigure],
    findings: tuple[Finding, ...],
    held: set[str],
    first_eval: bool,
    limits: Thresholds,
) -> tuple[Route, list[str]]:
    """Section 3, special cases first; then what section 4 sends back to build."""
    for finding in findings:
        if finding.id in (PRONUNCIATION_GAP, ALL_MISS, MISALIGNED):
            return finding.route, [finding.message]
    known = {name: figure.ker for name, figure in figures.items() if figure.ker is not None}
    missing = ", ".join(name for name in figures if name not in known) or "a priority category"
    if len(known) < max(len(figures), 1):
        return Route.BUILD, [f"There are no rows of {missing} with a term: add them (build)."]
    advice = {name: _advice(ker, first_eval, limits) for name, ker in known.items()}
    reasons = [f"{name} KER {known[name]:.3f} {sentence}" for name, (_, sentence) in advice.items()]
    lowest = min(known, key=lambda name: known[name])
    route = advice[lowest][0]
    if len({step for step, _ in advice.values()}) > 1:
        reasons.append(f"Every priority category must hold and {lowest} does not: heed it, or set fewer.")
    if route is not Route.FINETUNE:
        return route, reasons
    if "priority_ker" not in held:
        reasons.append(
            f"The stage-4 gate asks for a KER above {limits.finetune_above} in later evals too: "
            "until then only a smoke run under the typed override is possible."
        )
    if not {"total_rows", "priority_rows"} <= held:
        return Route.BUILD, [*reasons, "The manifest is too small for that: grow it first (build)."]
    return route, reasons


def _advice(ker: float, first_eval: bool, limits: Thresholds) -> tuple[Route, str]:
    """Section 3's table for one category: the route and the end of its sentence."""
    if ker > limits.finetune_above:
        return Route.FINETUNE, f"is above {limits.finetune_above}: fine-tune."
    if ker < limits.harden_below:
        return (
            Route.HARDEN,
            f"is below {limits.harden_below}: do not tune, make the eval harder "
            "(voices, noise, contexts, adversarial terms).",
        )
    band = f"is between {limits.harden_below} and {limits.finetune_above}"
    if first_eval:
        return Route.EXPAND, f"{band} in a first eval: expand the terms (build)."
    return Route.FINETUNE, f"{band} in a later eval, after growing: tune."


def _figure(figure: PriorityFigure | GroupFigure) -> str:
    """`0.978 (n 90)`, with its interval where that is known."""
    interval = figure.interval if isinstance(figure, PriorityFigure) else None
    within = "" if interval is None else f"95 % {interval[0]:.2f}–{interval[1]:.2f}, "
    return f"{'no KER' if figure.ker is None else f'{figure.ker:.3f}'} ({within}n {figure.n})"


def _threshold(text: str, limits: Thresholds, *names: str) -> str:
    """A criterion's threshold; the published numbers beside those the workspace sets otherwise."""
    usual = Thresholds()
    changed = [name for name in names if getattr(limits, name) != getattr(usual, name)]
    told = ", ".join(f"{getattr(usual, name):g}" for name in changed)
    return f"{text} (published {told})" if changed else text


def _by_name(parts: dict[str, str]) -> str:
    """`0.978 (n 90)` of one category; with several, each with its name."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    return ", ".join(f"{name} {part}" for name, part in parts.items()) or "no priority category"


def _priority_ker(
    figures: dict[str, PriorityFigure], findings: tuple[Finding, ...], limits: Thresholds
) -> Criterion:
    each = " in each" if len(figures) > 1 else ""
    remedy = "Below that there is little to gain: expand the terms or make the eval harder (build)."
    if _implausible(findings):
        remedy = "Not to be believed before the scores are plausible."
    return Criterion(
        id="priority_ker",
        title=f"KER of {', '.join(figures) or 'the priority category'}",
        passed=bool(figures)
        and all(figure.ker is not None and figure.ker > limits.finetune_above for figure in figures.values()),
        measured=_by_name({name: _figure(figure) for name, figure in figures.items()}),
        threshold=_threshold(f"> {limits.finetune_above:.3f}{each}", limits, "finetune_above"),
        remedy=remedy,
    )


def _total_rows(board: Leaderboard, limits: Thresholds) -> Criterion:
    return Criterion(
        id="total_rows",
        title="Rows in total",
        passed=board.rows >= limits.min_rows,
        measured=str(board.rows),
        threshold=_threshold(f"≥ {limits.min_rows}", limits, "min_rows"),
        remedy="Grow the manifest (build).",
    )


def _priority_rows(figures: dict[str, PriorityFigure], limits: Thresholds) -> Criterion:
    each = " in each" if len(figures) > 1 else ""
    return Criterion(
        id="priority_rows",
        title=f"Rows of {', '.join(figures) or 'the priority category'}",
        passed=bool(figures) and all(figure.n >= limits.min_priority_rows for figure in figures.values()),
        measured=_by_name({name: str(figure.n) for name, figure in figures.items()}),
        threshold=_threshold(f"≥ {limits.min_priority_rows}{each}", limits, "min_priority_rows"),
        remedy="Add terms of the category (build): with fewer rows no change can be attributed.",
    )


def _pronunciation(board: Leaderboard, findings: tuple[Finding, ...], limits: Thresholds) -> Criterion:
    groups = board.by.get("ipa_source", {})
    sides = [f"{name} {_figure(groups.get(name, GroupFigure(None, 0)))}" for name in (HINTED, GUESSED)]
    return Criterion(
        id="pronunciation_gap",
        title="No pronunciation gap",
        passed=not any(finding.id == PRONUNCIATION_GAP for finding in findings),
        measured=", ".join(sides),
        threshold=f"not ≤ {limits.good_ker:.3f} beside > {limits.bad_ker:.3f}",
        remedy=f"Review the {GUESSED} terms' pronunciations (build's IPA review), then evaluate again.",
    )


def _implausible(findings: tuple[Finding, ...]) -> bool:
    return any(finding.id in (ALL_MISS, MISALIGNED) for finding in findings)


def _plausible(board: Leaderboard, findings: tuple[Finding, ...], limits: Thresholds) -> Criterion:
    figures = [
        f"{name.upper()} {'–' if value is None else f'{value:.3f}'}"
        for name, value in ((name, board.metrics.get(name)) for name in ("ker", "wer"))
    ]
    return Criterion(
        id="plausible_scores",
        title="Scores are plausible",
        passed=not _implausible(findings),
        measured=f"{', '.join(figures)} (n {board.ker_rows})",
        threshold=f"KER < 1; > 0 if WER > {limits.high_wer:.3f}",
        remedy="Read a few reference and hypothesis pairs by hand before going on.",
    )


def _base(base: BaseStanding) -> Criterion:
    return Criterion(
        id="base_allowed",
        title="Base may be fine-tuned",
        passed=base.allowed,
        measured=f"{base.name or 'none chosen'} ({base.standing})",
        threshold="not refused",
        remedy=f"Take {base.substitute}." if base.substitute else "",
    )


def _preflight(errors: int | None) -> Criterion:
    return Criterion(
        id="preflight_clean",
        title="Pre-flight",
        passed=errors == 0,
        measured="not checked" if errors is None else f"{errors} error{'' if errors == 1 else 's'}",
        threshold="0 errors",
        remedy="Mend what `clinasr-tui check MANIFEST` lists.",
    )
