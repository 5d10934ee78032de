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

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.leaderboard import GUESSED, HINTED, GroupFigure

if TYPE_CHECKING:
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
    good_ker: float = 0.1
    """Up to here a group of rows is fine: the dictionary-hinted rows, the clean ones."""
    bad_ker: float = 0.3
    """Above this it is bad; good beside bad is a gap (published example: 0.05 against 0.41)."""
    min_gap_rows: int = 5
    """Rows with a term either side of a gap needs before anything is said of it."""
    high_wer: float = 0.3
    """Above this WER no set can have every term right: the manifest is misaligned."""


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
) -> GateResult:
    """Apply sections 3 and 4. `preflight_errors` is None when there is no manifest to check."""
    limits = thresholds or Thresholds()
    groups = board.by.get("entity_category", {})
    figures = {name: groups.get(name, GroupFigure(None, 0)) for name in priority}
    criteria = (
        _priority_ker(figures, limits),
        _total_rows(board, limits),
        _priority_rows(figures, limits),
        _pronunciation(board, limits),
        _plausible(board, limits),
        _base(base),
        _preflight(preflight_errors),
    )
    held = {criterion.id for criterion in criteria if criterion.passed}
    route, reasons = _route(board, figures, held, first_eval, limits)
    if route is Route.FINETUNE and preflight_errors:
        route = Route.BUILD
        reasons.append("Pre-flight found errors: mend the manifest first (build).")
    if _gap(board, "noise_level", ("clean", "snr_5db"), limits):
        reasons.append(
            "Clean rows are fine while snr_5db rows are bad: a robustness gap. Add noise diversity (build)."
        )
    if not base.allowed:
        reasons.append(f"{base.name}: {base.reason} Take {base.substitute} instead.")
    if preflight_errors is None:
        reasons.append("There is no manifest to check, so pre-flight cannot be said to be clean.")
    if route is Route.FINETUNE:
        reasons.append(headline_result())
    return GateResult(
        passed=route is Route.FINETUNE and len(held) == len(criteria),
        route=route,
        reasons=tuple(reasons),
        criteria=criteria,
        base=base,
        priority=tuple(priority),
    )


def _route(
    board: Leaderboard, figures: dict[str, GroupFigure], held: set[str], first_eval: bool, limits: Thresholds
) -> tuple[Route, list[str]]:
    """Section 3, special cases first; then what section 4 sends back to build."""
    if "pronunciation_gap" not in held:
        return Route.BUILD, [
            f"{HINTED} rows are good while {GUESSED} rows are bad: a pronunciation-hint gap, not a model "
            "gap. Go back to build's IPA review; do not fine-tune."
        ]
    if "plausible_scores" not in held:
        return Route.BUILD, [_implausible(board)]
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


def _implausible(board: Leaderboard) -> str:
    if board.metrics.get("ker") == 1:
        return (
            "Every row misses its term: a normalisation mismatch between transcripts, references and terms. "
            "Look at a few rows before believing it."
        )
    return (
        "Every row has its term and the WER is high all the same: a misaligned manifest, audio and text of "
        "different rows. Read a few pairs by hand."
    )


def _gap(board: Leaderboard, field: str, names: tuple[str, str], limits: Thresholds) -> bool:
    """True if the first group is good and the second bad, with enough rows in both to say so."""
    groups = board.by.get(field, {})
    good, bad = (groups.get(name, GroupFigure(None, 0)) for name in names)
    if good.ker is None or bad.ker is None or min(good.n, bad.n) < limits.min_gap_rows:
        return False
    return good.ker <= limits.good_ker and bad.ker > limits.bad_ker


def _figure(figure: GroupFigure) -> str:
    return f"{'no KER' if figure.ker is None else f'{figure.ker:.3f}'} (n {figure.n})"


def _by_name(parts: dict[str, str]) -> str:
    """`0.978 (n 90)` of one category; with several, each with its name."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    return ", ".join(f"{name} {part}" for name, part in parts.items()) or "no priority category"


def _priority_ker(figures: dict[str, GroupFigure], limits: Thresholds) -> Criterion:
    each = " in each" if len(figures) > 1 else ""
    return Criterion(
        id="priority_ker",
        title=f"KER of {', '.join(figures) or 'the priority category'}",
        passed=bool(figures)
        and all(figure.ker is not None and figure.ker > limits.finetune_above for figure in figures.values()),
        measured=_by_name({name: _figure(figure) for name, figure in figures.items()}),
        threshold=f"> {limits.finetune_above:.3f}{each}",
        remedy="Below that there is little to gain: expand the terms or make the eval harder (build).",
    )


def _total_rows(board: Leaderboard, limits: Thresholds) -> Criterion:
    return Criterion(
        id="total_rows",
        title="Rows in total",
        passed=board.rows >= limits.min_rows,
        measured=str(board.rows),
        threshold=f"≥ {limits.min_rows}",
        remedy="Grow the manifest (build).",
    )


def _priority_rows(figures: dict[str, GroupFigure], limits: Thresholds) -> Criterion:
    each = " in each" if len(figures) > 1 else ""
    return Criterion(
        id="priority_rows",
        title=f"Rows of {', '.join(figures) or 'the priority category'}",
        passed=bool(figures) and all(figure.n >= limits.min_priority_rows for figure in figures.values()),
        measured=_by_name({name: str(figure.n) for name, figure in figures.items()}),
        threshold=f"≥ {limits.min_priority_rows}{each}",
        remedy="Add terms of the category (build): with fewer rows no change can be attributed.",
    )


def _pronunciation(board: Leaderboard, limits: Thresholds) -> Criterion:
    groups = board.by.get("ipa_source", {})
    sides = [f"{name} {_figure(groups.get(name, GroupFigure(None, 0)))}" for name in (HINTED, GUESSED)]
    return Criterion(
        id="pronunciation_gap",
        title="No pronunciation gap",
        passed=not _gap(board, "ipa_source", (HINTED, GUESSED), limits),
        measured=", ".join(sides),
        threshold=f"not ≤ {limits.good_ker:.3f} beside > {limits.bad_ker:.3f}",
        remedy=f"Review the {GUESSED} terms' pronunciations (build's IPA review), then evaluate again.",
    )


def _plausible(board: Leaderboard, limits: Thresholds) -> Criterion:
    ker, wer = board.metrics.get("ker"), board.metrics.get("wer")
    all_missed = ker == 1
    misaligned = ker == 0 and wer is not None and wer > limits.high_wer
    shown = [
        f"{name} {'–' if value is None else f'{value:.3f}'}" for name, value in (("KER", ker), ("WER", wer))
    ]
    return Criterion(
        id="plausible_scores",
        title="Scores are plausible",
        passed=not (all_missed or misaligned),
        measured=f"{', '.join(shown)} (n {board.ker_rows})",
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
