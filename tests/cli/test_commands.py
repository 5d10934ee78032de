"""Every command on real data: figures, JSON keys, exit codes, one-line errors."""

from __future__ import annotations

import json
import shutil

import pytest

from clinasr_tui.cli import main


@pytest.fixture
def run(capsys):
    """Run a command; returns (exit code, standard output, standard error)."""

    def call(*argv):
        try:
            code = main([str(part) for part in argv])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def document(run):
    """Run a command with --json; returns (exit code, document) after checking the schema key is first."""

    def call(command, *argv):
        code, out, _ = run(command, *argv, "--json")
        loaded = json.loads(out)
        assert next(iter(loaded)) == "schema"
        assert loaded["schema"] == f"clinasr.{command}/1"
        assert out.count("\n") == 1
        return code, loaded

    return call


def one_line(err):
    """The error text: exactly one line, no traceback."""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_check_finds_nothing_in_the_demo(document, demo_data):
    code, found = document("check", demo_data / "cycle1" / "manifest.jsonl")
    assert code == 0
    assert (found["rows"], found["ok"], found["problems"], found["counts"]) == (250, True, [], {})


def broken_line_57(demo_data, folder):
    lines = (demo_data / "cycle1" / "manifest.jsonl").read_text().splitlines()
    lines[56] = lines[56][:40]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_check_names_the_broken_line_and_says_no(document, demo_data, tmp_path):
    code, found = document("check", broken_line_57(demo_data, tmp_path), "--no-audio")
    assert code == 1
    assert not found["ok"]
    [problem] = [p for p in found["problems"] if p["severity"] == "error"]
    assert problem["line"] == 57
    assert set(problem) >= {"id", "severity", "line", "field", "message"}
    assert found["counts"][problem["id"]] == 1


def test_a_broken_line_stops_a_split_and_leaves_nothing(run, demo_data, tmp_path):
    code, out, err = run("split", broken_line_57(demo_data, tmp_path), "--out", tmp_path / "out")
    assert code == 2
    assert out == ""
    assert "manifest.jsonl:57" in one_line(err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("cycle", "wer", "ker"), [("cycle1", 0.1519, 0.8760), ("cycle2", 0.0211, 0.1440)])
def test_score_gives_the_golden_figures(document, closed_loop, cycle, wer, ker):
    code, found = document("score", closed_loop / cycle, "--rows")
    assert code == 0
    assert (found["rows"], found["ker_rows"]) == (250, 250)
    assert round(found["metrics"]["wer"], 4) == wer
    assert round(found["metrics"]["ker"], 4) == ker
    assert set(found["metrics"]) == {"wer", "cer", "ker", "ser"}
    assert set(found["corpus"]) == {"wer", "cer"}
    assert set(found["by"]) == {"entity_category", "ipa_source", "noise_level"}
    assert found["by"]["entity_category"]["drug"]["n"] == 90
    kers = [term["ker"] for term in found["terms"]]
    assert kers == sorted(kers, reverse=True)
    assert len(found["per_row"]) == 250
    assert set(found["per_row"][0]) == {"wer", "cer", "ker", "ser"}


def test_score_takes_a_json_array_and_writes_both_files(run, document, closed_loop, tmp_path):
    rows = [
        json.loads(line) for line in (closed_loop / "cycle1" / "per_sample.json").read_text().splitlines()
    ]
    array = tmp_path / "array.json"
    array.write_text(json.dumps(rows))
    code, found = document("score", "--hyps", array, "--out", tmp_path / "out")
    assert code == 0
    assert round(found["metrics"]["ker"], 4) == 0.8760
    assert (tmp_path / "out" / "results.csv").read_text().count("\n") == 251
    code, again = document("compare", tmp_path / "out" / "leaderboard.md", closed_loop / "cycle2")
    assert code == 0
    assert again["headline"]["ker"]["a"] == found["metrics"]["ker"]
    assert again["headline"]["ker"]["ci95"] is None


@pytest.mark.parametrize(
    ("pair", "held_out", "general", "honest"),
    [
        (("cycle1", "cycle2"), (0.80, 0.16), (0.2121, 0.3328), "worse"),
        (("cycle2", "cycle3"), (0.16, 0.08), (0.3328, 0.4154), "worse"),
    ],
)
def test_the_demo_learns_and_forgets(document, demo_data, pair, held_out, general, honest):
    """The figures the README and the demo's story tell."""
    code, found = document("compare", *(demo_data / cycle for cycle in pair))
    assert (code, found["verdict"], found["honest"]["verdict"]) == (0, "keep", honest)
    ker = found["held_out"]["headline"]["ker"]
    assert (round(ker["a"], 2), round(ker["b"], 2)) == held_out
    wer = found["general"]["wer"]
    assert (round(wer["a"], 4), round(wer["b"], 4)) == general


def test_gate_passes_on_cycle_1(document, demo_data):
    code, found = document("gate", demo_data / "cycle1")
    assert code == 0
    assert (found["verdict"], found["route"]) == ("pass", "finetune")
    measured = {criterion["id"]: criterion["measured"] for criterion in found["criteria"]}
    assert any("0.911" in text for text in measured.values())
    assert any("250" in text for text in measured.values())
    assert all(criterion["passed"] for criterion in found["criteria"])


