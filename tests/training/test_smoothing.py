"""Series that merge by step, and the average TensorBoard draws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.smoothing import LossWatch, average_at, ema
from clinasr_tui.training.snapshot import Series

NAN = float("nan")


def series(*points):
    one = Series()
    for point in points:
        one.add(*point)
    return one


def test_later_wall_time_wins_and_steps_stay_sorted():
    one = series((0, 1.0, 10.0), (1, 2.0, 11.0), (2, 3.0, 12.0), (1, 9.0, 20.0), (0, 7.0, 5.0))
    assert list(one.steps) == [0, 1, 2]
    assert list(one.values) == [1.0, 9.0, 3.0]
    assert (one.newest, one.at(one.newest)) == (1, 9.0)
    assert one.at(5) is None


def test_versions_tell_appends_from_rewrites():
    one = series((0, 1.0, 1.0), (1, 1.0, 2.0))
    assert (one.version, one.rewrites) == (2, 0)
    one.add(1, 3.0, 1.5)
    assert (one.version, one.rewrites) == (2, 0)
    one.add(1, 3.0, 2.5)
    assert (one.version, one.rewrites) == (3, 1)


points = st.tuples(st.integers(0, 6), st.sampled_from([1.0, 2.0, NAN]), st.integers(0, 4).map(float))


@given(st.lists(points, max_size=14), st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_order_of_points_does_not_matter(some, random):
    shuffled = list(some)
    random.shuffle(shuffled)
    first, second = series(*some), series(*shuffled)
    assert first.steps == second.steps
    assert str(first.values) == str(second.values)
    assert first.newest == second.newest


def test_ema_is_debiased():
    assert list(ema([3.0])) == pytest.approx([3.0])
    assert list(ema([1.0, 2.0])) == pytest.approx([1.0, (0.09 * 1 + 0.1 * 2) / 0.19])
    assert list(ema([5.0, 1.0], smoothing=0.0)) == [5.0, 1.0]
    assert list(ema([0.5] * 50)) == pytest.approx([0.5] * 50)


def test_ema_passes_over_what_is_not_finite():
    averages = ema([NAN, 1.0, math.inf, 1.0])
    assert math.isnan(averages[0])
    assert list(averages[1:]) == pytest.approx([1.0, 1.0, 1.0])


def test_average_at_is_the_average_of_the_whole_curve_there():
    one = series(*((step, math.sin(step), float(step)) for step in range(1000)))
    curve = ema(one.values)
    assert average_at(one, 999) == pytest.approx(curve[999])
    assert average_at(one, 30) == pytest.approx(curve[30])
    assert average_at(one, -1) is None


@given(st.lists(points, max_size=20), st.integers(0, 20))
@settings(max_examples=80)
def test_watch_fed_in_two_parts_is_the_watch_fed_at_once(some, cut):
    grown = Series()
    watch = LossWatch(grown)
    for part in (some[:cut], some[cut:]):
        for point in part:
            grown.add(*point)
        watch.update()
    fresh = LossWatch(grown)
    fresh.update()
    assert (watch.bad, watch.first_bad, watch.bad_since) == (fresh.bad, fresh.first_bad, fresh.bad_since)
    assert watch.average == fresh.average


def test_points_of_an_earlier_start_beyond_the_newest_do_not_count():
    one = series((0, 1.0, 1.0), (1, NAN, 2.0), (2, NAN, 3.0), (1, 0.5, 9.0))
    watch = LossWatch(one)
    watch.update()
    assert (watch.bad, watch.bad_since) == (0, None)
