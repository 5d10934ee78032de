"""Two cycles side by side: golden figures, pairing, the decision table and its honesty rules."""

from __future__ import annotations

import json

import pytest

from clinasr_tui.flywheel.comparison import Verdict, compare, compare_leaderboards, to_json
from clinasr_tui.flywheel.decision import ACTIONS, difference
from clinasr_tui.flywheel.leaderboard import build_leaderboard
from clinasr_tui.flywheel.scoring import ScoredSet, score
from tests.support.scored_rows import by_hit, loop_cycle, loop_held_out, rows, scored

BASE, TUNED, HELD_OUT = loop_cycle(1), loop_cycle(2), loop_held_out()


@pytest.fixture(scope="module")
def loop():
    return compare(BASE, TUNED, held_out=HELD_OUT)


def test_golden_figures(loop) -> None:
    ker = loop.every.headline["ker"]
    assert (ker.a, ker.b, ker.n) == (0.876, 0.144, 250)
    assert round(ker.relative, 2) == -0.84
    assert ker.ci95[0] < ker.delta < ker.ci95[1] < 0
    assert ker.p < 1e-50
    wer = loop.every.headline["wer"]
    assert (round(wer.a, 4), round(wer.b, 4), wer.p) == (0.1519, 0.0211, None)
    assert wer.ci95[0] < wer.delta < wer.ci95[1] < 0
    out = loop.held_out.headline["ker"]
    assert (loop.held_out.rows, out.a, out.b, out.n) == (50, 0.82, 0.28, 50)
    assert loop.trained.rows == 200
    drug = loop.every.by["entity_category"]["drug"]
    assert (round(drug.a, 3), round(drug.b, 3), drug.n) == (0.978, 0.111, 90)
    assert list(loop.every.by["noise_level"]) == list(build_leaderboard(BASE).by["noise_level"])


def test_figures_are_those_of_the_leaderboards(loop) -> None:
    for board, side in ((build_leaderboard(BASE), "a"), (build_leaderboard(TUNED), "b")):
        for name, figure in loop.every.headline.items():
            assert getattr(figure, side) == board.metrics[name]
        for field, groups in loop.every.by.items():
            for value, figure in groups.items():
                assert getattr(figure, side) == board.by[field][value].ker


def test_the_closed_loop_is_kept_and_says_why(loop) -> None:
    assert loop.verdict is Verdict.KEEP
    assert loop.action == ACTIONS[Verdict.KEEP]
    story = "\n".join(loop.reasons)
    assert "drug KER 0.978 → 0.111 (−89 %" in story
    assert "Held-out rows, all categories: KER 0.820 → 0.280 (−66 %" in story
    assert "forgetting" in story


def test_changed_rows_are_all_pairs_with_a_term(loop) -> None:
    kinds = (loop.fixed, loop.broken, loop.still_wrong, loop.still_right)
    assert sorted(index for kind in kinds for index in kind) == list(range(250))
    assert len(loop.fixed) - len(loop.broken) == 219 - 36
    for index in loop.fixed:
        pair = loop.pairs[index]
        assert (BASE.scores.ker[pair.a], TUNED.scores.ker[pair.b]) == (1, 0)
    assert sum(pair.held_out for pair in loop.pairs) == 50


def test_the_same_seed_gives_the_same_comparison(loop) -> None:
    assert compare(BASE, TUNED, held_out=HELD_OUT) == loop
    other = compare(BASE, TUNED, held_out=HELD_OUT, seed=1)
    assert other.every.headline["ker"].ci95 != loop.every.headline["ker"].ci95
    assert other.pairs == loop.pairs


def test_json_keys(loop) -> None:
    document = to_json(loop)
    assert json.loads(json.dumps(document))["verdict"] == "keep"
    assert set(document["headline"]) == {"wer", "cer", "ker", "ser"}
    assert set(document["headline"]["ker"]) == {"a", "b", "delta", "relative", "ci95", "p", "n"}
    assert document["held_out"]["headline"]["ker"]["b"] == 0.28
    assert document["held_out"]["by"]["entity_category"]["drug"]["n"] == 18
    assert document["trained"]["rows"] == 200
    assert document["changed_rows"] == {"fixed": 183, "broken": 0, "still_wrong": 36, "still_right": 31}
    assert (document["only_a"], document["only_b"]) == (0, 0)


