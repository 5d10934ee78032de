"""train without a container, as an operator runs it: which Python it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
