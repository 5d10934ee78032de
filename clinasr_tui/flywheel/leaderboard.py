"""The five-section leaderboard: build, write as Markdown, read back, JSON (method, section 2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui import __version__
from clinasr_tui.flywheel.normalise import NORMALISER
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    from clinasr_tui.flywheel.scoring import ScoredSet

METRICS = ("wer", "cer", "ker", "ser")
HINTED, GUESSED = "merriam-webster", "magpie_g2p"
"""Pronunciations from a dictionary and from the synthesiser's own rules: the pair section 3 compares."""


class GroupFigure(NamedTuple):
    """KER of one group. `n` counts the rows that have a term; `ker` is None if there is none."""

    ker: float | None
    n: int


class TermFigure(NamedTuple):
    """KER of one term over its `n` rows."""

    term: str
    ker: float
    n: int


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Published figures (means of the rows' scores) of one set of transcripts."""

    rows: int
    ker_rows: int
    """Rows with a term: the n of the KER."""
    metrics: dict[str, float | None]
    """wer, cer, ker, ser: arithmetic means of the rows' scores."""
    corpus: dict[str, float | None]
    """Pooled wer and cer (all errors / all reference tokens), secondary and labelled so."""
    by: dict[str, dict[str, GroupFigure]]
    """KER by entity_category, ipa_source and noise_level; values in order of first appearance."""
    terms: tuple[TermFigure, ...]
    """Worst first; ties by n, largest first, then by term."""
    signature: dict[str, str] = field(default_factory=dict)
    """Normaliser, aggregation, KER rule, library versions: what makes the figure repeatable."""


def build_leaderboard(scored: ScoredSet) -> Leaderboard:
    """The leaderboard of a scored set."""
    scores = scored.scores
    with_term = Counter(scores.ker)
    hits, misses = with_term[0], with_term[1]
    return Leaderboard(
        rows=len(scored),
        ker_rows=hits + misses,
        metrics={
            "wer": _mean_rate(scores.word_errors, scores.reference_words),
            "cer": _mean_rate(scores.char_errors, scores.reference_chars),
            "ker": _share(misses, hits + misses),
            "ser": _share(sum(scores.ser), len(scored)),
        },
        corpus={
            "wer": _share(sum(scores.word_errors), sum(scores.reference_words)),
            "cer": _share(sum(scores.char_errors), sum(scores.reference_chars)),
        },
        by={name: ker_by(scored.hypotheses.column(name), scores.ker) for name in SECTION_FIELDS},
        terms=_terms(scored),
        signature=signature(),
    )


def signature() -> dict[str, str]:
    """What makes a figure repeatable: rules by name, versions of what computed it."""
    import rapidfuzz

    return {
        "normaliser": NORMALISER,
        "aggregation": "mean of the rows' scores",
        "ker": "term's words in order and adjacent; rows without a term left out",
        "rapidfuzz": rapidfuzz.__version__,
        "clinasr-tui": __version__,
    }


def ker_by(values: Sequence[str], ker: Sequence[int]) -> dict[str, GroupFigure]:
    """KER by value, values in order of first appearance; rows without a term count for no n."""
    counts = Counter(zip(values, ker, strict=True))
    figures = {}
    for value in dict.fromkeys(values):
        misses, n = counts[value, 1], counts[value, 0] + counts[value, 1]
        figures[value] = GroupFigure(_share(misses, n), n)
    return figures


def ipa_source_gap(board: Leaderboard) -> str:
    """The merriam-webster ↔ magpie_g2p difference in one sentence (also when it cannot be told)."""
    groups = board.by.get("ipa_source", {})
    hinted, guessed = (groups.get(name, GroupFigure(None, 0)) for name in (HINTED, GUESSED))
    if hinted.ker is None or guessed.ker is None:
        missing = " and no ".join(
            name for name, group in ((HINTED, hinted), (GUESSED, guessed)) if group.ker is None
        )
        return f"{HINTED} against {GUESSED}: the difference cannot be told, there are no {missing} rows."
    gap = guessed.ker - hinted.ker
    if gap == 0:
        words = "no difference"
    else:
        words = f"{GUESSED} rows are {abs(gap):.3f} {'worse' if gap > 0 else 'better'}"
    sides = (
        f"{name} {group.ker:.3f} (n {group.n})" for name, group in ((HINTED, hinted), (GUESSED, guessed))
    )
    return f"{' against '.join(sides)}: {words}."


def to_json(board: Leaderboard) -> dict[str, Any]:
    """The JSON keys of the `score` command, without `schema`."""
    return {
        "rows": board.rows,
        "ker_rows": board.ker_rows,
        "metrics": dict(board.metrics),
        "corpus": dict(board.corpus),
        "by": {
            name: {value: figure._asdict() for value, figure in groups.items()}
            for name, groups in board.by.items()
        },
        "terms": [term._asdict() for term in board.terms],
        "signature": dict(board.signature),
    }


def _terms(scored: ScoredSet) -> tuple[TermFigure, ...]:
    groups = ker_by(scored.hypotheses.term, scored.scores.ker)
    figures = [TermFigure(term, ker, n) for term, (ker, n) in groups.items() if ker is not None]
    return tuple(sorted(figures, key=lambda figure: (-figure.ker, -figure.n, figure.term)))


def _mean_rate(errors: Sequence[int], lengths: Sequence[int]) -> float | None:
    """Mean of the rows' errors / max(length, 1), summed without rounding; None without rows."""
    if not errors:
        return None
    rates = (error / (length or 1) for error, length in zip(errors, lengths, strict=True))
    return math.fsum(rates) / len(errors)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
