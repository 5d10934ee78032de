"""Intervals against every possible resample of a small set; McNemar against whole-number sums."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from clinasr_tui.flywheel import resampling
from clinasr_tui.flywheel.comparison import compare
from clinasr_tui.flywheel.scoring import ScoredSet, score
from clinasr_tui.flywheel.stats import (
    cluster_ids,
    clustered_interval,
    group_intervals,
    ker_interval,
    ker_intervals,
    mcnemar_exact,
    mean_interval,
)
from tests.support.scored_rows import by_hit, loop_cycle, scored


def every_resample(sums: list[float], counts: list[float]) -> tuple[float, float]:
    """The exact percentile interval: all draws of len(sums) clusters with replacement."""
    draws = itertools.product(range(len(sums)), repeat=len(sums))
    ratios = [sum(sums[i] for i in draw) / sum(counts[i] for i in draw) for draw in draws]
    low, high = np.percentile(ratios, (2.5, 97.5), method="inverted_cdf")
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


def test_ker_interval_of_the_closed_loop() -> None:
    base, tuned = loop_cycle(1), loop_cycle(2)
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


def heard_below(p: Fraction, heard: int, n: int) -> Fraction:
    """The chance of at most `heard` hits of `n`."""
    return sum((math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(heard + 1)), Fraction(0))


def clopper_pearson_upper(heard: int, n: int) -> float:
    """By halving: the rate at which so few hits have a chance of 2.5 %."""
    low, high = Fraction(0), Fraction(1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if heard_below(middle, heard, n) > Fraction(1, 40) else (low, middle)
    return float(low)


def all_at_one_end(terms: int, *, hit: bool, rows: int = 3) -> ScoredSet:
    return scored(*(row for n in range(terms) for row in by_hit([hit] * rows, term=f"t{n}", start=n * rows)))


@pytest.mark.parametrize("terms", [2, 3, 7, 30])
def test_where_nothing_varies_the_interval_is_the_exact_binomial_one_of_the_terms(terms: int) -> None:
    upper = clopper_pearson_upper(0, terms)
    assert ker_interval(all_at_one_end(terms, hit=True)) == pytest.approx((0.0, upper), abs=1e-9)
    assert ker_interval(all_at_one_end(terms, hit=False)) == pytest.approx((1 - upper, 1.0), abs=1e-9)


@pytest.mark.parametrize(
    ("terms", "upper"), [(5, 0.5218), (10, 0.3085), (20, 0.1684), (50, 0.0711), (100, 0.0362)]
)
def test_exact_binomial_intervals_of_the_published_tables(terms: int, upper: float) -> None:
    low, high = ker_interval(all_at_one_end(terms, hit=True, rows=1))
    assert (low, round(high, 4)) == (0.0, upper)


def test_one_row_that_differs_ends_the_exact_interval() -> None:
    rows = by_hit([True] * 9 + [False], term="a") + by_hit([True] * 10, term="b", start=10)
    low, high = ker_interval(scored(*rows))
    assert (low, high) == (0.0, 0.1)


GROUPED = [
    *by_hit([True, False, False], term="a", category="drug", noise="clean"),
    *by_hit([False, False], term="b", category="drug", noise="snr_5db", start=3),
    *by_hit([True, True, True, False], term="c", category="drug", noise="clean", start=5),
    *by_hit([True, False], term="d", category="drug", noise="snr_5db", start=9),
    *by_hit([True], term="e", category="drug", noise="clean", start=11),
    *by_hit([True, False], term="f", category="lab", noise="clean", start=12),
    *by_hit([False, False, False], term="g", category="lab", noise="snr_5db", start=14),
    *by_hit([True], term="h", category="role", noise="", start=17),
    *by_hit([True, True], term="i", category="anatomy", noise="", start=18),
    *by_hit([True], term="j", category="anatomy", noise="", start=20),
    {"ref": "no term", "hyp": "none", "category": "drug", "noise": "clean"},
]


def was_heard(row: dict[str, str]) -> bool:
    return row["term"] in row["hyp"].split()


def drawn_by_hand(chosen: list[dict[str, str]]) -> tuple[float, float]:
    """Every way to draw the group's own terms anew."""
    terms = dict.fromkeys(row["term"] for row in chosen)
    groups = [[row for row in chosen if row["term"] == term] for term in terms]
    misses = [float(sum(not was_heard(row) for row in group)) for group in groups]
    return every_resample(misses, [float(len(group)) for group in groups])


