"""Alignment by scored words, shown as raw words; what was heard in place of a term."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.alignment import AlignedSpan, align, heard_as
from clinasr_tui.flywheel.normalise import normalise
from clinasr_tui.flywheel.scoring import score
from tests.support.scored_rows import loop_cycle, rows


def test_kinds_and_the_term() -> None:
    spans = align("Give cefazolin, then wait please", "give sefasolin now then please", "cefazolin")
    assert spans == (
        AlignedSpan("equal", "Give", "give", False),
        AlignedSpan("substitute", "cefazolin,", "sefasolin", True),
        AlignedSpan("insert", "", "now", False),
        AlignedSpan("equal", "then", "then", False),
        AlignedSpan("delete", "wait", "", False),
        AlignedSpan("equal", "please", "please", False),
    )


def test_a_run_is_cut_at_the_terms_edges() -> None:
    spans = align("the serum lactate is high", "the serum lactate is high", "Serum Lactate")
    assert spans == (
        AlignedSpan("equal", "the", "the", False),
        AlignedSpan("equal", "serum lactate", "serum lactate", True),
        AlignedSpan("equal", "is high", "is high", False),
    )
    spans = align("a b c d", "w x y z", "b c")
    assert [(span.reference, span.hypothesis) for span in spans] == [("a", "w"), ("b c", "x y"), ("d", "z")]
    assert align("a b c", "a", "b")[1:] == (
        AlignedSpan("delete", "b", "", True),
        AlignedSpan("delete", "c", "", False),
    )


def test_every_occurrence_of_the_term() -> None:
    spans = align("mg of mg", "mg of mg", "mg")
    assert [span.clinical for span in spans] == [True, False, True]


def test_empty_sides() -> None:
    assert align("", "") == ()
    assert align("", "a b") == (AlignedSpan("insert", "", "a b", False),)
    assert align("a b", "", "b") == (
        AlignedSpan("delete", "a", "", False),
        AlignedSpan("delete", "b", "", True),
    )
    assert align("\u2026 ?", "a") == (
        AlignedSpan("equal", "\u2026 ?", "", False),
        AlignedSpan("insert", "", "a", False),
    )
    assert align("!", "?") == (AlignedSpan("equal", "!", "", False), AlignedSpan("equal", "", "?", False))


def test_raw_text_that_scores_nothing_stays_with_its_word() -> None:
    spans = align("\u2014 take \u201cfive\u201d \u2014 mg/kg \u2026", "take five mgkg")
    assert spans == (
        AlignedSpan("equal", "\u2014 take \u201cfive\u201d \u2014 mg/kg \u2026", "take five mgkg", False),
    )


texts = st.lists(
    st.sampled_from(["a", "b", "C,", "cefazolin", "-", "\u2014", "mg/kg", "a\u00a8b", "\u00b4", "\u0130x"])
    | st.text(max_size=4),
    max_size=8,
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(texts, texts, texts)
def test_spans_hold_both_texts_and_as_many_errors_as_were_scored(ref: str, hyp: str, term: str) -> None:
    spans = align(ref, hyp, term)
    assert normalise(" ".join(span.reference for span in spans)) == normalise(ref)
    assert normalise(" ".join(span.hypothesis for span in spans)) == normalise(hyp)
    errors = sum(
        max(len(normalise(span.reference).split()), len(normalise(span.hypothesis).split()))
        for span in spans
        if span.kind != "equal"
    )
    scored = score(rows({"ref": ref, "hyp": hyp})).scores
    assert errors == scored.word_errors[0]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "term", "heard"),
    [
        ("give cefazolin now", "give cefazolin now", "cefazolin", "cefazolin"),
        ("give cefazolin now", "give Sefasolin, now", "Cefazolin", "sefasolin"),
        ("give cefazolin now", "give cefa zolin now", "cefazolin", "cefa zolin"),
        ("give cefazolin now", "give now", "cefazolin", ""),
        ("give cefazolin now", "", "cefazolin", ""),
        ("give cefazolin now", "give me cefazolen now", "cefazolin", "cefazolen"),
        ("the fluconazole was held", "flu conazole was held", "fluconazole", "flu conazole"),
        ("the serum lactate is up", "the serum lac tate is up", "serum lactate", "serum lac tate"),
        ("the serum lactate is up", "the syrup is up", "serum lactate", "syrup"),
        (
            "the lumbar puncture went well",
            "the lumber of puncture went well",
            "lumbar puncture",
            "lumber of puncture",
        ),
        ("cefazolin", "cef a zo lin", "cefazolin", "cef a zo lin"),
        ("give it now", "give it now", "cefazolin", None),
        ("give it now", "give it now", "", None),
        ("", "anything", "cefazolin", None),
    ],
)
def test_heard_as(reference: str, hypothesis: str, term: str, heard: str | None) -> None:
    assert heard_as(reference, hypothesis, term) == heard


def test_heard_as_on_the_closed_loop() -> None:
    base = loop_cycle(1)
    for index in range(len(base)):
        row = base.hypotheses.row(index)
        heard = heard_as(row.reference, row.hypothesis, row.term)
        assert heard is not None
        if base.scores.ker[index] == 0:
            assert heard == normalise(row.term)
        else:
            assert heard != normalise(row.term)
    assert (
        heard_as(*(base.hypotheses.column(name)[0] for name in ("reference", "hypothesis", "term")))
        == "sefasolin"
    )
