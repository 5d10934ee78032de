"""WER, CER, KER and SER a row, identical to the published recipe (method, section 2).

Errors and lengths are kept as integers, so that a row's WER and CER are one division each and
corpus-level figures can be told from the same arrays. Rows do not depend on each other:
`score_range` scores any slice, and slices put together give the whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from clinasr_tui.flywheel.hypotheses import Hypotheses
from clinasr_tui.flywheel.normalise import contains_term, normalise

NO_KER = -1
"""Stands in `Scores.ker` for a row without a term: it has no KER and is left out of KER means.

A term of which nothing is left after normalisation (`"!"`) counts as none.
"""

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
    """0 hit, 1 miss, NO_KER."""
    ser: array[int]

    def __len__(self) -> int:
        return len(self.ker)

    @classmethod
    def empty(cls) -> Scores:
        """No rows yet: 32-bit counts, 8-bit KER and SER."""
        return cls(array("i"), array("i"), array("i"), array("i"), array("b"), array("b"))

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
        self.word_errors.extend(other.word_errors)
        self.reference_words.extend(other.reference_words)
        self.char_errors.extend(other.char_errors)
        self.reference_chars.extend(other.reference_chars)
        self.ker.extend(other.ker)
        self.ser.extend(other.ser)


@dataclass(slots=True)
class ScoredSet:
    """Transcripts with their scores: what leaderboards, gates and comparisons are made from."""

    hypotheses: Hypotheses
    scores: Scores

    def __len__(self) -> int:
        return len(self.scores)


def score_row(reference: str, hypothesis: str, term: str) -> RowScore:
    """Score one row."""
    single = Hypotheses(None, reference=[reference], hypothesis=[hypothesis], term=[term])
    return score_range(single, 0, 1).row(0)


def score_range(hypotheses: Hypotheses, start: int, stop: int) -> Scores:
    """Score rows `start` to `stop` (0-based, end excluded) in one loop."""
    from rapidfuzz.distance import Levenshtein

    distance = Levenshtein.distance
    scores = Scores.empty()
    terms: dict[str, str] = {}
    for reference, hypothesis, term in zip(
        hypotheses.reference[start:stop],
        hypotheses.hypothesis[start:stop],
        hypotheses.term[start:stop],
        strict=True,
    ):
        ref = normalise(reference)
        hyp = normalise(hypothesis)
        ref_words = ref.split()
        same = ref == hyp
        scores.reference_words.append(len(ref_words))
        scores.reference_chars.append(len(ref))
        scores.word_errors.append(0 if same else distance(ref_words, hyp.split()))
        scores.char_errors.append(0 if same else distance(ref, hyp))
        scores.ser.append(not same)
        keyword = terms.get(term)
        if keyword is None:
            keyword = terms[term] = normalise(term)
        scores.ker.append(not contains_term(hyp, keyword) if keyword else NO_KER)
    return scores


def score(hypotheses: Hypotheses, progress: Callable[[float], bool] | None = None) -> ScoredSet:
    """Score every row. `progress(fraction)` may return False to cancel (raises InterruptedError)."""
    total = len(hypotheses)
    scores = Scores.empty()
    for start in range(0, total, _SLICE):
        stop = min(start + _SLICE, total)
        scores.extend(score_range(hypotheses, start, stop))
        if progress is not None and not progress(stop / total):
            raise InterruptedError(f"scoring was cancelled after {stop:,} of {total:,} rows")
    return ScoredSet(hypotheses, scores)
