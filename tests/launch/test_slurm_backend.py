"""Runs as Slurm jobs: a real Slurm of two nodes, on this machine and over a real sshd.

The checkout is a folder with the script that plays recorded runs; it is not NeMo, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.flywheel.recipe import Recipe
from clinasr_tui.launch.control import RunHandle, cancel, is_alive, settle_by_name
from clinasr_tui.launch.flow import Launched, launch
from clinasr_tui.launch.places import Places
from clinasr_tui.launch.plan import Backend, Plan
from clinasr_tui.launch.slurm_batch import SlurmOptions
from clinasr_tui.remote.host import Host, SshSettings
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training.run_reader import read_run_folder
from clinasr_tui.training.snapshot import Outcome, Phase, RunSnapshot
from tests.support.launching import folder_of, until

if TYPE_CHECKING:
    from tests.support.slurm import SlurmCluster
    from tests.support.sshd import Sshd

pytestmark = pytest.mark.slurm
PYTHON = "/usr/bin/python3"
Plans = Callable[..., Plan]


@pytest.fixture
def plan(tmp_path: Path, nemo: Path) -> Plans:
    def of(run: str, *options: str) -> Plan:
        return Plan(
            Places(str(tmp_path / "a cluster & its 50% disk"), "demo", 1, run),
            "nvidia/parakeet-tdt-0.6b-v2",
            Recipe(precision="32"),
            backend=Backend.SLURM,
            python=PYTHON,
            nemo_root=str(nemo),
            slurm=SlurmOptions.of(options),
        )

    return of


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.sshd)])
def host(request: pytest.FixtureRequest, slurm: SlurmCluster) -> Host:
    if request.param == "local":
        return open_host(None, SshSettings())
    sshd: Sshd = request.getfixturevalue("sshd")
    sshd.configure(f"SetEnv SLURM_CONF={slurm.config}")
    return open_host("lab", SshSettings(config=sshd.config, known_hosts=sshd.known_hosts))


def here() -> Host:
    return open_host(None, SshSettings())


async def started(plan: Plan, split: tuple[Path, Path], host: Host) -> Launched:
    return await launch(plan, split, host, lambda _: True, lambda _: None)


def handle_for(plan: Plan) -> RunHandle:
    return RunHandle(plan.places.run, str(folder_of(plan)), None, job=plan.places.container)


async def now(plan: Plan) -> RunSnapshot:
    """What a watcher of the run's machine sees."""
    watch = RunWatch(str(folder_of(plan)))
    async for _ in watch.updates(once=True):
        pass
    return watch.reader.snapshot(watch.heard_at)


async def followed(plan: Plan) -> tuple[RunSnapshot, list[str]]:
    """Follow a run to its end; its last state and every headline on the way."""
    watch, told = RunWatch(str(folder_of(plan))), []
    async for _ in watch.updates():
        line = watch.reader.snapshot(watch.heard_at).headline
        if line not in told[-1:]:
            told.append(line)
    return watch.reader.snapshot(watch.heard_at), told


async def test_a_job_is_what_was_said_and_runs_to_its_end(
    plan: Plans, split: tuple[Path, Path], host: Host, slurm: SlurmCluster
) -> None:
    one = plan("sft3", "comment=it's mine", "cpus-per-task=2")
    async with host:
        done = await started(one, split, host)
        snapshot, _ = await followed(one)
        assert (snapshot.outcome, snapshot.exit_code, snapshot.points) == (Outcome.FINISHED, 0, 150)
        assert not await is_alive(handle_for(one), host)
    assert slurm("scontrol", "write", "batch_script", done.id, "-") == done.prepared.plan.script
    shown = slurm("scontrol", "show", "job", done.id)
    assert {"Comment=it's mine", "NumCPUs=2", "TresPerNode=gres:gpu:1"} <= {
        line.strip()
        for line in shown.replace(" NumCPUs", "\nNumCPUs").replace(" NumTasks", "\n").splitlines()
    }
    assert (folder_of(one) / "slurm.log").read_text() == ""
    assert json.loads((folder_of(one) / "slurm.json").read_text()) == {"job": done.id}


