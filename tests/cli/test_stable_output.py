"""The same input gives the same bytes, whatever order sets have in a process; all of it is signed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinasr_tui.cli import main
from clinasr_tui.commands import score
from clinasr_tui.commands.output import print_json
from clinasr_tui.flywheel.leaderboard import signature
from tests.support.scored_rows import DATA

CYCLES = [DATA / "cycle1" / "per_sample.json", DATA / "cycle2" / "offline_hyps.jsonl"]


def output(folder: Path, hash_seed: int, *argv: object) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "clinasr_tui", *map(str, argv)],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "argv",
    [
        ("score", "--hyps", CYCLES[0], "--json", "--rows"),
        ("compare", *CYCLES, "--json"),
    ],
    ids=["score", "compare"],
)
def test_documents_are_the_same_and_signed(tmp_path: Path, argv: tuple[object, ...]) -> None:
    first, second = (output(tmp_path, seed, *argv) for seed in (0, 77))
    assert first == second
    signed = json.loads(first)["signature"]
    assert {key for key in signature() if key in signed} == set(signature())
    assert signed["seed"] == "42"


def test_written_files_are_the_same_and_the_report_is_signed(tmp_path: Path) -> None:
    for seed in (0, 77):
        output(tmp_path, seed, "score", "--hyps", CYCLES[1], "--out", tmp_path / str(seed))
    for name in ("results.csv", "leaderboard.md"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "77" / name).read_bytes()
    report = (tmp_path / "0" / "leaderboard.md").read_text(encoding="utf-8")
    assert "Signature: normaliser " in report
    assert f"seed {signature()['seed']}" in report
    # Two reports are compared with the signature they carry.
    found = json.loads(output(tmp_path, 0, "compare", "0/leaderboard.md", "77/leaderboard.md", "--json"))
    assert found["signature"] == signature()


def test_comparisons_in_text_end_with_their_signature(tmp_path: Path) -> None:
    lines = output(tmp_path, 0, "compare", *CYCLES).decode().splitlines()
    assert lines[-1].startswith("signature: normaliser nfkd")
    assert "test exact McNemar" in lines[-1]


def test_rows_are_written_in_batches_of_any_size(monkeypatch, capsys) -> None:
    written = set()
    for size in (1, 7, 125, 4096):
        monkeypatch.setattr(score, "_ROWS_AT_A_TIME", size)
        assert main(["score", "--hyps", str(CYCLES[0]), "--json", "--rows"]) == 0
        written.add(capsys.readouterr().out)
    (document,) = map(json.loads, written)
    assert len(document["per_row"]) == document["rows"] == 250
    assert document["per_row"][0] == {"wer": 0.1, "cer": 2 / 66, "ker": 1, "ser": 1}


def test_a_document_with_lists_of_nothing(capsys) -> None:
    print_json("x", {"a": 1}, b=[], c=[[{"d": 2}]])
    assert capsys.readouterr().out == '{"schema": "clinasr.x/1", "a": 1, "b": [], "c": [{"d": 2}]}\n'
