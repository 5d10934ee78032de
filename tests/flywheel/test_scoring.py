"""Row scores against a slow scorer that follows the published definitions literally."""

from __future__ import annotations

import json
import re
import unicodedata
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.hypotheses import Hypotheses
from clinasr_tui.flywheel.scoring import NO_KER, RowScore, Scores, score, score_range, score_row

DATA = Path(__file__).parents[2] / "clinasr_tui" / "demo" / "data"


def plain(text: str) -> str:
    text = unicodedata.normalize("NFKD", text).lower()
    return re.sub(r"\s+", " ", re.sub(r"[^\w\s\-]", "", text)).strip()


def edits(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def slow(reference: str, hypothesis: str, term: str) -> RowScore:
    ref, hyp, wanted = plain(reference), plain(hypothesis), plain(term).split()
    words, heard = ref.split(), hyp.split()
    windows = (heard[at : at + len(wanted)] for at in range(len(heard) - len(wanted) + 1))
    return RowScore(
        wer=edits(words, heard) / max(len(words), 1),
        cer=edits(list(ref), list(hyp)) / max(len(ref), 1),
        ker=(0 if wanted in windows else 1) if wanted else None,
        ser=0 if ref == hyp else 1,
    )


ADVERSARIAL = [
    ("the patient\u2019s dose", "the patient's dose", "patient\u2019s"),
    ("\u201cmetoprolol\u201d 5 mg/kg", "metoprolol 5 mgkg", "5 mg/kg"),
    ("o\ufb03ce \ufb02uid", "office fluid", "o\ufb03ce"),
    ("caf\u00e9 au lait spots", "cafe\u0301 au lait spots", "caf\u00e9"),
    ("a\u00a0b\u2003c\u3000d", "a b  c\td", "b c"),
    ("one\x1ctwo\x1dthree\x85four", "one two three four", "two three"),
    ("in\x00sulin \x1b[31mred", "insulin 31mred", "insulin"),
    ("in\u200bsulin\ufeff", "insulin", "insulin"),
    ("\u5fc3\u8840\u7ba1 \u624b\u8853", "\u5fc3\u81df \u624b\u8853", "\u624b\u8853"),
    ("\u0130STANBUL I \u0131", "istanbul i i", "\u0130stanbul"),
    ("\u03a3\u0391\u03a3 \u03c3", "\u03c3\u03b1\u03c3 \u03c2", "\u03c3\u03b1\u03c2"),
    ("follow - up", "follow up", "follow - up"),
    ("x-ray -- done", "x ray done", "x-ray"),
    ("snake_case _", "snake case", "snake_case"),
    ("", "", "cefazolin"),
    ("", "three extra words", "extra words"),
    ("cefazolin", "", "cefazolin"),
    ("...", "!?", "??"),
    ("short", "a much longer hypothesis than that", "short"),
    ("1.5 mg", "15 mg", "1.5"),
    ("give cefazolin", "give cefa zolin", "cefazolin"),
    ("serum lactate is up", "the serum is up lactate", "serum lactate"),
    ("\u00bd tablet of H\u2082O", "12 tablet of h2o", "\u00bd"),
    ("\U0001d400\U0001d401 test", "ab test", "\U0001d400\U0001d401"),
    ("a " * 90 + "end", "b " * 70 + "end", "end"),
    ("\ud800 lone", "lone", "lone"),
]


@pytest.mark.parametrize("row", ADVERSARIAL, ids=range(len(ADVERSARIAL)))
def test_adversarial_rows(row: tuple[str, str, str]) -> None:
    assert score_row(*row) == slow(*row)


def test_published_examples() -> None:
    assert score_row("give cefazolin now", "give cefa zolin now", "cefazolin").ker == 1
    assert score_row("5 mg/kg", "5 mgkg", "").wer == 0
    assert score_row("one", "one two three", "one") == RowScore(wer=2.0, cer=10 / 3, ker=0, ser=1)


def test_a_row_without_a_term_has_no_ker() -> None:
    assert score_row("a b", "a c", "").ker is None
    assert score_row("a b", "a c", " ! ").ker is None


words = st.sampled_from(
    [
        "a",
        "b",
        "the",
        "cefazolin",
        "cefa",
        "zolin",
        "5",
        "mg/kg",
        "-",
        "\u2014",
        "caf\u00e9",
        "I\u0307",
        "x-ray",
    ]
)
texts = st.lists(words, max_size=12).map(" ".join) | st.text(max_size=20)


@settings(max_examples=300, deadline=None)
@given(texts, texts, texts)
def test_any_row(reference: str, hypothesis: str, term: str) -> None:
    assert score_row(reference, hypothesis, term) == slow(reference, hypothesis, term)


def demo(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def columns(rows: list[dict[str, str]]) -> Hypotheses:
    return Hypotheses(
        None,
        reference=[row["ref"] for row in rows],
        hypothesis=[row["hyp"] for row in rows],
        term=[row["term"] for row in rows],
    )


@pytest.mark.parametrize("name", ["cycle1/per_sample.json", "cycle2/offline_hyps.jsonl"])
def test_the_demo_row_for_row(name: str) -> None:
    rows = demo(name)
    scored = score(columns(rows))
    assert len(scored) == 250
    for index, row in enumerate(rows):
        assert scored.scores.row(index) == slow(row["ref"], row["hyp"], row["term"])


def test_slices_give_the_whole() -> None:
    hypotheses = columns(demo("cycle1/per_sample.json"))
    whole = score_range(hypotheses, 0, len(hypotheses))
    parts = Scores.empty()
    for start in range(0, len(hypotheses), 7):
        parts.extend(score_range(hypotheses, start, start + 7))
    assert parts == whole == score(hypotheses).scores


def test_integers_behind_the_scores() -> None:
    hypotheses = Hypotheses(None, reference=["a bb c", ""], hypothesis=["a b d", "x"], term=["a", ""])
    scores = score(hypotheses).scores
    assert scores.word_errors.tolist() == [2, 1]
    assert scores.reference_words.tolist() == [3, 0]
    assert scores.reference_chars.tolist() == [6, 0]
    assert scores.ker.tolist() == [0, NO_KER]
    assert scores.row(0).wer == float(Fraction(2, 3))


def test_progress_can_cancel() -> None:
    many = Hypotheses(None, reference=["a"] * 20_000, hypothesis=["b"] * 20_000, term=[""] * 20_000)
    seen: list[float] = []

    def stop_soon(fraction: float) -> bool:
        seen.append(fraction)
        return len(seen) < 2

    with pytest.raises(InterruptedError, match="of 20,000 rows"):
        score(many, stop_soon)
    assert len(seen) == 2
    assert 0 < seen[0] < seen[1] < 1
    score(many, lambda fraction: bool(seen.append(fraction)) or True)
    assert seen[-1] == 1.0


def test_no_rows() -> None:
    assert len(score(Hypotheses(None))) == 0