def test_without_a_split_that_is_said() -> None:
    found = compare(BASE, TUNED, resamples=500)
    assert found.held_out is None
    assert found.trained is None
    assert to_json(found)["held_out"] is None
    assert any("Held-out rows are not known" in reason for reason in found.reasons)
    elsewhere = compare(BASE, TUNED, held_out={("x.wav", "y")}, resamples=500)
    assert elsewhere.held_out is None
    assert any("None of the held-out rows (1)" in reason for reason in elsewhere.reasons)


def moved(found: ScoredSet, prefix: str) -> ScoredSet:
    columns = found.hypotheses.select(range(len(found)))
    columns.audio_filepath[:] = [prefix + path.rsplit("/", 1)[-1] for path in columns.audio_filepath]
    return score(columns)


def test_rows_of_another_folder_are_paired_by_name(loop) -> None:
    found = compare(BASE, moved(TUNED, "/workspace/cycle1/audio/"), held_out=HELD_OUT)
    assert found.every == loop.every
    assert found.held_out == loop.held_out
    assert any("paired by file name" in reason and "250" in reason for reason in found.reasons)
    keys = {("/workspace/" + path, term) for path, term in HELD_OUT}
    assert compare(BASE, TUNED, held_out=keys, resamples=500).held_out.rows == 50


def test_rows_out_of_order_and_on_one_side_only() -> None:
    a = scored(*by_hit([False] * 6))
    b = a.hypotheses.select([5, 4, 3, 2])
    b.audio_filepath[0] = "new.wav"
    found = compare(a, score(b), resamples=100)
    assert [(pair.a, pair.b) for pair in found.pairs] == [(2, 3), (3, 2), (4, 1)]
    assert (found.only_a, found.only_b, found.every.rows) == (3, 1, 3)
    assert any("only in A 3, only in B 1" in reason for reason in found.reasons)


def test_repeated_keys_pair_in_their_order() -> None:
    a = scored(*by_hit([True, False, True]))
    b = scored(*by_hit([False, True, True]))
    for side in (a, b):
        side.hypotheses.audio_filepath[:] = ["same.wav"] * 3
    found = compare(a, b, resamples=100)
    assert [(pair.a, pair.b) for pair in found.pairs] == [(0, 0), (1, 1), (2, 2)]
    assert (found.broken, found.fixed, found.still_right, found.still_wrong) == ((0,), (1,), (2,), ())


def test_same_audio_with_two_terms_is_two_rows() -> None:
    a = scored(
        {"audio": "x.wav", "ref": "a b", "hyp": "a", "term": "b"},
        {"audio": "x.wav", "ref": "a b", "hyp": "a", "term": "a"},
    )
    found = compare(a, score(a.hypotheses.select([1, 0])), resamples=100)
    assert [(pair.a, pair.b) for pair in found.pairs] == [(0, 1), (1, 0)]


def test_rows_without_a_term_have_no_ker() -> None:
    a = scored({"ref": "a b", "hyp": "a c"}, *by_hit([False], start=7))
    b = scored({"ref": "a b", "hyp": "a b"}, *by_hit([True], start=7))
    found = compare(a, b, resamples=100)
    assert (found.every.headline["ker"].n, found.every.headline["wer"].n) == (1, 2)
    assert (found.fixed, found.still_right) == ((1,), ())
    nothing = compare(scored({"ref": "a", "hyp": "b"}), scored({"ref": "a", "hyp": "a"}))
    assert nothing.verdict is Verdict.UNCHANGED
    assert nothing.every.headline["ker"] == difference(None, None, 0)


def test_another_reference_is_said() -> None:
    a = scored({"ref": "a b", "hyp": "a", "term": "a"})
    b = scored({"ref": "a c", "hyp": "a", "term": "a"})
    assert any("another reference text in B" in reason for reason in compare(a, b).reasons)


