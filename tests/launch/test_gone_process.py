"""Processes that die unseen, cannot begin, or do not want to end: what is told of them, and what stays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.flywheel.workspace import open_cycle
from clinasr_tui.launch import ending
from clinasr_tui.launch.control import RunHandle, cancel, is_alive, settle_by_name
from clinasr_tui.launch.ending import QuietLook, settle_quiet
from clinasr_tui.launch.flow import launch
from clinasr_tui.launch.record import read_record
from clinasr_tui.launch.runs import launch_run
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training.run_reader import read_run_folder
from clinasr_tui.training.snapshot import Outcome
from tests.support.launching import ended, folder_of, until

if TYPE_CHECKING:
    from clinasr_tui.launch.plan import Plan

pytestmark = pytest.mark.usefixtures("no_process_stays")
PYTHON = "/usr/bin/python3"


def handle_for(plan: Plan) -> RunHandle:
    return RunHandle(plan.places.run, str(folder_of(plan)), None)


async def started(plan: Plan, split: tuple[Path, Path]) -> None:
    async with open_host(None, SshSettings()) as host:
        await launch(plan, split, host, lambda _: True, lambda _: None)


def pid_in(file: Path) -> int:
    return int(json.loads(file.read_text())["pid"])


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


# --- one that cannot begin ----------------------------------------------------------------------------


async def test_a_python_that_cannot_begin_is_told_in_its_own_words(
    plan: Callable[[str], Plan], split: tuple[Path, Path], tmp_path: Path
) -> None:
    broken = program(tmp_path / "badpy", "#!/bin/sh\necho ImportError: no libpython >&2\nexit 127\n")
    with pytest.raises(RemoteError) as told:
        await started(replace(plan("a"), python=broken), split)
    said = str(told.value)
    assert "the run cannot begin: it ended at once (exit code 127): ImportError: no libpython" in said
    assert "--python" in said
    with pytest.raises(RemoteError, match=r"the run cannot begin: /no/such cannot be started: No such file"):
        await started(replace(plan("a"), python="/no/such"), split)
    # Its name is free: nothing of a run is there.
    await started(plan("a"), split)
    await ended(plan("a"))


async def test_a_run_that_is_over_at_once_was_started(
    plan: Callable[[str], Plan], split: tuple[Path, Path], nemo: Path
) -> None:
    (nemo / "examples/asr/speech_to_text_finetune.py").write_text("import sys\nsys.exit('no such key')\n")
    await started(plan("a"), split)
    snapshot = read_run_folder(await ended(plan("a"))).snapshot()
    assert (snapshot.outcome, snapshot.exit_code) == (Outcome.FAILED, 1)


# --- one that dies unseen -----------------------------------------------------------------------------


async def test_a_watcher_learns_of_a_process_that_died_before_it_said_anything(
    plan: Callable[[str], Plan], split: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, nemo: Path
) -> None:
    monkeypatch.setattr(ending, "QUIET_SECONDS", 0.5)
    (nemo / "examples/asr/speech_to_text_finetune.py").write_text("import time\ntime.sleep(60)\n")
    one = plan("a")
    folder = folder_of(one)
    await started(one, split)
    await until((folder / "child.json").exists, "it never began")
    with (folder / "wrapper.log").open("a") as log:
        log.write("the last word\n")
    for name in ("pid.json", "child.json"):
        os.kill(pid_in(folder / name), signal.SIGKILL)
    record = {"run": "a", "run_dir": str(folder), "backend": "local"}
    watch, quiet = RunWatch(str(folder)), QuietLook(record, None, SshSettings())
    assert watch.reader.snapshot(time.time()).outcome is Outcome.UNKNOWN

    async def look() -> None:
        while True:
            quiet.look(watch.reader.snapshot(time.time()))
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    async with asyncio.timeout(20):
        async for _ in watch.updates():
            pass
    looking.cancel()
    await quiet.close()
    snapshot = watch.reader.snapshot()
    assert (snapshot.outcome, snapshot.exit_code) == (Outcome.FAILED, None)
    assert "The process has gone without a word" in snapshot.headline
    assert "the last it said: the last word" in snapshot.headline
    assert "by" in json.loads((folder / "exit.json").read_text())


async def test_nothing_is_written_for_one_that_lives_has_ended_never_began_or_is_on_another_machine(
    plan: Callable[[str], Plan], split: tuple[Path, Path], tmp_path: Path
) -> None:
    one = plan("wait-a")
    folder = folder_of(one)
    handle = handle_for(one)
    assert not await settle_quiet(handle._replace(run_dir=str(tmp_path)), None, SshSettings())
    await started(one, split)
    await until((folder / "run/checkpoints").exists, "it never began")
    assert not await settle_quiet(handle, None, SshSettings())
    # Only the wrapper dies: the run goes on.
    os.kill(pid_in(folder / "pid.json"), signal.SIGKILL)
    assert not await settle_quiet(handle, None, SshSettings())
    os.killpg(pid_in(folder / "child.json"), signal.SIGKILL)
    known = json.loads((folder / "pid.json").read_text())
    (folder / "pid.json").write_text(json.dumps({**known, "on": "another-node"}))
    assert not await settle_quiet(handle, None, SshSettings())
    assert not (folder / "exit.json").exists()
    (folder / "pid.json").write_text(json.dumps(known))
    assert await settle_quiet(handle, None, SshSettings())
    left = (folder / "exit.json").read_bytes()
    async with open_host(None, SshSettings()) as host:
        assert not await settle_by_name(handle, host)
    assert (folder / "exit.json").read_bytes() == left


async def test_one_look_tells_that_it_has_gone(
    plan: Callable[[str], Plan], split: tuple[Path, Path], tmp_path: Path
) -> None:
    cycle, one = open_cycle(split[0].parent), plan("wait-a")
    folder, kept = folder_of(one), cycle.folder / "models/wait-a"
    async with open_host(None, SshSettings()) as host:
        await launch_run(one, cycle, host, lambda _: True, host_name=None, gate={"verdict": "pass"})
    await until((folder / "run/checkpoints").exists, "it never began")
    argv = [sys.executable, "-m", "clinasr_tui", "watch", str(kept), "--once"]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    alive = await asyncio.to_thread(subprocess.run, argv, env=env, capture_output=True, text=True)
    assert alive.returncode == 0, alive.stderr
    for name in ("pid.json", "child.json"):
        os.kill(pid_in(folder / name), signal.SIGKILL)
    gone = await asyncio.to_thread(subprocess.run, argv, env=env, capture_output=True, text=True)
    assert gone.returncode == 1
    assert "The process has gone without a word" in gone.stdout
    assert read_record(kept)["outcome"] == "failed"


# --- one that does not want to end --------------------------------------------------------------------

_STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
rank = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)", "machine rank 1"])
open("rank", "w").write(str(rank.pid))
open("ready", "w").close()
time.sleep(120)
"""


