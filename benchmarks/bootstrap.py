"""A paired bootstrap of 100,000 rows × 10,000 resamples, beside the one that draws row numbers.

KER of two cycles, drawn by row and by term, and WER drawn by term. The rival draws as many row numbers as
there are rows, ten thousand times, and takes the mean of the differences there; where terms are drawn it
draws terms and adds their sums and rows up. Both use numpy in this process: what is measured is the
drawing, not the start.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Measured, report
from clinasr_tui.flywheel.stats import mean_interval

ROWS, RESAMPLES = 100_000, 10_000
TERMS = (50, 500, 2_000, 10_000)
RUNS = 5
RIVAL_RESAMPLES = 1_000
"""The rival's time for these is multiplied: its cost a resample does not depend on how many there are."""

Column = NDArray[np.float64]


def by_row(difference: Column, _clusters: NDArray[np.intp], resamples: int) -> tuple[float, float]:
    """The naive bootstrap: row numbers drawn and looked up."""
    generator = np.random.default_rng(1)
    means = [
        difference[generator.integers(0, len(difference), len(difference))].mean() for _ in range(resamples)
    ]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def by_term(difference: Column, clusters: NDArray[np.intp], resamples: int) -> tuple[float, float]:
    """The same with terms: each drawn term brings its rows' sum and number."""
    generator = np.random.default_rng(1)
    sums, counts = np.bincount(clusters, weights=difference), np.bincount(clusters)
    ratios = []
    for _ in range(resamples):
        drawn = generator.integers(0, len(sums), len(sums))
        ratios.append(sums[drawn].sum() / counts[drawn].sum())
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(low), float(high)


def timed(work: Callable[[], tuple[float, float] | None]) -> tuple[Measured, tuple[float, float]]:
    """How long it takes, and what comes out."""
    start = perf_counter()
    found = work()
    seconds = perf_counter() - start
    assert found is not None
    return Measured(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), found


def compared(
    name: str, difference: Column, clusters: NDArray[np.intp], rival: Callable[..., tuple[float, float]]
) -> None:
    """Measure both in turn, see that they agree, print."""
    mean_interval(difference, clusters, resamples=100)
    ours, theirs = [], []
    for _ in range(RUNS):
        measured, interval = timed(lambda: mean_interval(difference, clusters, resamples=RESAMPLES))
        ours.append(measured)
        slow, other = timed(lambda: rival(difference, clusters, RIVAL_RESAMPLES))
        theirs.append(Measured(slow.seconds * RESAMPLES / RIVAL_RESAMPLES, slow.megabytes))
        width = other[1] - other[0]
        assert max(abs(one - two) for one, two in zip(interval, other, strict=True)) < 0.15 * width
    report(name, ours, f"drawing {'terms' if rival is by_term else 'rows'} one by one", theirs)


def main() -> None:
    """Measure in turn and print."""
    generator = np.random.default_rng(0)
    ker = (generator.random(ROWS) < 0.3).astype(float) - (generator.random(ROWS) < 0.6)
    lengths = generator.integers(8, 15, ROWS)
    wer = (generator.integers(0, 3, ROWS) - generator.integers(0, 5, ROWS)) / lengths
    alone = np.arange(ROWS)
    compared("clinasr-tui, KER by row", ker, alone, by_row)
    for terms in TERMS:
        clusters = generator.integers(0, terms, ROWS)
        compared(f"clinasr-tui, KER by term ({terms:,})", ker, clusters, by_term)
        compared(f"clinasr-tui, WER by term ({terms:,})", wer, clusters, by_term)
    compared("clinasr-tui, WER by row", wer, alone, by_row)


if __name__ == "__main__":
    main()
