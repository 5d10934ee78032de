"""A run's folder holds one run: what an earlier or another one left there is never taken for its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.flywheel.workspace import open_cycle
from clinasr_tui.launch.claim import Claim, claim, held, owner_mark
from clinasr_tui.launch.control import RunHandle
from clinasr_tui.launch.flow import Progress, Step
from clinasr_tui.launch.process_run import ProcessRun
from clinasr_tui.launch.record import read_record
from clinasr_tui.launch.runs import launch_run
from clinasr_tui.remote.host import Host, SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.evaluating import python_with_stand_in, until
from tests.support.launching import ended, engine_of, folder_of, launched, plan_of, started, there

if TYPE_CHECKING:
    from clinasr_tui.launch.plan import Plan
    from tests.support.dockerd import Dockerd

pytestmark = pytest.mark.usefixtures("no_process_stays")
GATE = {"verdict": "pass", "route": "finetune", "reasons": [], "override": None}
PYTHON = "/usr/bin/python3"


async def test_the_folder_of_an_earlier_run_is_refused_and_left_as_it_is(
    plan: Callable[[str], Plan], split: tuple[Path, Path], host: Host
) -> None:
    one = plan("sft3")
    async with host:
        await started(one, split, host)
        await ended(one)
        before = {path: path.stat().st_mtime_ns for path in there(folder_of(one))}
        with pytest.raises(RemoteError, match="an earlier run of this name is there") as told:
            await started(one, split, host)
        assert "Choose another name" in str(told.value)
        assert {path: path.stat().st_mtime_ns for path in there(folder_of(one))} == before
        await started(replace(one, resume=True), split, host)
        await ended(one)


@pytest.mark.dockerd
@pytest.mark.usefixtures("no_container_stays")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_in_a_container_too_and_the_earlier_container_still_tells(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    one = plan_of("oom", machine)
    await launched(one, split, dockerd)
    await ended(one)
    async with engine_of(dockerd) as engine:
        # Its record comes before the container's own end.
        await until(lambda: not engine.state(one.places.container).running, "the container never ended")
        with pytest.raises(RemoteError, match="an earlier run of this name is there"):
            await launched(one, split, dockerd)
        assert engine.state(one.places.container) is not None


async def test_a_run_whose_record_was_removed_is_not_handed_over_as_the_next_one(
    plan: Callable[[str], Plan], split: tuple[Path, Path]
) -> None:
    cycle, one = open_cycle(split[0].parent), plan("sft3")
    async with open_host(None, SshSettings()) as here:
        await launch_run(one, cycle, here, lambda _: True, host_name=None, gate=GATE)
        await ended(one)
        shutil.rmtree(cycle.folder / "models/sft3")
        with pytest.raises(RemoteError, match="an earlier run of this name is there"):
            await launch_run(one, cycle, here, lambda _: True, host_name=None, gate=GATE)
    assert not (cycle.folder / "models/sft3").exists()


async def test_a_workspace_of_the_same_name_does_not_get_the_folder(tmp_path: Path, host: Host) -> None:
    handle = RunHandle("sft1", str(tmp_path / "root's/demo/runs/sft1"), None)
    ours, theirs = owner_mark(tmp_path / "a/demo"), owner_mark(tmp_path / "b/demo")
    async with host:
        await claim(handle, host, Claim(ours))
        with pytest.raises(RemoteError, match="belongs to another workspace"):
            await claim(handle, host, Claim(theirs, undone=handle.run_dir))
        await claim(handle, host, Claim(ours))


async def test_what_an_undone_start_left_is_put_aside(
    plan: Callable[[str], Plan], split: tuple[Path, Path]
) -> None:
    cycle, one = open_cycle(split[0].parent), plan("wait-undone")
    folder = folder_of(one)

    def tell(now: Progress) -> bool:
        if now.step is Step.START:
            asyncio.get_running_loop().call_soon(task.cancel)
        return True

    async with open_host(None, SshSettings()) as here:
        task = asyncio.ensure_future(launch_run(one, cycle, here, tell, host_name=None, gate=GATE))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert read_record(cycle.folder / "models/wait-undone")["state"] == "not started"
        # How far it came is chance.
        (folder / "run").mkdir(exist_ok=True)
        (folder / "run/of-before").touch()
        await launch_run(one, cycle, here, lambda _: True, host_name=None, gate=GATE)
        assert (folder.parent / "wait-undone~1/run/of-before").exists()
        assert not (folder / "run/of-before").exists()


async def test_two_starts_at_once_are_one_start(plan: Callable[[str], Plan], host: Host) -> None:
    one = plan("a")
    folder = folder_of(one)
    folder.mkdir(parents=True)
    argv = [PYTHON, "-c", "open('stdout.log', 'ab').write(b'x'); import time; time.sleep(60)", str(folder)]
    process = ProcessRun(str(folder))
    async with host:
        both = (process.start(host, argv, "a"), process.start(host, argv, "a"))
        done = await asyncio.gather(*both, return_exceptions=True)
        (refused,) = (one for one in done if isinstance(one, RemoteError))
        assert "the run a is running already" in str(refused)
        assert str(json.loads((folder / "pid.json").read_text())["pid"]) in done
        assert (folder / "stdout.log").read_text() == "x"


async def test_a_name_is_held_while_it_is_launched(
    plan: Callable[[str], Plan], split: tuple[Path, Path]
) -> None:
    cycle, one = open_cycle(split[0].parent), plan("sft3")
    folder = cycle.folder / "models/sft3"
    async with open_host(None, SshSettings()) as here:
        with held(folder), pytest.raises(InputError, match="is being launched by another process"):
            await launch_run(one, cycle, here, lambda _: True, host_name=None, gate=GATE)
        assert not folder.exists()
        await launch_run(one, cycle, here, lambda _: True, host_name=None, gate=GATE)
        # Planned before the other one was started.
        with pytest.raises(InputError, match="the run sft3 is there already"):
            await launch_run(one, cycle, here, lambda _: True, host_name=None, gate=GATE)
        await ended(one)


def test_two_commands_side_by_side_start_one_run_each_or_refuse(
    two_cycles: Path, tmp_path: Path, nemo: Path
) -> None:
    env = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    machine = tmp_path / "machine"
    python = str(python_with_stand_in(tmp_path))
    argv = [sys.executable, "-m", "clinasr_tui", "train", "cycle1", "--backend", "local", "--python", python]
    argv += ["--nemo-root", str(nemo), "--cpu", "--root", str(machine)]
    both = [
        subprocess.Popen(argv, cwd=two_cycles, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = {process.communicate(timeout=60)[1]: process.returncode for process in both}
    assert 0 in said.values()
    runs = [folder for folder in (machine / "espeak-demo/runs").iterdir() if folder.is_dir()]
    assert len(runs) == list(said.values()).count(0)
    assert all("launched by another process" in text for text, code in said.items() if code)
    assert not list(machine.rglob("start_0"))
