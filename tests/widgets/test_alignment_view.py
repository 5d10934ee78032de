"""Differences between reference and hypothesis are marked by characters, word under word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from clinasr_tui.widgets.alignment import (
    AlignmentView,
    is_exact,
    mark_hypothesis,
    mark_reference,
    mark_word,
    render_alignment,
    render_alignments,
)

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget


@pytest.mark.parametrize(
    ("reference", "hypothesis", "marked"),
    [
        ("vancomycin", "vancomicin", "vancom[i]cin"),
        ("fluconazole", "fluconasole", "flucona[s]ole"),
        ("cefazolin", "cefazoln", "cefazol[·]n"),
        ("hip", "flew", "[flew]"),
        ("hemoglobin", "[red]hemoglobin", "[[red]]hemoglobin"),
        ("İx", "ix", "[ix]"),
    ],
)
def test_only_the_wrong_letters_of_a_nearly_right_word_are_marked(
    reference: str, hypothesis: str, marked: str
) -> None:
    assert mark_word(reference, hypothesis).plain == marked


def test_wrong_missing_and_added_words() -> None:
    marked = mark_hypothesis("please hold the vancomycin until noon", "please now hold vancomicin until noon")
    assert marked.plain == "please [+now] hold [-] vancom[i]cin until noon"


def test_the_term_is_emphasised_without_colour() -> None:
    line = mark_reference("please hold the vancomycin until", "x", "vancomycin")
    styled = {line.plain[span.start : span.end]: str(span.style) for span in line.spans}
    assert styled == {"vancomycin": "bold underline"}


def test_words_stand_under_one_another() -> None:
    lines = [
        line.plain for line in render_alignment("hold the vancomycin now", "hold vancomicin now", "", 60)
    ]
    assert lines == ["ref  hold the vancomycin   now", "hyp  hold [-] vancom[i]cin now"]


def test_two_hypotheses_share_the_reference() -> None:
    lines = render_alignments(
        "hold the vancomycin now",
        [("c1", "hold the vanco my sin now"), ("c2", "hold the vancomycin right now")],
        "vancomycin",
        60,
    )
    assert [line.plain for line in lines] == [
        "ref  hold the vancomycin              now",
        "c1   hold the vanco[ my s]in          now",
        "c2   hold the vancomycin     [+right] now",
    ]


def test_a_collapsed_model_is_shown_whole() -> None:
    lines = [line.plain.rstrip() for line in render_alignment("hold the dose", " ⁇  ⁇ ", "", 60)]
    assert lines == ["ref  hold the dose", "hyp  [⁇ ⁇]"]
    assert mark_hypothesis("hold the dose", " ⁇ " * 300).plain == "[⁇ ×300]"
    assert [line.plain.rstrip() for line in render_alignment("hold it", "", "", 60)] == [
        "ref  hold it",
        "hyp  [-]",
    ]


def test_control_characters_are_made_visible() -> None:
    text = "".join(line.plain for line in render_alignment("hold it", "hold \x1b[31mit", "", 60))
    assert "\x1b" not in text
    assert "␛[31m" in text


words = st.lists(st.sampled_from(["hold", "the", "vancomycin", "薬薬", "5", "mg/kg", "a"]), max_size=12).map(
    " ".join
)


@settings(max_examples=25, deadline=None)
@given(words, words, words, st.integers(20, 70))
def test_no_line_is_wider_than_asked_and_nothing_is_lost(ref: str, one: str, two: str, width: int) -> None:
    lines = [line.plain for line in render_alignments(ref, [("c1", one), ("c2", two)], "vancomycin", width)]
    assert all(cell_len(line) <= width for line in lines)
    reference = " ".join(line[5:] for line in lines if line.startswith("ref")).split()
    assert reference == ref.split()


def test_exact_means_every_word() -> None:
    assert is_exact("Hold the dose.", "hold the dose")
    assert not is_exact("hold the dose", "hold dose")


async def test_the_view_is_as_high_as_it_needs(bench: Callable[[Widget], App[None]]) -> None:
    view = AlignmentView()
    async with bench(view).run_test(size=(40, 20)) as pilot:
        assert view.size.height == 0
        view.show("please hold the vancomycin until the morning team", "please hold vancomicin until team")
        await pilot.pause()
        assert view.size.height == 4
