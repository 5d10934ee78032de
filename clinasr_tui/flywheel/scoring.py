"""WER, CER, KER and SER a row, identical to the published recipe (method, section 2).

Errors and lengths are kept as integers, so that a row's WER and CER are one division each and
corpus-level figures can be told from the same arrays. Rows do not depend on each other:
`score_range` scores any slice, and slices put together give the whole.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.row_scores import COLUMNS, NO_KER, score_texts

if TYPE_CHECKING:
    from clinasr_tui.flywheel.hypotheses import Hypotheses
    from clinasr_tui.flywheel.progress import Progress

__all__ = ["NO_KER", "RowScore", "ScoredSet", "Scores", "score", "score_range", "score_row"]

_BATCH = 256
"""Rows scored at a time: what is made of them then fits the processor's cache."""
_SLICE = 8192
"""Rows between two reports of progress."""


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
    """0 hit, 1 miss, NO_KER: it stands for a row without a term, which is left out of KER means."""
    ser: array[int]

    def __len__(self) -> int:
        return len(self.ker)

    @classmethod
    def empty(cls) -> Scores:
        """No rows yet: 32-bit counts, 8-bit KER and SER."""
        return cls(*(array(kind) for kind in COLUMNS.values()))

    def columns(self) -> list[array[int]]:
        """All columns in the order of `row_scores.COLUMNS`."""
        return [getattr(self, name) for name in COLUMNS]

    def row(self, index: int) -> RowScore:
        """Scores of row `index`: errors / max(reference length, 1)."""
        ker = self.ker[index]
        return RowScore(
            wer=self.word_errors[index] / max(self.reference_words[index], 1),
            cer=self.char_errors[index] / max(self.reference_chars[index], 1),
            ker=None if ker == NO_KER else ker,
            ser=self.ser[index],
        )

    def extend(self, other: Scores) -> None:
        """Put the rows of `other` after these."""
        for column, more in zip(self.columns(), other.columns(), strict=True):
            column.extend(more)


@dataclass(slots=True)
class ScoredSet:
    """Transcripts with their scores: what leaderboards, gates and comparisons are made from."""

    hypotheses: Hypotheses
    scores: Scores

    def __len__(self) -> int:
        return len(self.scores)


def score_row(reference: str, hypothesis: str, term: str) -> RowScore:
    """Score one row."""
    return Scores(*score_texts([reference], [hypothesis], [term])).row(0)


def score_range(hypotheses: Hypotheses, start: int, stop: int) -> Scores:
    """Score rows `start` to `stop` (0-based, end excluded)."""
    scores = Scores.empty()
    for first in range(start, stop, _BATCH):
        rows = slice(first, min(first + _BATCH, stop))
        texts = (hypotheses.reference[rows], hypotheses.hypothesis[rows], hypotheses.term[rows])
        scores.extend(Scores(*score_texts(*texts)))
    return scores


def score(hypotheses: Hypotheses, progress: Progress | None = None) -> ScoredSet:
    """Score every row. `progress(fraction)` may return False to cancel (raises InterruptedError)."""
    total = len(hypotheses)
    scores = Scores.empty()
    for start in range(0, total, _SLICE):
        stop = min(start + _SLICE, total)
        scores.extend(score_range(hypotheses, start, stop))
        if progress is not None and not progress(stop / total):
            raise InterruptedError(f"scoring was cancelled after {stop:,} of {total:,} rows")
    return ScoredSet(hypotheses, scores)
