"""Sections 3 and 4 of the method: routes, special cases, every criterion."""

from __future__ import annotations

import pytest

from clinasr_tui.flywheel.bases import DEFAULT_BASE, base_standing
from clinasr_tui.flywheel.gate import GateResult, Route, Thresholds, evaluate_gate, headline_result
from clinasr_tui.flywheel.leaderboard import GroupFigure, Leaderboard, build_leaderboard
from tests.support.scored_rows import by_hit, loop_cycle, scored

GOOD = base_standing(DEFAULT_BASE)


def board(
    drug: float | None = 0.42,
    *,
    n: int = 60,
    rows: int = 130,
    ker: float = 0.4,
    wer: float = 0.2,
    ipa: dict[str, tuple[float, int]] | None = None,
    noise: dict[str, tuple[float, int]] | None = None,
    **others: tuple[float, int],
) -> Leaderboard:
    categories = {"drug": (drug, n), **others}
    sections = {"entity_category": categories, "ipa_source": ipa or {}, "noise_level": noise or {}}
    return Leaderboard(
        rows=rows,
        ker_rows=rows,
        metrics={"wer": wer, "cer": wer, "ker": ker, "ser": 1.0},
        corpus={},
        by={
            field: {name: GroupFigure(*figure) for name, figure in groups.items()}
            for field, groups in sections.items()
        },
        terms=(),
    )


def gate(made: Leaderboard, **options: object) -> GateResult:
    return evaluate_gate(made, **{"base": GOOD, "preflight_errors": 0, **options})


def failed(result: GateResult) -> set[str]:
    return {criterion.id for criterion in result.criteria if not criterion.passed}


def test_the_closed_loop_passes() -> None:
    result = gate(build_leaderboard(loop_cycle(1)))
    assert (result.passed, result.verdict, result.route) == (True, "pass", Route.FINETUNE)
    assert failed(result) == set()
    shown = {criterion.id: (criterion.measured, criterion.threshold) for criterion in result.criteria}
    assert shown["priority_ker"] == ("0.978 (n 90)", "> 0.300")
    assert shown["total_rows"] == ("250", "≥ 100")
    assert shown["priority_rows"] == ("90", "≥ 5")
    assert headline_result() in result.reasons
    assert "0.513 → 0.128" in headline_result()


def test_the_tuned_loop_is_routed_by_its_drug_ker() -> None:
    result = gate(build_leaderboard(loop_cycle(2)))
    assert (result.verdict, result.route) == ("blocked", Route.EXPAND)
    assert any(reason.startswith("drug KER 0.111 ") for reason in result.reasons)


def test_published_scenario_a() -> None:
    assert gate(board(0.42, rows=130)).verdict == "pass"


@pytest.mark.parametrize(
    ("ker", "first", "route"),
    [
        (0.301, True, Route.FINETUNE),
        (0.3, True, Route.EXPAND),
        (0.2, True, Route.EXPAND),
        (0.1, True, Route.EXPAND),
        (0.099, True, Route.HARDEN),
        (0.0, True, Route.HARDEN),
        (0.301, False, Route.FINETUNE),
        (0.3, False, Route.FINETUNE),
        (0.1, False, Route.FINETUNE),
        (0.099, False, Route.HARDEN),
    ],
)
def test_the_table_of_section_3(ker: float, first: bool, route: Route) -> None:
    result = gate(board(ker), first_eval=first)
    assert result.route is route
    assert result.passed is (ker > 0.3)
    assert ("priority_ker" in failed(result)) is (ker <= 0.3)


def test_three_in_ten_is_not_above() -> None:
    hits = [False] * 30 + [True] * 70
    made = build_leaderboard(scored(*by_hit(hits, category="drug", ipa="override")))
    assert made.by["entity_category"]["drug"].ker == 0.3
    assert gate(made).route is Route.EXPAND


def test_a_later_eval_in_the_band_is_advised_to_tune_and_still_blocked() -> None:
    result = gate(board(0.2), first_eval=False)
    assert (result.verdict, result.route) == ("blocked", Route.FINETUNE)
    assert any("typed override" in reason for reason in result.reasons)


