"""`deploy`: JSON keys, the script, exit codes, a NIM's health."""

from __future__ import annotations

import json
import shutil

import pytest

from clinasr_tui.cli import main
from tests.support import nemo_models
from tests.support.nemo_models import put_model
from tests.support.nim import raw_port, stand_in_nim


@pytest.fixture
def run(capsys):
    """Run `deploy`; (exit code, standard output, standard error)."""

    def call(*argv):
        try:
            code = main(["deploy", *map(str, argv)])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_document_has_what_scripts_need(run, tmp_path):
    model = put_model(tmp_path / "cycle1" / "models" / "sft" / "adapted_model.nemo")
    code, out, err = run(model, "--json")
    found = json.loads(out)
    assert code == 0
    assert next(iter(found)) == "schema"
    assert found["schema"] == "clinasr.deploy/1"
    assert (found["decoder"], found["riva_decoder"], found["family"]) == ("tdt", "nemo", "parakeet TDT")
    assert found["container_id"] == "parakeet-0.6b-tdt"
    assert {"build", "deploy", "tar", "serve", "validate"} <= {one["id"] for one in found["commands"]}
    assert any("offline only" in line for line in found["warnings"])
    assert (found["refused"], found["script"], found["health"]) == (None, None, None)
    assert "cycle2/serving_hyps.jsonl" in " ".join(found["afterwards"])
    assert err.count("\n") <= 1


@pytest.mark.parametrize("deep", ["", "run/checkpoints/", "best/"])
def test_class_parameters_and_base_are_told(run, tmp_path, deep):
    folder = tmp_path / "cycle1" / "models" / "sft"
    model = put_model(folder / deep / "adapted_model.nemo")
    found = json.loads(run(model, "--json")[1])
    assert (found["weights"], found["base"]) == (1000, None)
    assert found["target"].endswith(".EncDecRNNTBPEModel")
    assert "tuned from" not in run(model)[1]
    (folder / "training_run_info.json").write_text('{"base": {"name": "nvidia/parakeet\\u001b[2J"}}')
    assert json.loads(run(model, "--json")[1])["base"] == "nvidia/parakeet\x1b[2J"
    lines = run(model)[1].splitlines()
    assert "1.0 kB of parameters" in lines[0]
    assert lines[1] == f"class {found['target']}, tuned from nvidia/parakeet\u241b[2J"


@pytest.mark.parametrize("record", ["", "[]", "{", '{"base": 5}', '{"base": {"name": null}}', "[" * 5000])
def test_a_record_that_says_no_base_is_none(run, tmp_path, record):
    model = put_model(tmp_path / "m.nemo")
    (tmp_path / "training_run_info.json").write_text(record)
    code, out, _ = run(model, "--json")
    assert (code, json.loads(out)["base"]) == (0, None)


@pytest.mark.parametrize(
    "config",
    [nemo_models.HYBRID, nemo_models.STREAMING, nemo_models.UNKNOWN],
    ids=["hybrid", "streaming", "?"],
)
def test_a_model_that_cannot_be_handed_over_is_a_no(run, tmp_path, config):
    model = put_model(tmp_path / "m.nemo", config)
    code, out, _ = run(model, "--json", "--out", tmp_path / "out")
    found = json.loads(out)
    assert code == 1
    assert (found["riva_decoder"], found["family"], found["commands"]) == (None, None, [])
    assert found["refused"]
    assert not (tmp_path / "out").exists()
    code, out, _ = run(model)
    assert code == 1
    assert "not to be handed over" in out


def test_the_script_is_written_and_what_to_set_is_said(run, tmp_path):
    model = put_model(tmp_path / "m.nemo")
    code, out, err = run(model, "--out", tmp_path / "out")
    script = tmp_path / "out" / "deploy.sh"
    assert code == 0
    assert script.stat().st_mode & 0o777 == 0o755
    assert "NGC_API_KEY" in err
    assert "decoder=nemo" in out
    script.write_text("mine")
    code, _, err = run(model, "--out", tmp_path / "out")
    assert code == 2
    assert "another file" in err
    assert err.count("\n") == 1
    code, out, _ = run(model, "--out", tmp_path / "out", "--force", "--json")
    assert code == 0
    assert json.loads(out)["script"] == str(script)
    assert script.read_text() != "mine"


def test_health_is_the_answer(run):
    with stand_in_nim() as nim:
        code, out, err = run("--check", nim.address)
    assert (code, out, err) == (0, f"{nim.address} is ready\n", "")
    with stand_in_nim(503, {"status": "not ready"}) as nim:
        code, out, _ = run("--check", nim.address, "--json")
    assert code == 1
    assert json.loads(out)["health"] == {
        "address": nim.address,
        "ready": False,
        "status": 503,
        "said": '{"status": "not ready"}',
    }


def test_no_nim_is_one_line_and_a_remote_failure(run):
    with raw_port(b"") as address:
        code, out, err = run("--check", address)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert address in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "no model is named"),
        (["--out", "x"], "no model is named"),
        (["--check", "localhost:9000", "--out", "x"], "are about a model"),
        (["--check", "http://localhost:9000"], "no address"),
        (["--check", "a..b:9000"], "no address"),
        (["no-such.nemo"], "no such model"),
    ],
)
def test_bad_usage_is_one_line(run, argv, said):
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_serving_figures_are_compared_with_the_offline_ones(two_cycles, capsys):
    serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
    shutil.copy(two_cycles / "cycle2" / "offline_hyps.jsonl", serving)
    assert main(["compare", str(two_cycles / "cycle2"), str(serving), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "unchanged"
    assert found["action"] == "It serves as well as offline."
    assert found["honest"]["verdict"] == "unchanged"
    assert found["headline"]["ker"]["a"] == found["headline"]["ker"]["b"] == pytest.approx(0.064)


def compared(capsys, *words):
    assert main(["compare", *map(str, words)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("offline", ["cycle2", "cycle2/offline_hyps.jsonl"])
def test_a_service_that_hears_worse_is_not_told_to_train(two_cycles, capsys, offline):
    serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
    shutil.copy(two_cycles / "cycle1" / "per_sample.json", serving)
    told = compared(capsys, two_cycles / offline, serving)
    assert "WORSE: It serves worse than offline: change preprocessing or build flags, not the train" in told
    assert "verfit" not in told
    assert "(build)" not in told


def test_ten_served_rows_are_not_all_of_them(two_cycles, capsys):
    rows = (two_cycles / "cycle2" / "offline_hyps.jsonl").read_text().splitlines(keepends=True)
    serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
    serving.write_text("".join(rows[:10]))
    told = compared(capsys, two_cycles / "cycle2", serving)
    assert "Not all rows were served, 240 of 250 are missing" in told


def test_what_is_compared_with_another_cycle_is_about_training(two_cycles, capsys):
    serving = two_cycles / "cycle2" / "serving_hyps.jsonl"
    shutil.copy(two_cycles / "cycle2" / "offline_hyps.jsonl", serving)
    assert "KEEP: Keep the model" in compared(capsys, two_cycles / "cycle1", serving)
