"""train without a container, as an operator runs it: which Python it takes, going on in its own folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.evaluating import python_with_stand_in

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "machine"


@pytest.fixture
def on_local(nemo: Path, root: Path) -> list[str]:
    """Options of `train` for a process beside the stand-in."""
    place = ["--root", str(root), "--nemo-root", str(nemo)]
    return ["train", "cycle1", "--backend", "local", "--cpu", *place]


@pytest.fixture
def with_nemo(on_local: list[str], tmp_path: Path) -> list[str]:
    """The same with a Python that has the stand-in's nemo."""
    return [*on_local, "--python", str(python_with_stand_in(tmp_path))]


def record_of(here: Path, run: str) -> dict[str, Any]:
    found = json.loads((here / f"cycle1/models/{run}/training_run_info.json").read_text())
    assert isinstance(found, dict)
    return found


def until(holds: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


@pytest.fixture
def cancelled(clinasr: Command, here: Path, with_nemo: list[str]) -> Iterator[Path]:
    """The folder of a run that was ended and has saved its checkpoint."""
    assert clinasr(*with_nemo, "--run", "wait-a").returncode == 0
    folder = Path(record_of(here, "wait-a")["run_dir"])
    until((folder / "run/checkpoints").exists, "it never began")
    assert clinasr("cancel", "cycle1/models/wait-a", "--yes").returncode == 0
    yield folder
    clinasr("cancel", "cycle1/models/wait-a", "--yes")


def test_a_process_here_takes_the_python_that_runs_us(clinasr: Command, on_local: list[str]) -> None:
    here = json.loads(clinasr(*on_local, "--dry-run", "--json").stdout)
    assert (here["command"][0], here["started_by"][0]) == (sys.executable, sys.executable)


def test_a_python_without_nemo_is_refused_before_anything_is_sent(
    clinasr: Command, here: Path, on_local: list[str], root: Path
) -> None:
    done = clinasr(*on_local, "--python", "/usr/bin/python3")
    assert done.returncode == 3
    assert "/usr/bin/python3 has no NeMo. Name the one that has it" in done.stderr
    gone = clinasr(*on_local, "--python", "./gone")
    assert gone.returncode == 3
    assert f"cannot start {here}/gone: No such file" in gone.stderr
    assert not root.exists()
    assert not (here / "cycle1/models").exists()


def test_a_python_with_nemo_trains(clinasr: Command, here: Path, with_nemo: list[str]) -> None:
    assert clinasr(*with_nemo, "--run", "sft3").returncode == 0
    assert "finished: 150 steps" in clinasr("watch", "cycle1/models/sft3").stdout
    assert "resumed_from" not in record_of(here, "sft3")


def test_a_run_is_resumed_in_its_own_folder_only(
    clinasr: Command, here: Path, cancelled: Path, tmp_path: Path
) -> None:
    resume = ["train", "cycle1", "--run", "wait-a", "--resume"]
    before = record_of(here, "wait-a")
    for more in ([], ["--dry-run"]):
        done = clinasr(*resume, "--root", str(tmp_path / "other"), *more)
        assert done.returncode == 2
        assert f"the run wait-a has its checkpoints in {cancelled}" in done.stderr
    assert record_of(here, "wait-a") == before
    assert not (tmp_path / "other").exists()
    done = clinasr(*resume, "--json")
    name = "wait-a--val_wer=0.0833-epoch=1-last.ckpt"
    assert json.loads(done.stdout)["resumed_from"] == name
    assert "anew" not in done.stderr
    assert record_of(here, "wait-a")["resumed_from"] == name
    until((cancelled / "exit.json").exists, "it never ended")


def test_a_run_that_left_no_checkpoint_is_said_to_start_anew(
    clinasr: Command, here: Path, cancelled: Path
) -> None:
    for checkpoint in (cancelled / "run/checkpoints").iterdir():
        checkpoint.unlink()
    done = clinasr("train", "cycle1", "--run", "wait-a", "--resume")
    assert done.returncode == 0, done.stderr
    assert "it had left no -last checkpoint: it has started anew" in done.stderr
    assert record_of(here, "wait-a")["resumed_from"] is None
