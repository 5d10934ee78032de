"""The normaliser against the plain published steps, over every code point."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.normalise import contains_term, normalise


def plain(text: str) -> str:
    """The published steps, one by one, without any shortcut."""
    text = unicodedata.normalize("NFKD", text)
    text = text.lower()
    text = re.sub(r"[^\w\s\-]", "", text)
    text = re.sub(r"\s+", " ", text)
    return text.strip()


def plain_hit(hypothesis: str, term: str) -> bool:
    words, wanted = hypothesis.split(), term.split()
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1))


def test_every_code_point_alone() -> None:
    wrong = [code for code in range(sys.maxunicode + 1) if normalise(chr(code)) != plain(chr(code))]
    assert wrong == []


def test_every_code_point_between_words() -> None:
    wrong = [
        code
        for code in range(0x3000)
        if normalise(f"Mg{chr(code)}Kg {chr(code)} x") != plain(f"Mg{chr(code)}Kg {chr(code)} x")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("5 mg/kg", "5 mgkg"),
        ("1.5", "15"),
        ("a - b", "a - b"),
        ("Follow-Up!", "follow-up"),
        ("snake_case", "snake_case"),
        ("the patient\u2019s \u201cdose\u201d", "the patients dose"),
        ("o\ufb03ce", "office"),
        ("cafe\u0301 caf\u00e9", "cafe cafe"),
        ("\u0130stanbul", "istanbul"),
        ("DI\u0130", "dii"),
        ("\u0131", "\u0131"),
        ("\u00bd tablet", "12 tablet"),
        ("a\u00a0b\u2003c\u3000d", "a b c d"),
        ("a\x1cb\x1fc\x85d", "a b c d"),
        ("a\u200bb", "ab"),
        ("\ufefftext", "text"),
        ("a\x00b\x1b[31mc", "ab31mc"),
        ("\u4e2d\u6587 \u6e2c\u8a66", "\u4e2d\u6587 \u6e2c\u8a66"),
        ("H\u2082O", "h2o"),
        ("\u03a3\u0391\u03a3", "\u03c3\u03b1\u03c2"),
        ("\u2014 \u2013 -", "-"),
        ("   ", ""),
        ("", ""),
    ],
)
def test_examples(raw: str, expected: str) -> None:
    assert normalise(raw) == expected == plain(raw)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    assert normalise(text) == plain(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_any_ascii_text(text: str) -> None:
    assert normalise(text) == plain(text)


@pytest.mark.parametrize(
    ("hypothesis", "term", "hit"),
    [
        ("give cefazolin now", "cefazolin", True),
        ("give cefa zolin now", "cefazolin", False),
        ("give cefazolins now", "cefazolin", False),
        ("serum lactate", "serum lactate", True),
        ("serum of lactate", "serum lactate", False),
        ("lactate serum", "serum lactate", False),
        ("a serum lactate", "serum lactate", True),
        ("", "cefazolin", False),
        ("cefazolin", "", False),
        ("", "", False),
    ],
)
def test_term_words_in_order_and_adjacent(hypothesis: str, term: str, hit: bool) -> None:
    assert contains_term(hypothesis, term) is hit


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab- "), st.text(alphabet="ab- ", min_size=1))
def test_hit_is_a_window_of_words(hypothesis: str, term: str) -> None:
    hypothesis, term = normalise(hypothesis), normalise(term)
    if term:
        assert contains_term(hypothesis, term) is plain_hit(hypothesis, term)
