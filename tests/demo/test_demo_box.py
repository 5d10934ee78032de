"""The demo: a workspace laid out, and a box behind a real SSH connection on loopback."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time

import asyncssh
import pytest

from clinasr_tui.demo import launch
from clinasr_tui.demo.layout import DATA, RECORDINGS, box_folder, prepare_workspace
from clinasr_tui.errors import HostKeyError, InputError
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.remote import run_watch
from clinasr_tui.remote.run_watch import RunWatch, SshSettings
from clinasr_tui.remote.trust import remember
from clinasr_tui.training.snapshot import Outcome
from tests.support.following import Following


def ssh_of(workspace):
    settings = open_workspace(workspace).settings
    return SshSettings(config=settings.ssh_config, known_hosts=settings.known_hosts)


def watch_of(workspace):
    run = open_workspace(workspace).runs[-1]
    return RunWatch(run.run_dir, host=run.host, mirror=run.folder / "mirror", ssh=ssh_of(workspace))


async def confirm_key(box):
    """Do what the operator does at first contact."""
    with pytest.raises(HostKeyError) as caught:
        async for _ in watch_of(box.workspace).updates():
            pass
    assert not caught.value.changed
    assert caught.value.fingerprint == box.fingerprint
    remember(caught.value, ssh_of(box.workspace).known_hosts)


def test_workspace_is_laid_out_as_before_the_run(tmp_path):
    workspace = open_workspace(prepare_workspace(tmp_path / "demo"))
    assert [cycle.number for cycle in workspace.cycles] == [1]
    assert (workspace.name, workspace.settings.priority) == ("espeak-demo", ("drug",))
    (run,) = workspace.runs
    assert (run.name, run.host) == ("sft3", "demo-box")
    assert run.info["hyperparameters"]["lr"] == 3e-4
    assert run.info["hyperparameters"]["max_epochs"] == 3
    assert run.info["data"] == {"train_rows": 200, "validation_rows": 50}
    bundled = sorted(path.name for path in (DATA / "cycle1" / "audio").iterdir())
    assert sorted(path.name for path in (tmp_path / "demo/cycle1/audio").iterdir()) == bundled


async def test_the_whole_run_over_ssh_then_the_second_cycle(tmp_path):
    with launch(tmp_path / "demo", speed=60) as box:
        await confirm_key(box)
        assert not list((tmp_path / "demo/.box/home/sft3").iterdir()), "the run waits for the operator"
        watch = watch_of(box.workspace)
        async with Following(watch) as told:
            await told.until(lambda: 0 < watch.reader.snapshot().points < 150, "points on their way")
            assert not (box.workspace / "cycle2").exists()
            await told.until(told.task.done, "the end", 15)
        snapshot = watch.reader.snapshot()
        assert (snapshot.outcome, snapshot.points) == (Outcome.FINISHED, 150)
        mirror = box.workspace / "cycle1/models/sft3/mirror"
        recording = RECORDINGS / "sft3"
        for name in ("stdout.log", "exit.json", next(recording.rglob("*tfevents*")).relative_to(recording)):
            assert (mirror / name).read_bytes() == (recording / name).read_bytes()
        assert [cycle.number for cycle in open_workspace(box.workspace).cycles] == [1, 2]
        assert not told.notes


async def test_the_longer_run_follows_and_then_the_third_cycle(tmp_path):
    with launch(tmp_path / "demo", speed=200) as box:
        await confirm_key(box)
        async with Following(watch_of(box.workspace)) as told:
            await told.until(told.task.done, "the first run's end", 15)
        limit = time.monotonic() + 15
        while [run.name for run in open_workspace(box.workspace).runs] == ["sft3"]:
            assert time.monotonic() < limit, "the second run does not begin"
            await asyncio.sleep(0.02)
        assert (box.workspace / "cycle2").exists()
        assert {run.name for run in open_workspace(box.workspace).runs} == {"sft3", "sft12"}
        (longer,) = (run for run in open_workspace(box.workspace).runs if run.name == "sft12")
        assert longer.info["hyperparameters"]["max_epochs"] == 12
        watch = RunWatch(longer.run_dir, host=longer.host, mirror=tmp_path / "m", ssh=ssh_of(box.workspace))
        async with Following(watch) as told:
            await told.until(told.task.done, "the end", 15)
        assert (watch.reader.snapshot().outcome, watch.reader.snapshot().points) == (Outcome.FINISHED, 600)
        assert [cycle.number for cycle in open_workspace(box.workspace).cycles] == [1, 2, 3]


async def test_a_kept_demo_starts_over_and_keeps_its_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_END", 0.2)
    with launch(tmp_path / "demo", speed=10_000) as first:
        await confirm_key(first)
        async with Following(watch_of(first.workspace)) as told:
            await told.until(told.task.done, "the end", 15)
    (tmp_path / "demo/cycle1/results.csv").write_text("the operator's own\n")
    assert (tmp_path / "demo/cycle2").exists()
    with launch(tmp_path / "demo", speed=10) as second:
        assert (first.started_over, second.started_over) == (False, True)
        assert (second.fingerprint, second.port) == (first.fingerprint, first.port)
        assert not (tmp_path / "demo/cycle2").exists()
        assert (tmp_path / "demo/cycle1/results.csv").exists()
        async with Following(watch_of(second.workspace)) as told:
            await told.caught_up()
        with (
            pytest.raises(InputError, match="another demo is open"),
            launch(tmp_path / "demo"),
        ):
            pass


async def test_the_box_lets_in_only_its_own_key_and_runs_only_commands(tmp_path):
    with launch(tmp_path / "demo") as box:
        key = box_folder(box.workspace) / "client_key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        known = asyncssh.import_known_hosts(
            f"[127.0.0.1]:{box.port} "
            + asyncssh.read_private_key(key.with_name("host_key")).export_public_key().decode()
        )
        given = {
            "port": box.port,
            "known_hosts": known,
            "username": "demo",
            "config": None,
            "agent_path": None,
        }
        other = asyncssh.generate_private_key("ssh-ed25519")
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect("127.0.0.1", client_keys=[other], **given)
        async with asyncssh.connect("127.0.0.1", client_keys=[str(key)], **given) as connection:
            done = await connection.run("pwd; echo to stderr >&2; exit 3")
            assert (done.stdout, done.stderr, done.exit_status) == (
                f"{box.workspace}/.box/home\n",
                "to stderr\n",
                3,
            )
            assert (await connection.run("cat", input="to and fro")).stdout == "to and fro"
            assert (await connection.run()).exit_status == 1
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", box.port)


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no demo"), launch(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(InputError, match="cannot be laid out"), launch(tmp_path / "precious.txt" / "demo"):
        pass


def test_box_and_temporary_folder_go_when_the_program_is_killed(tmp_path):
    """Also a crash leaves no server and no folder behind."""
    program = (
        "import time\nfrom clinasr_tui.demo import launch\n"
        "with launch() as box:\n    print(box.workspace, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        workspace = app.stdout.readline().strip()
        assert workspace.endswith("espeak-demo")
        os.kill(app.pid, signal.SIGKILL)
    limit = time.monotonic() + 10
    while os.path.exists(workspace) or _served(workspace):  # noqa: PTH110
        assert time.monotonic() < limit, "the box is still there"
        time.sleep(0.05)


def _served(workspace):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return any("demo.server" in line and workspace in line for line in listed.stdout.splitlines())