@pytest.mark.parametrize(
    ("made", "criterion"),
    [(board(0.5, rows=99), "total_rows"), (board(0.5, n=4), "priority_rows")],
)
def test_too_few_rows_lead_back_to_build(made: Leaderboard, criterion: str) -> None:
    result = gate(made)
    assert (result.verdict, result.route) == ("blocked", Route.BUILD)
    assert failed(result) == {criterion}
    assert any("too small" in reason for reason in result.reasons)
    assert headline_result() not in result.reasons


def test_just_enough_rows() -> None:
    assert gate(board(0.5, rows=100, n=5)).passed


def test_a_small_saturated_manifest_is_hardened_not_grown() -> None:
    assert gate(board(0.05, rows=40)).route is Route.HARDEN


def test_published_pronunciation_gap() -> None:
    result = gate(board(ipa={"merriam-webster": (0.05, 420), "magpie_g2p": (0.41, 180)}))
    assert (result.verdict, result.route) == ("blocked", Route.BUILD)
    assert failed(result) == {"pronunciation_gap"}
    assert "IPA review" in result.reasons[0]


@pytest.mark.parametrize(
    "ipa",
    [
        {"merriam-webster": (0.5, 40), "magpie_g2p": (0.6, 40)},
        {"merriam-webster": (0.05, 40), "magpie_g2p": (0.3, 40)},
        {"merriam-webster": (0.0, 4), "magpie_g2p": (0.9, 40)},
        {"magpie_g2p": (0.9, 40)},
        {"merriam-webster": (None, 0), "magpie_g2p": (0.9, 40)},
    ],
)
def test_no_pronunciation_gap(ipa: dict[str, tuple[float, int]]) -> None:
    assert gate(board(ipa=ipa)).passed


def test_robustness_gap_is_said() -> None:
    result = gate(board(noise={"clean": (0.05, 40), "snr_5db": (0.7, 40)}))
    assert any("robustness gap" in reason and "noise diversity" in reason for reason in result.reasons)
    assert not any("robustness" in reason for reason in gate(board()).reasons)


def test_every_row_missed_is_a_normalisation_mismatch() -> None:
    result = gate(board(1.0, ker=1.0))
    assert (result.verdict, result.route) == ("blocked", Route.BUILD)
    assert failed(result) == {"plausible_scores"}
    assert "normalisation mismatch" in result.reasons[0]


def test_every_term_heard_with_a_high_wer_is_a_misaligned_manifest() -> None:
    result = gate(board(0.0, ker=0.0, wer=0.8))
    assert result.route is Route.BUILD
    assert "misaligned" in result.reasons[0]
    assert gate(board(0.0, ker=0.0, wer=0.3)).route is Route.HARDEN


def test_a_refused_base_names_its_substitute() -> None:
    result = gate(board(), base=base_standing("nvidia/nemotron-speech-streaming-en-0.6b"))
    assert (result.verdict, result.route) == ("blocked", Route.FINETUNE)
    assert failed(result) == {"base_allowed"}
    assert any("all-UNK" in reason and DEFAULT_BASE in reason for reason in result.reasons)


def test_an_unverified_base_passes() -> None:
    assert gate(board(), base=base_standing("nvidia/parakeet-tdt-1.1b")).passed


def test_preflight() -> None:
    result = gate(board(), preflight_errors=3)
    assert (result.verdict, result.route) == ("blocked", Route.BUILD)
    assert failed(result) == {"preflight_clean"}
    unchecked = gate(board(), preflight_errors=None)
    assert (unchecked.verdict, unchecked.route) == ("blocked", Route.FINETUNE)
    assert failed(unchecked) == {"preflight_clean"}


@pytest.mark.parametrize("made", [board(None, n=0), board(0.5), build_leaderboard(scored())])
def test_a_priority_category_without_rows(made: Leaderboard) -> None:
    result = gate(made, priority=("procedure",))
    assert (result.verdict, result.route) == ("blocked", Route.BUILD)
    assert {"priority_ker", "priority_rows"} <= failed(result)
    assert "no rows of procedure" in result.reasons[0]


def test_several_priority_categories_must_each_hold() -> None:
    both = ("drug", "procedure")
    assert gate(board(0.5, procedure=(0.4, 20)), priority=both).passed
    mixed = gate(board(0.5, procedure=(0.05, 20)), priority=both)
    assert (mixed.verdict, mixed.route) == ("blocked", Route.HARDEN)
    assert failed(mixed) == {"priority_ker"}
    assert any("procedure" in reason and "must hold" in reason for reason in mixed.reasons)
    shown = {criterion.id: criterion.measured for criterion in mixed.criteria}
    assert shown["priority_ker"] == "drug 0.500 (n 60), procedure 0.050 (n 20)"
    assert gate(board(0.5, procedure=(0.2, 20)), priority=both).route is Route.EXPAND
    assert gate(board(0.5, procedure=(0.9, 4)), priority=both).route is Route.BUILD


