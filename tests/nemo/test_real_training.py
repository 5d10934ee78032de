"""The stock script itself, launched by the product on a CPU: where a NeMo checkout is given (NEMO_ROOT)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinasr_tui.flywheel.nemo_file import Decoder, read_nemo
from tests.support.slurm import SlurmCluster

NEMO_ROOT = os.environ.get("NEMO_ROOT", "")
PYTHON = os.environ.get("CLINASR_NEMO_PYTHON", "")
TESTS = Path(__file__).resolve().parents[1]
MODELS, TINY = TESTS / "data/nemo", TESTS / "nemo/tiny_ctc.py"

pytestmark = [
    pytest.mark.nemo,
    # NeMo's examples are in no package: a machine without a checkout cannot be expected to run this.
    pytest.mark.may_skip,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (NEMO_ROOT and PYTHON), reason="no NeMo checkout (NEMO_ROOT) or Python with NeMo is given"
    ),
]


@pytest.fixture(scope="module")
def cycle1(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> Path:
    """A scored cycle whose split is 16 and 8 rows."""
    folder = tmp_path_factory.mktemp("real") / "cycle1"
    folder.mkdir()
    for name, rows in (("train.jsonl", 16), ("validation.jsonl", 8)):
        lines = (demo_data / "cycle1" / name).read_bytes().splitlines(keepends=True)[:rows]
        (folder / name).write_bytes(b"".join(lines))
    for name in ("manifest.jsonl", "per_sample.json"):
        shutil.copy(demo_data / "cycle1" / name, folder / name)
    (folder / "audio").symlink_to(demo_data / "cycle1/audio")
    command = [PYTHON, str(TINY), str(MODELS / "base.nemo"), str(folder.parent / "tiny.nemo")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def told(*arguments: str) -> str:
    """Standard output of a command that says yes."""
    command = [sys.executable, "-m", "clinasr_tui", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def train(cycle: Path, run: str, *more: str, backend: str = "local") -> None:
    told(
        *("train", str(cycle), "--backend", backend, "--cpu", "--run", run),
        *("--base", str(cycle.parent / "tiny.nemo"), "--nemo-root", NEMO_ROOT, "--python", PYTHON),
        *("--root", str(cycle.parent / "root"), *more),
    )


def test_a_run_finishes_and_its_model_comes_back(cycle1: Path) -> None:
    train(cycle1, "short", "--epochs", "2")
    run = cycle1 / "models/short"
    assert "finished: 8 steps" in told("watch", str(run))
    told("fetch", str(run))
    record = json.loads((run / "training_run_info.json").read_text())
    assert (record["outcome"], record["end"]["points"]) == ("finished", 8)
    assert record["versions"]["nemo_toolkit"]
    assert read_nemo(run / "adapted_model.nemo").decoder is Decoder.CTC


def test_early_stopping_counts_as_an_end(cycle1: Path) -> None:
    train(cycle1, "early", "--epochs", "30", "--patience", "2")
    assert "finished: " in told("watch", str(cycle1 / "models/early"))


def test_a_run_is_ended_and_goes_on_from_its_checkpoint(cycle1: Path) -> None:
    train(cycle1, "long", "--epochs", "500")
    run = cycle1 / "models/long"
    checkpoints = cycle1.parent / "root" / cycle1.parent.name / "runs/long/run/checkpoints"
    limit = time.monotonic() + 120
    while not list(checkpoints.glob("*.ckpt")):
        assert time.monotonic() < limit, "it never saved a checkpoint"
        time.sleep(0.2)
    told("cancel", "--yes", str(run))
    assert list(checkpoints.glob("*-last.ckpt"))
    ended = json.loads((run / "training_run_info.json").read_text())
    assert (ended["outcome"], ended["exit_code"]) == ("interrupted", 0)
    epoch = max(int(path.stem.split("epoch=")[1].split("-")[0]) for path in checkpoints.glob("*-last.ckpt"))
    train(cycle1, "long", "--resume", "--epochs", str(epoch + 2))
    assert "finished: " in told("watch", str(run))


@pytest.mark.slurm
def test_a_job_of_slurm_starts_its_own_workers_and_finishes(
    cycle1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers in a batch job: what Slurm sets there would make NeMo take both for the first."""
    with SlurmCluster() as slurm:
        monkeypatch.setenv("SLURM_CONF", str(slurm.config))
        train(cycle1, "two", "--epochs", "4", "--devices", "2", backend="slurm")
        assert "finished: 8 steps" in told("watch", str(cycle1 / "models/two"))
