"""Draw clusters anew, many times and quickly: the bootstrap behind `stats`.

Sums are drawn as whole numbers (scaled by a power of two where they are none), and whole numbers below
2^53 add up exactly in any order: however the work is divided, the result is the same to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.flywheel.parallel import processes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]

RESAMPLES = 10_000
SEED = 42
_BLOCK = 500
"""Resamples of one random stream."""
_CELLS = 1 << 17
"""Clusters drawn at a time: what is made of them fits the processor's cache."""
_FEW = 1 << 13
"""Up to so many clusters 16 random bits are seldom refused: then they cost less than 32."""
_DRAWS = 200_000_000
"""Cluster draws an interval may cost, half a second."""
_KIND_COST = 40
"""Measured: a count out of a multinomial costs as much as this many drawn clusters."""
_MOST_CELLS = 1 << 20
_ONE_BY_ONE = 2
"""Up to this many questions of one size are summed one by one: for more, counting the draws costs less."""
_WORTH_THREADS = 4_000_000
"""Cluster draws from which on a second thread is worth its start."""


class _Clusters(NamedTuple):
    """One question's clusters: the different ones in ascending order, and how often each is there."""

    kinds: NDArray[np.float64]
    """Whole numbers (sum · 2^exponent, count)."""
    multiplicity: NDArray[np.intp]
    exponent: int

    def pairs(self) -> NDArray[np.float64]:
        """Every cluster's sum and count."""
        import numpy as np

        return np.repeat(self.kinds, self.multiplicity, axis=0)

    def interval(self, totals: NDArray[np.float64]) -> Interval:
        """The interval from the resamples' totals (sum, count)."""
        import numpy as np

        ratios = np.ldexp(totals[:, 0] / totals[:, 1], -self.exponent)
        low, high = np.percentile(ratios, (2.5, 97.5))
        return float(low), float(high)


def clustered_intervals(
    questions: Sequence[tuple[NDArray[Any], NDArray[Any]]], *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Interval | None]:
    """95 % percentile intervals of sum(sums) / sum(counts) when whole clusters are drawn anew.

    A question is a pair (sums, counts), one number a cluster; clusters of no rows are left out. None
    where fewer than two clusters are left. Questions of as many clusters share their draws. Beyond
    20,000 clusters that mostly differ there are fewer resamples, to bound the time.
    """
    found: list[Interval | None] = [None] * len(questions)
    by_size: defaultdict[int, dict[int, _Clusters]] = defaultdict(dict)
    for place, (sums, counts) in enumerate(questions):
        clusters = _clusters(sums, counts)
        size = int(clusters.multiplicity.sum())
        if size >= 2 and len(clusters.kinds) * _KIND_COST < size:
            found[place] = clusters.interval(_draw_kinds(clusters, size, resamples, seed))
        elif size >= 2:
            by_size[size][place] = clusters
    for size, asked in by_size.items():
        number = min(resamples, max(1000, _DRAWS // size))
        totals = _draw_clusters([clusters.pairs() for clusters in asked.values()], number, seed)
        for (place, clusters), drawn in zip(asked.items(), totals, strict=True):
            found[place] = clusters.interval(drawn)
    return found


def _clusters(sums: NDArray[Any], counts: NDArray[Any]) -> _Clusters:
    import numpy as np

    rows = np.asarray(counts, dtype=np.float64)
    values = np.asarray(sums, dtype=np.float64)[rows > 0]
    rows = rows[rows > 0]
    exponent = 0
    if (values != np.rint(values)).any():
        # The largest total there can be takes 52 bits: what is rounded away is beyond any meaning.
        exponent = 52 - int(np.frexp(np.abs(values).max() * len(values))[1])
        values = np.rint(np.ldexp(values, exponent))
    return _Clusters(*_kinds(values, rows), exponent)


def _kinds(
    values: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The different clusters (sum, count), by count and sum, and how often each is there."""
    import numpy as np

    lowest = values.min(initial=0.0)
    width = values.max(initial=0.0) - lowest + 1
    if width * (rows.max(initial=0.0) + 1) <= _MOST_CELLS:
        # Few possible kinds: counting them costs a tenth of sorting.
        found = np.bincount((rows * width + (values - lowest)).astype(np.intp))
        cells = np.flatnonzero(found)
        return np.stack((cells % width + lowest, cells // width), axis=1), found[cells]
    order = np.lexsort((values, rows))
    pairs = np.stack((values[order], rows[order]), axis=1)
    places = np.flatnonzero(np.concatenate(([True], (pairs[1:] != pairs[:-1]).any(axis=1))))
    return pairs[places], np.diff(places, append=len(pairs))


def _draw_kinds(clusters: _Clusters, size: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """Totals for clusters that are mostly alike: draw how often each kind comes up."""
    import numpy as np

    generator = np.random.default_rng((seed, size))
    share = clusters.multiplicity / size
    step = max(1, _CELLS // len(share))
    numbers = (min(step, resamples - start) for start in range(0, resamples, step))
    drawn = [generator.multinomial(size, share, number) @ clusters.kinds for number in numbers]
    return np.concatenate(drawn)


def _draw_clusters(
    questions: Sequence[NDArray[np.float64]], resamples: int, seed: int
) -> Sequence[NDArray[np.float64]]:
    """Totals of `resamples` draws of as many clusters as there are, for questions of one size."""
    import numpy as np

    size = len(questions[0])
    blocks = range(-(-resamples // _BLOCK))
    if len(questions) > _ONE_BY_ONE:
        table = np.concatenate(questions, axis=1)
        drawn = [_counted(table, draws) for block in blocks for draws in _draws(size, block, seed)]
        totals = np.concatenate(drawn)[:resamples]
        return [totals[:, column : column + 2] for column in range(0, table.shape[1], 2)]
    # One complex number a cluster: a single sum gives both its parts.
    tables = [np.ascontiguousarray(pairs).view(np.complex128)[:, 0] for pairs in questions]

    def summed(block: int) -> NDArray[np.complex128]:
        rows = [[table.take(draws).sum(axis=1) for table in tables] for draws in _draws(size, block, seed)]
        return np.concatenate(rows, axis=1)

    threads = min(processes(), 4) if size * resamples >= _WORTH_THREADS else 1
    if threads > 1:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(threads) as pool:
            complex_totals = np.concatenate(list(pool.map(summed, blocks)), axis=1)
    else:
        complex_totals = np.concatenate([summed(block) for block in blocks], axis=1)
    return [np.stack((found.real, found.imag), axis=1)[:resamples] for found in complex_totals]


def _draws(size: int, block: int, seed: int) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    """One block's resamples, some at a time: numbers of clusters, one row a resample."""
    import numpy as np

    generator = np.random.default_rng((seed, size, block))
    step = max(1, _CELLS // size)
    for start in range(0, _BLOCK, step):
        shape = (min(step, _BLOCK - start), size)
        yield generator.integers(0, size, size=shape, dtype=np.uint16 if size <= _FEW else np.uint32)


def _counted(table: NDArray[np.float64], draws: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.float64]:
    """Totals of all columns: how often each cluster is drawn, times its values."""
    import numpy as np

    resamples, size = draws.shape
    cells = draws + np.arange(0, resamples * size, size)[:, None]
    times = np.bincount(cells.ravel(), minlength=resamples * size).reshape(resamples, size)
    totals: NDArray[np.float64] = times.astype(np.float64) @ table
    return totals
