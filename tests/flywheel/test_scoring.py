"""Row scores against a slow scorer that follows the published definitions literally."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.hypotheses import Hypotheses
from clinasr_tui.flywheel.scoring import NO_KER, RowScore, Scores, score, score_range, score_row
from tests.support.slow_scores import ADVERSARIAL, plain, slow

DATA = Path(__file__).parents[2] / "clinasr_tui" / "demo" / "data"


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


def distances(one: list[list[object]], two: list[list[object]]) -> list[int]:
    """Levenshtein distance of every pair: the textbook's table, for all pairs at once."""
    numbers: dict[object, int] = {}
    left, right = (
        np.array([[numbers.setdefault(x, len(numbers)) for x in t] + [-1] * (80 - len(t)) for t in side])
        for side in (one, two)
    )
    lengths = np.array([len(t) for t in one])
    ends = np.array([len(t) for t in two])
    row = np.tile(np.arange(81), (len(one), 1))
    found = ends.copy()
    for i in range(1, int(lengths.max()) + 1):
        before, row = row, np.full_like(row, i)
        for j in range(1, int(ends.max()) + 1):
            changed = before[:, j - 1] + (left[:, i - 1] != right[:, j - 1])
            row[:, j] = np.minimum(np.minimum(before[:, j], row[:, j - 1]) + 1, changed)
        here = lengths == i
        found[here] = row[here, ends[here]]
    return found.tolist()


def test_ten_thousand_random_rows() -> None:
    draw = random.Random(7)
    vocabulary = [
        "a",
        "the",
        "Cefazolin",
        "cefa",
        "zolin",
        "5",
        "mg/kg",
        "-",
        "café",
        "x-ray",
        "don’t",
        "心",
        "ﬂuid",
    ]

    def text(most: int) -> str:
        return draw.choice([" ", "  ", "\u00a0"]).join(draw.choices(vocabulary, k=draw.randint(0, most)))

    triples = [(text(9), text(9), text(2)) for _ in range(10_000)]
    found = score(Hypotheses(None, None, None, *map(list, zip(*triples, strict=True)))).scores
    refs, hyps, terms = ([plain(t) for t in column] for column in zip(*triples, strict=True))
    assert max(map(len, (*refs, *hyps))) <= 80
    assert found.word_errors.tolist() == distances([t.split() for t in refs], [t.split() for t in hyps])
    assert found.char_errors.tolist() == distances([list(t) for t in refs], [list(t) for t in hyps])
    assert found.reference_words.tolist() == [len(t.split()) for t in refs]
    assert found.reference_chars.tolist() == list(map(len, refs))
    assert found.ser.tolist() == [int(one != two) for one, two in zip(refs, hyps, strict=True)]
    heard = [f" {term} " in f" {hyp} " for term, hyp in zip(terms, hyps, strict=True)]
    assert found.ker.tolist() == [1 - hit if term else NO_KER for term, hit in zip(terms, heard, strict=True)]


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
