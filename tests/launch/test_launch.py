"""Runs launched for real: a real Docker engine, a real sshd, and recorded runs played in the image."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.flywheel.recipe import Recipe
from clinasr_tui.launch.flow import Prepared, Progress, Step
from clinasr_tui.launch.record import launch_record, read_record, write_record
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training.run_reader import read_run_folder
from clinasr_tui.training.snapshot import Outcome
from tests.support.launching import ended, engine_of, folder_of, launched, plan_of, stopped, there, until

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd

pytestmark = [
    pytest.mark.dockerd,
    pytest.mark.usefixtures("no_container_stays"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


async def test_a_run_finishes_and_the_watcher_reads_it(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    plan, steps = plan_of("sft3", machine), []

    def tell(progress: Progress) -> bool:
        if progress.step not in steps:
            steps.append(progress.step)
        return True

    done = await launched(plan, split, dockerd, tell=tell)
    folder = await ended(plan)
    snapshot = read_run_folder(folder).snapshot()
    assert (snapshot.outcome, snapshot.exit_code, snapshot.points) == (Outcome.FINISHED, 0, 150)
    assert steps == list(Step)
    assert done.prepared.image.startswith("sha256:")
    model = folder / "run/checkpoints/sft3.nemo"
    assert model.read_bytes().startswith(b"stand-in model")
    assert {path.stat().st_uid for path in [folder, *folder.rglob("*")]} == {os.getuid()}
    assert not [path for path in there(machine) if path.name.endswith(".part")]


async def test_the_run_reads_the_split_where_it_sees_it(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    done = await launched(plan_of("sft3", machine), split, dockerd)
    place = done.prepared.packed.train.path
    assert place == "demo-ws/runs/sft3/data/train.jsonl"
    sent = (machine / place).read_text().splitlines()
    here = split[0].read_text().splitlines()
    for line, original in zip(sent, here, strict=True):
        row, before = json.loads(line), json.loads(original)
        audio = before.pop("audio_filepath")
        mark = hashlib.sha256((split[0].parent / audio).read_bytes()).hexdigest()[:12]
        assert row.pop("audio_filepath") == f"/clinasr/demo-ws/cycle1/{audio.replace('.', f'-{mark}.')}"
        assert row == before


@pytest.mark.sshd
async def test_over_ssh_a_lost_connection_does_not_hurt_the_run(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, sshd: Sshd
) -> None:
    plan = plan_of("wait-ssh", machine)
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    await launched(plan, split, dockerd, host=open_host("lab", settings))
    sshd.kill_sessions()
    folder = folder_of(plan)
    await until((folder / "run").exists, "the run never began")
    watch = RunWatch(str(folder), host="lab", ssh=settings)
    async for _ in watch.updates(once=True):
        pass
    assert watch.reader.snapshot(time.time()).outcome is Outcome.RUNNING
    await stopped(plan, dockerd)
    record = json.loads((folder / "exit.json").read_text())
    assert (record["exit_code"], record["asked"]) == (0, "SIGTERM")
    assert read_run_folder(folder).snapshot().outcome is Outcome.INTERRUPTED


async def test_a_stopped_run_goes_on_from_its_last_checkpoint(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    plan = plan_of("wait-resume", machine)
    await launched(plan, split, dockerd)
    folder = folder_of(plan)
    await until((folder / "run").exists, "the run never began")
    await stopped(plan, dockerd)
    assert list((folder / "run/checkpoints").glob("*-last.ckpt"))
    again = await launched(replace(plan, resume=True), split, dockerd)
    await until(lambda: "resuming from" in (folder / "stdout.log").read_text(), "it did not resume")
    await ended(plan)
    assert again.prepared.sent.files == 1
    assert read_run_folder(folder).snapshot().outcome is Outcome.FINISHED
    assert (folder / "start_0/exit.json").exists()


@pytest.mark.parametrize(
    ("run", "outcome", "health"),
    [("oom", Outcome.FAILED, "oom"), ("missing", Outcome.FAILED, "missing_audio"), ("hot", None, "nan_loss")],
)
async def test_a_run_that_goes_wrong_is_told_as_recorded(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, run: str, outcome: Outcome | None, health: str
) -> None:
    plan = plan_of(run, machine)
    await launched(plan, split, dockerd)
    snapshot = read_run_folder(await ended(plan)).snapshot()
    assert outcome in (None, snapshot.outcome)
    assert snapshot.outcome is not Outcome.FINISHED
    assert health in {alert.id for alert in snapshot.health}


async def test_a_run_killed_with_its_container_leaves_no_lie(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    plan = plan_of("wait-kill", machine)
    await launched(plan, split, dockerd)
    folder = folder_of(plan)
    await until((folder / "run").exists, "the run never began")
    async with engine_of(dockerd) as engine:
        await asyncio.to_thread(engine.kill, plan.places.container)
        await until(lambda: not engine.state(plan.places.container).running, "it was not killed")  # type: ignore[union-attr]
        state = await asyncio.to_thread(engine.state, plan.places.container)
    assert state is not None
    assert state.exit_code == 137
    assert not (folder / "exit.json").exists()


async def test_a_running_run_is_not_started_twice(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    plan = plan_of("wait-twice", machine)
    await launched(plan, split, dockerd)
    with pytest.raises(RemoteError, match="the run wait-twice is running already"):
        await launched(plan, split, dockerd)


async def test_a_second_run_waits_for_the_first(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    first, second = plan_of("wait-first", machine), plan_of("sft3-second", machine)
    await launched(first, split, dockerd)
    await until((folder_of(first) / "run").exists, "the first run never began")
    await launched(second, split, dockerd)
    console = folder_of(second) / "stdout.log"
    await until(lambda: console.exists() and "queued" in console.read_text(), "it did not wait")
    assert not (folder_of(second) / "run").exists()
    await stopped(first, dockerd)
    snapshot = read_run_folder(await ended(second)).snapshot()
    assert snapshot.outcome is Outcome.FINISHED


async def test_missing_runtime_and_missing_gpu_are_refused_before_anything_is_sent(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    with pytest.raises(RemoteError, match="no GPU is known there"):
        await launched(replace(plan_of("sft3", machine), cpu=False), split, dockerd)
    assert there(machine) == []


async def test_an_absent_image_without_a_registry_is_one_line(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinasr_tui.launch.flow.IMAGE_BYTES", 0)
    plan = replace(plan_of("sft3", machine), image="127.0.0.1:9/nemo:25.11.01")
    with pytest.raises(RemoteError, match=r"the image 127.0.0.1:9/nemo:25.11.01 cannot be pulled"):
        await launched(plan, split, dockerd)
    assert there(machine) == []


async def test_too_small_a_disk_for_the_image_is_said(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinasr_tui.launch.flow.IMAGE_BYTES", 1 << 60)
    plan = replace(plan_of("sft3", machine), image="no/such:1")
    with pytest.raises(RemoteError, match="GB to unpack, its disk has"):
        await launched(plan, split, dockerd)


async def test_a_recipe_that_makes_no_run_is_refused(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    with pytest.raises(InputError, match="precision"):
        await launched(replace(plan_of("a", machine), recipe=Recipe(precision="fp8")), split, dockerd)


async def test_missing_audio_is_named_by_line(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    audio = json.loads(split[1].read_text().splitlines()[1])["audio_filepath"]
    (split[1].parent / audio).unlink()
    with pytest.raises(InputError, match=f"^{split[1]}:2: its audio is not there"):
        await launched(plan_of("a", machine), split, dockerd)


async def test_cancelling_leaves_no_container(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd
) -> None:
    for step in Step:
        plan = plan_of(f"cancel-{step.name.lower()}", machine)
        with pytest.raises(InterruptedError, match="cancelled"):
            await launched(plan, split, dockerd, tell=lambda now, step=step: now.step is not step)  # type: ignore[misc]
    async with engine_of(dockerd) as engine:
        assert await asyncio.to_thread(engine.ours) == []


async def test_the_record_is_written_before_the_start_and_repeats_the_run(
    split: tuple[Path, Path], machine: Path, dockerd: Dockerd, tmp_path: Path
) -> None:
    folder = tmp_path / "ws/cycle1/models/sft3"
    gate = {"verdict": "blocked", "route": "build", "override": "SMOKE"}

    def before(prepared: Prepared) -> None:
        assert not (folder_of(prepared.plan) / "exit.json").exists()
        write_record(folder, launch_record(prepared, host=None, gate=gate))

    done = await launched(plan_of("sft3", machine), split, dockerd, before=before)
    record = read_record(folder)
    assert record["gate"] == gate
    assert record["run_dir"] == str(folder_of(done.prepared.plan))
    assert record["hyperparameters"]["lr"] == 3e-4
    assert (record["data"]["train_rows"], record["data"]["validation_rows"]) == (6, 2)
    assert record["command"][2:] == record["overrides"]
    assert record["image_digest"].startswith("sha256:")
    assert record["data"]["train_sha256"] != record["data"]["validation_sha256"]


async def test_a_daemon_restarted_mid_run_ends_it_and_says_so(
    split: tuple[Path, Path], machine: Path
) -> None:
    from tests.support.dockerd import Dockerd

    with Dockerd() as dockerd:
        dockerd.import_stand_in()
        plan = plan_of("wait-daemon", machine)
        await launched(plan, split, dockerd)
        folder = folder_of(plan)
        await until((folder / "run").exists, "the run never began")
        await asyncio.to_thread(dockerd.stop, signal.SIGTERM)
        dockerd.start()
        record = json.loads((folder / "exit.json").read_text())
        assert record["asked"] == "SIGTERM"
        assert read_run_folder(folder).snapshot().outcome is Outcome.INTERRUPTED
        again = await launched(replace(plan, resume=True), split, dockerd)
        assert again.id
        await until(lambda: "resuming from" in (folder / "stdout.log").read_text(), "it did not resume")
