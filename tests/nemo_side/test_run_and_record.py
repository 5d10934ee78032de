"""The wrapper around a run, with real processes, signals and a real lock."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clinasr_tui.nemo_side import run_and_record
from clinasr_tui.training.exit_record import parse_exit

SCRIPT = Path(run_and_record.__file__)
LEAVES = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(%d)"
SAVES_ON_TERM = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n"
)


def start(folder: Path, code: str, **spec: object) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    place = folder / "launch.json"
    place.write_text(json.dumps({"argv": [sys.executable, "-c", code], "folder": str(folder), **spec}))
    return subprocess.Popen([sys.executable, "-I", str(SCRIPT), str(place)])


def record(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "exit.json").read_text())
    assert isinstance(found, dict)
    return found


def until(folder: Path, text: str) -> None:
    limit = time.monotonic() + 10
    while text not in (folder / "stdout.log").read_text() if (folder / "stdout.log").exists() else True:
        assert time.monotonic() < limit, f"{text} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("code", [0, 1, 77])
def test_streams_and_exit_code_are_kept(tmp_path: Path, code: int) -> None:
    before = time.time()
    assert start(tmp_path / "run", LEAVES % code).wait(10) == code
    found = record(tmp_path / "run")
    assert (tmp_path / "run/stdout.log").read_text() == "out\n"
    assert (tmp_path / "run/stderr.log").read_text() == "err\n"
    assert (found["exit_code"], found["signal"], found["asked"], found["oom"]) == (code, None, None, False)
    assert before <= found["started"] <= found["ended"] <= time.time()
    assert not (tmp_path / "run/exit.json.new").exists()


def test_the_watcher_reads_the_record(tmp_path: Path) -> None:
    start(tmp_path, "import os; os.kill(os.getpid(), 9)").wait(10)
    found = parse_exit("exit.json", (tmp_path / "exit.json").read_bytes())
    assert found is not None
    assert (found.code, found.signal_name, found.oom) == (137, "SIGKILL", False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_is_recorded(tmp_path: Path, number: signal.Signals) -> None:
    run = start(tmp_path, SAVES_ON_TERM.replace("SIGTERM", number.name))
    until(tmp_path, "ready")
    run.send_signal(number)
    assert run.wait(10) == 0
    assert (record(tmp_path)["asked"], record(tmp_path)["exit_code"]) == (number.name, 0)
    assert (tmp_path / "stdout.log").read_text() == "ready\nsaved\n"


def test_a_signal_that_announces_the_end_is_passed_on_as_sigterm_with_its_reason(tmp_path: Path) -> None:
    process = start(tmp_path / "run", SAVES_ON_TERM, ends={"SIGUSR1": "Slurm (time limit)"})
    until(tmp_path / "run", "ready")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(10) == 0
    found = record(tmp_path / "run")
    assert (found["asked"], found["reason"], found["exit_code"]) == ("SIGTERM", "Slurm (time limit)", 0)
    assert "saved" in (tmp_path / "run/stdout.log").read_text()


def test_a_command_that_does_not_exist_leaves_a_record(tmp_path: Path) -> None:
    place = tmp_path / "launch.json"
    place.write_text(json.dumps({"argv": ["/no/such/python"], "folder": str(tmp_path)}))
    assert subprocess.run([sys.executable, str(SCRIPT), str(place)], check=False).returncode == 127
    assert record(tmp_path)["exit_code"] == 127
    assert "cannot start /no/such/python: No such file" in (tmp_path / "stderr.log").read_text()


def test_runs_on_one_machine_follow_each_other(tmp_path: Path) -> None:
    lock = str(tmp_path / "gpu.lock")
    first = start(tmp_path / "a", SAVES_ON_TERM, lock=lock)
    until(tmp_path / "a", "ready")
    second = start(tmp_path / "b", LEAVES % 0, lock=lock)
    until(tmp_path / "b", "queued")
    assert "out" not in (tmp_path / "b/stdout.log").read_text()
    first.terminate()
    assert (first.wait(10), second.wait(10)) == (0, 0)
    assert record(tmp_path / "b")["queued_seconds"] > 0
    assert (tmp_path / "b/stdout.log").read_text().splitlines()[-1] == "out"


def test_a_queued_run_can_be_ended(tmp_path: Path) -> None:
    with (tmp_path / "gpu.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = start(tmp_path / "b", LEAVES % 0, lock=str(tmp_path / "gpu.lock"))
        until(tmp_path / "b", "queued")
        run.terminate()
        assert run.wait(10) == 128 + signal.SIGTERM
    assert (record(tmp_path / "b")["signal"], record(tmp_path / "b")["asked"]) == ("SIGTERM", "SIGTERM")


def test_an_earlier_start_is_kept_and_its_record_not_believed(tmp_path: Path) -> None:
    start(tmp_path, LEAVES % 3).wait(10)
    run = start(tmp_path, SAVES_ON_TERM)
    until(tmp_path, "ready")
    assert not (tmp_path / "exit.json").exists()
    assert json.loads((tmp_path / "start_0/exit.json").read_text())["exit_code"] == 3
    assert (tmp_path / "start_0/stdout.log").read_text() == "out\n"
    run.terminate()
    run.wait(10)


def test_environment_reaches_the_command(tmp_path: Path) -> None:
    start(tmp_path, "import os; print(os.environ['HF_HOME'])", env={"HF_HOME": "/cache"}).wait(10)
    assert (tmp_path / "stdout.log").read_text() == "/cache\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_belong_to_the_operator_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(folder, "open('model.nemo', 'w')", owner=[12345, 12346], own=[str(folder)]).wait(10)
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in [folder, *folder.iterdir()]}
    assert set(owners) >= {"run", "model.nemo", "exit.json", "stdout.log"}
    assert set(owners.values()) == {(12345, 12346)}
