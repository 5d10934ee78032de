"""Intervals against every possible resample of a small set; McNemar against whole-number sums."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from clinasr_tui.flywheel import resampling
from clinasr_tui.flywheel.stats import (
    cluster_ids,
    clustered_interval,
    ker_interval,
    mcnemar_exact,
    mean_interval,
)
from tests.support.scored_rows import by_hit, demo_cycle, scored


def every_resample(sums: list[float], counts: list[float]) -> tuple[float, float]:
    """The exact percentile interval: all draws of len(sums) clusters with replacement."""
    draws = itertools.product(range(len(sums)), repeat=len(sums))
    ratios = [sum(sums[i] for i in draw) / sum(counts[i] for i in draw) for draw in draws]
    low, high = np.percentile(ratios, (2.5, 97.5))
    return float(low), float(high)


@pytest.mark.parametrize(
    ("sums", "counts"),
    [
        ([0, 1, 5, 2, 3, 0], [5, 5, 5, 4, 3, 1]),
        ([-2, 0, 1, -4, 0.5, -1], [4, 4, 4, 4, 4, 4]),
    ],
)
def test_interval_of_all_resamples(sums: list[float], counts: list[float]) -> None:
    low, high = clustered_interval(np.array(sums), np.array(counts), resamples=20_000)
    exact_low, exact_high = every_resample(sums, counts)
    assert low == pytest.approx(exact_low, abs=0.03)
    assert high == pytest.approx(exact_high, abs=0.03)


def test_both_ways_of_drawing_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    sums, counts = np.array([0.0, 1, 2] * 50), np.array([5.0, 5, 4] * 50)
    by_kind = clustered_interval(sums, counts)
    monkeypatch.setattr(resampling, "_KIND_COST", 1000)
    by_cluster = clustered_interval(sums, counts)
    assert by_kind != by_cluster
    assert by_kind == pytest.approx(by_cluster, abs=0.004)


def test_no_interval_without_two_clusters() -> None:
    assert clustered_interval(np.array([]), np.array([])) is None
    assert clustered_interval(np.array([3.0]), np.array([5.0])) is None
    assert clustered_interval(np.array([3.0, 0.0]), np.array([5.0, 0.0])) is None
    assert mean_interval(np.array([]), np.array([], dtype=int)) is None


def test_the_seed_decides() -> None:
    generator = np.random.default_rng(0)
    sums, counts = generator.random(30), np.full(30, 5.0)
    assert clustered_interval(sums, counts, seed=1) == clustered_interval(sums, counts, seed=1)
    assert clustered_interval(sums, counts, seed=1) != clustered_interval(sums, counts, seed=2)


def test_equal_clusters_leave_no_width() -> None:
    assert clustered_interval(np.array([2.0] * 9), np.array([4.0] * 9)) == (0.5, 0.5)


def test_clustering_widens_what_terms_decide() -> None:
    values = np.repeat([0.0, 1.0] * 10, 20)
    alone = mean_interval(values, np.arange(400))
    by_term = mean_interval(values, np.repeat(np.arange(20), 20))
    assert by_term[1] - by_term[0] > 3 * (alone[1] - alone[0])
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)


def test_rows_of_a_term_share_a_cluster_and_others_stand_alone() -> None:
    ids = cluster_ids(["a", "B", "", "A!", "", "b", "!", "0"]).tolist()
    assert ids[0] == ids[3]
    assert ids[1] == ids[5]
    assert len(set(ids)) == 6


def test_ker_interval_of_the_demo() -> None:
    base, tuned = demo_cycle(1), demo_cycle(2)
    low, high = ker_interval(base)
    assert 0.75 < low < 0.876 < high < 0.96
    low, high = ker_interval(tuned)
    assert 0.05 < low < 0.144 < high < 0.26
    drugs = [i for i, name in enumerate(base.hypotheses.entity_category) if name == "drug"]
    low, high = ker_interval(base, drugs)
    assert 0.9 < low < 0.978 < high <= 1.0


def test_ker_interval_leaves_rows_without_term_out() -> None:
    some = scored(*by_hit([True, False], term="a"), *by_hit([True, True], term="b"))
    more = scored(*by_hit([True, False], term="a"), {"ref": "x", "hyp": "y"}, *by_hit([True, True], term="b"))
    assert ker_interval(some) == ker_interval(more) == (0.0, 0.5)
    assert ker_interval(scored({"ref": "x", "hyp": "y"})) is None
    assert ker_interval(scored(*by_hit([True, False], term="a"))) is None


def whole_numbers(b: int, c: int) -> Fraction:
    n = b + c
    tail = sum(math.comb(n, i) for i in range(min(b, c) + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**n))


def test_mcnemar_small_counts() -> None:
    for b, c in itertools.product(range(16), repeat=2):
        assert mcnemar_exact(b, c) == float(whole_numbers(b, c))
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(0, 5) == 0.0625
    assert mcnemar_exact(10, 2) == pytest.approx(0.03857421875, abs=1e-15)


@pytest.mark.parametrize(("b", "c"), [(480, 620), (1, 1500), (700, 699), (0, 1001), (999, 1300)])
def test_mcnemar_large_counts(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(float(whole_numbers(b, c)), rel=1e-9)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


def test_mcnemar_huge_counts() -> None:
    assert mcnemar_exact(0, 2_000_000) == 0.0
    # The normal approximation with continuity correction is good to a per cent here.
    b, c = 500_000, 502_000
    z = (c - b - 1) / math.sqrt(b + c)
    assert mcnemar_exact(b, c) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)