def test_no_priority_at_all() -> None:
    result = gate(board(), priority=())
    assert (result.verdict, result.route) == ("blocked", Route.BUILD)


def test_the_interval_of_the_priority_ker_is_shown_and_heeded() -> None:
    result = gate(board(0.42), intervals={"drug": (0.31, 0.53)})
    shown = {criterion.id: criterion.measured for criterion in result.criteria}
    assert shown["priority_ker"] == "0.420 (95 % 0.31–0.53, n 60)"
    assert result.honest.verdict == "pass"
    assert result.figures["drug"] == (0.42, 60, (0.31, 0.53))


@pytest.mark.parametrize(
    ("ker", "interval", "verdict", "honest", "says"),
    [
        (0.42, (0.30, 0.55), "pass", "uncertain", "is above 0.3 but its 95 % interval is not"),
        (0.42, (0.31, 0.55), "pass", "pass", "same side"),
        (0.25, (0.10, 0.40), "blocked", "uncertain", "is not above 0.3 but its 95 % interval reaches there"),
        (0.25, (0.20, 0.30), "blocked", "blocked", "same side"),
        (0.42, None, "pass", "pass", "No interval is known"),
    ],
)
def test_what_the_interval_says_of_the_verdict(
    ker: float, interval: tuple[float, float] | None, verdict: str, honest: str, says: str
) -> None:
    result = gate(board(ker), intervals={"drug": interval})
    assert (result.verdict, result.honest.verdict) == (verdict, honest)
    assert says in result.honest.why
    assert (result.honest.why in result.reasons) is (honest == "uncertain")


def test_chance_does_not_excuse_what_is_no_estimate() -> None:
    result = gate(board(0.25, rows=40), intervals={"drug": (0.1, 0.5)})
    assert result.honest.verdict == "blocked"


def test_every_priority_category_must_reach_the_threshold_for_doubt() -> None:
    made = board(0.2, procedure=(0.05, 20))
    both = {"drug": (0.1, 0.4), "procedure": (0.0, 0.1)}
    assert gate(made, priority=("drug", "procedure"), intervals=both).honest.verdict == "blocked"
    high = {"drug": (0.1, 0.4), "procedure": (0.0, 0.35)}
    assert gate(made, priority=("drug", "procedure"), intervals=high).honest.verdict == "uncertain"


def test_findings_by_id() -> None:
    assert gate(board()).findings == ()
    noisy = gate(board(noise={"clean": (0.05, 40), "snr_5db": (0.7, 40), "snr_15db": (0.1, 40)}))
    (finding,) = noisy.findings
    assert (finding.id, finding.route) == ("robustness_gap", Route.BUILD)
    assert "snr_5db rows (0.700, n 40)" in finding.message
    assert "snr_15db" not in finding.message
    low = gate(board(0.05, procedure=(0.6, 20)), priority=("drug", "procedure"))
    assert [(one.id, one.route) for one in low.findings] == [("saturated", Route.HARDEN)]
    both = {"merriam-webster": (0.05, 420), "magpie_g2p": (0.41, 180)}
    assert [one.id for one in gate(board(0.05, ipa=both)).findings] == ["pronunciation_gap", "saturated"]


def test_other_thresholds_decide_and_are_said() -> None:
    limits = Thresholds(finetune_above=0.2, min_rows=20, good_ker=0.0)
    result = gate(board(0.25, rows=30), thresholds=limits)
    assert result.passed
    assert [one.key for one in result.deviations] == [
        "[gate] finetune_above",
        "[gate] min_rows",
        "[gate] good_ker",
    ]
    assert "[gate] good_ker: 0 instead of the usual 0.1, from clinasr.toml." in result.reasons
    assert {criterion.threshold for criterion in result.criteria} >= {"> 0.200 (published 0.3)"}


def test_a_ker_of_another_known_model_is_said() -> None:
    result = gate(board(), scored_model="nvidia/nemotron-speech-streaming-en-0.6b")
    assert result.passed
    assert any("score the base before tuning it" in reason for reason in result.reasons)
