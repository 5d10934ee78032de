"""When to stop tuning: cycles in a row, epochs without improvement, overfitting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.flywheel.leaderboard import build_leaderboard
from clinasr_tui.flywheel.stopping import (
    CycleChange,
    RunFacts,
    epochs_since_best,
    run_facts,
    stop_reasons,
    targeted_change,
    tuned_between,
    tuning_history,
)
from clinasr_tui.flywheel.thresholds import DecisionLimits
from clinasr_tui.flywheel.workspace import Cycle, RunRef, Settings, Workspace
from tests.support.scored_rows import by_hit, loop_cycle, scored

if TYPE_CHECKING:
    from clinasr_tui.flywheel.scoring import ScoredSet

LIMITS = DecisionLimits()


def cycle(number: int, hypotheses: str = "offline_hyps.jsonl", **fields: object) -> Cycle:
    folder = Path(f"cycle{number}")
    known = {"manifest": None, "train": None, "validation": None, "leaderboard": None, "model": ""}
    return Cycle(number=number, folder=folder, hypotheses=folder / hypotheses, **{**known, **fields})  # type: ignore[arg-type]


def run(epochs: object, name: str = "sft") -> RunRef:
    return RunRef(name, 1, Path(name), ".", None, {"epochs": epochs})


@pytest.mark.parametrize(
    ("before", "after", "tuned"),
    [
        (cycle(1), cycle(2), True),
        (cycle(1), cycle(2, "per_sample.json"), False),
        (cycle(1, runs=(run(3),)), cycle(2, "per_sample.json"), True),
        (cycle(1), cycle(2, "per_sample.json", trained_on=1), True),
        (cycle(1, model="a"), cycle(2, model="a"), False),
        (cycle(1, model="a"), cycle(2, "per_sample.json", model="b"), True),
    ],
)
def test_which_step_is_a_round_of_tuning(before: Cycle, after: Cycle, tuned: bool) -> None:
    assert tuned_between(before, after) is tuned


def test_a_cycle_of_which_only_the_leaderboard_is_left_counts() -> None:
    old = cycle(2)
    bare = Cycle(2, old.folder, None, None, None, None, Path("leaderboard_cycle2.md"), "")
    assert tuned_between(cycle(1), bare)


def drugs(misses: int, n: int = 20, **fields: str) -> ScoredSet:
    return scored(*by_hit([place >= misses for place in range(n)], category="drug", **fields))


def test_the_change_is_of_the_paired_targeted_rows() -> None:
    a = scored(*by_hit([False] * 10, category="drug"), *by_hit([True] * 10, start=10, category="lab"))
    b = scored(
        *by_hit([True] * 4 + [False] * 6, category="drug"), *by_hit([False] * 10, start=10, category="lab")
    )
    assert targeted_change(a, b, ("drug",)) == pytest.approx(-0.4)
    assert targeted_change(a, b, ("role",)) == pytest.approx(0.6)
    assert targeted_change(drugs(0), drugs(0), ("drug",)) == 0
    assert targeted_change(drugs(0), drugs(1), ("drug",)) is None
    one, two = loop_cycle(1), loop_cycle(2)
    assert targeted_change(one, two, ("drug",)) == pytest.approx(10 / 88 - 1)
    assert targeted_change(build_leaderboard(one), two, ("drug",)) == pytest.approx(10 / 88 - 1)


def test_rows_in_common_with_none_fall_back_to_the_leaderboards() -> None:
    elsewhere = scored(*by_hit([False] * 5 + [True] * 15, start=100, category="drug"))
    assert targeted_change(drugs(10), elsewhere, ("drug",)) == pytest.approx(-0.5)


def history(*misses: int, runs: tuple[RunRef, ...] = ()) -> tuple[list[int], tuple[CycleChange, ...]]:
    """Cycles with so many misses; which of them were read, and the history."""
    cycles = [
        cycle(number, run=f"r{number}" if runs else "", runs=runs if number == 1 else ())
        for number in range(1, len(misses) + 1)
    ]
    read = []

    def newest_first() -> Iterator[tuple[Cycle, ScoredSet]]:
        for one in reversed(cycles):
            read.append(one.number)
            yield one, drugs(misses[one.number - 1])

    workspace = Workspace(Path(), "w", tuple(cycles), Settings())
    return read, tuning_history(newest_first(), workspace, ("drug",), LIMITS)


def test_only_as_many_cycles_are_read_as_the_rules_need() -> None:
    read, changes = history(20, 20, 20, 10)
    assert (read, [change.relative for change in changes]) == ([4, 3], [-0.5])
    read, changes = history(20, 10, 10, 10)
    assert read == [4, 3, 2, 1]
    assert [(change.before, change.after, change.relative) for change in changes] == [
        (1, 2, -0.5),
        (2, 3, 0.0),
        (3, 4, 0.0),
    ]
    assert history(20) == ([1], ())


def test_cycles_in_a_row() -> None:
    assert list(stop_reasons(history(20, 10, 10, 11)[1], None)) == [
        "Stop tuning: two cycles in a row below 5 % relative improvement (+0 %, then +10 %)."
    ]
    assert list(stop_reasons(history(20, 20, 10)[1], None)) == []


def test_epochs_add_up_over_cycles_without_progress() -> None:
    runs = (run(20, "r2"), run(16, "r3"), run(15, "r4"))
    changes = history(20, 10, 10, 10, runs=runs)[1]
    assert [change.epochs for change in changes] == [20, 16, 15]
    reasons = list(stop_reasons(changes, None))
    assert reasons[1] == (
        "Stop tuning: 31 epochs without improvement of the KER (+0 % in the last cycle); the limit is 30."
    )
    assert len(list(stop_reasons(changes, None, DecisionLimits(stop_epochs=31)))) == 1
    assert list(stop_reasons([CycleChange(1, 2, 0.0, 30)], None)) == []
    assert list(stop_reasons([CycleChange(1, 2, -0.5, 300)], None)) == []
    assert list(stop_reasons([CycleChange(1, 2, None, 300)], None)) == []


def test_what_a_run_says() -> None:
    assert list(stop_reasons((), RunFacts("sft", 60, 31))) == [
        "Stop tuning: run sft went on for 31 epochs after its best validation WER; the limit is 30."
    ]
    assert list(stop_reasons((), RunFacts("sft", 60, 30, "It rose."))) == ["Overfitting in run sft: It rose."]
    assert list(stop_reasons((), RunFacts("sft"))) == []


@pytest.mark.parametrize(
    ("info", "epochs", "since"),
    [
        ({"epochs": 3}, 3, None),
        ({"hyperparameters": {"max_epochs": 20}, "best_epoch": 4}, 20, 15),
        ({"trainer": {"max_epochs": 5}, "metrics": {"best_epoch": 4}}, 5, 0),
        ({"epochs": "3"}, None, None),
        ({"epochs": True, "best_epoch": 1}, None, None),
        ({"epochs": 3, "best_epoch": 7}, 3, None),
        ({"hyperparameters": 7}, None, None),
    ],
)
def test_epochs_of_a_record(info: dict[str, object], epochs: int | None, since: int | None) -> None:
    assert run_facts(RunRef("sft", 1, Path(), ".", None, info)) == RunFacts("sft", epochs, since)


def test_epochs_since_the_best_validation() -> None:
    points = [(9, 0.3), (19, 0.1), (29, float("nan")), (39, 0.2)]
    assert epochs_since_best(points, 40, 4) == 2
    assert epochs_since_best(points[:1], 40, 4) is None
    assert epochs_since_best(points, None, 4) is None
    assert epochs_since_best(points, 40, None) is None
