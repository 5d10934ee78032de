"""WER, CER, KER and SER a row, identical to the published recipe (method, section 2)."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from clinasr_tui.flywheel.hypotheses import Hypotheses

NO_KER = -1
"""Stands in `Scores.ker` for a row without a term: it has no KER and is left out of KER means."""


class RowScore(NamedTuple):
    """Scores of one row. `ker` is None where the row has no term."""

    wer: float
    cer: float
    ker: int | None
    ser: int


@dataclass(slots=True)
class Scores:
    """Scores of a set of rows in input order, one typed array a column, all of the same length."""

    word_errors: array[int]
    reference_words: array[int]
    char_errors: array[int]
    reference_chars: array[int]
    ker: array[int]
    """0 hit, 1 miss, NO_KER."""
    ser: array[int]

    def __len__(self) -> int:
        return len(self.ker)

    def row(self, index: int) -> RowScore:
        """Scores of row `index`: errors / max(reference length, 1)."""
        raise NotImplementedError


@dataclass(slots=True)
class ScoredSet:
    """Transcripts with their scores: what leaderboards, gates and comparisons are made from."""

    hypotheses: Hypotheses
    scores: Scores

    def __len__(self) -> int:
        return len(self.scores)


def score_row(reference: str, hypothesis: str, term: str) -> RowScore:
    """Score one row."""
    raise NotImplementedError


def score(hypotheses: Hypotheses, progress: Callable[[float], bool] | None = None) -> ScoredSet:
    """Score every row. `progress(fraction)` may return False to cancel (raises InterruptedError)."""
    raise NotImplementedError