def has_gone(pid: int) -> Callable[[], bool]:
    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    return gone


async def stubborn(plan: Plan, split: tuple[Path, Path], nemo: Path) -> tuple[Path, int]:
    """A run of two workers that does not hear SIGTERM; its folder, and the second worker's process."""
    (nemo / "examples/asr/speech_to_text_finetune.py").write_text(_STUBBORN)
    await started(plan, split)
    folder = folder_of(plan)
    await until((folder / "ready").exists, "it never began")
    return folder, int((folder / "rank").read_text())


@pytest.mark.parametrize("wrapper_lives", [True, False])
async def test_a_run_that_is_killed_leaves_no_worker_behind(
    plan: Callable[[str], Plan], split: tuple[Path, Path], nemo: Path, wrapper_lives: bool
) -> None:
    one = plan("a")
    folder, rank = await stubborn(one, split, nemo)
    if not wrapper_lives:
        os.kill(pid_in(folder / "pid.json"), signal.SIGKILL)
    async with open_host(None, SshSettings()) as host:
        assert await cancel(handle_for(one), host, seconds=1)
        assert not await is_alive(handle_for(one), host)
    await until(has_gone(rank), "the second worker lives on")
    record: dict[str, Any] = json.loads((folder / "exit.json").read_text())
    assert (record["signal"], record["asked"]) == ("SIGKILL", "SIGTERM")
    assert record["exit_code"] == (137 if wrapper_lives else None)
    assert ("by" in record) is not wrapper_lives


async def test_what_outlives_a_command_that_was_told_to_end_is_ended_with_it(
    plan: Callable[[str], Plan], split: tuple[Path, Path], nemo: Path
) -> None:
    one = plan("a")
    script = _STUBBORN.replace("signal.SIG_IGN", "lambda *_: sys.exit(0)")
    (nemo / "examples/asr/speech_to_text_finetune.py").write_text(script)
    await started(one, split)
    folder = folder_of(one)
    await until((folder / "ready").exists, "it never began")
    async with open_host(None, SshSettings()) as host:
        assert await cancel(handle_for(one), host, seconds=20)
    await until(has_gone(int((folder / "rank").read_text())), "the second worker lives on", 5)
    assert json.loads((folder / "exit.json").read_text())["exit_code"] == 0
