"""`eval` as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.evaluating import (
    baseline_of,
    called,
    mend,
    spoil,
)

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture
def command(tmp_path: Path, python: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "clinasr_tui", "eval", *map(str, arguments)]
        argv += ["--root", str(tmp_path / "its root"), "--python", python, "--cpu"]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    return run


def test_the_command_says_it_all_in_one_go(
    cycle1: Path,
    base: Path,
    tuned: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    first = command(cycle1, "--model", base, "--json")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert (document["schema"], document["rows"], document["cycle"]) == ("clinasr.eval/1", 12, 1)
    assert document["comparison"] is None
    second = command(cycle1, "--model", tuned)
    assert second.returncode == 0, second.stderr
    for part in ("KER by term, worst first", "cycle2\nKEEP: ", "all rows (12)", "terms fixed"):
        assert part in second.stdout
    assert "transcribing …" in second.stderr
    refused = command(cycle1, "--model", "no-such.nemo")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1


def test_the_command_retries_just_the_rows_that_failed(
    cycle1: Path,
    slow: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
    demo_data: Path,
    tmp_path: Path,
) -> None:
    spoil(cycle1)
    first = command(cycle1, "--model", slow)
    assert first.returncode == 0, first.stderr
    assert "the same command with --retry transcribes just these" in first.stderr
    again = command(cycle1, "--model", slow)
    assert "3 of its rows have no transcript: --retry transcribes just those" in again.stderr
    mend(cycle1, demo_data)
    done = command(cycle1, "--model", slow, "--retry", "--json")
    document = json.loads(done.stdout)
    assert (document["rows"], document["untranscribed"], document["cycle"]) == (12, [], 1)
    assert len(called(tmp_path)) == 12


def test_ctrl_c_ends_it_and_says_how_to_go_on(
    cycle1: Path, slow: Path, tmp_path: Path, python: str, demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    where = ["--cpu", "--batch-size", "1", "--root", tmp_path / "its root", "--python", python]
    command = [sys.executable, "-m", "clinasr_tui", "eval", cycle1, "--model", slow, "--again", *where]
    client = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 30
    while len(called(tmp_path)) < 3:
        assert time.monotonic() < limit
        time.sleep(0.05)
    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=30)
    assert "ended: what is transcribed is kept, the same command without --again goes on" in said
    assert "Traceback" not in said
    done = len(called(tmp_path))
    command.remove("--again")
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    assert len(called(tmp_path)) <= 12 + 1, f"{done} were done before"
