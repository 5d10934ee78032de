"""How sure a figure is: bootstrap intervals clustered by term, and the exact McNemar test.

Rows of one term share their errors (a term the model cannot spell is missed in every voice), so the
unit that is drawn anew is the term with all its rows, not the row (method, section 7, rule b).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clinasr_tui.flywheel.normalise import normalise
from clinasr_tui.flywheel.scoring import NO_KER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clinasr_tui.flywheel.scoring import ScoredSet

RESAMPLES = 10_000
SEED = 42
_CELLS = 1_000_000
"""Numbers drawn at a time."""
_DRAWS = 200_000_000
"""Cluster draws an interval may cost, about a second."""
_MULTINOMIAL_COST = 8
"""A count drawn from a multinomial costs about as much as this many drawn clusters."""
_EXACT_BELOW = 1000
"""Discordant pairs up to which McNemar's test is computed in whole numbers."""


def cluster_ids(terms: Sequence[str]) -> NDArray[np.intp]:
    """A cluster number a row: rows of one normalised term share it, a row without a term stands alone."""
    import numpy as np

    known: dict[str, Hashable] = {"": None}
    numbers: dict[Hashable, int] = {}
    ids = np.empty(len(terms), dtype=np.intp)
    for index, term in enumerate(terms):
        if term not in known:
            known[term] = normalise(term) or None
        # An index can be no term, so that lone rows and terms never share a key.
        key = known[term]
        ids[index] = numbers.setdefault(index if key is None else key, len(numbers))
    return ids


def clustered_interval(
    sums: NDArray[Any],
    counts: NDArray[Any],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float] | None:
    """95 % percentile interval of sum(sums) / sum(counts) when whole clusters are drawn anew.

    `sums` and `counts` hold one number a cluster: the sum of its rows' values and its rows. Clusters
    of no rows are left out. None if fewer than two clusters are left: nothing varies then.
    Beyond 20,000 clusters that all differ there are fewer resamples, to bound the time.
    """
    import numpy as np

    # One complex number a cluster: a single sum then gives both numerator and denominator.
    pairs = np.asarray(sums, dtype=float) + 1j * np.asarray(counts, dtype=float)
    pairs = pairs[pairs.imag > 0]
    if len(pairs) < 2:
        return None
    kinds, multiplicity = np.unique(pairs, return_counts=True)
    generator = np.random.default_rng(seed)
    if len(kinds) * _MULTINOMIAL_COST < len(pairs):
        totals = _draw_kinds(kinds, multiplicity, resamples, generator)
    else:
        totals = _draw_clusters(pairs, min(resamples, max(1000, _DRAWS // len(pairs))), generator)
    low, high = np.percentile(totals.real / totals.imag, (2.5, 97.5))
    return float(low), float(high)


def _draw_clusters(
    pairs: NDArray[np.complex128], resamples: int, generator: np.random.Generator
) -> NDArray[np.complex128]:
    """Totals of `resamples` draws of as many clusters as there are, with replacement."""
    import numpy as np

    clusters = len(pairs)
    totals = np.empty(resamples, dtype=complex)
    step = max(1, _CELLS // clusters)
    for start in range(0, resamples, step):
        size = (min(step, resamples - start), clusters)
        drawn = generator.integers(0, clusters, size=size, dtype=np.uint32)
        totals[start : start + step] = pairs.take(drawn).sum(axis=1)
    return totals


def _draw_kinds(
    kinds: NDArray[np.complex128],
    multiplicity: NDArray[np.intp],
    resamples: int,
    generator: np.random.Generator,
) -> NDArray[np.complex128]:
    """The same for clusters that are mostly alike: draw how often each kind comes up."""
    import numpy as np

    clusters = int(multiplicity.sum())
    totals = np.empty(resamples, dtype=complex)
    step = max(1, _CELLS // len(kinds))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        totals[start : start + step] = generator.multinomial(clusters, multiplicity / clusters, size) @ kinds
    return totals


def mean_interval(
    values: NDArray[Any],
    clusters: NDArray[np.intp],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float] | None:
    """95 % interval of the mean of `values` (one a row) whose rows belong to `clusters` (one number a row).

    For a difference pass b − a of each pair: the pair stays together, which is what pairing means.
    """
    import numpy as np

    if len(values) == 0:
        return None
    sums, counts = np.bincount(clusters, weights=values), np.bincount(clusters)
    return clustered_interval(sums, counts, resamples=resamples, seed=seed)


def ker_interval(
    scored: ScoredSet,
    indices: Sequence[int] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float] | None:
    """95 % interval of the KER of a set's rows, or of those at `indices`; None with fewer than two terms."""
    import numpy as np

    ker, terms = np.asarray(scored.scores.ker), scored.hypotheses.term
    chosen = np.arange(len(ker)) if indices is None else np.asarray(indices, dtype=np.intp)
    chosen = chosen[ker[chosen] != NO_KER]
    ids = cluster_ids([terms[index] for index in chosen.tolist()])
    return mean_interval(ker[chosen], ids, resamples=resamples, seed=seed)


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
        return min(1.0, float(Fraction(2 * tail, 2**n)))
    log_first = math.lgamma(n + 1) - math.lgamma(fewer + 1) - math.lgamma(n - fewer + 1) - n * math.log(2)
    total = term = 1.0
    for i in range(fewer, 0, -1):
        term *= i / (n - i + 1)
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, math.exp(math.log(2) + log_first + math.log(total)))
