"""Runs without a container, beside a NeMo checkout: on this machine and over a real sshd.

The checkout is a folder with the script that plays recorded runs; it is not NeMo, and says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.control import RunHandle, cancel, is_alive
from clinasr_tui.launch.flow import Progress, Step, launch
from clinasr_tui.remote.host import Host, SshSettings
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.training.run_reader import read_run_folder
from clinasr_tui.training.snapshot import Outcome
from tests.support.launching import started

if TYPE_CHECKING:
    from clinasr_tui.launch.plan import Plan

pytestmark = pytest.mark.usefixtures("no_process_stays")


@pytest.fixture
def split(tmp_path: Path, demo_data: Path) -> tuple[Path, Path]:
    for name, rows in (("train", 4), ("validation", 2)):
        lines = (demo_data / f"cycle1/{name}.jsonl").read_bytes().splitlines(keepends=True)[:rows]
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(lines))
        for line in lines:
            audio = json.loads(line)["audio_filepath"]
            (tmp_path / audio).parent.mkdir(exist_ok=True)
            shutil.copy(demo_data / "cycle1" / audio, tmp_path / audio)
    return tmp_path / "train.jsonl", tmp_path / "validation.jsonl"


def folder_of(plan: Plan) -> Path:
    return Path(plan.places.at(plan.places.run_dir))


def handle_for(plan: Plan) -> RunHandle:
    return RunHandle(plan.places.run, str(folder_of(plan)), None)


async def until(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, what
        await asyncio.sleep(0.05)


async def test_a_run_outlives_its_connection_and_finishes(
    plan: Callable[[str], Plan], split: tuple[Path, Path], host: Host
) -> None:
    one = plan("sft3")
    async with host:
        done = await started(one, split, host)
    folder = folder_of(one)
    await until((folder / "exit.json").exists, "it never ended")
    snapshot = read_run_folder(folder).snapshot()
    assert (snapshot.outcome, snapshot.exit_code, snapshot.points) == (Outcome.FINISHED, 0, 150)
    assert done.prepared.image == ""
    assert one.started_by[0] == one.python
    async with open_host(None, SshSettings()) as here:
        assert not await is_alive(handle_for(one), here)


async def test_it_is_cancelled_and_goes_on_from_its_checkpoint(
    plan: Callable[[str], Plan], split: tuple[Path, Path], host: Host
) -> None:
    one, waited = plan("wait-local"), []
    folder = folder_of(one)
    async with host:
        await started(one, split, host)
        await until((folder / "run").exists, "it never began")
        assert await is_alive(handle_for(one), host)
        with pytest.raises(RemoteError, match="the run wait-local is running already"):
            await started(one, split, host)
        assert await cancel(handle_for(one), host, tell=waited.append)
        assert not await cancel(handle_for(one), host)
        assert waited
        assert list((folder / "run/checkpoints").glob("*-last.ckpt"))
        assert read_run_folder(folder).snapshot().outcome is Outcome.INTERRUPTED
        await started(replace(one, resume=True), split, host)
    await until(lambda: "resuming from" in (folder / "stdout.log").read_text(), "it did not resume")
    await until((folder / "exit.json").exists, "it never ended")
    assert read_run_folder(folder).snapshot().outcome is Outcome.FINISHED
    assert (folder / "start_0/exit.json").exists()


async def test_a_run_whose_wrapper_is_killed_is_still_known_and_ended(
    plan: Callable[[str], Plan], split: tuple[Path, Path], tmp_path: Path
) -> None:
    one = plan("wait-orphan")
    folder = folder_of(one)
    async with open_host(None, SshSettings()) as host:
        await started(one, split, host)
        await until((folder / "run").exists, "it never began")
        os.kill(json.loads((folder / "pid.json").read_text())["pid"], signal.SIGKILL)
        assert await is_alive(handle_for(one), host)
        other = plan("sft3-next")
        await started(other, split, host)
        console = folder_of(other) / "stdout.log"
        await until(lambda: console.exists() and "queued" in console.read_text(), "the GPU was thought free")
        assert await cancel(handle_for(one), host)
        record = json.loads((folder / "exit.json").read_text())
        assert (record["exit_code"], record["signal"], record["asked"]) == (None, "SIGTERM", "SIGTERM")
        assert read_run_folder(folder).snapshot().outcome is Outcome.INTERRUPTED
    await until((folder_of(other) / "exit.json").exists, "the next run never had its turn")


async def test_a_script_that_is_not_there_is_said_before_anything_is_sent(
    plan: Callable[[str], Plan], split: tuple[Path, Path], tmp_path: Path
) -> None:
    async with open_host(None, SshSettings()) as host:
        with pytest.raises(RemoteError, match="NeMo's script is not there"):
            await started(replace(plan("a"), nemo_root="/no/NeMo"), split, host)
    assert not (tmp_path / "machine").exists()


async def test_a_cancelled_start_leaves_no_process(
    plan: Callable[[str], Plan], split: tuple[Path, Path], tmp_path: Path
) -> None:
    one = plan("wait-undone")

    def tell(now: Progress) -> bool:
        if now.step is Step.START:
            asyncio.get_running_loop().call_soon(task.cancel)
        return True

    async with open_host(None, SshSettings()) as host:
        task = asyncio.ensure_future(launch(one, split, host, tell, lambda _: None))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (folder_of(one) / "pid.json").exists()
        assert not await is_alive(handle_for(one), host)
