"""Figures as text, bars and dumbbells."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App

from clinasr_tui.widgets.big_text import BigWords, big_text
from clinasr_tui.widgets.columns import Column, cells
from clinasr_tui.widgets.figures import (
    bar,
    dumbbell,
    interval_bar,
    interval_text,
    label,
    p_text,
    percent_text,
    score_text,
    signed_text,
)
from clinasr_tui.widgets.ker_bars import dumbbell_line, ker_line

scores = st.none() | st.floats(0, 3, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.876, ".876"), (1.0, "1.000"), (0.0, ".000"), (1.25, "1.250")]
)
def test_scores_have_no_leading_zero(value, text):
    assert score_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.732, "−.732"), (0.11, "+.110"), (0.0, "±.000"), (-0.0001, "±.000"), (None, "–")]
)
def test_differences_carry_their_sign(value, text):
    assert signed_text(value) == text


def test_relative_changes_are_whole_percent():
    assert [percent_text(x) for x in (-0.8356, 0.5, 0.001, None)] == ["−84 %", "+50 %", "±0 %", "–"]


def test_intervals_and_p():
    assert interval_text((0.8, 0.94)) == ".80–.94"
    assert interval_text((-0.81, -0.65), signed=True) == "−.81 … −.65"
    assert interval_text(None) == "–"
    assert [p_text(p) for p in (None, 0.0004, 0.012)] == ["", "p < .001", "p .012"]


def test_a_small_score_still_shows_and_a_large_one_stays_inside():
    assert bar(0.001, 10).plain[0] != "╌"
    assert bar(0.0, 10).plain == "╌" * 10
    assert bar(2.5, 10).plain == "━" * 10


@settings(max_examples=60)
@given(scores, scores, st.integers(1, 60))
def test_bars_are_exactly_as_wide_as_asked(a, b, width):
    assert bar(a, width).cell_length == width
    assert dumbbell(a, b, width).cell_length == width


@settings(max_examples=60)
@given(scores, st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)), st.integers(1, 60), scores)
def test_bars_with_intervals_are_exactly_as_wide_as_asked(value, interval, width, limit):
    ends = None if interval is None else (min(interval), max(interval))
    assert interval_bar(value, ends, width, limit=limit).cell_length == width


def test_the_band_tells_how_little_few_rows_say():
    assert interval_bar(0.5, (0.4, 0.6), 11).plain == "━━━━├●┤╌╌╌╌"
    assert interval_bar(0.5, (0.1, 0.9), 11).plain == "━├───●───┤╌"
    assert interval_bar(0.0, (0.0, 0.3), 11).plain == "●──┤╌╌╌╌╌╌╌"
    assert interval_bar(1.0, (0.9, 1.0), 11).plain == "━━━━━━━━━├●"
    # Without an interval anything is possible.
    assert interval_bar(0.4, None, 11).plain == "├───●─────┤"
    assert interval_bar(0.5, (0.4, 0.6), 11, limit=0.3).plain == "━━━┊├●┤╌╌╌╌"
    assert interval_bar(0.5, (0.1, 0.9), 11, limit=0.3).plain == "━├─┼─●───┤╌"


def test_one_term_is_said_to_be_one():
    line = ker_line("k", "lab", 0.4, 12, names=8, intervals=True)
    assert line.draw(60).plain.endswith(".400  one term  n 12  ")
    known = ker_line("k", "lab", 0.4, 12, names=8, interval=(0.1, 0.72), intervals=True)
    assert known.draw(60).plain.endswith(".400  .10–.72   n 12  ")
    assert (
        ker_line("k", "lab", None, 0, names=8, intervals=True).draw(60).plain.endswith("–  –         n 0   ")
    )


def test_the_interval_of_a_change_comes_where_there_is_room():
    line = dumbbell_line("k", "drug", 0.9, 0.1, 90, names=8, relative=-0.89, interval=(-0.9, -0.7))
    assert "−89 %  −.90 … −.70    n 90" in line.draw(80).plain
    assert "−89 %  n 90" in line.draw(50).plain


def test_a_dumbbell_tells_before_from_after_and_better_lies_right():
    assert dumbbell(1.0, 0.0, 11).plain == "○" + "─" * 9 + "●"
    assert dumbbell(0.0, 1.0, 11).plain == "●" + "─" * 9 + "○"
    assert dumbbell(0.5, 0.5, 11).plain == "·····●·····"


@settings(max_examples=60)
@given(st.text(max_size=40), st.integers(1, 30))
def test_labels_fit_whatever_the_text(text, width):
    content = label(text, width)
    assert content.cell_length <= max(width, 1)
    assert not any(ord(character) < 32 for character in content.plain)


@settings(max_examples=40)
@given(st.text(max_size=30), scores, st.integers(30, 140))
def test_lines_fit_their_width(name, ker, width):
    assert ker_line("k", name, ker, 90, names=12).draw(width).cell_length <= width
    line = dumbbell_line("k", name, ker, 0.2, 90, names=8, relative=-0.5)
    assert line.draw(max(width, 44)).cell_length <= max(width, 44)


def test_columns_cut_with_an_ellipsis_and_align_figures_right():
    columns = (Column("name", 0), Column("n", 5, right=True))
    assert cells(columns, ("fluconazole", "90"), 14).plain == "flucon…     90"


async def test_words_that_do_not_fit_large_stand_beside_the_first_as_they_are():
    class Words(App[None]):
        def compose(self):
            yield BigWords()

    verdicts = [("KEEP", "bold"), ("WORSE", "bold")]
    for width, large in ((29, False), (60, True)):
        app = Words()
        async with app.run_test(size=(width, 4)) as pilot:
            words = app.query_one(BigWords)
            words.show(verdicts)
            await pilot.pause()
            lines = words.render().plain.split("\n")
            assert len(lines) == 2
            assert max(map(len, lines)) <= width
            assert lines[1].endswith("≠ WORSE") is not large
            assert ("≠  " + big_text("WORSE", "").plain.split("\n")[1] in lines[1]) is large


def test_big_letters_are_two_lines_of_equal_width():
    for word in ("PASS", "BLOCKED", "KEEP", "GROW", "WORSE", "SAME"):
        above, below = big_text(word, "bold").plain.split("\n")
        assert len(above) == len(below)
