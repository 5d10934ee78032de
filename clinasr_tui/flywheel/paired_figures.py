"""Figures of rows that stand in two cycles: differences of any part of the pairs, with interval and test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.flywheel.decision import Difference, difference
from clinasr_tui.flywheel.leaderboard import METRICS
from clinasr_tui.flywheel.scoring import NO_KER, ScoredSet, Scores
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clinasr_tui.flywheel.pairing import Pairing

    Mask = NDArray[np.bool_]

ALL = ("all categories",)
"""Stands for the names of categories where none was chosen."""
_WHOLE = ("ker", "ser")
"""Metrics whose rows are 0 or 1."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One set of paired rows (all, held-out, trained): headline and KER by section field."""

    rows: int
    headline: dict[str, Difference]
    by: dict[str, dict[str, Difference]]

    def as_json(self) -> dict[str, Any]:
        """Its keys in the `compare` command's document."""
        return {
            "rows": self.rows,
            "headline": {name: asdict(figure) for name, figure in self.headline.items()},
            "by": {
                field: {value: asdict(figure) for value, figure in groups.items()}
                for field, groups in self.by.items()
            },
        }


class _Groups(NamedTuple):
    """A section field's values and which of them each pair has (as in A)."""

    values: Sequence[str]
    codes: NDArray[np.unsignedinteger[Any]]

    def inside(self, mask: Mask) -> Iterator[tuple[str, Mask]]:
        """Every value some pair in `mask` has, in order of first appearance, and its pairs there."""
        import numpy as np

        numbers, first = np.unique(self.codes[mask], return_index=True)
        for number in numbers[np.argsort(first)].tolist():
            yield self.values[number], mask & (self.codes == number)


class PairedFigures:
    """The paired rows' scores as columns. A part of them is a mask: one truth value a pair."""

    def __init__(self, a: ScoredSet, b: ScoredSet, pairing: Pairing, *, seed: int, resamples: int) -> None:
        import numpy as np

        from clinasr_tui.flywheel.columns import CodedColumn
        from clinasr_tui.flywheel.stats import cluster_ids, codes_of

        at_a, at_b = np.asarray(pairing.a, dtype=np.intp), np.asarray(pairing.b, dtype=np.intp)
        self.everything = np.ones(len(at_a), dtype=bool)
        left, right = _row_values(a.scores, at_a), _row_values(b.scores, at_b)
        self._values = {name: (left[name], right[name]) for name in METRICS}
        self._with_term = (left["ker"] != NO_KER) & (right["ker"] != NO_KER)
        self._clusters = cluster_ids(a.hypotheses.term)[at_a]
        self._groups = {}
        for name in SECTION_FIELDS:
            column = CodedColumn.of(a.hypotheses.column(name))
            self._groups[name] = _Groups(column.values, codes_of(column)[at_a])
        self._drawing = {"seed": seed, "resamples": resamples}

    def mask(self, flags: Sequence[bool]) -> Mask:
        """Flags a pair as a mask."""
        import numpy as np

        return np.array(flags, dtype=bool)

    def targeted(self, priority: Sequence[str]) -> tuple[Mask, tuple[str, ...]]:
        """Pairs of the priority categories and their names; every pair if they have no row with a term."""
        import numpy as np

        values, codes = self._groups["entity_category"]
        chosen = np.isin(codes, [number for number, value in enumerate(values) if value in priority])
        return (chosen, tuple(priority)) if (chosen & self._with_term).any() else (self.everything, ALL)

    def changed(self, before: int, after: int) -> tuple[int, ...]:
        """Pairs whose KER was `before` in A and is `after` in B."""
        left, right = self._values["ker"]
        return tuple((self._with_term & (left == before) & (right == after)).nonzero()[0].tolist())

    def slice(self, mask: Mask) -> Slice:
        """Headline and sections of the pairs in `mask`; values in order of first appearance."""
        groups = [
            (field, value, part)
            for field, column in self._groups.items()
            for value, part in column.inside(mask)
        ]
        asked = [(name, mask) for name in METRICS] + [("ker", part) for _, _, part in groups]
        found = iter(self.differences(asked))
        headline = {name: next(found) for name in METRICS}
        by: dict[str, dict[str, Difference]] = {field: {} for field in self._groups}
        for (field, value, _), figure in zip(groups, found, strict=True):
            by[field][value] = figure
        return Slice(int(mask.sum()), headline, by)

    def difference(self, metric: str, mask: Mask) -> Difference:
        """One metric of the pairs in `mask`, with its interval and, for KER and SER, McNemar's p."""
        return self.differences([(metric, mask)])[0]

    def differences(self, asked: Sequence[tuple[str, Mask]]) -> list[Difference]:
        """The same of several at once, which costs less: intervals share their draws."""
        from clinasr_tui.flywheel.stats import clustered_intervals, sums_by_cluster

        chosen = []
        for metric, mask in asked:
            counted = mask & self._with_term if metric == "ker" else mask
            left, right = self._values[metric]
            chosen.append((left[counted], right[counted], self._clusters[counted]))
        questions = [sums_by_cluster(right - left, clusters) for left, right, clusters in chosen]
        intervals = clustered_intervals(questions, **self._drawing)
        return [
            _difference(metric, left, right, interval)
            for (metric, _), (left, right, _), interval in zip(asked, chosen, intervals, strict=True)
        ]


def _difference(
    metric: str,
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    interval: tuple[float, float] | None,
) -> Difference:
    from clinasr_tui.flywheel.stats import mcnemar_exact

    n = len(left)
    if n == 0:
        return difference(None, None, 0)
    p = None
    if metric in _WHOLE:
        p = mcnemar_exact(int((left < right).sum()), int((left > right).sum()))
        sums = [float(values.sum()) for values in (left, right)]  # whole numbers: exact in any order
    else:
        sums = [math.fsum(values.tolist()) for values in (left, right)]
    return difference(sums[0] / n, sums[1] / n, n, ci95=interval, p=p)


def _row_values(scores: Scores, at: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
    """The four scores of the rows at `at`, KER being NO_KER where there is none."""
    import numpy as np

    words, characters = (
        np.asarray(errors)[at] / np.maximum(np.asarray(lengths)[at], 1)
        for errors, lengths in (
            (scores.word_errors, scores.reference_words),
            (scores.char_errors, scores.reference_chars),
        )
    )
    ker, ser = (np.asarray(column)[at].astype(float) for column in (scores.ker, scores.ser))
    return {"wer": words, "cer": characters, "ker": ker, "ser": ser}
