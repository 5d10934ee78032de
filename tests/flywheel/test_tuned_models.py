"""The tuned models of a workspace, the newest first."""

from __future__ import annotations

import json
import os
from pathlib import Path

from clinasr_tui.flywheel.tuned_models import tuned_models
from clinasr_tui.flywheel.workspace import open_workspace
from tests.support.nemo_models import put_model


def put_run(root: Path, cycle: int, name: str, age: int, **info: object) -> Path:
    folder = root / f"cycle{cycle}" / "models" / name
    folder.mkdir(parents=True)
    record = folder / "training_run_info.json"
    record.write_text(json.dumps({"run": name, **info}))
    os.utime(record, (age, age))
    return folder


def paths(root: Path, *first) -> list[str]:
    return [str(one.path.relative_to(root)) for one in tuned_models(open_workspace(root), *first)]


def test_none_without_a_model(two_cycles):
    assert paths(two_cycles) == []


def test_the_newest_cycles_newest_run_comes_first(two_cycles):
    for age, (cycle, name) in enumerate([(1, "b"), (1, "a"), (2, "c")]):
        put_model(put_run(two_cycles, cycle, name, 1000 + age) / "adapted_model.nemo")
    put_run(two_cycles, 2, "without", 9999)
    assert paths(two_cycles) == [
        "cycle2/models/c/adapted_model.nemo",
        "cycle1/models/a/adapted_model.nemo",
        "cycle1/models/b/adapted_model.nemo",
    ]


def test_the_run_that_was_decided_on_comes_before_all(two_cycles):
    for age, (cycle, name) in enumerate([(1, "sft3"), (2, "c")]):
        put_model(put_run(two_cycles, cycle, name, 1000 + age) / "adapted_model.nemo")
    run = open_workspace(two_cycles).run_of(2)
    assert run is not None
    assert run.name == "sft3"
    assert paths(two_cycles, run)[0] == "cycle1/models/sft3/adapted_model.nemo"


def test_a_fetched_model_comes_before_the_runs_own(two_cycles):
    folder = put_run(two_cycles, 1, "sft", 1000)
    put_model(folder / "run" / "checkpoints" / "sft.nemo")
    put_model(folder / "adapted_model.nemo")
    found = tuned_models(open_workspace(two_cycles))
    assert [(one.path.name, one.fetched) for one in found] == [
        ("adapted_model.nemo", True),
        ("sft.nemo", False),
    ]


def test_a_run_elsewhere_on_this_machine_is_looked_into(two_cycles, tmp_path):
    put_model(tmp_path / "runs" / "checkpoints" / "sft.nemo")
    put_run(two_cycles, 1, "sft", 1000, host=None, run_dir=str(tmp_path / "runs"))
    [found] = tuned_models(open_workspace(two_cycles))
    assert found.path == tmp_path / "runs" / "checkpoints" / "sft.nemo"


def test_a_best_checkpoint_is_told_from_the_last_weights(two_cycles, tmp_path):
    run = tmp_path / "runs"
    put_model(run / "run" / "checkpoints" / "sft.nemo")
    put_model(run / "best" / "sft-best.nemo")
    put_run(two_cycles, 1, "sft", 1000, host=None, run_dir=str(run), base={"name": "nvidia/x"})
    found = tuned_models(open_workspace(two_cycles))
    assert [(one.path.name, one.best, one.base) for one in found] == [
        ("sft.nemo", False, "nvidia/x"),
        ("sft-best.nemo", True, "nvidia/x"),
    ]


def test_a_model_put_there_by_hand_is_found(two_cycles):
    put_model(two_cycles / "cycle1" / "models" / "mine" / "adapted_model.nemo")
    [found] = tuned_models(open_workspace(two_cycles))
    assert (found.run, found.cycle, found.fetched) == ("mine", 1, True)
