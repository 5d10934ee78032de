"""The decision table by the figures alone and beyond chance, the stop rule, deviating limits."""

from __future__ import annotations

import pytest

from clinasr_tui.flywheel.decision import (
    ACTIONS,
    Difference,
    Verdict,
    difference,
    held_out_reasons,
    measured,
    published,
    stop_tuning,
    verdict_reasons,
)
from clinasr_tui.flywheel.thresholds import DecisionLimits, Thresholds, deviations


def figure(
    a: float | None, b: float, ci95: tuple[float, float] | None = None, p: float | None = None
) -> Difference:
    return difference(a, b, 100, ci95=ci95, p=p)


@pytest.mark.parametrize(
    ("ker", "verdict"),
    [
        (figure(0.5, 0.4), Verdict.KEEP),
        (figure(0.3, 0.24), Verdict.KEEP),
        (figure(0.5, 0.4001), Verdict.GROW),
        (figure(0.5, 0.2, (-0.6, 0.0), 0.3), Verdict.KEEP),
        (figure(0.42, 0.41), Verdict.UNCHANGED),
        (figure(0.5, 0.4751), Verdict.UNCHANGED),
        (figure(0.5, 0.475), Verdict.GROW),
        (figure(0.5, 0.5249), Verdict.UNCHANGED),
        (figure(0.5, 0.525), Verdict.WORSE),
        (figure(0.0, 0.0), Verdict.UNCHANGED),
        (figure(0.0, 0.01), Verdict.WORSE),
        (figure(None, 0.3), Verdict.UNCHANGED),
    ],
)
def test_edges_of_the_published_table(ker: Difference, verdict: Verdict) -> None:
    assert published(ker) is verdict


@pytest.mark.parametrize(
    ("ker", "verdict"),
    [
        (figure(0.5, 0.4, (-0.2, -0.05), 0.001), Verdict.KEEP),
        (figure(0.5, 0.2, (-0.6, 0.0), 0.001), Verdict.UNCHANGED),
        (figure(0.5, 0.2, (-0.6, 0.1), 0.001), Verdict.UNCHANGED),
        (figure(1.0, 0.0, (-1.0, -1.0), 0.5), Verdict.UNCHANGED),
        (figure(0.5, 0.2, None, 0.05), Verdict.UNCHANGED),
        (figure(0.5, 0.2, None, 0.049), Verdict.KEEP),
        (figure(0.50, 0.49, (-0.015, -0.005), 0.01), Verdict.GROW),
        (figure(0.50, 0.51, (0.005, 0.015), 0.01), Verdict.WORSE),
        (figure(0.50, 0.50, (0.0, 0.0), 1.0), Verdict.UNCHANGED),
        (figure(0.50, 0.49), Verdict.UNCHANGED),
        (figure(0.50, 0.30), Verdict.KEEP),
    ],
)
def test_only_what_is_beyond_chance_counts(ker: Difference, verdict: Verdict) -> None:
    assert measured(ker) is verdict


def test_every_action_but_keep_leads_to_build() -> None:
    assert {verdict for verdict, action in ACTIONS.items() if "build" in action} == set(Verdict) - {
        Verdict.KEEP
    }
    assert ACTIONS[Verdict.UNCHANGED].index("per-category") < ACTIONS[Verdict.UNCHANGED].index("build")


def test_other_limits_decide_and_are_named() -> None:
    strict = DecisionLimits(keep_relative=0.5)
    ker = figure(0.5, 0.3)
    assert (published(ker), published(ker, strict)) == (Verdict.KEEP, Verdict.GROW)
    assert measured(figure(0.5, 0.3, (-0.3, -0.1), 0.001), strict) is Verdict.GROW
    assert next(verdict_reasons(("drug",), ker, strict)).endswith(": down less than 50 %.")
    assert [str(one) for one in deviations(strict)] == [
        "[decision] keep_relative: 0.5 instead of the published 0.2, from clinasr.toml."
    ]
    own = Thresholds(finetune_above=0.2, good_ker=0.05)
    assert [(one.key, one.value, one.usual, one.published) for one in deviations(own)] == [
        ("[gate] finetune_above", 0.2, 0.3, True),
        ("[gate] good_ker", 0.05, 0.1, False),
    ]
    assert deviations(Thresholds()) == deviations(DecisionLimits()) == ()


def test_held_out_rows_without_the_targeted_terms_are_said() -> None:
    overall = figure(0.5, 0.3, (-0.4, 0.05), 0.2)
    assert len(list(held_out_reasons(("drug",), overall, overall))) == 1
    assert list(held_out_reasons(("drug",), difference(None, None, 0), overall))[1] == (
        "No held-out row of drug has a term."
    )


def test_stop_rule() -> None:
    assert stop_tuning([-0.8]) is None
    assert stop_tuning([-0.8, -0.04]) is None
    assert stop_tuning([-0.03, -0.05]) is None
    assert stop_tuning([-0.03, 0.475 / 0.5 - 1]) is None
    assert stop_tuning([-0.03, None]) is None
    assert stop_tuning([-0.8, -0.04, 0.02]) == (
        "Stop tuning: two cycles in a row below 5 % relative improvement (−4 %, then +2 %)."
    )
    patient = DecisionLimits(stop_cycles=3, stop_relative=0.1)
    assert stop_tuning([-0.04, 0.02], patient) is None
    assert stop_tuning([-0.04, 0.02, -0.09], patient) == (
        "Stop tuning: three cycles in a row below 10 % relative improvement (−4 %, then +2 %, then −9 %)."
    )
