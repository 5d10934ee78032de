"""Ticks are round, inside the axis and few; labels never touch."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinasr_tui.widgets.chart_axes import linear_ticks, log_ticks, place_labels, short_number, step_ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.05, "0.05"),
        (2.0, "2"),
        (1500.0, "1500"),
        (25_000.0, "25k"),
        (1_000_000.0, "1M"),
        (1e-5, "1e-05"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 12))
def test_linear_ticks_are_inside_few_and_even(low: float, wide: float, count: int) -> None:
    ticks = linear_ticks(low, low + wide, count)
    assert len(ticks) <= count
    slack = wide * 1e-6
    assert all(low - slack <= tick <= low + wide + slack for tick in ticks)
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert max(gaps, default=0) - min(gaps, default=0) <= slack


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e6), st.integers(2, 10))
def test_log_ticks_are_inside_and_few(low: float, factor: float, count: int) -> None:
    ticks = log_ticks(low, low * factor, count)
    assert len(ticks) <= count
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)


def test_log_ticks_of_a_training_run() -> None:
    assert log_ticks(0.08, 1.3, 4) == [0.1, 0.2, 0.5, 1.0]
    assert log_ticks(0.08, 1.3, 3) == pytest.approx([0.1, 0.3, 1.0])
    assert log_ticks(1e-8, 1.0, 4) == pytest.approx([1e-8, 1e-5, 1e-2])


def test_steps_have_whole_ticks() -> None:
    assert step_ticks(0, 149, 4) == [0, 50, 100]
    assert step_ticks(0, 3, 8) == [0, 1, 2, 3]


@given(st.lists(st.tuples(st.integers(0, 60), st.text("abc", min_size=1, max_size=6)), max_size=10))
def test_labels_fit_and_do_not_touch(labels: list[tuple[int, str]]) -> None:
    labels.sort()
    placed = place_labels(labels, 50)
    edge = -1
    for start, text in placed:
        assert start > edge
        assert start + len(text) <= 50
        edge = start + len(text)
    if labels:
        assert placed[-1][1] == labels[-1][1]