@pytest.mark.parametrize("field", ["category", "noise"])
def test_group_intervals_are_those_of_their_rows_by_hand(field: str) -> None:
    found = group_intervals(scored(*GROUPED), {"category": "entity_category"}.get(field, "noise_level"))
    with_term = [row for row in GROUPED if "term" in row]
    for value in dict.fromkeys(row[field] for row in with_term):
        chosen = [row for row in with_term if row[field] == value]
        terms = {row["term"] for row in chosen}
        if len(terms) < 2:
            assert value not in found
        elif all(map(was_heard, chosen)):
            assert found[value] == pytest.approx((0.0, clopper_pearson_upper(0, len(terms))), abs=1e-9)
        else:
            assert found[value] == pytest.approx(drawn_by_hand(chosen), abs=0.03)
    assert set(found) == ({"drug", "lab", "anatomy"} if field == "category" else {"clean", "snr_5db", ""})


def test_group_intervals_are_those_of_the_group_alone() -> None:
    whole = loop_cycle(1)
    overall, groups = ker_intervals(whole, ("entity_category", "noise_level"), resamples=900)
    assert overall == ker_interval(whole, resamples=900)
    for field, found in groups.items():
        assert found == group_intervals(whole, field, resamples=900)
        column = whole.hypotheses.column(field)
        for value, interval in found.items():
            rows = [index for index, text in enumerate(column) if text == value]
            alone = score(whole.hypotheses.select(rows))
            assert interval == ker_interval(whole, rows, resamples=900) == ker_interval(alone, resamples=900)


def test_the_order_of_the_rows_changes_no_interval() -> None:
    whole = loop_cycle(2)
    back = score(whole.hypotheses.select(range(len(whole) - 1, -1, -1)))
    assert ker_interval(back) == ker_interval(whole)
    assert group_intervals(back, "noise_level") == group_intervals(whole, "noise_level")


def test_paired_interval_of_all_resamples_of_the_terms() -> None:
    before = [[1, 1, 1], [1, 0], [1, 1, 1, 1], [0, 1], [1, 1], [0]]
    after = [[0, 1, 0], [1, 0], [0, 0, 1, 0], [1, 1], [0, 1], [0]]
    sides = [
        scored(
            *(
                row
                for number, misses in enumerate(side)
                for row in by_hit([not miss for miss in misses], term=f"t{number}", start=10 * number)
            )
        )
        for side in (before, after)
    ]
    found = compare(*sides, resamples=20_000).every.headline["ker"]
    sums = [float(sum(two) - sum(one)) for one, two in zip(before, after, strict=True)]
    exact = every_resample(sums, [float(len(one)) for one in before])
    assert found.ci95 == pytest.approx(exact, abs=0.03)
    assert found.delta == pytest.approx(sum(sums) / 14)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 4), (3, 3), (0, 9), (2, 8), (5, 7)])
def test_mcnemar_against_every_way_the_changed_rows_can_fall(b: int, c: int) -> None:
    n = b + c
    falls = [sum(way) for way in itertools.product((0, 1), repeat=n)]
    as_far = sum(abs(2 * fall - n) >= abs(b - c) for fall in falls)
    assert mcnemar_exact(b, c) == as_far / 2**n


def test_mcnemar_published_example() -> None:
    # Agresti, "Categorical Data Analysis", presidential approval: 150 and 86 changed their minds.
    assert mcnemar_exact(150, 86) == pytest.approx(3.7e-05, rel=0.02)
    assert mcnemar_exact(1, 7) == 0.0703125


@pytest.mark.parametrize("size", [9, 300, 9000, 70_000])
def test_every_cluster_is_drawn_equally_often(size: int) -> None:
    times = np.zeros(size)
    for block in range(max(1, 70_000 // size // 500)):
        for draws in resampling._draws(size, block, 42):
            assert draws.shape[1] == size
            times += np.bincount(draws.ravel(), minlength=size)
    expected = times.sum() / size
    assert abs(times - expected).max() < 6 * math.sqrt(expected)
    thirds = [part.sum() for part in np.array_split(times, 3)]
    assert max(thirds) - min(thirds) < 8 * math.sqrt(sum(thirds) / 3)
