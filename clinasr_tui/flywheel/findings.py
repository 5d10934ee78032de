"""What a leaderboard tells besides its figures: gaps, saturation, implausible scores (method, section 3).

Each finding has an id and says where it leads. The pronunciation gap and the implausible scores close
the gate; the others are advice beside the route.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.leaderboard import GUESSED, HINTED, GroupFigure

if TYPE_CHECKING:
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.thresholds import Thresholds

PRONUNCIATION_GAP = "pronunciation_gap"
ROBUSTNESS_GAP = "robustness_gap"
SATURATED = "saturated"
MISALIGNED = "misaligned"
ALL_MISS = "all_miss"
_CLEAN = "clean"
_NOTHING = GroupFigure(None, 0)


class Route(StrEnum):
    """Where the way leads."""

    FINETUNE = "finetune"
    BUILD = "build"
    HARDEN = "harden"
    EXPAND = "expand"


@dataclass(frozen=True, slots=True)
class Finding:
    """A special case of the method by its id, where it leads, and one sentence with its figures."""

    id: str
    route: Route
    message: str


def find(board: Leaderboard, priority: tuple[str, ...], limits: Thresholds) -> tuple[Finding, ...]:
    """All findings, those that are checked first at the front."""
    found = (
        pronunciation_gap(board.by.get("ipa_source", {}), limits),
        _implausible(board, limits),
        _saturated(board, priority, limits),
        _robustness_gap(board, limits),
    )
    return tuple(one for one in found if one is not None)


def pronunciation_gap(sources: Mapping[str, GroupFigure], limits: Thresholds) -> Finding | None:
    """Dictionary-hinted rows good, guessed ones bad: the hints are missing, not the model's ear."""
    good, bad = sources.get(HINTED, _NOTHING), sources.get(GUESSED, _NOTHING)
    if not _gap(good, bad, limits):
        return None
    return Finding(
        PRONUNCIATION_GAP,
        Route.BUILD,
        f"{HINTED} rows are good ({shown(good)}) while {GUESSED} rows are bad ({shown(bad)}): a "
        "pronunciation-hint gap, not a model gap. Go back to build's IPA review; do not fine-tune.",
    )


def shown(figure: GroupFigure) -> str:
    """`0.978, n 90`, for use inside brackets."""
    return f"{'no KER' if figure.ker is None else f'{figure.ker:.3f}'}, n {figure.n}"


def _gap(good: GroupFigure, bad: GroupFigure, limits: Thresholds) -> bool:
    """True if the first group is good and the second bad, with enough rows in both to say so."""
    if good.ker is None or bad.ker is None or min(good.n, bad.n) < limits.min_gap_rows:
        return False
    return good.ker <= limits.good_ker and bad.ker > limits.bad_ker


def _robustness_gap(board: Leaderboard, limits: Thresholds) -> Finding | None:
    """Clean rows fine while those of a noise level (snr_5db, or one of the user's own) are bad."""
    levels = board.by.get("noise_level", {})
    clean = levels.get(_CLEAN, _NOTHING)
    noisy = {
        name: figure for name, figure in levels.items() if name != _CLEAN and _gap(clean, figure, limits)
    }
    if not noisy:
        return None
    bad = ", ".join(f"{name or '(none)'} rows ({shown(figure)})" for name, figure in noisy.items())
    return Finding(
        ROBUSTNESS_GAP,
        Route.BUILD,
        f"Clean rows are fine ({shown(clean)}) while {bad} are bad: a robustness gap. "
        "Add noise diversity (build).",
    )


def _saturated(board: Leaderboard, priority: tuple[str, ...], limits: Thresholds) -> Finding | None:
    groups = board.by.get("entity_category", {})
    low = {
        name: figure
        for name in priority
        if (figure := groups.get(name, _NOTHING)).ker is not None and figure.ker < limits.harden_below
    }
    if not low:
        return None
    figures = ", ".join(f"{name} ({shown(figure)})" for name, figure in low.items())
    return Finding(
        SATURATED,
        Route.HARDEN,
        f"Saturated: {figures} below {limits.harden_below:g}. Tuning would chase a metric with nothing left "
        "to show; add voices, noise, contexts, adversarial terms.",
    )


def _implausible(board: Leaderboard, limits: Thresholds) -> Finding | None:
    ker, wer = board.metrics.get("ker"), board.metrics.get("wer")
    if ker == 1:
        return Finding(
            ALL_MISS,
            Route.BUILD,
            f"Every row misses its term (n {board.ker_rows}): a normalisation mismatch between transcripts, "
            "references and terms. Look at a few rows before believing it.",
        )
    if ker == 0 and wer is not None and wer > limits.high_wer:
        return Finding(
            MISALIGNED,
            Route.BUILD,
            f"Every row has its term and the WER is high all the same ({wer:.3f}): a misaligned manifest, "
            "audio and text of different rows. Read a few pairs by hand.",
        )
    return None
