"""What goes wrong between a launch and its end, with a real Docker engine: told rightly, and nothing left."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.flywheel.workspace import open_cycle
from clinasr_tui.launch import docker_engine
from clinasr_tui.launch.control import RunHandle
from clinasr_tui.launch.ending import QuietLook, complete_record, settle_quiet
from clinasr_tui.launch.flow import Progress, Step, launch
from clinasr_tui.launch.record import read_record
from clinasr_tui.launch.runs import Choices, as_before, launch_run, run_name
from clinasr_tui.remote.host import SshSettings, UnreachableError
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.training.run_reader import read_run_folder
from clinasr_tui.training.snapshot import Outcome
from tests.support.dockerd import IMAGE
from tests.support.launching import ended, engine_of, folder_of, launched, plan_of, there, until
from tests.support.small_disk import mounted

if TYPE_CHECKING:
    from clinasr_tui.launch.plan import Plan
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd

pytestmark = [
    pytest.mark.dockerd,
    pytest.mark.usefixtures("no_container_stays"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]
SMI = """#!/bin/sh
# Stands in for nvidia-smi: prints one GPU as documented, and is none.
echo "NVIDIA L40S, 46068, 8.9, 570.86.15"
"""
GATE = {"verdict": "pass", "route": "finetune", "reasons": [], "override": None}


def handle_for(plan: Plan, dockerd: Dockerd) -> RunHandle:
    return RunHandle(plan.places.run, str(folder_of(plan)), plan.places.container, str(dockerd.socket))


@pytest.mark.sshd
async def test_a_connection_lost_while_sending_leaves_nothing_half_sent_and_goes_on(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, sshd: Sshd
) -> None:
    plan = plan_of("sft3", machine)
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)

    def cut(now: Progress) -> bool:
        if now.step is Step.SEND and (now.fraction or 0) > 0.4:
            sshd.kill_sessions()
        return True

    with pytest.raises(UnreachableError):
        await launched(plan, split, dockerd, host=open_host("lab", settings), tell=cut)
    whole = {path.name: path.read_bytes() for path in split[0].parent.rglob("*.wav")}
    sent = [path for path in there(machine) if path.suffix == ".wav"]
    assert all(path.read_bytes() == whole[path.name] for path in sent)
    assert dockerd.docker("ps", "-aq") == ""
    done = await launched(plan, split, dockerd, host=open_host("lab", settings))
    # What was on its way when contact was lost has still been written.
    assert done.prepared.sent.there >= len(sent)
    assert read_run_folder(await ended(plan)).snapshot().outcome is Outcome.FINISHED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB, as the box's."""
    with mounted(tmp_path / "small", "200k") as folder:
        yield folder


async def test_a_full_disk_on_the_box_is_said_and_starts_nothing(
    split: tuple[Path, Path], small_disk: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RemoteError, match=r"are to be sent and 268\.4 MB to stay free"):
        await launched(plan_of("sft3", small_disk), split, dockerd)
    monkeypatch.setattr("clinasr_tui.launch.send._SPARE", -(1 << 40))
    with pytest.raises(RemoteError, match="its disk is full"):
        await launched(plan_of("sft3", small_disk), split, dockerd)
    whole = {path.name: path.read_bytes() for path in split[0].parent.rglob("*.wav")}
    assert all(path.read_bytes() == whole[path.name] for path in there(small_disk) if path.suffix == ".wav")
    assert dockerd.docker("ps", "-aq") == ""


