"""The loss chart: what is drawn where, NaN said, live growth, read-out."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.smoothing import ema
from clinasr_tui.training.snapshot import Series
from clinasr_tui.widgets.chart_frame import ChartOptions, Frame, Overlay, draw
from clinasr_tui.widgets.chart_series import ChartSeries
from clinasr_tui.widgets.chart_window import FEWEST_STEPS, Window, room_for
from clinasr_tui.widgets.loss_chart import LossChart

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

MakeSeries = Callable[..., Series]


def text_of(frame: Frame) -> list[str]:
    return ["".join(text for _, text in line) for line in frame.lines]


def kinds_of(frame: Frame, row: int) -> set[str]:
    return {kind for kind, text in frame.lines[row] if text.strip()}


def chart(loss: Series, val: Series | None = None, **options: object) -> Frame:
    data = ChartSeries()
    data.follow(loss)
    return draw(data, val or Series(), ChartOptions(**{"width": 40, "height": 10, **options}))  # type: ignore[arg-type]


def falling(points: int) -> list[float]:
    return [2 * math.exp(-i / (points / 6)) + 0.05 for i in range(points)]


def test_every_line_is_exactly_as_wide_as_asked(series: MakeSeries) -> None:
    val = series([0.08, 0.03, 0.04], [49, 99, 149])
    for width in range(16, 60, 7):
        for height in range(4, 20, 5):
            lines = text_of(chart(series(falling(150)), val, width=width, height=height))
            assert len(lines) == height
            assert {len(line) for line in lines} == {width}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(), min_size=1, max_size=40),
    st.lists(st.floats(), max_size=3),
    st.booleans(),
    st.integers(16, 50),
)
def test_any_values_can_be_drawn(loss: list[float], val: list[float], log: bool, width: int) -> None:
    made = [Series(array("q", range(len(v))), array("d", v), array("d", v)) for v in (loss, val)]
    lines = text_of(chart(made[0], made[1], log=log, width=width, cursor=0))
    assert {len(line) for line in lines} == {width}


def test_a_spike_of_one_point_reaches_the_top_of_the_chart(series: MakeSeries) -> None:
    values = [1.0] * 100_000
    values[50_000] = 9.0
    frame = chart(series(values), height=8)
    top = text_of(frame)[0][5:]
    assert [place for place, char in enumerate(top) if char.strip()] == [pytest.approx(len(top) / 2, abs=2)]
    assert "ghost" in kinds_of(frame, 0)


def test_nan_that_stays_is_marked_and_named_with_its_step(series: MakeSeries) -> None:
    lines = text_of(chart(series([2.0] + [math.nan] * 53)))
    assert "✖ NaN since step 1 " in lines[0]
    assert lines[0].rstrip().endswith("╌")


def test_a_late_nan_is_named_left_of_its_mark(series: MakeSeries) -> None:
    line = text_of(chart(series(falling(50) + [math.nan] * 4)))[0]
    assert "NaN since step 50 ✖╌" in line


def test_a_nan_that_passed_is_marked_without_a_claim(series: MakeSeries) -> None:
    values = falling(100)
    values[60] = math.nan
    frame = chart(series(values))
    line = text_of(frame)[0]
    assert line.count("✖") == 1
    assert "since" not in line
    assert "bad" in kinds_of(frame, 0)


def test_only_nan_still_gives_a_chart_that_says_so(series: MakeSeries) -> None:
    lines = text_of(chart(series([math.nan] * 20)))
    assert "✖ NaN since step 0" in lines[0]


def test_validation_marks_stand_under_their_steps_and_the_newest_is_always_there(series: MakeSeries) -> None:
    val = series([0.0833, 0.0352, 0.0371], [49, 99, 149])
    frame = chart(series(falling(150)), val, width=60)
    line = text_of(frame)[-1]
    assert line.startswith("val WER")
    gutter = text_of(frame)[0].index("│")
    for step, value in ((49, ".083"), (99, ".035")):
        place = line.index("◆ " + value)
        assert place == pytest.approx(gutter + 1 + step / 149 * (60 - gutter - 2), abs=1)
    assert line.endswith(".037 ◆")
    best = [text.strip() for kind, text in frame.lines[-1] if kind == "best"]
    assert best == ["◆ .035"]


def test_many_validations_are_thinned_but_best_and_newest_stay(series: MakeSeries) -> None:
    values = [abs(i - 41) / 100 + 0.2 for i in range(100)]
    line = text_of(chart(series(falling(1000)), series(values, range(9, 1000, 10))))[-1]
    assert "◆ .200" in line
    assert ".780 ◆" in line
    assert 2 <= line.count("◆") <= 4


def test_validation_beyond_the_last_loss_point_widens_the_axis(series: MakeSeries) -> None:
    loss = series([0.9, 0.5, 0.4], [9, 19, 29])
    line = text_of(chart(loss, series([0.2], [53]), width=60))[-2]
    assert "50" in line


def test_the_smoothed_curve_is_the_run_readers(series: MakeSeries) -> None:
    values = [*falling(200), math.nan, 1.0]
    data = ChartSeries()
    data.follow(series(values))
    expected = list(ema(values))
    assert math.isnan(data.smooth[200])
    assert [data.smooth[i] for i in (0, 57, 199, 201)] == pytest.approx(
        [expected[i] for i in (0, 57, 199, 201)]
    )


def test_smoothing_point_by_point_equals_smoothing_at_once(series: MakeSeries) -> None:
    values = falling(300)
    loss = Series()
    growing, whole = ChartSeries(), ChartSeries()
    for step, value in enumerate(values):
        loss.add(step, value, float(step))
        growing.follow(loss)
    whole.follow(series(values))
    assert growing.smooth == whole.smooth
    assert growing.index.query(loss.values, 0, 300) == whole.index.query(loss.values, 0, 300)


def test_steps_written_again_by_a_resumed_run_are_drawn_anew() -> None:
    loss = Series()
    for step in range(200):
        loss.add(step, 1.0, float(step))
    data = ChartSeries()
    data.follow(loss)
    loss.add(50, 7.0, 1000.0)
    data.follow(loss)
    assert data.index.query(loss.values, 0, 200).high == 7.0
    assert data.smooth[50] == pytest.approx(ema(loss.values)[50])


def test_points_that_came_after_the_last_look_are_drawn_too() -> None:
    loss = Series()
    loss.add(0, 1.0, 0.0)
    data = ChartSeries()
    data.follow(loss)
    for step in range(1, 100):
        loss.add(step, math.nan, float(step))
    assert "NaN since step 1" in text_of(draw(data, Series(), ChartOptions(40, 8)))[0]


async def test_keys_change_axis_smoothing_and_read_out(
    bench: Callable[[Widget], App[None]], series: MakeSeries, shown: Callable[[Widget], list[str]]
) -> None:
    widget = LossChart()
    async with bench(widget).run_test(size=(60, 14)) as pilot:
        assert "no loss points in the event file" in "".join(shown(widget))
        widget.follow(series(falling(150)), Series())
        await pilot.pause()
        assert str(widget.border_title) == "train loss (log) ── smoothed 0.9"
        assert str(widget.border_subtitle).startswith("step 149 · loss 0.05")
        widget.toggle_log()
        for _ in range(9):
            widget.smooth(-1)
        assert str(widget.border_title) == "train loss (linear)"
        assert "smoothed" not in str(widget.border_subtitle)
        await pilot.pause()
        widget.move_cursor(-1)
        await pilot.pause()
        assert "│" in "".join(widget.render_line(y).text[6:] for y in range(5))
        assert str(widget.border_subtitle).startswith("steps 148–149") or str(
            widget.border_subtitle
        ).startswith("step 149")
        widget.move_cursor(-1)
        assert "149" not in str(widget.border_subtitle)
        widget.clear_cursor()
        assert str(widget.border_subtitle).startswith("step 149")


async def test_an_unchanged_series_is_not_drawn_again(
    bench: Callable[[Widget], App[None]], series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    import clinasr_tui.widgets.loss_chart as module

    drawn: list[ChartOptions] = []
    real = module.draw

    def counted(data: ChartSeries, val: Series, options: ChartOptions) -> Frame:
        drawn.append(options)
        return real(data, val, options)

    monkeypatch.setattr(module, "draw", counted)
    widget = LossChart()
    loss = series(falling(150))
    async with bench(widget).run_test(size=(60, 14)) as pilot:
        widget.follow(loss, Series())
        await pilot.pause()
        before = len(drawn)
        val = Series()
        for _ in range(3):
            widget.follow(loss, val)
            await pilot.pause()
        assert len(drawn) <= before + 1


def test_a_zoomed_view_shows_its_steps_with_its_own_value_axis(series: MakeSeries) -> None:
    values = [100.0 if i < 500 else 1.0 + i / 1000 for i in range(1000)]
    whole, near = chart(series(values), log=False), chart(series(values), log=False, steps=(600.0, 700.0))
    assert "100" in "".join(text_of(whole)[:3])
    assert "1.7" in "".join(text_of(near)[:3])
    assert "└600───" in text_of(near)[-1]
    assert "───650───" in text_of(near)[-1]
    assert near.columns[0].start == 600
    assert near.columns[-1].stop == 701


@pytest.mark.parametrize("steps", [(0.0, 999_999.0), (499_000.0, 501_000.0), (499_996.0, 500_004.0)])
def test_a_spike_survives_at_every_zoom(series: MakeSeries, steps: tuple[float, float]) -> None:
    values = [1.0] * 1_000_000
    values[500_000] = 9.0
    top = text_of(chart(series(values), height=8, log=False, steps=steps))[0][5:]
    places = [place for place, char in enumerate(top) if char.strip()]
    assert places
    assert all(place == pytest.approx(len(top) / 2, abs=2) for place in places)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.01, 10.0), min_size=2, max_size=60),
    st.floats(0.0, 59.0),
    st.floats(0.5, 60.0),
    st.integers(1, 1000),
)
def test_any_view_can_be_drawn(loss: list[float], low: float, span: float, stride: int) -> None:
    steps = array("q", range(0, len(loss) * stride, stride))
    made = Series(steps, array("d", loss), array("d", loss))
    view = (low * stride, (low + span) * stride)
    lines = text_of(chart(made, made, width=40, steps=view))
    assert {len(line) for line in lines} == {40}


def test_a_line_runs_through_a_view_without_a_point_in_it(series: MakeSeries) -> None:
    lines = text_of(chart(series([1.0, 2.0, 3.0], [0, 1000, 2000]), steps=(100.0, 1900.0), log=False))
    assert all(char.strip() for char in "".join(column for column in lines[4][8:30]).strip())


def test_nan_that_began_before_the_view_is_named_but_not_marked_in_it(series: MakeSeries) -> None:
    values = falling(20) + [math.nan] * 80
    line = text_of(chart(series(values), width=60, steps=(50.0, 99.0)))[0]
    assert "NaN since step 20" in line
    assert "✖" not in line
    before = text_of(chart(series(values), width=60, steps=(0.0, 10.0)))[0]
    assert "NaN" not in before


def test_other_runs_are_told_apart_by_letters(series: MakeSeries) -> None:
    others = []
    for name, level in (("hot", 8.0), ("[b]漢 stock", 4.0)):
        data = ChartSeries()
        data.follow(series([level] * 100))
        others.append(Overlay(name, data))
    frame = chart(series(falling(100)), width=60, height=12, others=tuple(others))
    lines = text_of(frame)
    assert lines[1].endswith(" a hot ")
    assert lines[2].endswith(" b [b]? stock ")
    for letter in "ab":
        curve = ["".join(text for kind, text in line if kind == letter) for line in frame.lines]
        assert [text.count(letter) >= 3 for text in curve if len(text) > 20] == [True]
    assert {len(line) for line in lines} == {60}


def test_room_grows_in_strides_and_never_past_the_last_step() -> None:
    rights = [room_for(last, 149) for last in range(150)]
    assert rights == sorted(rights)
    assert all(last <= right <= 149 for last, right in enumerate(rights))
    assert len(set(rights)) < 20
    assert (room_for(90, None), room_for(90, 50)) == (90, 90)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("zoom"), st.sampled_from((0.7, 1 / 0.7)), st.floats(0, 1000)),
            st.tuples(st.just("move"), st.floats(-2000, 2000), st.just(0.0)),
        ),
        max_size=20,
    )
)
def test_a_window_never_leaves_the_run(moves: list[tuple[str, float, float]]) -> None:
    window, whole = Window(), (0.0, 1000.0)
    for what, value, at in moves:
        window = window.zoomed(value, at, whole) if what == "zoom" else window.moved(value, whole)
        low, high = window.bounds(whole)
        assert 0 <= low < high <= 1000
        assert high - low >= FEWEST_STEPS - 1e-6
    far = window
    for _ in range(30):
        far = far.zoomed(1 / 0.7, 500.0, whole)
    assert far == Window()


def test_the_step_at_the_pointer_stays_while_zooming() -> None:
    whole = (0.0, 1000.0)
    window = Window().zoomed(0.5, 250.0, whole)
    assert window.bounds(whole) == (125.0, 625.0)
    assert window.zoomed(0.5, 250.0, whole).bounds(whole) == (187.5, 437.5)


def test_a_window_at_the_newest_step_follows_it() -> None:
    window = Window().zoomed(0.5, 100.0, (0.0, 100.0))
    assert window.bounds((0.0, 400.0)) == (350.0, 400.0)
    back = window.moved(-60.0, (0.0, 400.0))
    assert back.bounds((0.0, 900.0)) == (290.0, 340.0)
    assert back.moved(1e9, (0.0, 900.0)) == window


async def test_zoom_and_pan_by_keys_and_mouse(
    bench: Callable[[Widget], App[None]], series: MakeSeries, shown: Callable[[Widget], list[str]]
) -> None:
    widget = LossChart()
    async with bench(widget).run_test(size=(60, 14)) as pilot:
        widget.follow(series(falling(1000)), Series())
        await pilot.pause()
        widget.zoom(1)
        assert " ── zoomed" in str(widget.border_title)
        assert widget.window.bounds((0, 999)) == pytest.approx((299.7, 999))
        widget.pan(-1)
        low, high = widget.window.bounds((0, 999))
        assert high < 999
        await pilot.pause()
        assert "900" not in shown(widget)[-1]
        await pilot.mouse_down(widget, offset=(30, 5))
        await pilot.hover(widget, offset=(20, 5))
        await pilot.mouse_up(widget, offset=(20, 5))
        assert widget.window.bounds((0, 999))[0] > low
        assert widget.cursor is None
        widget.show_all()
        await pilot.pause()
        await pilot.hover(widget, offset=(30, 5))
        pointed = widget.pointed
        assert pointed is not None
        assert 400 < pointed < 600
        assert f"{pointed} · loss" in str(widget.border_subtitle)
        await pilot.click(widget, offset=(20, 5))
        kept = widget.cursor
        assert kept is not None
        assert kept < pointed
        widget.zoom(1)
        low, high = widget.window.bounds((0, 999))
        assert low < kept < high


async def test_the_wheel_zooms_at_the_pointer(
    bench: Callable[[Widget], App[None]], series: MakeSeries
) -> None:
    from textual import events

    widget = LossChart()
    async with bench(widget).run_test(size=(60, 14)) as pilot:
        widget.follow(series(falling(1000)), Series())
        await pilot.pause()

        def wheel(kind: type[events.MouseEvent], x: int) -> events.MouseEvent:
            return kind(widget, x, 5, 0, 0, 0, False, False, False, x, 5)

        at = widget._step_at(30 - 1)
        widget.post_message(wheel(events.MouseScrollUp, 30))
        await pilot.pause()
        assert widget.window.span == pytest.approx(0.7 * 999)
        assert widget._step_at(30 - 1) == pytest.approx(at, abs=12)
        widget.post_message(wheel(events.MouseScrollDown, 30))
        await pilot.pause()
        assert widget.window.span is None


async def test_curves_behind_come_and_go(
    bench: Callable[[Widget], App[None]], series: MakeSeries, shown: Callable[[Widget], list[str]]
) -> None:
    widget = LossChart()
    async with bench(widget).run_test(size=(60, 14)) as pilot:
        widget.follow(series(falling(100)), Series())
        widget.overlay([(f"run{i}", series([1.0 + i] * 200)) for i in range(6)])
        await pilot.pause()
        assert widget.overlaid == ("run0", "run1", "run2", "run3")
        assert " d run3 " in shown(widget)[4]
        assert "150" in shown(widget)[-1]
        widget.overlay(())
        await pilot.pause()
        assert "run0" not in "".join(shown(widget))
