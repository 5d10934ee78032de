"""What is found in a folder: cycles, runs, settings; and one clear line where nothing is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.settings import Settings, read_settings
from clinasr_tui.flywheel.thresholds import DecisionLimits, SplitRule, Thresholds
from clinasr_tui.flywheel.workspace import RunRef, open_cycle, open_workspace


def put(path: Path, content: object = "", at: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    if at is not None:
        os.utime(path, (at, at))
    return path


def test_the_two_real_cycles(two_cycles: Path) -> None:
    workspace = open_workspace(two_cycles)
    assert (workspace.name, workspace.settings, workspace.warnings) == ("espeak-demo", Settings(), ())
    first, second = workspace.cycles
    assert workspace.cycle(2) is second
    assert workspace.cycle(3) is None
    assert (first.number, first.model, second.model) == (1, "base", "base + sft3")
    assert first.manifest == two_cycles / "cycle1" / "manifest.jsonl"
    assert first.hypotheses == two_cycles / "cycle1" / "per_sample.json"
    assert (second.manifest, second.train, second.validation, second.leaderboard) == (None,) * 4
    assert second.hypotheses == two_cycles / "cycle2" / "offline_hyps.jsonl"
    assert open_workspace(two_cycles) == workspace


def test_held_out_rows_are_those_the_scored_model_never_saw(two_cycles: Path) -> None:
    workspace = open_workspace(two_cycles)
    held_out, trained = workspace.held_out(2), workspace.trained(2)
    assert held_out is not None
    assert trained is not None
    assert (len(held_out), len(trained), held_out & trained) == (50, 200, set())
    assert ("audio/cefazolin_handoff_en_gb_clean.flac", "cefazolin") in held_out | trained
    assert workspace.held_out(1) == held_out
    assert workspace.held_out(9) == held_out
    assert workspace.held_out(0) is None


def row_line(name: str) -> str:
    return json.dumps({"audio_filepath": name, "text": "t", "term": "x"}) + "\n"


def test_the_split_is_the_one_the_model_was_trained_on(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(tmp_path / f"cycle{number}" / "validation.jsonl", row_line(f"v{number}"))
    put(tmp_path / "cycle4" / "per_sample.json")
    # A later split of the cycle itself is for its next model, not for the one that was scored.
    assert open_workspace(tmp_path).held_out(2) == {("v1", "x")}
    assert open_workspace(tmp_path).held_out(4) == {("v3", "x")}
    assert open_workspace(tmp_path).held_out(1) == {("v1", "x")}
    put(tmp_path / "cycle4" / "eval_info.json", {"trained_on_cycle": 2})
    assert open_workspace(tmp_path).held_out(4) == {("v2", "x")}
    assert open_workspace(tmp_path).trained(4) is None
    put(tmp_path / "cycle2" / "validation.jsonl", "{")
    with pytest.raises(InputError, match=r"validation\.jsonl:1: not valid JSON"):
        open_workspace(tmp_path).held_out(4)


def test_cycles_in_number_order_and_only_folders(tmp_path: Path) -> None:
    for name in ("cycle10", "cycle2", "cycle02", "cycles", "cycle", "cycle3x", "xcycle3"):
        (tmp_path / name).mkdir()
    put(tmp_path / "cycle1")
    workspace = open_workspace(tmp_path)
    assert [cycle.folder.name for cycle in workspace.cycles] == ["cycle2", "cycle10"]
    assert workspace.warnings == (f"{tmp_path}/cycle02: cycle 2 is cycle2 already; ignored",)


def test_the_later_transcripts_win(tmp_path: Path) -> None:
    cycle = tmp_path / "cycle1"
    baseline = put(cycle / "per_sample.json", at=2000)
    reeval = put(cycle / "offline_hyps.jsonl", at=1000)
    assert open_cycle(cycle).hypotheses == baseline
    os.utime(reeval, (3000, 3000))
    assert open_cycle(cycle).hypotheses == reeval
    os.utime(baseline, (3000, 3000))
    assert open_cycle(cycle).hypotheses == reeval


def test_a_leaderboard_of_its_own_number_comes_first(tmp_path: Path) -> None:
    own = put(tmp_path / "cycle2" / "leaderboard_cycle2.md", at=1000)
    put(tmp_path / "cycle2" / "leaderboard_cycle1.md", at=2000)
    assert open_cycle(tmp_path / "cycle2").leaderboard == own
    own.unlink()
    assert open_cycle(tmp_path / "cycle2").leaderboard == tmp_path / "cycle2" / "leaderboard_cycle1.md"


def test_runs_without_a_record_are_in_the_order_they_began_whatever_copied_them(tmp_path: Path) -> None:
    models = tmp_path / "cycle1" / "models"
    put(models / "late" / "run" / "events.out.tfevents.1795366986.vm.1.0", at=5)
    put(models / "early" / "events.out.tfevents.1795360000.vm.1.0", at=9_000_000_000)
    put(models / "early" / "run_0" / "events.out.tfevents.1795350000.vm.1.0", at=9_000_000_000)
    put(models / "by-hand" / "console.log", at=1_795_363_000)
    os.utime(models / "late", (1, 1))
    assert [run.name for run in open_workspace(tmp_path).runs] == ["early", "by-hand", "late"]


def test_runs_oldest_first_with_and_without_a_record(tmp_path: Path) -> None:
    models = tmp_path / "cycle1" / "models"
    remote = {"run": "sft", "host": "gpu-box", "run_dir": "/runs/sft", "learning_rate": 3e-4}
    put(models / "z" / "training_run_info.json", remote, at=1000)
    put(models / "a" / "training_run_info.json", {"host": None}, at=2000)
    put(models / "logs" / "run" / "events.out.tfevents.3000.vm.2.0", at=1)
    put(models / "mirrored" / "mirror" / "console.log")
    put(models / "only-a-model" / "adapted_model.nemo")
    first, second, third = open_workspace(tmp_path).runs
    assert first == RunRef("sft", 1, models / "z", "/runs/sft", "gpu-box", remote)
    assert (second.name, second.run_dir, second.host) == ("a", ".", None)
    assert (third.name, third.folder, third.info) == ("logs", models / "logs", {})


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("{", "not valid JSON; ignored"),
        ("[]", "not a JSON object; ignored"),
        ('{"host": 5}', "must be text"),
        ('{"host": "box"}', "run_dir is missing, the run's folder on box"),
    ],
)
def test_a_broken_record_is_a_warning(two_cycles: Path, record: str, says: str) -> None:
    path = put(two_cycles / "cycle1" / "models" / "sft" / "training_run_info.json", record)
    put(path.parent / "console.log")
    workspace = open_workspace(two_cycles)
    assert workspace.runs == ()
    (warning,) = workspace.warnings
    assert warning.startswith(f"{path}: ")
    assert says in warning


def test_broken_eval_info_is_a_warning(two_cycles: Path) -> None:
    put(two_cycles / "cycle2" / "eval_info.json", "nonsense")
    workspace = open_workspace(two_cycles)
    assert workspace.cycles[1].model == ""
    assert workspace.warnings == (f"{two_cycles}/cycle2/eval_info.json: not valid JSON; ignored",)


def test_a_cycle_folder_opens_the_workspace_around_it(
    two_cycles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_workspace(two_cycles / "cycle1") == open_workspace(two_cycles)
    monkeypatch.chdir(two_cycles / "cycle2")
    inside = open_workspace(Path())
    assert (inside.name, len(inside.cycles)) == ("espeak-demo", 2)
    assert open_cycle(Path()).number == 2


def test_a_folder_with_a_cycles_files_is_a_workspace_of_one(tmp_path: Path) -> None:
    put(tmp_path / "mine" / "manifest.jsonl")
    workspace = open_workspace(tmp_path / "mine")
    assert [cycle.number for cycle in workspace.cycles] == [1]
    assert workspace.name == "mine"


def test_what_is_no_workspace_or_cycle_is_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    file = put(tmp_path / "file")
    messages = {}
    for look in (open_workspace, open_cycle):
        for path in (empty, file, tmp_path / "absent"):
            with pytest.raises(InputError) as caught:
                look(path)
            messages[look.__name__, path.name] = str(caught.value)
    assert messages["open_workspace", "empty"].startswith(f"{empty}: no workspace: it has no cycle folder")
    assert "cycle1/manifest.jsonl" in messages["open_workspace", "empty"]
    assert messages["open_cycle", "empty"].startswith(
        f"{empty}: no cycle: none of manifest.jsonl, per_sample.json"
    )
    assert "a file, not a folder" in messages["open_cycle", "file"]
    assert "no such folder" in messages["open_workspace", "absent"]
    assert not any("\n" in message for message in messages.values())


def test_settings(two_cycles: Path) -> None:
    put(
        two_cycles / "clinasr.toml",
        'name = "my-hospital"\ncolour = 1\n[gate]\npriority = ["drug", "lab", "drug"]\n'
        'base = "nvidia/x"\nx = 1\n'
        '[ssh]\nconfig = "ssh_config"\nknown_hosts = "/etc/kh"\n',
    )
    workspace = open_workspace(two_cycles)
    settings = workspace.settings
    assert workspace.name == "my-hospital"
    assert (settings.priority, settings.base) == (("drug", "lab"), "nvidia/x")
    assert settings.ssh_config == two_cycles / "ssh_config"
    assert settings.known_hosts == Path("/etc/kh")
    ignored = "means nothing here and is ignored"
    path = two_cycles / "clinasr.toml"
    assert workspace.warnings == (f"{path}: colour {ignored}", f"{path}: [gate] x {ignored}")


@pytest.mark.parametrize("root", ["ws", "ws/../ws", "."])
def test_a_base_file_is_meant_from_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    settings = put(tmp_path / "ws/clinasr.toml", '[gate]\nbase = "base.nemo"\n')
    monkeypatch.chdir(tmp_path / "ws" if root == "." else tmp_path)
    base = Path(read_settings(Path(root)).base)
    monkeypatch.chdir("/")
    assert base.is_absolute()
    assert base.resolve() == tmp_path / "ws/base.nemo"
    for given in ("/models/base.nemo", "nvidia/parakeet-tdt-0.6b-v2"):
        settings.write_text(f'[gate]\nbase = "{given}"\n')
        assert read_settings(settings.parent).base == given


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a = 1\nb = \n", ":2: not valid TOML (Invalid value)"),
        ("gate = 1", ": gate is no section"),
        ("name = 5", ": name is not text"),
        ("[gate]\nbase = []", ": [gate] base is not text"),
        ('[gate]\nbase = "~nobody-of-that-name/x.nemo"', ": [gate] base names an unknown home folder"),
        ('[gate]\npriority = "drug"', ": [gate] priority is no list of categories"),
        ("[gate]\npriority = []", ": [gate] priority is no list of categories"),
        ('[gate]\npriority = ["drugs"]', ": [gate] priority names an unknown category: drugs"),
        ("[ssh]\nconfig = 1", ": [ssh] config is not text"),
        ('[ssh]\nconfig = "~nobody-of-that-name/x"', ": [ssh] config names an unknown home folder"),
    ],
)
def test_unusable_settings_are_one_line(tmp_path: Path, content: str, says: str) -> None:
    path = put(tmp_path / "clinasr.toml", content)
    with pytest.raises(InputError) as caught:
        read_settings(tmp_path)
    assert str(caught.value).startswith(f"{path}{says}")


def test_settings_alone_make_an_empty_workspace(tmp_path: Path) -> None:
    put(tmp_path / "clinasr.toml")
    assert open_workspace(tmp_path).cycles == ()


def test_other_numbers_than_the_published_ones(tmp_path: Path) -> None:
    assert (read_settings(tmp_path).gate, read_settings(tmp_path).split.val_fraction) == (Thresholds(), 0.2)
    put(
        tmp_path / "clinasr.toml",
        "[gate]\nfinetune_above = 0.2\nmin_rows = 50\nhigh_wer = 1.5\n"
        "[decision]\nkeep_relative = 0.3\nstop_cycles = 3\n[split]\nval_fraction = 0.1\nseed = -7\n",
    )
    settings = read_settings(tmp_path)
    assert settings.gate == Thresholds(finetune_above=0.2, min_rows=50, high_wer=1.5)
    assert settings.decision == DecisionLimits(keep_relative=0.3, stop_cycles=3)
    assert settings.split == SplitRule(val_fraction=0.1, seed=-7)
    assert settings.warnings == ()
    assert hash(settings) == hash(read_settings(tmp_path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[gate]\nfinetune_above = 3", "[gate] finetune_above is 3, not a number from 0 to 1"),
        ("[gate]\nfinetune_above = nan", "[gate] finetune_above is nan, not a number from 0 to 1"),
        ('[gate]\nfinetune_above = "0.2"', "[gate] finetune_above is 0.2, not a number from 0 to 1"),
        ("[gate]\nfinetune_above = true", "[gate] finetune_above is True, not a number from 0 to 1"),
        ("[gate]\nmin_rows = 0", "[gate] min_rows is 0, not a whole number of at least 1"),
        ("[gate]\nmin_rows = 99.5", "[gate] min_rows is 99.5, not a whole number of at least 1"),
        ("[gate]\nfinetune_above = 0.05", "[gate] harden_below 0.1 is above finetune_above 0.05"),
        ("[gate]\ngood_ker = 0.4", "[gate] good_ker 0.4 is above bad_ker 0.3"),
        ("[decision]\nkeep_relative = -0.2", "[decision] keep_relative is -0.2, not a number from 0 to 1"),
        (
            "[decision]\nstop_cycles = 1e3",
            "[decision] stop_cycles is 1000.0, not a whole number of at least 1",
        ),
        ("[decision]\nunchanged_relative = 0.5", "unchanged_relative 0.5 is above keep_relative 0.2"),
        ("[split]\nval_fraction = [1]", "[split] val_fraction is [1], not a number from 0 to 1"),
        ("decision = 1", "decision is no section"),
    ],
)
def test_an_unusable_number_names_file_and_key(tmp_path: Path, content: str, says: str) -> None:
    path = put(tmp_path / "clinasr.toml", content)
    with pytest.raises(InputError) as caught:
        read_settings(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_setting_of_notices(tmp_path: Path) -> None:
    toml = tmp_path / "clinasr.toml"
    assert read_settings(tmp_path).notify == "bell"
    for value in ("off", "bell", "desktop"):
        toml.write_text(f'[notify]\nwhen_done = "{value}"\n')
        assert read_settings(tmp_path).notify == value
    for value in ('"loud"', "true", '["bell"]'):
        toml.write_text(f"[notify]\nwhen_done = {value}\n")
        with pytest.raises(InputError, match=r"\[notify\] when_done is .*, not one of off, bell, desktop"):
            read_settings(tmp_path)
