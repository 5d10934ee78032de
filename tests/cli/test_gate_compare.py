"""The method's example scenarios, end to end through the commands, on generated cycles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clinasr_tui.cli import main
from tests.support.cycles import general, hyps, put_cycle, put_reeval, terms, write

NEMOTRON = "nvidia/nemotron-speech-streaming-en-0.6b"


@pytest.fixture
def document(capsys):
    """Run a command with --json: (exit code, document, standard error)."""

    def call(*argv):
        code = main([*map(str, argv), "--json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    return call


@pytest.fixture
def text(capsys):
    """Run a command: (exit code, standard output, standard error)."""

    def call(*argv):
        code = main(list(map(str, argv)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def scenario_a() -> list[dict]:
    """Drug KER 0.42 of 50 rows, 130 rows in all."""
    return terms("drug", 21, 50) + terms("lab", 8, 80)


def test_drug_ker_of_42_percent_and_130_rows_is_fine_tuned(document, text, tmp_path) -> None:
    cycle = put_cycle(tmp_path, 1, scenario_a(), audio=True)
    code, found, _ = document("gate", cycle)
    assert (code, found["verdict"], found["route"]) == (0, "pass", "finetune")
    assert [criterion["id"] for criterion in found["criteria"] if not criterion["passed"]] == []
    assert found["figures"]["drug"]["ker"] == 0.42
    assert found["figures"]["drug"]["n"] == 50
    low, high = found["figures"]["drug"]["ci95"]
    assert 0 < low < 0.42 < high < 1
    measured = {criterion["id"]: criterion["measured"] for criterion in found["criteria"]}
    assert measured["priority_ker"] == f"0.420 (95 % {low:.2f}–{high:.2f}, n 50)"
    assert (found["findings"], found["deviations"]) == ([], [])
    assert any("0.513 → 0.128" in reason for reason in found["reasons"])
    assert found["base"]["standing"] == "verified"
    code, out, _ = text("gate", cycle)
    assert code == 0
    assert out.startswith("gate: PASS, route: finetune\n")


def test_ten_terms_say_little_and_the_gate_says_so(document, text, tmp_path) -> None:
    cycle = put_cycle(tmp_path, 1, scenario_a())
    _, found, _ = document("gate", cycle, "--no-audio")
    low, _ = found["figures"]["drug"]["ci95"]
    assert low <= 0.3
    assert found["honest"]["verdict"] == "uncertain"
    assert "more terms would settle it" in found["honest"]["why"]
    assert found["honest"]["why"] in found["reasons"]
    assert "\nhonest: UNCERTAIN: drug KER 0.420" in text("gate", cycle, "--no-audio")[1]


def test_a_streaming_nemotron_base_is_refused_with_its_substitute(document, tmp_path) -> None:
    cycle = put_cycle(tmp_path, 1, scenario_a())
    code, found, _ = document("gate", cycle, "--no-audio", "--base", NEMOTRON)
    assert (code, found["verdict"]) == (1, "blocked")
    assert [criterion["id"] for criterion in found["criteria"] if not criterion["passed"]] == ["base_allowed"]
    assert found["base"]["standing"] == "refused"
    assert found["base"]["substitute"] == "nvidia/parakeet-tdt-0.6b-v2"
    assert any("all-UNK" in reason and "parakeet-tdt-0.6b-v2" in reason for reason in found["reasons"])
    assert found["honest"]["verdict"] == "blocked"


def test_the_pronunciation_split_of_5_and_41_percent_goes_to_ipa_review(document, tmp_path) -> None:
    rows = terms("drug", 5, 100, ipa="merriam-webster") + terms("drug", 41, 100, ipa="magpie_g2p")
    code, found, _ = document("gate", put_cycle(tmp_path, 1, rows), "--no-audio")
    assert (code, found["verdict"], found["route"]) == (1, "blocked", "build")
    assert [(finding["id"], finding["route"]) for finding in found["findings"]] == [
        ("pronunciation_gap", "build")
    ]
    message = found["findings"][0]["message"]
    assert "IPA review" in message
    assert "0.050, n 100" in message
    assert "0.410, n 100" in message
    assert found["reasons"][0] == message
    assert not any("Published result" in reason for reason in found["reasons"])


def barely_moved(root: Path) -> tuple[Path, Path]:
    """Scenario A tuned: one of 21 missed drug rows is heard now."""
    rows = scenario_a()
    a = put_cycle(root, 1, rows)
    heard = [row["heard"] for row in rows]
    heard[0] = True
    return a, put_reeval(root, 2, rows, heard)


def test_ker_that_barely_moved_leads_to_build_with_what_to_look_at_first(document, text, tmp_path) -> None:
    a, b = barely_moved(tmp_path)
    code, found, _ = document("compare", a, b)
    assert (code, found["verdict"], found["route"]) == (0, "unchanged", "build")
    assert found["published"] == {"verdict": "unchanged", "action": found["action"], "route": "build"}
    assert found["honest"]["verdict"] == "unchanged"
    assert not found["honest"]["differs"]
    assert "per-category" in found["action"]
    assert "build" in found["action"]
    looks = {diagnostic["id"]: diagnostic["message"] for diagnostic in found["diagnostics"]}
    assert list(looks) == ["by_category"]
    assert looks["by_category"] == "KER by category: drug −5 % (n 50), lab +0 % (n 80)."
    code, out, _ = text("compare", a, b)
    assert code == 0
    assert "- Look first: KER by category: drug −5 % (n 50)" in out


def test_what_was_known_before_and_what_lacks_hints_are_looked_at(document, tmp_path) -> None:
    rows = terms("drug", 41, 100, ipa="magpie_g2p") + terms("role", 2, 50, ipa="merriam-webster")
    a = put_cycle(tmp_path, 1, rows)
    heard = [row["heard"] for row in rows]
    b = put_reeval(tmp_path, 2, rows, heard)
    _, found, _ = document("compare", a, b)
    looks = {diagnostic["id"]: diagnostic["message"] for diagnostic in found["diagnostics"]}
    assert list(looks) == ["by_category", "already_known", "pronunciation_gap"]
    assert looks["already_known"] == "Known before tuning, nothing to gain: role (KER 0.040)."
    assert "IPA review" in looks["pronunciation_gap"]


@pytest.mark.parametrize(
    ("rows", "finding", "route", "routed"),
    [
        (terms("drug", 1, 100), "saturated", "harden", "harden"),
        (terms("drug", 100, 100), "all_miss", "build", "build"),
        (
            terms("drug", 5, 100) + terms("drug", 90, 100, noise="snr_5db"),
            "robustness_gap",
            "build",
            "finetune",
        ),
        (
            terms("drug", 5, 100) + terms("drug", 90, 100, noise="ward at night"),
            "robustness_gap",
            "build",
            "finetune",
        ),
    ],
)
def test_special_cases_by_id(document, tmp_path, rows, finding, route, routed) -> None:
    _, found, _ = document("gate", put_cycle(tmp_path, 1, rows), "--no-audio")
    assert [(one["id"], one["route"]) for one in found["findings"]] == [(finding, route)]
    assert found["route"] == routed


def test_a_misaligned_manifest_by_id(document, tmp_path) -> None:
    rows = terms("drug", 0, 100)
    cycle = put_cycle(tmp_path, 1, rows)
    wrong = [{**row, "hyp": f"quite other words {row['term']}"} for row in hyps(rows)]
    write(cycle / "per_sample.json", wrong)
    code, found, _ = document("gate", cycle, "--no-audio")
    assert (code, found["route"]) == (1, "build")
    assert found["findings"][0]["id"] == "misaligned"


def test_other_thresholds_are_shown_wherever_they_decide(document, text, tmp_path) -> None:
    (tmp_path / "clinasr.toml").write_text(
        "[gate]\nfinetune_above = 0.2\nmin_rows = 50\n[decision]\nkeep_relative = 0.6\n"
    )
    rows = terms("drug", 15, 60)
    a = put_cycle(tmp_path, 1, rows)
    code, found, _ = document("gate", a, "--no-audio")
    assert (code, found["verdict"]) == (0, "pass")
    shown = {criterion["id"]: criterion["threshold"] for criterion in found["criteria"]}
    assert shown["priority_ker"] == "> 0.200 (published 0.3)"
    assert shown["total_rows"] == "≥ 50 (published 100)"
    assert shown["priority_rows"] == "≥ 5"
    assert "[gate] finetune_above: 0.2 instead of the published 0.3, from clinasr.toml." in found["reasons"]
    assert found["deviations"][1] == {
        "key": "[gate] min_rows",
        "value": 50,
        "usual": 100,
        "published": True,
    }
    b = put_reeval(tmp_path, 2, rows, [number >= 7 for number in range(60)])
    _, found, _ = document("compare", a, b)
    assert (found["verdict"], found["deviations"][0]["key"]) == ("grow", "[decision] keep_relative")
    assert "0.6 instead of the published 0.2" in text("compare", a, b)[1]
    (tmp_path / "clinasr.toml").write_text("[decision]\nkeep_relative = 60\n")
    code, out, err = text("compare", a, b)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "clinasr.toml: [decision] keep_relative is 60" in err


def tuned(root: Path, misses: int = 5) -> tuple[Path, Path]:
    """Scenario A and its re-evaluation with that many drug rows still missed."""
    rows = scenario_a()
    a = put_cycle(root, 1, rows)
    heard = [
        number >= misses if row["entity_category"] == "drug" else True for number, row in enumerate(rows)
    ]
    return a, put_reeval(root, 2, rows, heard)


def test_held_out_rows_that_say_otherwise_stand_beside_the_published_verdict(
    document, text, tmp_path
) -> None:
    a, b = tuned(tmp_path)
    rows = [json.loads(line) for line in (a / "manifest.jsonl").read_text().splitlines()]
    # Five rows still missed, five that always were right: nothing moved where the model had not seen them.
    write(a / "validation.jsonl", [*rows[:5], *rows[40:45]])
    write(a / "train.jsonl", [*rows[5:40], *rows[45:]])
    _, found, _ = document("compare", a, b)
    assert (found["verdict"], found["action"]) == ("keep", found["published"]["action"])
    assert found["honest"]["verdict"] == "unchanged"
    assert found["honest"]["differs"]
    assert "drug on the held-out rows: KER 0.500 → 0.500" in found["honest"]["why"]
    assert found["diagnostics"][0]["id"] == "by_category"
    out = text("compare", a, b)[1].splitlines()
    assert out[1].startswith("KEEP: ")
    assert out[2].startswith("honest: UNCHANGED: No measurable change")
    assert any(line.startswith("- Honest verdict UNCHANGED, not KEEP: drug on the held-out") for line in out)


def test_a_fall_that_may_be_chance_is_no_honest_reason_to_keep(document, tmp_path) -> None:
    rows = terms("drug", 5, 10, each=1) + terms("lab", 0, 90)
    a = put_cycle(tmp_path, 1, rows)
    heard = [row["heard"] for row in rows]
    heard[0] = heard[1] = True
    _, found, _ = document("compare", a, put_reeval(tmp_path, 2, rows, heard))
    assert (found["verdict"], found["honest"]["verdict"]) == ("keep", "unchanged")
    assert "may be chance" in found["honest"]["why"] or "includes 0" in found["honest"]["why"]


def test_a_general_set_measures_forgetting(document, text, tmp_path) -> None:
    a, b = tuned(tmp_path)
    before, after = (
        general(tmp_path / "a.jsonl", [2] * 100),
        general(tmp_path / "b.jsonl", [3] * 90 + [4] * 10),
    )
    _, found, _ = document("compare", a, b, "--general", before, after)
    assert (found["verdict"], found["honest"]["verdict"], found["honest"]["differs"]) == (
        "keep",
        "worse",
        True,
    )
    wer = found["general"]["wer"]
    assert (wer["a"], round(wer["b"], 3), wer["n"]) == (0.2, 0.31, 100)
    assert 0 < wer["ci95"][0] <= wer["delta"] <= wer["ci95"][1]
    assert found["general"]["forgotten"]
    assert found["honest"]["why"] == found["general"]["sentence"]
    assert "WER 0.200 → 0.310 (+55 %" in found["honest"]["why"]
    assert not any("measure it" in reason for reason in found["reasons"])
    out = text("compare", a, b, "--general", before, after)[1]
    assert "\ngeneral speech (100)\n" in out
    assert "honest: WORSE: It has forgotten general speech" in out


def test_general_sets_in_both_cycles_are_taken_by_themselves(document, tmp_path) -> None:
    a, b = tuned(tmp_path)
    _, found, err = document("compare", a, b)
    assert (found["general"], err) == (None, "")
    assert any("measure it" in reason for reason in found["reasons"])
    general(a / "general_hyps.jsonl", [2] * 50)
    _, found, err = document("compare", a, b)
    assert found["general"] is None
    assert err == "warning: no general_hyps.jsonl in cycle2: forgetting cannot be told\n"
    assert found["reasons"][-1] == "No general_hyps.jsonl in cycle2: forgetting cannot be told."
    general(b / "general_hyps.jsonl", [2] * 49 + [1])
    _, found, err = document("compare", a, b)
    assert (found["honest"]["verdict"], found["general"]["forgotten"], err) == ("keep", False, "")
    assert any(reason.startswith("General speech, WER 0.200 → 0.198") for reason in found["reasons"])
    (b / "general_hyps.jsonl").write_text("{}\n")
    _, found, err = document("compare", a, b)
    assert found["general"] is None
    assert err.startswith("warning: forgetting is not measured: ")
    assert "general_hyps.jsonl:1" in err


def test_general_sets_that_cannot_be_used_are_one_line(text, tmp_path) -> None:
    a, b = tuned(tmp_path)
    before = general(tmp_path / "a.jsonl", [2] * 5)
    other = write(tmp_path / "b.jsonl", [{"audio_filepath": "x.wav", "ref": "a", "hyp": "a"}])
    for second, says in ((other, "share no row"), (tmp_path / "nowhere", "nowhere")):
        code, out, err = text("compare", a, b, "--general", before, second)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert says in err


def four_cycles(root: Path, *misses: int) -> list[Path]:
    """A base cycle and tuned ones with so many of 50 drug rows missed."""
    rows = scenario_a()
    made = [put_cycle(root, 1, rows)]
    for number, missed in enumerate(misses, 2):
        heard = [place >= missed if place < 50 else True for place in range(len(rows))]
        made.append(put_reeval(root, number, rows, heard))
    return made


def test_two_cycles_in_a_row_without_progress_stop_tuning(document, text, tmp_path) -> None:
    cycles = four_cycles(tmp_path, 10, 10, 11)
    _, found, _ = document("compare", cycles[0], cycles[1])
    assert (found["verdict"], found["stop"]) == ("keep", [])
    _, found, _ = document("compare", cycles[1], cycles[2])
    assert found["stop"] == []
    _, found, _ = document("compare", cycles[2], cycles[3])
    assert found["stop"] == [
        "Stop tuning: two cycles in a row below 5 % relative improvement (+0 %, then +10 %)."
    ]
    assert found["stop"][0] in found["reasons"]
    assert "- Stop tuning: two cycles" in text("compare", cycles[0], cycles[3])[1]
    (cycles[1] / "offline_hyps.jsonl").write_text("{")
    _, found, err = document("compare", cycles[2], cycles[3])
    assert found["stop"] == []
    assert "the cycles before are not looked at" in err


def test_a_regrown_baseline_of_the_same_model_is_no_round_of_tuning(document, tmp_path) -> None:
    rows = scenario_a()
    cycles = [put_cycle(tmp_path, number, rows) for number in (1, 2, 3)]
    _, found, _ = document("compare", cycles[1], cycles[2])
    assert (found["verdict"], found["stop"]) == ("unchanged", [])


def test_more_than_30_epochs_without_improvement_stop_tuning(document, tmp_path) -> None:
    cycles = four_cycles(tmp_path, 21)
    info = cycles[0] / "models" / "long" / "training_run_info.json"
    info.parent.mkdir(parents=True)
    info.write_text(json.dumps({"run": "long", "hyperparameters": {"max_epochs": 40}, "best_epoch": 2}))
    (cycles[1] / "eval_info.json").write_text(json.dumps({"run": "long", "trained_on_cycle": 1}))
    _, found, _ = document("compare", cycles[0], cycles[1])
    assert found["stop"] == [
        "Stop tuning: 40 epochs without improvement of the KER (+0 % in the last cycle); the limit is 30.",
        "Stop tuning: run long went on for 37 epochs after its best validation WER; the limit is 30.",
    ]
    info.write_text(json.dumps({"run": "long", "epochs": 30}))
    assert document("compare", cycles[0], cycles[1])[1]["stop"] == []


def test_three_forms_and_what_is_none(document, text, tmp_path) -> None:
    a, b = tuned(tmp_path)
    assert text("score", a, "--out", a)[0] == 0
    board = a / "leaderboard_cycle1.md"
    _, folders, _ = document("compare", a, b)
    _, files, _ = document("compare", a / "per_sample.json", b / "offline_hyps.jsonl")
    assert files["headline"] == folders["headline"]
    _, boards, _ = document("compare", board, b)
    assert boards["headline"]["ker"]["a"] == folders["headline"]["ker"]["a"]
    assert (boards["headline"]["ker"]["ci95"], boards["held_out"]) == (None, None)
    assert boards["honest"]["verdict"] == boards["verdict"]
    assert "without paired rows" in boards["honest"]["why"]
    shutil.copy(board, tmp_path / "OLD.MD")
    assert document("compare", tmp_path / "OLD.MD", b)[1]["headline"] == boards["headline"]
    (tmp_path / "empty").mkdir()
    for path, says in (
        (tmp_path, "a workspace, not a cycle. Name one of its cycles: cycle1, cycle2"),
        (tmp_path / "empty", "no cycle"),
        (tmp_path / "nowhere", "no such file or folder"),
        (a / "manifest.jsonl", "a manifest, not transcripts"),
        (a / "results.csv", "a .csv file holds no transcripts"),
    ):
        code, out, err = text("compare", path, b)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert says in err


def test_transcripts_without_clinical_fields_take_the_cycles(document, tmp_path) -> None:
    a, b = tuned(tmp_path)
    _, full, _ = document("compare", a, b)
    bare = [json.loads(line) for line in (a / "per_sample.json").read_text().splitlines()]
    write(a / "bare.jsonl", [{key: row[key] for key in ("audio_filepath", "ref", "hyp")} for row in bare])
    assert document("compare", a / "bare.jsonl", b)[1]["headline"] == full["headline"]


def test_transcripts_from_elsewhere_are_held_against_the_split_of_a(document, tmp_path) -> None:
    a, b = tuned(tmp_path / "w")
    rows = [json.loads(line) for line in (a / "manifest.jsonl").read_text().splitlines()]
    write(a / "validation.jsonl", rows[::5])
    write(a / "train.jsonl", [row for number, row in enumerate(rows) if number % 5])
    (tmp_path / "w" / "clinasr.toml").write_text("[decision]\nkeep_relative = 0.3\n")
    _, inside, _ = document("compare", a, b)
    outside = shutil.copy(b / "offline_hyps.jsonl", tmp_path / "new.jsonl")
    _, found, _ = document("compare", a, outside)
    assert inside["held_out"]["rows"] == 26
    assert (found["held_out"], found["deviations"]) == (inside["held_out"], inside["deviations"])
    assert found["deviations"]
