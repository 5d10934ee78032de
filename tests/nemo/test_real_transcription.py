"""The real library on real models: the product's own command gets the golden figures on a CPU.

NeMo is found where CLINASR_NEMO_PYTHON says, or beside the product (the extra `nemo`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clinasr_tui.flywheel.hypotheses import Hypotheses, read_hypotheses
from clinasr_tui.flywheel.leaderboard import build_leaderboard, to_json
from clinasr_tui.flywheel.scoring import score

MODELS = Path(__file__).resolve().parents[1] / "data/nemo"
PYTHON = os.environ.get("CLINASR_NEMO_PYTHON") or (sys.executable if importlib.util.find_spec("nemo") else "")
ROWS = 60
"""Every fourth row of the closed loop's manifest: all categories, voices and noise levels."""

pytestmark = [
    pytest.mark.nemo,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON, reason="no Python with NeMo is known (CLINASR_NEMO_PYTHON, extra nemo)"),
]


@pytest.fixture(scope="module")
def cycle1(tmp_path_factory: pytest.TempPathFactory, closed_loop: Path) -> Path:
    """The fixed part of the closed loop's cycle, without transcripts."""
    folder = tmp_path_factory.mktemp("closed-loop") / "cycle1"
    folder.mkdir()
    lines = (closed_loop / "cycle1/manifest.jsonl").read_bytes().splitlines(keepends=True)[::4][:ROWS]
    (folder / "manifest.jsonl").write_bytes(b"".join(lines))
    for name in ("train.jsonl", "validation.jsonl"):
        shutil.copy(closed_loop / "cycle1" / name, folder / name)
    (folder / "audio").symlink_to(closed_loop / "cycle1/audio")
    return folder


def evaluated(cycle: Path, model: str) -> dict[str, Any]:
    """What the command prints."""
    command = [sys.executable, "-m", "clinasr_tui", "eval", str(cycle), "--model", str(MODELS / model)]
    command += ["--python", PYTHON, "--cpu", "--json", "--root", str(cycle.parent / "root")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def golden(path: Path) -> Hypotheses:
    """The known transcripts of the same rows."""
    every = read_hypotheses(path)
    return every.select(range(0, len(every), 4)).select(range(ROWS))


def expect_golden(document: dict[str, Any], known: Hypotheses) -> None:
    wanted = to_json(build_leaderboard(score(known)))
    assert document["rows"] == wanted["rows"] == ROWS
    assert document["untranscribed"] == []
    assert document["metrics"] == pytest.approx(wanted["metrics"], abs=0.01)
    assert document["corpus"] == pytest.approx(wanted["corpus"], abs=0.01)
    assert "stand-in" not in document["versions"]["nemo"]


def test_base_and_tuned_model_give_the_golden_figures(cycle1: Path, closed_loop: Path) -> None:
    first = evaluated(cycle1, "base.nemo")
    expect_golden(first, golden(closed_loop / "cycle1/per_sample.json"))
    second = evaluated(cycle1, "sft3.nemo")
    expect_golden(second, golden(closed_loop / "cycle2/offline_hyps.jsonl"))
    assert second["comparison"]["verdict"] == "keep"
    assert second["comparison"]["headline"]["ker"]["a"] == first["metrics"]["ker"]
    assert second["comparison"]["held_out"]["headline"]["ker"]["b"] is not None


MAKE_CHECKPOINT = """
import sys
from lightning.pytorch import Trainer
from nemo.collections.asr.models import ASRModel
model = ASRModel.restore_from(sys.argv[1], map_location="cpu")
trainer = Trainer(accelerator="cpu", max_steps=0, logger=False, enable_checkpointing=False)
model.set_trainer(trainer)
trainer.strategy.connect(model)
trainer.save_checkpoint(sys.argv[2])
"""


def test_the_best_checkpoint_becomes_a_model(cycle1: Path, closed_loop: Path, tmp_path: Path) -> None:
    """A checkpoint by Lightning itself of sft3, beside a base.nemo: the model made of them hears as sft3."""
    cycle = tmp_path / "ws/cycle1"
    cycle.mkdir(parents=True)
    (cycle / "audio").symlink_to(closed_loop / "cycle1/audio")
    lines = (cycle1 / "manifest.jsonl").read_bytes().splitlines(keepends=True)[:8]
    (cycle / "manifest.jsonl").write_bytes(b"".join(lines))
    run_dir = tmp_path / "root/ws/runs/sft3"
    checkpoints = run_dir / "run/checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(MODELS / "base.nemo", checkpoints / "sft3.nemo")
    place = checkpoints / "sft3--val_wer=0.0353-epoch=1.ckpt"
    subprocess.run(
        [PYTHON, "-c", MAKE_CHECKPOINT, MODELS / "sft3.nemo", place], check=True, capture_output=True
    )
    record = {"run": "sft3", "run_dir": str(run_dir), "root": str(tmp_path / "root"), "backend": "local"}
    (cycle / "models/sft3").mkdir(parents=True)
    (cycle / "models/sft3/training_run_info.json").write_text(json.dumps(record))
    command = [
        sys.executable,
        "-m",
        "clinasr_tui",
        "eval",
        str(cycle),
        "--run",
        "sft3",
        "--checkpoint",
        "best",
    ]
    command += ["--out-cycle", "1", "--python", PYTHON, "--cpu", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = read_hypotheses(closed_loop / "cycle2/offline_hyps.jsonl")
    wanted = [known.hypothesis[index] for index in range(0, 32, 4)]
    assert list(read_hypotheses(cycle / "offline_hyps.jsonl").hypothesis) == wanted
    assert (run_dir / "best/sft3-best.nemo").stat().st_size > 10_000_000