def cycles(
    before: dict[str, list[bool]], after: dict[str, list[bool]], **fields: str
) -> tuple[ScoredSet, ...]:
    made = []
    for side in (before, after):
        found = []
        for term, hits in side.items():
            found += by_hit(hits, term=term, start=len(found), **{"category": "drug", **fields})
        made.append(score(rows(*found)))
    return tuple(made)


def terms(*hits: int, n: int = 5) -> dict[str, list[bool]]:
    """Terms a0, a1, … of which so many of `n` rows were heard."""
    return {f"a{number}": [True] * count + [False] * (n - count) for number, count in enumerate(hits)}


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (terms(*[0] * 12), terms(*[4] * 12), Verdict.KEEP),
        (terms(*[0] * 12), terms(*[1] * 12), Verdict.KEEP),
        (terms(*[0] * 12, n=20), terms(*[3] * 12, n=20), Verdict.GROW),
        (terms(*[3] * 12), terms(*[1] * 12), Verdict.WORSE),
        (terms(*[3] * 12), terms(*[3] * 12), Verdict.UNCHANGED),
        (terms(*[3] * 12), terms(*[3] * 11, 4), Verdict.UNCHANGED),
        (terms(*[5] * 12), terms(*[3] * 12), Verdict.WORSE),
    ],
)
def test_the_decision_table(before, after, verdict: Verdict) -> None:
    found = compare(*cycles(before, after))
    assert found.verdict is verdict
    assert found.action == ACTIONS[verdict]


def test_the_verdict_is_of_the_priority_categories() -> None:
    a, b = cycles(terms(*[0] * 12), terms(*[4] * 12), category="lab")
    assert compare(a, b, priority=("lab",)).reasons[0].startswith("lab KER")
    other = compare(a, b, priority=("drug",))
    assert other.reasons[0].startswith("all categories KER")
    assert other.verdict is Verdict.KEEP


def test_priority_categories_are_pooled() -> None:
    found = compare(BASE, TUNED, priority=("drug", "lab"), resamples=500)
    assert found.reasons[0].startswith(f"drug, lab KER {(88 + 21) / 120:.3f} → {(10 + 8) / 120:.3f} (")


def test_a_change_by_chance_and_categories_that_got_worse_are_named() -> None:
    a, b = cycles({"x": [False], "y": [False]}, {"x": [True], "y": [True]})
    assert any("may be chance (exact McNemar p 0.50)" in reason for reason in compare(a, b).reasons)
    worse = compare(*cycles(terms(*[5] * 9), terms(*[2] * 9), category="lab"), priority=("lab",))
    assert any(reason.startswith("lab got worse: KER 0.000 → 0.600") for reason in worse.reasons)
    assert any(reason.startswith("WER") and "got worse" in reason for reason in worse.reasons)


def test_leaderboards_only() -> None:
    found = compare_leaderboards(build_leaderboard(BASE), build_leaderboard(TUNED), priority=("drug", "role"))
    assert found.verdict is Verdict.KEEP
    ker = found.every.headline["ker"]
    assert (ker.a, ker.b, ker.ci95, ker.p, ker.n) == (0.876, 0.144, None, None, 250)
    assert found.every.by["entity_category"]["role"].relative == pytest.approx(-12 / 19)
    assert found.reasons[0].startswith(f"drug, role KER {(88 + 19) / 120:.3f} → {(10 + 7) / 120:.3f} (")
    assert any("Only leaderboards are known" in reason for reason in found.reasons)
    assert (found.pairs, found.held_out, to_json(found)["changed_rows"]["fixed"]) == ((), None, 0)


def test_sets_without_a_common_row() -> None:
    a, b = scored(*by_hit([False] * 9)), scored(*by_hit([True] * 8, start=100))
    found = compare(a, b)
    assert (found.only_a, found.only_b, found.pairs) == (9, 8, ())
    assert (found.every.headline["ker"].a, found.every.headline["ker"].b) == (1.0, 0.0)
    assert "No row stands in both sets" in found.reasons[0]
    assert any("9 and 8 rows" in reason for reason in found.reasons)
    empty = compare(scored(), scored())
    assert empty.verdict is Verdict.UNCHANGED
