"""Thinning keeps every spike and every value that is no number; the raster joins what belongs together."""

from __future__ import annotations

import itertools
import math
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.widgets.chart_raster import (
    BLOCK,
    Extent,
    ExtentIndex,
    Raster,
    StepAxis,
    ValueAxis,
    extent_of,
    thin,
    value_axis,
)

floats = st.floats(allow_nan=True, allow_infinity=True, width=32)


def slow_extent(values: list[float]) -> Extent:
    finite = [value for value in values if math.isfinite(value)]
    return Extent(min(finite, default=math.inf), max(finite, default=-math.inf), len(finite) < len(values))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_index_agrees_with_looking_at_every_value(data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 3 * BLOCK * BLOCK // 2))
    odd = data.draw(st.dictionaries(st.integers(0, max(size - 1, 0)), floats, max_size=8))
    values = array("d", [odd.get(i, math.sin(i)) for i in range(size)])
    index = ExtentIndex()
    for stop in sorted(data.draw(st.lists(st.integers(0, size), max_size=3))):
        index.extend(values[:stop])
    index.extend(values)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    assert index.query(values, start, stop) == slow_extent(list(values[start:stop]))


def test_the_index_is_right_about_points_it_has_not_summed_up_yet() -> None:
    values = array("d", range(1000))
    index = ExtentIndex()
    index.extend(values[:500])
    assert index.query(values, 0, 1000) == Extent(0.0, 999.0, False)


def test_one_spike_and_one_nan_among_a_quarter_million_points_survive_thinning() -> None:
    values = array("d", [1.0] * 250_000)
    values[123_456], values[200_001], values[77] = 9.0, math.nan, -3.0
    index = ExtentIndex()
    index.extend(values)
    columns = thin(range(len(values)), values, index, StepAxis(0, len(values) - 1, 80))
    assert max(column.extent.high for column in columns) == 9.0
    assert min(column.extent.low for column in columns) == -3.0
    assert [column.x for column in columns if column.extent.bad] == [round(200_001 / 249_999 * 79)]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=200, unique=True).map(sorted), st.integers(2, 300)
)
def test_every_point_falls_into_exactly_one_column_and_in_order(steps: list[int], dots: int) -> None:
    values = [float(step) for step in steps]
    axis = StepAxis(steps[0], steps[-1], dots)
    columns = thin(steps, values, ExtentIndex(), axis)
    assert [column.start for column in columns] == [0, *(column.stop for column in columns[:-1])]
    assert columns[-1].stop == len(steps)
    places = [column.x for column in columns]
    assert places == sorted(set(places))
    assert places[0] >= 0
    assert places[-1] < dots


def test_values_on_a_logarithmic_axis_stand_a_decade_apart() -> None:
    axis = ValueAxis(0.01, 100.0, 41, log=True)
    assert [axis.row(value) for value in (0.01, 0.1, 1.0, 10.0, 100.0)] == [0, 10, 20, 30, 40]
    assert axis.row(1e-9) == 0
    assert axis.row(1e9) == 40


@pytest.mark.parametrize(
    ("values", "log", "expected"),
    [
        ([], True, None),
        ([math.nan, math.inf], True, None),
        ([0.5, 2.0], True, (0.5, 2.0, True)),
        ([0.0, 0.5, 2.0], True, (0.5, 2.0, True)),
        ([-1.0, 0.0], True, (-1.0, 0.0, False)),
        ([3.0], True, (2.0, 4.5, True)),
        ([3.0], False, (2.7, 3.3, False)),
        ([0.0], False, (-1.0, 1.0, False)),
    ],
)
def test_the_value_axis_fits_what_is_there(
    values: list[float], log: bool, expected: tuple[float, float, bool] | None
) -> None:
    axis = value_axis([extent_of([value]) for value in values], 40, log=log)
    found = None if axis is None else (pytest.approx(axis.low), pytest.approx(axis.high), axis.log)
    assert found == expected


def dots(raster: Raster) -> set[tuple[int, int]]:
    """Dots set, as (column, row from the bottom), read back from the cells."""
    bits = {0x40: (0, 0), 0x04: (0, 1), 0x02: (0, 2), 0x01: (0, 3)}
    bits |= {0x80: (1, 0), 0x20: (1, 1), 0x10: (1, 2), 0x08: (1, 3)}
    found = set()
    for y, x, cell in raster.dots():
        assert cell
        for bit, (dx, dy) in bits.items():
            if cell & bit:
                found.add((2 * x + dx, 4 * (raster.height - 1 - y) + dy))
    return found


def test_a_span_sets_its_dots_and_no_others() -> None:
    raster = Raster(3, 2)
    raster.span(3, 5, 2)
    raster.span(99, 0, 1)
    assert dots(raster) == {(3, 2), (3, 3), (3, 4), (3, 5)}


@given(st.integers(0, 10), st.integers(0, 31), st.integers(1, 9), st.integers(0, 31))
def test_a_segment_has_no_gap(x0: int, y0: int, wide: int, y1: int) -> None:
    raster = Raster(10, 8)
    raster.segment(x0, y0, x0 + wide, y1)
    found = dots(raster)
    assert (x0, y0) in found
    assert (x0 + wide, y1) in found
    spans = [sorted(y for x, y in found if x == column) for column in range(x0, x0 + wide + 1)]
    for ys in spans:
        assert ys == list(range(ys[0], ys[-1] + 1))
    for left, right in itertools.pairwise(spans):
        assert left[0] <= right[-1] + 1
        assert right[0] <= left[-1] + 1


def test_a_line_is_broken_at_a_nan_and_goes_on_behind_it() -> None:
    values = [1.0, 1.0, math.nan, 1.0, 1.0]
    columns = thin(range(5), values, ExtentIndex(), StepAxis(0, 4, 17))
    raster = Raster(9, 1)
    raster.draw(columns, ValueAxis(0.0, 2.0, 4))
    drawn = {x for x, _ in dots(raster)}
    assert drawn == {0, 1, 2, 3, 4} | {12, 13, 14, 15, 16}
