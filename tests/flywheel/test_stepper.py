"""The stepper along the whole way: what is next at every stage of a turn of the flywheel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from clinasr_tui.flywheel.stepper import Facts, Step, StepState, current_round, next_step, steps
from clinasr_tui.flywheel.workspace import open_workspace

ORDER = ["manifest", "baseline", "gate", "split", "box", "train", "re-eval", "decide", "deploy"]


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def put_run(root: Path, cycle: int = 1, host: str | None = "gpu-box", name: str = "sft") -> Path:
    path = root / f"cycle{cycle}" / "models" / name / "training_run_info.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run": name, "host": host, "run_dir": f"/runs/{name}"}))
    return path


def look(root: Path, **facts: object) -> tuple[dict[str, Step], Step]:
    found = steps(open_workspace(root), Facts(**facts))  # type: ignore[arg-type]
    assert [step.id for step in found] == ORDER
    assert all(step.detail and step.label for step in found)
    goal = next_step(found)
    assert goal is not None
    return {step.id: step for step in found}, goal


def states(found: dict[str, Step]) -> str:
    marks = {"done": "D", "running": "R", "ready": "r", "blocked": "B", "none": "-"}
    return "".join(marks[found[name].state] for name in ORDER)


def test_an_empty_workspace_asks_for_a_manifest(tmp_path: Path) -> None:
    put(tmp_path, "clinasr.toml")
    found, goal = look(tmp_path)
    assert states(found) == "rBBB-BBBB"
    assert (goal.id, goal.screen) == ("manifest", "manifest")
    assert "cycle1/" in goal.detail


def test_a_manifest_alone_asks_for_a_baseline(tmp_path: Path) -> None:
    put(tmp_path, "cycle1/manifest.jsonl")
    found, goal = look(tmp_path, preflight_errors=0)
    assert states(found) == "DrBB-BBBB"
    assert goal.id == "baseline"
    assert "cycle1/per_sample.json" in goal.detail
    assert (goal.screen, "press E" in goal.detail) == ("evaluate", True)
    assert "pre-flight clean" in found["manifest"].detail


@pytest.mark.parametrize(("which", "expected"), [("baseline", "DRBB-BBBB"), ("re-eval", "DrBB-BRBB")])
def test_an_evaluation_that_goes_on_is_what_is_done(tmp_path: Path, which: str, expected: str) -> None:
    put(tmp_path, "cycle1/manifest.jsonl")
    found, goal = look(tmp_path, preflight_errors=0, evaluates=which, eval_progress="48 % of the rows")
    assert states(found) == expected
    assert (goal.id, goal.screen) == (which, "evaluate")
    assert goal.detail == "transcribing: 48 % of the rows (E shows it)"


def test_preflight_errors_come_first(tmp_path: Path) -> None:
    put(tmp_path, "cycle1/manifest.jsonl")
    found, goal = look(tmp_path, preflight_errors=1)
    assert states(found) == "BBBB-BBBB"
    assert goal.detail == "1 pre-flight error: press 2 for the rows and what to do"
    put(tmp_path, "cycle1/per_sample.json")
    found, goal = look(tmp_path, preflight_errors=2, gate_passed=False, gate_reason="pre-flight")
    assert states(found) == "BDBB-BBBB"
    assert goal.id == "manifest"


def test_transcripts_without_a_manifest(tmp_path: Path) -> None:
    put(tmp_path, "cycle1/per_sample.json")
    found, goal = look(tmp_path, gate_passed=True)
    assert states(found) == "rDDB-BBBB"
    assert goal.id == "manifest"


def test_the_gate_open_blocked_and_passed(tmp_path: Path) -> None:
    put(tmp_path, "cycle1/manifest.jsonl", "cycle1/per_sample.json")
    found, goal = look(tmp_path, preflight_errors=0)
    assert states(found) == "DDrB-BBBB"
    assert (goal.id, goal.screen) == ("gate", "gate")
    assert "press 3" in goal.detail
    found, goal = look(
        tmp_path, preflight_errors=0, gate_passed=False, gate_reason="drug KER 0.2: grow first"
    )
    assert states(found) == "DDBB-BBBB"
    assert (goal.id, goal.detail) == ("gate", "drug KER 0.2: grow first")
    found, goal = look(tmp_path, preflight_errors=0, gate_passed=True)
    assert states(found) == "DDDr-BBBB"
    assert goal.detail == "run: clinasr-tui split cycle1/manifest.jsonl"


def split_cycle(root: Path) -> None:
    names = ("manifest.jsonl", "per_sample.json", "train.jsonl", "validation.jsonl")
    put(root, *(f"cycle1/{name}" for name in names))


GOOD = {"preflight_errors": 0, "gate_passed": True}


def test_after_the_split_a_run_is_to_be_started(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    found, goal = look(tmp_path, **GOOD)
    assert states(found) == "DDDD-rBBB"
    assert (goal.id, goal.screen) == ("train", "train")
    assert goal.detail == "press 9 to set up the run and launch it"


def test_a_launch_that_failed_is_no_run(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    record = tmp_path / "cycle1/models/sft1/training_run_info.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"run": "sft1", "run_dir": "/r", "host": "gpu", "state": "not started"}')
    _, goal = look(tmp_path, **GOOD)
    assert goal.detail == "press 9 to set up the run and launch it"


def test_a_smoke_run_says_so(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    record = tmp_path / "cycle1/models/sft1/training_run_info.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"run_dir": ".", "gate": {"verdict": "blocked", "override": "SMOKE"}}')
    found, _ = look(tmp_path, **GOOD, run_outcome="finished")
    assert found["train"].detail == "sft1 (smoke run) has finished"


@pytest.mark.parametrize(
    ("outcome", "expected", "goal_id", "says"),
    [
        (None, "DDDD-rBBB", "train", "press 5 to watch the run sft"),
        ("unknown", "DDDD-rBBB", "train", "press 5 to watch the run sft"),
        ("running", "DDDD-RBBB", "train", "press 5 to watch the run sft: epoch 2/3, about 40 s left"),
        ("failed", "DDDD-BBBB", "train", "sft has failed. Press 5"),
        ("diverged", "DDDD-BBBB", "train", "its weights are lost. Press 5"),
        ("interrupted", "DDDD-BBBB", "train", "was interrupted. Press 5"),
        ("finished", "DDDD-DrBB", "re-eval", "press E: the tuned model transcribes the same rows, as cycle2"),
    ],
)
def test_a_run_in_every_outcome(
    tmp_path: Path, outcome: str | None, expected: str, goal_id: str, says: str
) -> None:
    split_cycle(tmp_path)
    put_run(tmp_path)
    found, goal = look(tmp_path, run_outcome=outcome, run_progress="epoch 2/3, about 40 s left", **GOOD)
    assert states(found) == expected
    assert goal.id == goal_id
    assert says in goal.detail
    assert found["box"].detail == "not needed: the run is on host gpu-box"


def test_a_run_on_this_machine_needs_no_box(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    put_run(tmp_path, host=None)
    assert look(tmp_path)[0]["box"].detail == "not needed: the run is on this machine"


@pytest.mark.parametrize(
    ("state", "expected", "goal_id"),
    [("", "-", "train"), ("pending", "R", "box"), ("ready", "D", "train"), ("stopped", "-", "train")],
)
def test_a_rented_box_is_a_step_and_without_one_nothing_waits(
    tmp_path: Path, state: str, expected: str, goal_id: str
) -> None:
    split_cycle(tmp_path)
    found, goal = look(tmp_path, box_state=state, box_detail="sft: $1.06 per hour", **GOOD)
    assert states(found)[ORDER.index("box")] == expected
    assert goal.id == goal_id
    assert found["box"].screen == "box"
    assert found["box"].detail == (
        "sft: $1.06 per hour"
        if state
        else "your own GPU host needs none; press 4 for offers and what they cost"
    )


@pytest.mark.parametrize(
    ("verdict", "expected", "goal_id", "says"),
    [
        (None, "DDDD-DDrB", "decide", "press 7 to compare cycle 1 with cycle 2"),
        ("keep", "DDDD-DDDr", "deploy", "keep the tuned model"),
        ("grow", "DDDD-DDDB", "deploy", "not now: grow the manifest (build), then start cycle 3"),
        ("worse", "DDDD-DDDB", "deploy", "overfit"),
        ("unchanged", "DDDD-DDDB", "deploy", "look at the categories"),
    ],
)
def test_the_decision(tmp_path: Path, verdict: str | None, expected: str, goal_id: str, says: str) -> None:
    split_cycle(tmp_path)
    put_run(tmp_path)
    put(tmp_path, "cycle2/offline_hyps.jsonl")
    found, goal = look(tmp_path, run_outcome="finished", verdict=verdict, **GOOD)
    assert states(found) == expected
    assert goal.id == goal_id
    assert says in goal.detail


def decided(root: Path, **facts: str) -> dict[str, Step]:
    split_cycle(root)
    put_run(root)
    put(root, "cycle2/offline_hyps.jsonl")
    return look(root, run_outcome="finished", **facts, **GOOD)[0]


def test_an_honest_verdict_of_its_own_is_said_before_deploying(tmp_path: Path) -> None:
    same = decided(tmp_path, verdict="keep", honest="keep")
    assert same["decide"].detail == "the verdict is keep (7 shows why)"
    assert same["deploy"].detail.startswith("keep the tuned model")
    found = decided(tmp_path, verdict="keep", honest="worse")
    assert found["decide"].detail == "the verdict is keep, the honest one worse (7 shows why)"
    assert found["deploy"].state is StepState.READY
    assert found["deploy"].detail.startswith("the honest verdict is worse: press 7 for why before")


def test_serving_figures_end_the_turn(tmp_path: Path) -> None:
    ready = decided(tmp_path, verdict="keep", honest="keep")["deploy"]
    assert (ready.state, ready.screen) == (StepState.READY, "deploy")
    put(tmp_path, "cycle2/serving_hyps.jsonl")
    facts = Facts(run_outcome="finished", verdict="keep", serving="", model_here=False, **GOOD)
    found = steps(open_workspace(tmp_path), facts)
    assert (found[-1].id, found[-1].state) == ("deploy", StepState.DONE)
    assert found[-1].detail == "cycle2/serving_hyps.jsonl: it serves as well as offline (8 shows it)"
    assert next_step(found) is None


@pytest.mark.parametrize(
    ("serving", "says"),
    [(None, "press 8 for what cycle2/serving_hyps.jsonl shows"), ("it is worse", "hyps.jsonl: it is worse")],
)
def test_serving_figures_end_it_only_once_they_are_read_and_good(
    tmp_path: Path, serving: str | None, says: str
) -> None:
    split_cycle(tmp_path)
    put_run(tmp_path)
    put(tmp_path, "cycle2/offline_hyps.jsonl", "cycle2/serving_hyps.jsonl")
    found, goal = look(tmp_path, run_outcome="finished", verdict="keep", serving=serving, **GOOD)
    assert states(found) == "DDDD-DDDr"
    assert goal.id == "deploy"
    assert says in goal.detail


def test_a_model_that_is_not_here_is_fetched_before_it_is_handed_over(tmp_path: Path) -> None:
    keep = {"run_outcome": "finished", "verdict": "keep", **GOOD}
    decided(tmp_path, verdict="keep")
    found, goal = look(tmp_path, honest="keep", model_here=False, **keep)
    assert (goal.id, goal.state, goal.screen) == ("deploy", StepState.BLOCKED, "deploy")
    assert goal.detail == "needs the tuned model: F on Watch fetches it, or o on 8 names one"
    found, _ = look(tmp_path, honest="worse", model_here=False, **keep)
    assert found["deploy"].detail.startswith("the honest verdict is worse: press 7 for why; needs the tuned")
    for here in (True, None):
        found, _ = look(tmp_path, honest="keep", model_here=here, **keep)
        assert found["deploy"].state is StepState.READY


def test_a_reason_to_stop_takes_the_place_of_another_round(tmp_path: Path) -> None:
    why = "Stop tuning: two cycles in a row below 5 % relative improvement (−4 %, then +2 %)."
    assert decided(tmp_path, verdict="grow", honest="grow", stop=why)["deploy"].detail == f"not now: {why}"
    kept = decided(tmp_path, verdict="keep", honest="keep", stop="Overfitting in run sft")
    assert kept["deploy"].state is StepState.READY


def test_a_running_run_comes_before_everything_else(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    put_run(tmp_path)
    _, goal = look(tmp_path, run_outcome="running")
    assert (goal.id, goal.state) == ("train", StepState.RUNNING)


def test_a_second_run_is_not_taken_for_heard(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    os.utime(put_run(tmp_path), (1, 1))
    put_run(tmp_path, name="longer")
    put(tmp_path, "cycle2/offline_hyps.jsonl")
    (tmp_path / "cycle2" / "eval_info.json").write_text('{"model": "base + sft", "run": "sft"}')
    verdict = {"verdict": "keep", "honest": "keep", **GOOD}
    found, goal = look(tmp_path, **verdict)
    assert states(found) == "DDDD-rDDr"
    assert (goal.id, goal.detail) == ("train", "press 5 to watch the run longer")
    # The verdict on the first run stands while the second one goes on, or where it fails.
    assert states(look(tmp_path, run_outcome="running", **verdict)[0]) == "DDDD-RDDr"
    assert states(look(tmp_path, run_outcome="failed", **verdict)[0]) == "DDDD-BDDr"
    found, goal = look(tmp_path, run_outcome="finished", **verdict)
    assert states(found) == "DDDD-DrBB"
    assert goal.detail == "press E: the model of longer transcribes the same rows, as cycle3"
    put(tmp_path, "cycle3/offline_hyps.jsonl")
    (tmp_path / "cycle3" / "eval_info.json").write_text('{"run": "longer"}')
    assert states(look(tmp_path, run_outcome="finished", **verdict)[0]) == "DDDD-DDDr"
    assert look(tmp_path, **verdict)[0]["train"].detail == "longer is re-evaluated in cycle3"


def test_the_real_cycles_without_a_recorded_run(two_cycles: Path) -> None:
    found, goal = look(two_cycles, **GOOD)
    assert states(found) == "DDDD-DDrB"
    assert found["train"].detail == "no run is recorded, but cycle2 is scored"
    assert goal.screen == "compare"


def round_numbers(root: Path) -> tuple[int | None, int | None]:
    turn = current_round(open_workspace(root))
    return (turn.base.number if turn.base else None, turn.reeval.number if turn.reeval else None)


def test_which_turn_is_the_current_one(tmp_path: Path) -> None:
    put(tmp_path, "clinasr.toml")
    assert round_numbers(tmp_path) == (None, None)
    split_cycle(tmp_path)
    put_run(tmp_path)
    assert round_numbers(tmp_path) == (1, None)
    put(tmp_path, "cycle2/manifest.jsonl", "cycle2/per_sample.json")
    assert round_numbers(tmp_path) == (1, 2)
    put(tmp_path, "cycle3/keep")
    assert round_numbers(tmp_path) == (1, 2)
    put(tmp_path, "cycle3/manifest.jsonl")
    assert round_numbers(tmp_path) == (3, None)
    # A verdict on an older pair says nothing about a turn that has just begun.
    found, goal = look(tmp_path, verdict="keep", preflight_errors=0)
    assert found["decide"].state is StepState.BLOCKED
    assert goal.id == "baseline"


def test_a_base_tuned_twice_is_decided_by_the_newest(tmp_path: Path) -> None:
    split_cycle(tmp_path)
    put(tmp_path, "cycle2/offline_hyps.jsonl", "cycle3/offline_hyps.jsonl", "cycle4/keep")
    assert round_numbers(tmp_path) == (1, 3)
    before = current_round(open_workspace(tmp_path)).before
    assert before is not None
    assert before.number == 2
    assert look(tmp_path, **GOOD)[0]["decide"].detail == "press 7 to compare cycle 2 with cycle 3"


def test_a_re_evaluation_without_a_recorded_split_asks_for_none(tmp_path: Path) -> None:
    put(tmp_path, "cycle1/manifest.jsonl", "cycle1/per_sample.json", "cycle2/offline_hyps.jsonl")
    found, goal = look(tmp_path, **GOOD)
    assert found["split"].state is StepState.DONE
    assert "held-out rows are not known" in found["split"].detail
    assert goal.id == "decide"


def test_growing_after_a_first_eval_starts_a_new_turn(tmp_path: Path) -> None:
    put(tmp_path, "cycle1/manifest.jsonl", "cycle1/per_sample.json")
    put(tmp_path, "cycle2/manifest.jsonl", "cycle2/per_sample.json")
    assert round_numbers(tmp_path) == (2, None)
    put(tmp_path, "cycle3/offline_hyps.jsonl")
    assert round_numbers(tmp_path) == (2, 3)
    put(tmp_path, "cycle3/train.jsonl")
    assert round_numbers(tmp_path) == (3, None)


def test_nothing_is_next_when_nothing_is_left() -> None:
    assert next_step(()) is None