def test_gate_refuses_a_streaming_base(document, demo_data):
    base = "nvidia/nemotron-speech-streaming-en-0.6b"
    code, found = document("gate", demo_data / "cycle1", "--base", base)
    assert code == 1
    assert found["verdict"] == "blocked"
    assert "parakeet-tdt-0.6b-v2" in json.dumps(found)


def test_gate_blocks_a_second_round_on_the_tuned_cycle(document, demo_data):
    code, found = document("gate", demo_data / "cycle2", "--later-eval")
    assert code == 1
    assert found["verdict"] == "blocked"


def test_split_is_the_published_one_row_for_row(document, demo_data, tmp_path):
    code, found = document("split", demo_data / "cycle1" / "manifest.jsonl", "--out", tmp_path)
    assert code == 0
    assert (found["train"], found["validation"]) == (200, 50)
    for name in ("train.jsonl", "validation.jsonl"):
        rows = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert rows == [json.loads(line) for line in (demo_data / "cycle1" / name).read_text().splitlines()]
    assert found["by_category"]["drug"] == {"train": 72, "validation": 18}
    assert any("relative" in warning for warning in found["warnings"])


def test_split_never_replaces_another_split_unasked(run, demo_data, tmp_path):
    shutil.copy(demo_data / "cycle1" / "manifest.jsonl", tmp_path)
    manifest = tmp_path / "manifest.jsonl"
    assert run("split", manifest)[0] == 0
    before = (tmp_path / "train.jsonl").read_bytes()
    code, _, err = run("split", manifest, "--seed", "7")
    assert code == 2
    assert "--force" in one_line(err)
    assert (tmp_path / "train.jsonl").read_bytes() == before
    assert run("split", manifest, "--seed", "7", "--force")[0] == 0
    assert (tmp_path / "train.jsonl").read_bytes() != before


def test_compare_shows_held_out_rows_beside_the_full_ones(document, closed_loop):
    code, found = document("compare", closed_loop / "cycle1", closed_loop / "cycle2")
    assert code == 0
    assert found["verdict"] == "keep"
    ker = found["headline"]["ker"]
    assert (round(ker["a"], 4), round(ker["b"], 4)) == (0.8760, 0.1440)
    assert ker["ci95"][0] < ker["delta"] < ker["ci95"][1] < 0
    assert ker["p"] < 1e-6
    assert set(ker) >= {"a", "b", "delta", "relative", "ci95", "p"}
    held_out = found["held_out"]
    assert held_out["rows"] == 50
    assert round(held_out["headline"]["ker"]["a"], 4) == 0.82
    assert round(held_out["headline"]["ker"]["b"], 4) == 0.28
    changed = found["changed_rows"]
    assert changed["fixed"] - changed["broken"] == round(250 * (ker["a"] - ker["b"]))
    assert round(found["by"]["entity_category"]["drug"]["b"], 3) == 0.111


@pytest.mark.parametrize(
    ("name", "outcome", "code", "points", "health"),
    [
        ("stockdefault", "finished", 0, 5, {"no_loss_points"}),
        ("hot", "diverged", 1, None, {"nan_loss", "unk_collapse"}),
        ("oom", "failed", 1, None, {"oom"}),
        ("missing", "failed", 1, None, {"missing_audio"}),
        ("kill9", "failed", 1, None, set()),
    ],
)
def test_watch_once_says_what_happened(document, recordings, name, outcome, code, points, health):
    found_code, found = document("watch", recordings / name, "--once")
    assert (found_code, found["outcome"]) == (code, outcome)
    assert points is None or found["points"] == points
    assert health <= {alert["id"] for alert in found["health"]}
    for alert in found["health"]:
        assert {"id", "severity", "message", "remedy", "first_step"} <= set(alert)
        assert alert["message"]
        assert alert["remedy"]


def test_watch_once_on_the_finished_run(document, recordings):
    code, found = document("watch", recordings / "sft3", "--once")
    assert (code, found["outcome"], found["phase"]) == (0, "finished", "finished")
    assert (found["points"], found["max_steps"], found["health"]) == (150, 150, [])
    assert [round(value, 3) for _, value in found["val_wer"]] == [0.083, 0.035, 0.037]
    assert found["train_loss"]["ema"] > 0


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "{tmp}/nowhere.jsonl"],
        ["score", "{tmp}"],
        ["score"],
        ["score", "--hyps", "{tmp}/nowhere.json"],
        ["gate", "{tmp}"],
        ["compare", "{tmp}", "{tmp}"],
        ["compare", "{tmp}/a.md", "{tmp}/b.md"],
        ["split", "{tmp}"],
        ["split", "{tmp}/nowhere.jsonl"],
        ["watch", "{tmp}/nowhere", "--once"],
        ["gate", "{tmp}", "--priority", "organ"],
        ["demo", "--speed", "-1"],
        ["demo"],
        ["{tmp}"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, argv):
    code, out, err = run(*[part.format(tmp=tmp_path) for part in argv])
    assert code == 2
    assert out == ""
    one_line(err)


def test_json_numbers_are_never_nan(run, recordings):
    _, out, _ = run("watch", recordings / "hot", "--once", "--json")
    json.loads(out, parse_constant=pytest.fail)


def test_every_command_explains_itself(run):
    from clinasr_tui.cli import COMMANDS

    code, out, _ = run("--help")
    assert code == 0
    for name in COMMANDS:
        assert name in out
        assert run(name, "--help")[0] == 0
