"""What serving changed: the service's transcripts beside the offline ones of the same model.

The weights are the same on both sides, so a difference is never the training's: it lies in the service's
preprocessing or in the build flags. The decision table, which is about training, says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.comparison import got_worse
from clinasr_tui.flywheel.decision import Verdict, by_chance, clearly_worse, measured, sentence
from clinasr_tui.flywheel.opinion import Judgement, Opinion
from clinasr_tui.flywheel.thresholds import DecisionLimits, deviations

if TYPE_CHECKING:
    from clinasr_tui.flywheel.comparison import Comparison

AS_WELL = "It serves as well as offline."
BETTER = "It serves better than offline: preprocessing or build flags make the difference, not the model."
WORSE = "It serves worse than offline: change preprocessing or build flags, not the training."
_REST = "transcribe the rest through the service before it is judged."
_NONE = "No row of the cycle was served: transcribe the cycle's own manifest through the service."


class Served(NamedTuple):
    """What serving changed, with verdict, action and reasons of its own."""

    change: Comparison
    """The offline figures (A) beside the service's (B); its verdict is keep, worse or unchanged."""
    rows: int
    """Rows of the offline side."""
    missing: int
    """Those that the service has no transcript of."""

    @property
    def as_well(self) -> bool:
        """True if every row was served, and not worse."""
        return not self.missing and self.change.verdict is not Verdict.WORSE

    @property
    def clause(self) -> str:
        """The action as it follows a colon."""
        return f"{self.change.action[:1].lower()}{self.change.action[1:]}"


def served(change: Comparison, rows: int, limits: DecisionLimits | None = None) -> Served:
    """Judge what serving changed; `rows` is how many the offline side has, `limits` as `compare` had them.

    Worse is what is so beyond chance: the KER of the targeted categories, or KER or WER of all rows.
    """
    missing = change.only_a if change.pairs or change.only_a else max(0, rows - change.every.rows)
    verdict = _verdict(change, limits)
    action = _action(verdict, rows, missing)
    reasons = tuple(_reasons(change))
    opinion = Opinion(verdict, action, "deploy")
    judgement = Judgement(
        published=opinion,
        honest=opinion,
        why=reasons[0],
        measured_as=reasons[0],
        diagnostics=(),
        general=None,
        stop=(),
        deviations=deviations(limits or DecisionLimits()),
    )
    found = replace(change, verdict=verdict, action=action, reasons=reasons, judgement=judgement)
    return Served(found, rows, missing)


def _verdict(change: Comparison, limits: DecisionLimits | None) -> Verdict:
    headline = change.every.headline
    told = measured(change.targeted or headline["ker"], limits)
    if told is Verdict.WORSE or any(clearly_worse(headline[name]) for name in ("ker", "wer")):
        return Verdict.WORSE
    return Verdict.UNCHANGED if told is Verdict.UNCHANGED else Verdict.KEEP


def _action(verdict: Verdict, rows: int, missing: int) -> str:
    if missing and missing == rows:
        return _NONE
    lacking = f"Not all rows were served, {missing:,} of {rows:,} are missing: {_REST}" if missing else ""
    if verdict is Verdict.WORSE:
        return f"{WORSE} {lacking}".rstrip()
    return lacking or (BETTER if verdict is Verdict.KEEP else AS_WELL)


def _reasons(change: Comparison) -> Iterator[str]:
    """The figures, what got worse, and what pairing left out or took on trust."""
    ker = change.targeted or change.every.headline["ker"]
    chance = ", within chance" if ker.delta and by_chance(ker) else ""
    yield f"{', '.join(change.names)} {sentence(ker)}{chance}."
    yield from got_worse(change.every)
    yield from change.notes
