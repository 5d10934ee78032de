"""Waveform, histogram, facets, row detail, sample view."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from clinasr_tui.training.sample_history import Terms
from clinasr_tui.training.snapshot import Sample
from clinasr_tui.widgets.facet_lines import facet_lines, facet_token
from clinasr_tui.widgets.histogram import FINE_BINS, count_bins, draw_histogram, rebin
from clinasr_tui.widgets.row_detail import RowDetail, RowFacts, field_lines, full_lines, short_lines
from clinasr_tui.widgets.sample_view import SampleView
from clinasr_tui.widgets.waveform import draw_waveform

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget


def test_a_waveform_is_scaled_to_its_loudest_peak() -> None:
    lines = draw_waveform([(0.0, 0.0)] * 10 + [(-0.01, 0.01)] * 10, 10, 3)
    assert lines[0] == "\u2800" * 5 + "⣿" * 5
    assert lines[2] == "\u2800" * 5 + "⣿" * 5
    assert draw_waveform([], 10, 3) == []
    assert draw_waveform([(0.0, 0.0)] * 20, 10, 1) != []


@given(
    st.lists(st.floats(0, 30) | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300),
    st.integers(4, 80),
)
def test_no_value_is_lost_from_a_histogram(values: list[float], width: int) -> None:
    bins = count_bins(array("d", [*values, math.nan]), FINE_BINS)
    assert bins is not None
    assert sum(bins.counts) == sum(rebin(bins, width).counts) == len(values)
    lines = draw_histogram(rebin(bins, width), width, 4, "s")
    assert {len(line) for line in lines} == {width}
    assert len(lines) == 4


def test_a_histogram_shows_a_single_row_among_many() -> None:
    bins = count_bins([1.0] * 10_000 + [9.9], 10)
    assert bins is not None
    lines = draw_histogram(bins, 10, 4, "s")
    assert lines[0][1] == "█"
    assert lines[2][9] == "▁"
    assert count_bins([], 10) is None


def test_facets_are_filter_clauses_and_those_in_use_are_marked() -> None:
    facets = {"noise_level": {"clean": 81, "snr 5": 3, "": 1}, "voice_id": {}}
    lines = facet_lines(facets, ["noise_level:=clean"])
    assert [line.key for line in lines] == ["", "noise_level:=clean", 'noise_level:="snr 5"', "noise_level:="]
    drawn = [line.draw(28).plain for line in lines]
    assert drawn[1].startswith("● clean")
    assert drawn[2].startswith("  snr 5")
    assert "(none)" in drawn[3]
    assert {len(line) for line in drawn[1:]} == {28}
    assert facet_token("a", "b") == "a:=b"


FACTS = RowFacts(
    7,
    "vancomycin · drug",
    "Give 5 mg/kg of \x1b[31mvancomycin",
    "give 5 mgkg of vancomycin",
    "audio/a.flac",
    [("note", "[bold]not markup[/bold]")],
    [(False, "duration: null"), (True, "audio_filepath: no such file")],
)


def test_a_row_is_shown_in_short_and_in_full() -> None:
    short = [line.plain for line in short_lines(FACTS, 60, 4)]
    assert short[0] == "▲ duration: null"
    assert short[2] == "vancomycin · drug"
    assert short[3].endswith("Give 5 mg/kg of ␛[31mvancomycin")
    full = [line.plain for line in full_lines(FACTS, 40)]
    assert "give 5 mgkg of" in "".join(full)
    assert all(len(line) <= 40 for line in full)
    assert field_lines(FACTS, 60)[0].plain == "note             [bold]not markup[/bold]"


def test_the_normalised_text_is_not_repeated_where_it_is_the_same() -> None:
    same = FACTS._replace(text="a b", normalised="a b", problems=())
    assert "normalised       the same" in [line.plain for line in full_lines(same, 40)]


async def test_a_row_chosen_before_the_detail_is_mounted(
    bench: Callable[[Widget], App[None]],
) -> None:
    detail = RowDetail(classes="-short")
    detail.show(FACTS)
    async with bench(detail).run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        assert str(detail.border_title) == "line 7"
        assert detail.facts is FACTS


SAMPLES = [Sample(step, "hold the vancomycin", f"hold the vancom{'i' * (9 - step)}cin") for step in range(8)]


async def test_samples_follow_the_newest_until_one_is_read(bench: Callable[[Widget], App[None]]) -> None:
    view = SampleView()
    async with bench(view).run_test(size=(60, 20)) as pilot:
        assert "no sample predictions" in str(view.render())
        view.show(SAMPLES[:4])
        await pilot.pause()
        assert str(view.border_title) == "latest sample · step 3"
        drawn = view.render().plain.splitlines()
        assert drawn[:2] == ["ref  hold the vancomycin       ", "hyp  hold the vancom[iiiiii]cin"]
        assert [line.split()[0] for line in drawn[4:]] == ["2", "1", "0"]
        view.step(-1)
        assert str(view.border_title) == "sample 3 of 4 · step 2"
        view.show(SAMPLES)
        assert str(view.border_title) == "sample 3 of 8 · step 2"
        view.newest()
        assert str(view.border_title) == "latest sample · step 7"
        for _ in range(20):
            view.step(-1)
        assert str(view.border_title) == "sample 1 of 8 · step 0"


async def test_a_right_prediction_is_said_to_be_right(bench: Callable[[Widget], App[None]]) -> None:
    view = SampleView()
    async with bench(view).run_test(size=(40, 10)) as pilot:
        view.show([Sample(None, "hold the dose", "hold the dose")])
        await pilot.pause()
        assert view.render().plain.splitlines() == ["hold the dose", "✔ as the reference"]
        assert str(view.border_title) == "latest sample"


def learned(*predictions: str) -> list[Sample]:
    return [Sample(step, "please hold the Vancomycin now", text) for step, text in enumerate(predictions)]


async def test_a_term_is_marked_and_its_hearing_told(bench: Callable[[Widget], App[None]]) -> None:
    view = SampleView()
    async with bench(view).run_test(size=(60, 14)) as pilot:
        view.use_terms(Terms.of(["vancomycin", "hold"]))
        view.show(
            learned(
                "please hold the vancomisen now",
                "please hold the vancomicin now",
                "please hold the vanco micin now",
                "please hold the vancomicin now",
                "please hold the vancomycin now",
            )
        )
        await pilot.pause()
        text = view.render().plain
        assert "✔ as the reference" in text
        assert "hold heard as: ✔ ×5" in text
        view.use_terms(Terms.of(["vancomycin"]))
        text = " ".join(view.render().plain.split())
        assert "heard as: vancomisen → vancomicin → vanco micin → vancomicin → ✔ (step 4)" in text
        term = [span for span in view.render().spans if "underline" in str(span.style)]
        assert view.render().plain[term[0].start : term[0].end] == "vancomycin"
        view.step(-1)
        text = " ".join(view.render().plain.split())
        assert "heard as: vancomisen → vancomicin → vanco micin → vancomicin (step 3)" in text


async def test_the_samples_of_one_term_are_stepped_through(bench: Callable[[Widget], App[None]]) -> None:
    view = SampleView()
    other = [Sample(9, "he takes apixaban daily", "he takes a pixaban daily")]
    async with bench(view).run_test(size=(60, 14)) as pilot:
        view.next_term(1)
        view.use_terms(Terms.of(["vancomycin", "apixaban"]))
        view.show([*learned("please hold vancomicin", "please hold the vancomycin now"), *other])
        await pilot.pause()
        view.next_term(1)
        assert view.group == "apixaban"
        assert str(view.border_title) == "apixaban · 1 of 1 · step 9"
        view.next_term(1)
        assert str(view.border_title) == "vancomycin · 2 of 2 · step 1"
        view.step(-1)
        assert str(view.border_title) == "vancomycin · 1 of 2 · step 0"
        view.show([*learned("please hold vancomicin", "x", "please hold the vancomycin now"), *other])
        assert str(view.border_title) == "vancomycin · 1 of 3 · step 0"
        view.newest()
        assert (view.group, str(view.border_title)) == (None, "latest sample · step 9")


async def test_without_terms_a_reference_is_its_own_group(bench: Callable[[Widget], App[None]]) -> None:
    view = SampleView()
    async with bench(view).run_test(size=(60, 14)):
        view.show([*learned("a", "b"), Sample(9, "he takes apixaban daily", "x")])
        view.next_term(-1)
        assert view.group == "he takes apixaban daily"
        view.next_term(1)
        assert str(view.border_title) == "please hold the Vancomyc · 2 of 2 · step 1"