async def test_a_container_of_that_name_that_is_not_ours_is_left_alone(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    plan = plan_of("sft3", machine)
    dockerd.docker("run", "-d", "--network=none", "--name", plan.places.container, IMAGE, "sleep", "60")
    with pytest.raises(RemoteError, match="is there already and is not one of ours"):
        await launched(plan, split, dockerd)
    assert there(machine) == []
    assert plan.places.container in dockerd.docker("ps", "--format", "{{.Names}}")


async def test_a_run_of_the_same_name_in_another_folder_is_left_alone(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, tmp_path: Path
) -> None:
    plan = plan_of("sft3", machine)
    await launched(plan, split, dockerd)
    await ended(plan)
    with pytest.raises(RemoteError, match="of a run in"):
        await launched(plan_of("sft3", tmp_path / "elsewhere"), split, dockerd)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_gpu_without_dockers_nvidia_runtime_is_said_before_anything_is_sent(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/nvidia-smi").write_text(SMI)
    (tmp_path / "bin/nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(RemoteError, match="Docker has no NVIDIA runtime there") as caught:
        await launched(replace(plan_of("sft3", machine), cpu=False), split, dockerd)
    assert "nvidia-ctk runtime configure" in str(caught.value)
    assert there(machine) == []


async def test_out_of_memory_is_told_by_the_runs_own_record(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = functools.partial(docker_engine.ContainerSpec, memory=96 << 20)
    monkeypatch.setattr(docker_engine, "ContainerSpec", little)
    plan = plan_of("hungry", machine)
    await launched(plan, split, dockerd)
    async with engine_of(dockerd) as engine:
        name = plan.places.container
        await until(lambda: not engine.state(name).running, "it ate on", 60)  # type: ignore[union-attr]
    await settle_quiet(handle_for(plan, dockerd), None, SshSettings())
    record = json.loads((folder_of(plan) / "exit.json").read_text())
    assert (record["exit_code"], record["oom"]) == (137, True)
    snapshot = read_run_folder(folder_of(plan)).snapshot()
    assert snapshot.outcome is Outcome.FAILED
    assert "oom" in {alert.id for alert in snapshot.health}


async def test_the_engines_word_settles_a_run_that_was_killed(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("wait-killed", machine)
    handle = handle_for(plan, dockerd)
    await launched(plan, split, dockerd)
    await until((folder_of(plan) / "run").exists, "the run never began")
    assert not await settle_quiet(handle, None, SshSettings())
    async with engine_of(dockerd) as engine:
        await asyncio.to_thread(engine.kill, plan.places.container)
        name = plan.places.container
        await until(lambda: not engine.state(name).running, "it was not killed")  # type: ignore[union-attr]
    monkeypatch.setattr("clinasr_tui.launch.ending.QUIET_SECONDS", 0.2)
    kept = {"run": "r", "run_dir": handle.run_dir, "backend": "docker", "container": handle.container}
    look = QuietLook({**kept, "docker_socket": handle.socket}, None, SshSettings())
    snapshot = read_run_folder(folder_of(plan)).snapshot()
    look.look(snapshot)
    await asyncio.sleep(0.3)
    assert not (folder_of(plan) / "exit.json").exists()
    look.look(snapshot)
    await until((folder_of(plan) / "exit.json").exists, "nobody asked")
    await look.close()
    assert not await settle_quiet(handle, None, SshSettings())
    record = json.loads((folder_of(plan) / "exit.json").read_text())
    assert record["exit_code"] == 137
    assert "written from outside" in record["by"]
    assert read_run_folder(folder_of(plan)).snapshot().outcome is Outcome.FAILED
    assert not await settle_quiet(handle._replace(socket="/no/socket"), None, SshSettings())


async def test_a_start_that_is_cancelled_is_undone(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    def tell(now: Progress) -> bool:
        if now.step is Step.START:
            asyncio.get_running_loop().call_later(0.05, task.cancel)
        return True

    async with open_host(None, SshSettings()) as host:
        work = launch(plan_of("wait-c", machine), split, host, tell, lambda _: 0, socket=str(dockerd.socket))
        task = asyncio.ensure_future(work)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert dockerd.docker("ps", "-aq") == ""


# --- the record ---------------------------------------------------------------------------------------


async def test_the_record_says_what_became_of_a_launch(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle = open_cycle(split[0].parent)
    folder = cycle.folder / "models/sft1"

    async def start(plan: Plan) -> None:
        async with open_host(None, SshSettings()) as host:
            await launch_run(
                plan, cycle, host, lambda _: True, host_name=None, gate=GATE, socket=str(dockerd.socket)
            )

    def refuse(*_: object) -> str:
        raise RemoteError("no")

    def lose(*_: object) -> str:
        raise UnreachableError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(docker_engine.Engine, "start", refuse)
        with pytest.raises(RemoteError, match="no"):
            await start(plan_of("sft1", machine))
    assert (read_record(folder)["state"], read_record(folder)["trouble"]) == ("not started", "no")
    assert run_name(open_cycle(cycle.folder), "", resume=False) == "sft1"
    with monkeypatch.context() as patched:
        patched.setattr(docker_engine.Engine, "start", lose)
        with pytest.raises(UnreachableError):
            await start(plan_of("sft1", machine))
    assert read_record(folder)["state"] == "start unclear"
    assert run_name(open_cycle(cycle.folder), "", resume=False) == "sft2"

    await start(plan_of("sft1", machine))
    left = await ended(plan_of("sft1", machine))
    record = read_record(folder)
    assert record["state"] == "started"
    assert record["docker_socket"] == str(dockerd.socket)
    assert complete_record(folder, read_run_folder(left).snapshot(), left / "exit.json")
    assert not complete_record(folder, read_run_folder(left).snapshot(), left / "exit.json")
    record = read_record(folder)
    assert (record["state"], record["outcome"], record["gate"]) == ("ended", "finished", GATE)
    assert record["ended_at"] == json.loads((left / "exit.json").read_text())["ended"]

    with monkeypatch.context() as patched:
        patched.setattr(docker_engine.Engine, "start", refuse)
        with pytest.raises(RemoteError):
            await start(replace(plan_of("sft1", machine), resume=True))
    assert read_record(folder) == record


async def test_a_resumed_run_has_the_settings_it_was_started_with(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    cycle = open_cycle(split[0].parent)
    async with open_host(None, SshSettings()) as host:
        plan = plan_of("sft1", machine)
        await launch_run(
            plan, cycle, host, lambda _: True, host_name=None, gate=GATE, socket=str(dockerd.socket)
        )
    again = as_before(open_cycle(cycle.folder), Choices(run="sft1", resume=True, settings={"max_epochs": 6}))
    assert (again.cpu, again.root, again.socket) == (True, str(machine), str(dockerd.socket))
    assert (again.settings["precision"], again.settings["max_epochs"]) == ("32", 6)
    with pytest.raises(InputError, match="there is no run sft9 to resume"):
        as_before(cycle, Choices(run="sft9", resume=True))
    await ended(plan)
