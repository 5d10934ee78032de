"""How sure a figure is: bootstrap intervals clustered by term, and the exact McNemar test.

Rows of one term share their errors (a term the model cannot spell is missed in every voice), so the
unit that is drawn anew is the term with all its rows, not the row (method, section 7, rule b). An
interval depends on the clusters' sums and sizes and on the seed, on nothing else: not on the order of
the rows, not on how many processors there are, not on what else is computed beside it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from clinasr_tui.flywheel.columns import CodedColumn
from clinasr_tui.flywheel.normalise import normalise
from clinasr_tui.flywheel.resampling import RESAMPLES, SEED, Interval, clustered_intervals
from clinasr_tui.flywheel.row_scores import NO_KER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clinasr_tui.flywheel.scoring import ScoredSet

__all__ = [
    "RESAMPLES",
    "SEED",
    "Interval",
    "cluster_ids",
    "clustered_interval",
    "clustered_intervals",
    "group_intervals",
    "ker_interval",
    "ker_intervals",
    "mcnemar_exact",
    "mean_interval",
    "sums_by_cluster",
]

_TAIL = 0.025
"""Either side of a 95 % interval."""
_EXACT_BELOW = 1000
"""Discordant pairs up to which McNemar's test is computed in whole numbers."""


def cluster_ids(terms: Sequence[str]) -> NDArray[np.intp]:
    """A cluster number a row: rows of one normalised term share it, a row without a term stands alone."""
    import numpy as np

    column = CodedColumn.of(terms)
    numbers: dict[Hashable, int] = {}
    known = np.array([numbers.setdefault(normalise(text), len(numbers)) for text in column.values], np.intp)
    ids: NDArray[np.intp] = known[codes_of(column)]
    lone = np.flatnonzero(ids == numbers.get("", -1))
    ids[lone] = len(numbers) + np.arange(len(lone))
    return ids


def codes_of(column: Sequence[str]) -> NDArray[np.unsignedinteger[Any]]:
    """Which of its distinct values each row has."""
    return as_numbers(CodedColumn.of(column).codes)


def as_numbers(column: array[int]) -> NDArray[Any]:
    """A typed array as numpy sees it, without a copy."""
    import numpy as np

    return np.frombuffer(column, dtype=column.typecode)


def clustered_interval(
    sums: NDArray[Any], counts: NDArray[Any], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval | None:
    """95 % percentile interval of sum(sums) / sum(counts) when whole clusters are drawn anew.

    `sums` and `counts` hold one number a cluster: the sum of its rows' values and its rows. Clusters
    of no rows are left out. None if fewer than two clusters are left: nothing varies then.
    """
    return clustered_intervals([(sums, counts)], resamples=resamples, seed=seed)[0]


def mean_interval(
    values: NDArray[Any], clusters: NDArray[np.intp], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval | None:
    """95 % interval of the mean of `values` (one a row) whose rows belong to `clusters` (one number a row).

    For a difference pass b − a of each pair: the pair stays together, which is what pairing means.
    """
    return clustered_interval(*sums_by_cluster(values, clusters), resamples=resamples, seed=seed)


def sums_by_cluster(
    values: NDArray[Any], clusters: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The sum of the values (one a row) and the number of rows of every cluster."""
    import numpy as np

    return np.bincount(clusters, weights=values).astype(np.float64), np.bincount(clusters)


def ker_interval(
    scored: ScoredSet,
    indices: Sequence[int] | NDArray[np.intp] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval | None:
    """95 % interval of the KER of a set's rows, or of those at `indices`; None with fewer than two terms.

    Where all rows are missed or all are heard the bootstrap has no width, which is no certainty: the
    exact binomial interval (Clopper and Pearson) of as many terms stands in its place.
    """
    import numpy as np

    ker, ids = as_numbers(scored.scores.ker), cluster_ids(scored.hypotheses.term)
    if indices is not None:
        chosen = np.asarray(indices, dtype=np.intp)
        ker, ids = ker[chosen], ids[chosen]
    counted = ker != NO_KER
    ker, ids = ker[counted], ids[counted]
    return _rate_intervals(_by_cluster(ids * 0, 1, ids, ker), resamples, seed)[0]


def group_intervals(
    scored: ScoredSet, field: str, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Interval]:
    """95 % interval of each group's KER (by category, say); a group of fewer than two terms has none.

    A group's interval is that of its rows by themselves: `ker_interval` gives the same.
    """
    return ker_intervals(scored, (field,), resamples=resamples, seed=seed)[1][field]


def ker_intervals(
    scored: ScoredSet, fields: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[Interval | None, dict[str, dict[str, Interval]]]:
    """The interval of all rows' KER and those of each field's groups, as `group_intervals` gives them."""
    ker = as_numbers(scored.scores.ker)
    counted = ker != NO_KER
    ker, ids = ker[counted], cluster_ids(scored.hypotheses.term)[counted]
    columns = [CodedColumn.of(scored.hypotheses.column(name)) for name in fields]
    questions = _by_cluster(ids * 0, 1, ids, ker)
    for column in columns:
        questions += _by_cluster(codes_of(column)[counted], len(column.values), ids, ker)
    overall, *found = _rate_intervals(questions, resamples, seed)
    answers = iter(found)
    groups = (zip(column.values, answers, strict=False) for column in columns)
    return overall, {
        name: {value: interval for value, interval in group if interval is not None}
        for name, group in zip(fields, groups, strict=True)
    }


def _rate_intervals(
    questions: Sequence[tuple[NDArray[np.float64], NDArray[np.intp]]], resamples: int, seed: int
) -> list[Interval | None]:
    """Intervals of rates from 0 to 1, exact ones where every cluster is at the same end."""
    found = clustered_intervals(questions, resamples=resamples, seed=seed)
    for place, (misses, rows) in enumerate(questions):
        total = misses.sum()
        if found[place] is not None and total in (0, rows.sum()):
            unseen = 1 - _TAIL ** (1 / int((rows > 0).sum()))
            found[place] = (0.0, unseen) if total == 0 else (1 - unseen, 1.0)
    return found


def _by_cluster(
    groups: NDArray[Any], number: int, clusters: NDArray[np.intp], values: NDArray[Any]
) -> list[tuple[NDArray[np.float64], NDArray[np.intp]]]:
    """Sum of the rows' values and count of rows in each cluster, for each of `number` groups of rows."""
    import numpy as np

    width = int(clusters.max(initial=0)) + 1
    cells = groups * np.intp(width) + clusters
    sums = np.bincount(cells, weights=values, minlength=number * width).reshape(number, width)
    counts = np.bincount(cells, minlength=number * width).reshape(number, width)
    return list(zip(sums, counts, strict=True))


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar test: p of `b` rows changing one way and `c` the other, 1.0 if none did.

    Twice the smaller binomial tail at one half, at most 1. Raises ValueError for negative counts.
    """
    if b < 0 or c < 0:
        raise ValueError("counts of changed rows cannot be negative")
    n, fewer = b + c, min(b, c)
    if b == c:
        return 1.0
    if n <= _EXACT_BELOW:
        tail = sum(math.comb(n, i) for i in range(fewer + 1))
        return min(1.0, 2 * tail / (1 << n))
    log_first = math.lgamma(n + 1) - math.lgamma(fewer + 1) - math.lgamma(n - fewer + 1) - n * math.log(2)
    total = term = 1.0
    for i in range(fewer, 0, -1):
        term *= i / (n - i + 1)
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, math.exp(math.log(2) + log_first + math.log(total)))
