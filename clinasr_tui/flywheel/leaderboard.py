"""The five-section leaderboard: build, write as Markdown, read back, JSON (method, section 2)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui import __version__
from clinasr_tui.flywheel.columns import CodedColumn
from clinasr_tui.flywheel.normalise import NORMALISER
from clinasr_tui.flywheel.resampling import RESAMPLES, SEED, Interval
from clinasr_tui.flywheel.stats import as_numbers, codes_of, ker_intervals
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    from clinasr_tui.flywheel.scoring import ScoredSet

_MOST_CELLS = 1 << 20
_SCALE = 128
"""Bits: every quotient of two 32-bit numbers times 2^128 is a whole number."""
METRICS = ("wer", "cer", "ker", "ser")
OVERRIDE, HINTED, GUESSED = "override", "merriam-webster", "magpie_g2p"
"""Pronunciations checked by hand, from a dictionary, by the synthesiser's own rules.

Section 3 compares the last two."""


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
    """Normaliser, aggregation, KER rule, library versions, seed: what makes the figures repeatable."""
    ker_interval: Interval | None = None
    """95 % interval of the KER, bootstrap over terms; None with fewer than two terms."""
    intervals: dict[str, dict[str, Interval]] = field(default_factory=dict)
    """The same of the groups in `by`; a group of fewer than two terms has none."""


def build_leaderboard(scored: ScoredSet) -> Leaderboard:
    """The leaderboard of a scored set."""
    scores = scored.scores
    hits, misses = scores.ker.count(0), scores.ker.count(1)
    overall, intervals = ker_intervals(scored, SECTION_FIELDS)
    return Leaderboard(
        rows=len(scored),
        ker_rows=hits + misses,
        metrics={
            "wer": _mean_rate(scores.word_errors, scores.reference_words),
            "cer": _mean_rate(scores.char_errors, scores.reference_chars),
            "ker": _share(misses, hits + misses),
            "ser": _share(_sum(scores.ser), len(scored)),
        },
        corpus={
            "wer": _share(_sum(scores.word_errors), _sum(scores.reference_words)),
            "cer": _share(_sum(scores.char_errors), _sum(scores.reference_chars)),
        },
        by={name: ker_by(scored.hypotheses.column(name), scores.ker) for name in SECTION_FIELDS},
        terms=_terms(scored),
        signature=signature(),
        ker_interval=overall,
        intervals=intervals,
    )


def signature(*, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, str]:
    """What makes figures repeatable: rules by name, versions of what computed them, the bootstrap's seed."""
    import numpy as np
    import rapidfuzz

    return {
        "normaliser": NORMALISER,
        "aggregation": "mean of the rows' scores",
        "ker": "term's words in order and adjacent; rows without a term left out",
        "interval": f"95 %, percentile bootstrap over terms, {resamples} resamples; "
        "exact binomial over terms where all rows are missed or all are heard",
        "seed": str(seed),
        "rapidfuzz": rapidfuzz.__version__,
        "numpy": np.__version__,
        "clinasr-tui": __version__,
    }


def ker_by(values: Sequence[str], ker: array[int]) -> dict[str, GroupFigure]:
    """KER by value, values in order of first appearance; rows without a term count for no n."""
    import numpy as np

    column = CodedColumn.of(values)
    # NO_KER, hit and miss become 0, 1 and 2 of each value's three cells.
    cells = codes_of(column) * np.intp(3) + (as_numbers(ker) + 1)
    counts = np.bincount(cells, minlength=3 * len(column.values)).reshape(-1, 3).tolist()
    return {
        value: GroupFigure(_share(misses, hits + misses), hits + misses)
        for value, (_, hits, misses) in zip(column.values, counts, strict=True)
    }


def ipa_source_gap(board: Leaderboard) -> str:
    """The merriam-webster ↔ magpie_g2p difference in one sentence (also when it cannot be told).

    Without merriam-webster rows the override rows stand in, whose pronunciation is known as well.
    """
    groups = board.by.get("ipa_source", {})
    known, hinted, guessed = (groups.get(name, GroupFigure(None, 0)) for name in (OVERRIDE, HINTED, GUESSED))
    left, remark = HINTED, ""
    if hinted.ker is None and known.ker is not None and guessed.ker is not None:
        left, hinted, remark = OVERRIDE, known, f"; there are no {HINTED} rows"
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
    sides = (f"{name} {group.ker:.3f} (n {group.n})" for name, group in ((left, hinted), (GUESSED, guessed)))
    return f"{' against '.join(sides)}: {words}{remark}."


def to_json(board: Leaderboard) -> dict[str, Any]:
    """The JSON keys of the `score` command, without `schema`."""
    return {
        "rows": board.rows,
        "ker_rows": board.ker_rows,
        "metrics": dict(board.metrics),
        "ker_ci95": _limits(board.ker_interval),
        "corpus": dict(board.corpus),
        "by": {
            name: {
                value: {**figure._asdict(), "ci95": _limits(board.intervals.get(name, {}).get(value))}
                for value, figure in groups.items()
            }
            for name, groups in board.by.items()
        },
        "terms": [term._asdict() for term in board.terms],
        "signature": dict(board.signature),
    }


def _limits(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _terms(scored: ScoredSet) -> tuple[TermFigure, ...]:
    groups = ker_by(scored.hypotheses.term, scored.scores.ker)
    figures = [TermFigure(term, ker, n) for term, (ker, n) in groups.items() if ker is not None]
    return tuple(sorted(figures, key=lambda figure: (-figure.ker, -figure.n, figure.term)))


def _mean_rate(errors: array[int], lengths: array[int]) -> float | None:
    """Mean of the rows' errors / max(length, 1), summed without rounding; None without rows."""
    import numpy as np

    if not errors:
        return None
    wrong, length = as_numbers(errors), np.maximum(as_numbers(lengths), 1)
    width = int(length.max()) + 1
    if (int(wrong.max()) + 1) * width > _MOST_CELLS:
        return math.fsum((wrong / length).tolist()) / len(errors)
    # Few rates are different: each is scaled to a whole number and added as often as it occurs.
    times = np.bincount(wrong * np.intp(width) + length)
    cells = np.flatnonzero(times)
    rates = (cells // width) / (cells % width)
    scaled = zip(rates.tolist(), times[cells].tolist(), strict=True)
    total: int = sum(int(math.ldexp(rate, _SCALE)) * number for rate, number in scaled)
    return total / (1 << _SCALE) / len(errors)


def _sum(column: array[int]) -> int:
    return int(as_numbers(column).sum(dtype="int64"))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
