"""Which row of one cycle is which of another: against a search row by row; large files like small ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.comparison import compare, compare_leaderboards, to_json
from clinasr_tui.flywheel.leaderboard import build_leaderboard, signature
from clinasr_tui.flywheel.pairing import held_out_rows, pair_rows
from clinasr_tui.flywheel.score_file import score_file
from clinasr_tui.flywheel.stats import mcnemar_exact, mean_interval
from tests.support.large_files import large
from tests.support.scored_rows import DATA, by_hit, loop_cycle, loop_held_out, rows, scored

if TYPE_CHECKING:
    from clinasr_tui.flywheel.scoring import ScoredSet

Short = dict[str, str]


def searched(a: list[Short], b: list[Short]) -> dict[int, int]:
    """Row by row: the first free row with the same path and term, then the only one of that name."""
    found: dict[int, int] = {}
    for index, row in enumerate(a):
        same = [
            k for k, other in enumerate(b) if (row["audio"], row["term"]) == (other["audio"], other["term"])
        ]
        free = [k for k in same if k not in found.values()]
        if free:
            found[index] = free[0]

    def left(side: list[Short], taken: set[int]) -> list[tuple[int, tuple[str, str, str]]]:
        return [
            (index, (row["audio"].split("/")[-1], row["term"], row["ref"]))
            for index, row in enumerate(side)
            if index not in taken and row["audio"]
        ]

    left_a, left_b = left(a, set(found)), left(b, set(found.values()))
    for index, name in left_a:
        partners = [k for k, other in left_b if other == name]
        if len(partners) == 1 and sum(name == other for _, other in left_a) == 1:
            found[index] = partners[0]
    return found


short_rows = st.lists(
    st.fixed_dictionaries(
        {
            "audio": st.sampled_from(["", "1.wav", "a/1.wav", "b/1.wav", "a/2.wav", "b/2.wav", "3.wav"]),
            "term": st.sampled_from(["x", "y"]),
            "ref": st.sampled_from(["r", "s"]),
        }
    ),
    max_size=7,
)


@settings(max_examples=200, deadline=None)
@given(short_rows, short_rows)
def test_pairs_are_those_a_search_finds(a: list[Short], b: list[Short]) -> None:
    found = pair_rows(rows(*a), rows(*b))
    assert dict(zip(found.a, found.b, strict=True)) == searched(a, b)
    assert list(found.a) == sorted(found.a)
    left_a, left_b = found.left_out(len(a), len(b))
    assert sorted([*found.a, *left_a]) == list(range(len(a)))
    assert sorted([*found.b, *left_b]) == list(range(len(b)))


@settings(max_examples=30, deadline=None)
@given(short_rows)
def test_a_set_pairs_with_itself_row_by_row(a: list[Short]) -> None:
    found = pair_rows(rows(*a), rows(*a))
    assert list(found.a) == list(found.b) == list(range(len(a)))
    assert found.by_name == 0


def test_nothing_held_out_is_nothing() -> None:
    assert held_out_rows([("a", "x"), ("b", "y")], ()) == [False, False]
    assert held_out_rows([("a", "x"), ("b", "y")], {("b", "y")}) == [False, True]


def stored_demo(tmp_path: Path, number: int) -> ScoredSet:
    name = {1: "cycle1/per_sample.json", 2: "cycle2/offline_hyps.jsonl"}[number]
    found = [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
    if number == 2:
        found = [*found[40:], *found[:30]]
        found[7]["ref"] += " again"
    path = tmp_path / f"{number}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    with large(3, block=5000):
        return score_file(path)


def test_large_files_compare_as_small_ones(tmp_path: Path) -> None:
    stored = [stored_demo(tmp_path, number) for number in (1, 2)]
    plain = [score_file(tmp_path / f"{number}.jsonl") for number in (1, 2)]
    assert type(stored[0].hypotheses.reference) is not type(plain[0].hypotheses.reference)
    found = compare(*stored, held_out=loop_held_out(), resamples=500)
    assert found == compare(*plain, held_out=loop_held_out(), resamples=500)
    assert compare(stored[0], plain[1], held_out=loop_held_out(), resamples=500) == found
    assert (found.every.rows, found.only_a, found.only_b) == (240, 10, 0)
    assert found.left_out_a == tuple(range(30, 40))
    assert any("another reference text in B" in reason and reason.endswith(" 1.") for reason in found.reasons)


def test_rows_left_out_are_named_and_numbered() -> None:
    a = scored(*by_hit([False] * 6))
    b = scored(*by_hit([True], start=5), *by_hit([True] * 2, start=70))
    found = compare(a, b, resamples=100)
    assert (
        "Left out: rows only in A 5, only in B 2 (A: 0.wav, 1.wav, 2.wav, …; B: 70.wav, 71.wav)."
        in found.reasons
    )
    assert to_json(found)["left_out"] == {"a": [0, 1, 2, 3, 4], "b": [1, 2]}
    assert (found.every.rows, found.every.headline["ker"].n) == (1, 1)
    assert found.every.headline["wer"].a == a.scores.row(5).wer


def test_figures_asked_together_are_those_asked_alone() -> None:
    a, b = loop_cycle(1), loop_cycle(2)
    found = compare(a, b, resamples=700, seed=3)
    terms = a.hypotheses.term
    numbers = {term: number for number, term in enumerate(dict.fromkeys(terms))}
    for name, figure in found.every.by["entity_category"].items():
        places = [i for i, value in enumerate(a.hypotheses.entity_category) if value == name]
        left, right = ([side.scores.ker[i] for i in places] for side in (a, b))
        clusters = np.array([numbers[terms[i]] for i in places])
        assert figure.ci95 == mean_interval(np.subtract(right, left), clusters, resamples=700, seed=3)
        changes = list(zip(left, right, strict=True))
        assert figure.p == mcnemar_exact(changes.count((0, 1)), changes.count((1, 0)))


def test_the_signature_says_how_it_was_drawn_and_tested() -> None:
    found = to_json(compare(loop_cycle(1), loop_cycle(2), resamples=300, seed=9))["signature"]
    assert found["seed"] == "9"
    assert "300 resamples" in found["interval"]
    assert "bootstrap over terms" in found["interval"]
    assert "McNemar" in found["test"]
    same = ("normaliser", "aggregation", "ker", "rapidfuzz", "numpy", "clinasr-tui")
    assert {key: found[key] for key in same} == {key: signature()[key] for key in same}


def test_leaderboards_have_the_signature_they_share() -> None:
    boards = [build_leaderboard(loop_cycle(number)) for number in (1, 2)]
    assert to_json(compare_leaderboards(*boards))["signature"] == signature()
    read = replace(boards[0], signature={**signature(), "normaliser": "lower"})
    found = compare_leaderboards(read, boards[1])
    assert found.signature["normaliser"] == f"A: lower; B: {signature()['normaliser']}"
    assert any("not scored alike, normaliser" in reason for reason in found.reasons)
    assert not any("not scored alike" in reason for reason in compare_leaderboards(*boards).reasons)


@pytest.mark.parametrize("size", [0, 1])
def test_sets_of_hardly_any_row(size: int) -> None:
    a, b = scored(*by_hit([False] * size)), scored(*by_hit([True] * size))
    found = compare(a, b, resamples=100)
    assert (found.every.rows, found.every.headline["ker"].ci95) == (size, None)