async def test_a_run_is_cancelled_and_goes_on_from_its_checkpoint(
    plan: Plans, split: tuple[Path, Path], host: Host
) -> None:
    one, waited = plan("wait-job"), []
    folder = folder_of(one)
    async with host:
        await started(one, split, host)
        await until((folder / "run/checkpoints").exists, "it never began")
        assert await is_alive(handle_for(one), host)
        with pytest.raises(RemoteError, match="the run wait-job is running already"):
            await started(one, split, host)
        assert await cancel(handle_for(one), host, tell=waited.append)
        assert waited
        assert not await cancel(handle_for(one), host)
        record = json.loads((folder / "exit.json").read_text())
        assert (record["exit_code"], record["asked"], record["reason"]) == (0, "SIGTERM", None)
        assert list((folder / "run/checkpoints").glob("*-last.ckpt"))
        assert (await now(one)).outcome is Outcome.INTERRUPTED
        with pytest.raises(RemoteError, match="an earlier run of this name is there"):
            await started(one, split, host)
        await started(replace(one, resume=True), split, host)
    snapshot, _ = await followed(one)
    assert snapshot.outcome is Outcome.FINISHED
    assert "resuming from" in (folder / "stdout.log").read_text()
    assert (folder / "start_0/exit.json").exists()


