"""What the tests of evaluating share: a cycle, models of the stand-in for NeMo, choices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinasr_tui.evaluation.choices import EvalChoices
from tests.support.evaluating import cycle, model, python_with_stand_in, said_by


@pytest.fixture
def python(tmp_path: Path) -> str:
    return str(python_with_stand_in(tmp_path))


@pytest.fixture
def cycle1(tmp_path: Path, demo_data: Path) -> Path:
    """Twelve real rows without transcripts."""
    return cycle(tmp_path / "my ws/cycle1", demo_data)


@pytest.fixture
def base(tmp_path: Path, demo_data: Path) -> Path:
    return model(tmp_path / "base.nemo", said_by(demo_data, "cycle1/per_sample.json"))


@pytest.fixture
def tuned(tmp_path: Path, demo_data: Path) -> Path:
    return model(tmp_path / "sft.nemo", said_by(demo_data, "cycle2/offline_hyps.jsonl"))


@pytest.fixture
def slow(tmp_path: Path, demo_data: Path) -> Path:
    """Takes its time over each row and notes it."""
    texts = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    return model(tmp_path / "slow.nemo", texts, seconds=0.15, calls=str(tmp_path / "calls"))


@pytest.fixture
def choices(tmp_path: Path, python: str) -> Callable[..., EvalChoices]:
    def made(model: Path | str = "", **given: Any) -> EvalChoices:
        asked: dict[str, Any] = {"root": str(tmp_path / "its root"), "python": python, "cpu": True, **given}
        return EvalChoices(model=str(model), **asked)

    return made


@pytest.fixture
def run(cycle1: Path, tmp_path: Path, demo_data: Path, python: str) -> Path:
    """A run of the cycle whose folder, on this machine, holds two checkpoints and the last weights."""
    root = tmp_path / "its root"
    run_dir = root / "my-ws/runs/sft1"
    checkpoints = run_dir / "run/checkpoints"
    checkpoints.mkdir(parents=True)
    last = said_by(demo_data, "cycle1/per_sample.json")
    best = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    model(checkpoints / "sft1.nemo", last)
    for name, texts in (("0.0353-epoch=1", best), ("0.0833-epoch=2", last), ("0.01-epoch=3-last", last)):
        (checkpoints / f"sft1--val_wer={name}.ckpt").write_text(json.dumps({"state_dict": texts}))
    folder = cycle1 / "models/sft1"
    folder.mkdir(parents=True)
    record = {"run": "sft1", "run_dir": str(run_dir), "root": str(root), "backend": "local", "host": None}
    record |= {"python": python, "image": None}
    (folder / "training_run_info.json").write_text(json.dumps(record))
    return folder
