"""The published verdict beside the honest one, and what to look at first (method, section 7).

Published: the decision table on all rows, figures taken as exact. Honest: the same table on the rows
the model never saw, where only what is beyond chance counts, and with what was forgotten elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clinasr_tui.flywheel import forgetting
from clinasr_tui.flywheel.decision import ACTIONS, Verdict, measured, percent, sentence
from clinasr_tui.flywheel.findings import PRONUNCIATION_GAP, pronunciation_gap, shown
from clinasr_tui.flywheel.leaderboard import GUESSED, HINTED, GroupFigure
from clinasr_tui.flywheel.opinion import Diagnostic, Judgement, Opinion
from clinasr_tui.flywheel.thresholds import DecisionLimits, Thresholds, deviations

if TYPE_CHECKING:
    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.decision import Difference
    from clinasr_tui.flywheel.opinion import GeneralChange

BY_CATEGORY = "by_category"
ALREADY_KNOWN = "already_known"
IPA_SOURCE = "ipa_source"
_FORGOTTEN = (
    "It has forgotten general speech: mix such rows into the training manifest (build) and tune again from "
    "the base; deploy this one only where nothing else is spoken."
)
_NO_GAIN = (Verdict.GROW, Verdict.UNCHANGED)


def judge(
    comparison: Comparison,
    *,
    general: GeneralChange | None = None,
    stop: tuple[str, ...] = (),
    limits: DecisionLimits | None = None,
    thresholds: Thresholds | None = None,
) -> Judgement:
    """Weigh a comparison made with the same `limits`."""
    limits, thresholds = limits or DecisionLimits(), thresholds or Thresholds()
    verdict, measured_as = _honest(comparison, limits)
    honest, why = Opinion(verdict, ACTIONS[verdict]), measured_as
    if general is not None and general.forgotten:
        honest, why = Opinion(Verdict.WORSE, _FORGOTTEN), general.sentence
    return Judgement(
        published=Opinion(comparison.verdict, comparison.action),
        honest=honest,
        why=why,
        measured_as=measured_as,
        diagnostics=tuple(_diagnostics(comparison, verdict, thresholds)),
        general=general,
        stop=stop,
        deviations=deviations(limits),
    )


def reasons(judgement: Judgement) -> Iterator[str]:
    """What a judgement adds to the comparison's own reasons, the honest verdict first."""
    yield judgement.beside
    if judgement.why != judgement.measured_as:
        yield f"Without that: {judgement.measured_as}"
    elif judgement.general is not None:
        yield judgement.general.sentence
    yield from judgement.stop
    if judgement.diagnostics:
        yield "Look first: " + " ".join(diagnostic.message for diagnostic in judgement.diagnostics)
    yield from map(str, judgement.deviations)


def to_json(judgement: Judgement) -> dict[str, Any]:
    """The keys a judgement adds to the `compare` command."""
    published, honest = judgement.published, judgement.honest
    return {
        "route": published.route,
        "published": _opinion_json(published),
        "honest": {
            **_opinion_json(honest),
            "why": judgement.why,
            "differs": judgement.differs,
        },
        "general": forgetting.to_json(judgement.general) if judgement.general else None,
        "diagnostics": [diagnostic._asdict() for diagnostic in judgement.diagnostics],
        "stop": list(judgement.stop),
        "deviations": [deviation._asdict() for deviation in judgement.deviations],
    }


def _opinion_json(opinion: Opinion) -> dict[str, str]:
    return {"verdict": str(opinion.verdict), "action": opinion.action, "route": opinion.route}


def _honest(comparison: Comparison, limits: DecisionLimits) -> tuple[Verdict, str]:
    """The verdict on the held-out rows (on all, where none are known) beyond chance, and its figures."""
    names, held_out, targeted = (
        ", ".join(comparison.names),
        comparison.targeted_held_out,
        comparison.targeted,
    )
    if held_out is not None and held_out.n:
        verdict = measured(held_out, limits)
        return verdict, f"{names} on the held-out rows: {sentence(held_out)}{_chance(held_out, verdict)}."
    if targeted is None or (targeted.ci95 is None and targeted.p is None):
        told = "neither an interval nor held-out rows can be had without paired rows."
        return comparison.verdict, told
    verdict = measured(targeted, limits)
    moved = "beyond chance" if targeted.delta else "no change"
    told = _chance(targeted, verdict).removeprefix(", ") or moved
    return verdict, f"{names}, all rows, {told}; no held-out row tells what is memory of the training rows."


def _chance(ker: Difference, verdict: Verdict) -> str:
    """Why a difference in the figures is no measurable change."""
    if verdict is not Verdict.UNCHANGED or not ker.delta:
        return ""
    if ker.ci95 is not None and ker.ci95[0] <= 0 <= ker.ci95[1]:
        return ", no measurable change: the interval includes 0"
    return f", no measurable change: so few changed rows may be chance (exact McNemar p {ker.p or 0:.2f})"


def _diagnostics(comparison: Comparison, honest: Verdict, limits: Thresholds) -> Iterator[Diagnostic]:
    """Where little or nothing moved: which categories did, which were known before, whether hints lack."""
    if comparison.verdict not in _NO_GAIN and honest not in _NO_GAIN:
        return
    categories = comparison.every.by.get("entity_category", {})
    if categories:
        moves = ", ".join(
            f"{name or '(none)'} {percent(figure.relative)} (n {figure.n})"
            for name, figure in categories.items()
        )
        yield Diagnostic(BY_CATEGORY, f"KER by category: {moves}.")
    known = [
        f"{name} (KER {figure.a:.3f})"
        for name, figure in categories.items()
        if figure.a is not None and figure.a < limits.harden_below
    ]
    if known:
        yield Diagnostic(ALREADY_KNOWN, f"Known before tuning, nothing to gain: {', '.join(known)}.")
    sources = _after(comparison.every.by.get("ipa_source", {}))
    gap = pronunciation_gap(sources, limits)
    if gap is not None:
        yield Diagnostic(PRONUNCIATION_GAP, gap.message)
    elif {HINTED, GUESSED} <= sources.keys():
        told = ", ".join(f"{name} ({shown(sources[name])})" for name in (HINTED, GUESSED))
        yield Diagnostic(IPA_SOURCE, f"KER by ipa_source: {told}: no pronunciation gap.")


def _after(groups: Mapping[str, Difference]) -> dict[str, GroupFigure]:
    """The later side's KER by group."""
    return {name: GroupFigure(figure.b, figure.n) for name, figure in groups.items()}
