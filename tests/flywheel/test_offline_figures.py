"""Which cycle a tuned model's served figures are compared with, and how it is named from here."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clinasr_tui.flywheel.deploy_script import checklist, deploy_commands, offline_cycle
from clinasr_tui.flywheel.deployment import deployment
from clinasr_tui.flywheel.nemo_file import read_nemo
from clinasr_tui.flywheel.offline_figures import heard_in
from clinasr_tui.flywheel.workspace import open_workspace
from tests.support.nemo_models import put_model

ROW = {"audio_filepath": "a.wav", "ref": "take apixaban", "hyp": "take apixaban", "term": "apixaban"}
ROWS = json.dumps({**ROW, "entity_category": "drug"}) + "\n"


def put_run(root: Path, cycle: int, name: str, **record: object) -> Path:
    """A run's record and its fetched model."""
    folder = root / f"cycle{cycle}" / "models" / name
    model = put_model(folder / "adapted_model.nemo")
    info = {"run": name, "host": "gpu-box", "run_dir": f"/runs/{name}", **record}
    (folder / "training_run_info.json").write_text(json.dumps(info))
    return model


def put_figures(root: Path, cycle: int, **info: object) -> None:
    """A cycle's transcripts, and what is known of the model they are from."""
    folder = root / f"cycle{cycle}"
    folder.mkdir(exist_ok=True)
    (folder / "offline_hyps.jsonl").write_text(ROWS)
    (folder / "eval_info.json").write_text(json.dumps(info))


@pytest.fixture
def tuned_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of one base: sft3 is heard in cycle 2, sft12 in cycle 3."""
    root = tmp_path / "work space"
    for name, cycle in (("sft3", 2), ("sft12", 3)):
        put_run(root, 1, name)
        put_figures(root, cycle, run=name, trained_on_cycle=1)
    monkeypatch.chdir(root)
    return root


def test_each_model_of_a_base_has_the_cycle_that_names_its_run(tuned_twice: Path) -> None:
    for name, cycle in (("sft3", "cycle2"), ("sft12", "cycle3")):
        model = tuned_twice / "cycle1" / "models" / name / "adapted_model.nemo"
        assert offline_cycle(model) == cycle
        assert offline_cycle(model, open_workspace(Path())) == cycle
        heard = heard_in(open_workspace(tuned_twice), model)
        assert heard is not None
        assert heard.folder.name == cycle


def test_what_is_told_can_be_run_where_it_is_told(
    tuned_twice: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = tuned_twice / "cycle1" / "models" / "sft12" / "adapted_model.nemo"
    (tuned_twice / "cycle3" / "serving_hyps.jsonl").write_text(ROWS)
    for place in (tuned_twice, tuned_twice / "cycle1", tuned_twice / "cycle3", tmp_path, Path("/")):
        monkeypatch.chdir(place)
        plan = deployment(read_nemo(model))
        validate = next(one for one in deploy_commands(plan) if one.id == "validate")
        line = next(line for line in checklist(offline_cycle(model)) if "clinasr-tui compare" in line)
        words = shlex.split(line.partition("clinasr-tui ")[2].partition(". The")[0])
        assert tuple(words) == validate.argv[1:]
        done = subprocess.run([sys.executable, "-m", "clinasr_tui", *words], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_model_nobody_has_heard_is_not_given_anothers_figures(tuned_twice: Path) -> None:
    assert offline_cycle(put_run(tuned_twice, 1, "longer")) == "cycle4"
    assert heard_in(open_workspace(tuned_twice), tuned_twice / "cycle1/models/longer/x.nemo") is None
    put_figures(tuned_twice, 4)
    assert offline_cycle(put_run(tuned_twice, 3, "second")) == "cycle4"


def test_runs_of_one_name_are_told_apart_by_their_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    models = [put_run(tmp_path, cycle, "sft") for cycle in (1, 2)]
    put_figures(tmp_path, 2, run="sft", trained_on_cycle=1)
    put_figures(tmp_path, 3, run="sft", trained_on_cycle=2)
    assert [offline_cycle(model) for model in models] == ["cycle2", "cycle3"]
    for cycle in (2, 3):
        put_figures(tmp_path, cycle, run="sft")
    assert [offline_cycle(model) for model in models] == ["cycle2", "cycle3"]


def test_a_model_in_a_runs_own_folder_belongs_to_the_run(tuned_twice: Path, tmp_path: Path) -> None:
    model = put_model(tmp_path / "runs" / "here" / "checkpoints" / "x.nemo")
    put_run(tuned_twice, 1, "here", host=None, run_dir=str(tmp_path / "runs" / "here"))
    put_figures(tuned_twice, 4, run="here", trained_on_cycle=1)
    assert offline_cycle(model, open_workspace(tuned_twice)) == "cycle4"


def test_a_model_put_there_by_hand_goes_by_its_folder(tuned_twice: Path) -> None:
    model = put_model(tuned_twice / "cycle3" / "models" / "mine" / "adapted_model.nemo")
    assert offline_cycle(model) == "cycle4"
    put_figures(tuned_twice, 5, run="mine", trained_on_cycle=3)
    assert offline_cycle(model) == "cycle5"


def test_without_a_workspace_the_next_number_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert offline_cycle(tmp_path / "m.nemo") == "cycle2"
    assert offline_cycle(put_model(tmp_path / "cycle3" / "m.nemo")) == "cycle4"
    (tmp_path / "clinasr.toml").write_text("not [ toml")
    assert offline_cycle(put_model(tmp_path / "cycle3" / "models" / "sft" / "m.nemo")) == "cycle4"