async def test_the_time_limit_saves_a_checkpoint_and_is_said(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    one = plan("wait-limit", "time=1")
    for _ in range(3):
        async with here() as host:
            await started(one, split, host)
        snapshot, _ = await followed(one)
        assert snapshot.outcome is Outcome.INTERRUPTED
        # Of a minute Slurm may take the very first second.
        if (folder_of(one) / "run/checkpoints").exists():
            break
    (alert,) = [alert for alert in snapshot.health if alert.id == "interrupted"]
    assert "by Slurm (time limit)" in alert.message
    assert "--slurm-option time=" in alert.remedy
    assert list((folder_of(one) / "run/checkpoints").glob("*-last.ckpt"))


async def test_a_job_that_waits_says_why_and_can_be_taken_away(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    for number in range(2):
        slurm("sbatch", "--gres=gpu:2", f"--job-name=other{number}", "--wrap=sleep 100", "--output=/dev/null")
    one = plan("wait-queue")
    async with here() as host:
        await started(one, split, host)
        await until(lambda: "Resources" in slurm("squeue", "--noheader", "--format=%r"), "it does not wait")
        snapshot = await now(one)
        assert (snapshot.outcome, snapshot.phase) == (Outcome.RUNNING, Phase.QUEUED)
        assert snapshot.headline.startswith(
            "waiting in Slurm's queue: Resources (the nodes it asks for are busy)"
        )
        assert snapshot.health == ()
        assert await is_alive(handle_for(one), host)
        assert await cancel(handle_for(one), host)
        assert (await now(one)).headline.startswith("interrupted")
        record = json.loads((folder_of(one) / "exit.json").read_text())
        assert (record["reason"], record["asked"]) == ("Slurm (cancelled)", "SIGTERM")
    assert not (folder_of(one) / "run").exists()


async def test_a_job_whose_number_got_lost_is_found_by_its_name_and_folder(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster, tmp_path: Path
) -> None:
    one = plan("held", "hold")
    async with here() as host:
        done = await started(one, split, host)
        (folder_of(one) / "slurm.json").unlink()
        assert await is_alive(handle_for(one), host)
        # Another folder's run of the same name is another run.
        elsewhere = handle_for(one)._replace(run_dir=str(tmp_path))
        assert not await is_alive(elsewhere, host)
        assert await cancel(handle_for(one), host)
    assert slurm.states() == {}
    assert json.loads((folder_of(one) / "exit.json").read_text())["slurm"]["job"] == done.id


async def test_what_slurm_refuses_is_said_in_its_words(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    async with here() as host:
        with pytest.raises(RemoteError, match="invalid partition specified: gpus") as told:
            await started(plan("a", "partition=gpus"), split, host)
        assert "--slurm-option partition=" in str(told.value)
        assert not await is_alive(handle_for(plan("a")), host)


async def test_an_answer_without_a_jobs_number_is_no_job(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    # As from a record, where nothing has looked at them.
    one = replace(plan("a"), slurm=SlurmOptions((("version", ""),)))
    async with here() as host:
        with pytest.raises(RemoteError, match=r"sbatch gave no job's number: slurm"):
            await started(one, split, host)
        assert not (folder_of(one) / "slurm.json").exists()
        assert not await is_alive(handle_for(one), host)


async def test_a_job_that_cannot_start_its_program_has_failed(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    one = replace(plan("a"), python="/no/python")
    async with here() as host:
        await started(one, split, host)
        snapshot, _ = await followed(one)
        assert (snapshot.outcome, snapshot.exit_code) == (Outcome.FAILED, 127)
        assert "/no/python: not found" in (folder_of(one) / "slurm.log").read_text()
        assert await settle_by_name(handle_for(one), host)
    assert read_run_folder(folder_of(one)).snapshot().outcome is Outcome.FAILED


async def test_a_requeued_job_waits_and_goes_on_from_its_checkpoint(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    one = plan("wait-again")
    folder = folder_of(one)
    async with here() as host:
        done = await started(one, split, host)
        await until((folder / "run/checkpoints").exists, "it never began")
        slurm("scontrol", "requeue", done.id)
        watch, told = RunWatch(str(folder)), []
        async for _ in watch.updates():
            snapshot = watch.reader.snapshot(watch.heard_at)
            told.append(snapshot.headline)
            if snapshot.phase is Phase.QUEUED and (folder / "exit.json").exists() and "released" not in told:
                told.append("released")
                assert await is_alive(handle_for(one), host)
                slurm("scontrol", "update", f"JobId={done.id}", "StartTime=now")
    assert watch.reader.snapshot(watch.heard_at).outcome is Outcome.FINISHED
    assert any("after restart 1: BeginTime (Slurm starts it later)" in line for line in told)
    assert "resuming from" in (folder / "stdout.log").read_text()


async def test_a_preempted_job_saves_waits_and_goes_on(
    plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster
) -> None:
    one = plan("wait-preempted", "nodelist=node1", "gres=gpu:2")
    folder = folder_of(one)
    async with here() as host:
        done = await started(one, split, host)
        await until((folder / "run/checkpoints").exists, "it never began")
        argv = ("--partition=urgent", "--nodelist=node1", "--gres=gpu:2", "--output=/dev/null")
        urgent = slurm("sbatch", "--parsable", *argv, "--wrap=sleep 60").strip()
        watch, told, released = RunWatch(str(folder)), [], False
        async for _ in watch.updates():
            snapshot = watch.reader.snapshot(watch.heard_at)
            told.append(snapshot.headline)
            if snapshot.phase is Phase.QUEUED and snapshot.job and snapshot.job.restarts and not released:
                released = True
                assert list((folder / "run/checkpoints").glob("*-last.ckpt"))
                slurm("scancel", urgent)
                slurm("scontrol", "update", f"JobId={done.id}", "StartTime=now")
    assert watch.reader.snapshot(watch.heard_at).outcome is Outcome.FINISHED
    assert any("after restart 1" in line for line in told)


async def test_a_node_that_fails_is_said(plan: Plans, split: tuple[Path, Path], slurm: SlurmCluster) -> None:
    one = plan("wait-node", "no-requeue", "partition=short", "time=9")
    folder = folder_of(one)
    async with here() as host:
        await started(one, split, host)
        await until((folder / "run/checkpoints").exists, "it never began")
        try:
            slurm("scontrol", "update", "NodeName=node1", "State=DOWN", "Reason=test")
            snapshot, _ = await followed(one)
        finally:
            slurm("scontrol", "update", "NodeName=node1", "State=RESUME", check=False)
        assert snapshot.job is not None
        assert snapshot.job.state == "NODE_FAIL"
        # Here the node's daemon still lives and ends the run in order; one that is gone leaves no record.
        said = [alert.message for alert in snapshot.health]
        assert any("Slurm (node failure)" in one or "the node failed" in one for one in said)
        assert not await is_alive(handle_for(one), host)
