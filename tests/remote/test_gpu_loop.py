"""The GPUs' figures while following: a stand-in for nvidia-smi, since the tests' machine has no GPU.

The stand-in prints documented CSV, says in its GPU's name that it is one, refuses any other question
than the follower's, and writes down its process id so that a test can see it end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from clinasr_tui.remote.run_watch import RunWatch, SshSettings
from clinasr_tui.training.gpu import LIVE_COLUMNS
from clinasr_tui.training.layout import GPU_LIVE
from tests.support.following import Following

STAND_IN = """#!{python}
import os, sys, time
from pathlib import Path
expected = ["--query-gpu={columns}", "--format=csv,noheader,nounits", "-l", "2"]
if sys.argv[1:] != expected:
    sys.exit("stand-in for nvidia-smi: asked something else: %r" % (sys.argv[1:],))
with open({pids!r}, "a") as file:
    file.write("%d\\n" % os.getpid())
for n in range({rows}):
    now = time.strftime("%Y/%m/%d %H:%M:%S") + ".%03d" % (n % 1000)
    print("0, STAND-IN GPU, %d, 4198, 143771, 38, 120.50, %s" % (n % 101, now), flush=True)
    print("1, STAND-IN GPU, [N/A], 100, 143771, 30, [N/A], %s" % now, flush=True)
    time.sleep(0.02 if n < 5 else 0.7)
{ending}
"""


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts a stand-in on the PATH; returns a function that makes it and gives the file of its pids."""

    def make(rows=10**6, ending=""):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        pids = tmp_path / "pids"
        script = folder / "nvidia-smi"
        script.write_text(
            STAND_IN.format(
                python=sys.executable,
                columns=",".join(LIVE_COLUMNS),
                pids=str(pids),
                rows=rows,
                ending=ending,
            )
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return pids

    return make


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "console.log").write_text("GPU available: True (cuda), used: True\n")
    return folder


def pids_of(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def gone(pids, seconds=5.0):
    for _ in range(int(seconds / 0.05)):
        if not any(alive(pid) for pid in pids):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_figures_come_over_the_one_connection_and_end_with_it(run, tmp_path, nvidia_smi):
    pids = nvidia_smi()
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(watch) as told:
        await told.until(lambda: watch.reader.gpu and watch.reader.gpu[0].count >= 5, "five samples")
        first, second = watch.reader.gpu
        assert (first.name, first.memory_total) == ("STAND-IN GPU", 143771.0)
        assert [sample.utilisation for sample in first.samples][:5] == [0, 1, 2, 3, 4]
        assert second.samples[0][1:] == (None, 100.0, 30.0, None)
        assert told.count == 1, "figures are no log lines"
    assert len(pids_of(pids)) == 1
    assert await gone(pids_of(pids))
    assert (tmp_path / "mirror" / GPU_LIVE).read_bytes().startswith(b"0, STAND-IN GPU, 0,")


async def test_history_survives_a_restart(run, tmp_path, nvidia_smi):
    nvidia_smi(rows=3)
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(watch) as told:
        await told.until(lambda: watch.reader.gpu and watch.reader.gpu[1].count == 3, "three rows")
    mirrored = tmp_path / "mirror" / GPU_LIVE
    with mirrored.open("ab") as file:
        file.write(b"0, STAND-IN GPU, 99, 41")  # as if the connection had been lost inside a row
    before = mirrored.read_bytes()
    again = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(again) as told:
        await told.until(lambda: again.reader.gpu and again.reader.gpu[1].count == 6, "the old and the new")
    assert [sample.utilisation for sample in again.reader.gpu[0].samples] == [0, 1, 2, 0, 1, 2]
    assert mirrored.read_bytes().startswith(before + b"\n")
    assert "starts over" not in told.notes


async def test_without_nvidia_smi_or_with_a_broken_driver_the_watch_goes_on(run, nvidia_smi, monkeypatch):
    pids = nvidia_smi(
        rows=0, ending="print('NVIDIA-SMI has failed because, so, it, says, a, b, c'); sys.exit(9)"
    )
    watch = RunWatch(str(run))
    async with Following(watch) as told:
        await told.until(lambda: pids_of(pids) and not alive(pids_of(pids)[0]), "the broken one ended")
        with (run / "console.log").open("a") as file:
            file.write("still there\n")
        await told.until(lambda: told.count == 2, "the next line")
    assert len(pids_of(pids)) == 1
    assert (watch.reader.gpu, told.notes) == ((), "")
    monkeypatch.setenv("PATH", str(run))
    alone = RunWatch(str(run))
    async with Following(alone) as told:
        await told.caught_up()
        await asyncio.sleep(0.2)
    assert (alone.reader.gpu, told.notes) == ((), "")


async def test_an_ended_run_is_not_measured(run, tmp_path, nvidia_smi):
    pids = nvidia_smi()
    (run / "rc").write_text("RC x 1\n")
    watch = RunWatch(str(run))
    async with Following(watch) as told:
        await told.until(told.task.done, "the end")
    assert pids_of(pids) == []


async def test_a_run_that_ends_is_let_go_although_figures_still_come(run, tmp_path, nvidia_smi):
    pids = nvidia_smi()
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(watch) as told:
        await told.until(lambda: watch.reader.gpu, "figures")
        with (run / "console.log").open("a") as file:
            file.write("`Trainer.fit` stopped: `max_epochs=3` reached.\n")
        await told.until(told.task.done, "the end, by the finish line alone")
    assert await gone(pids_of(pids))


async def test_once_asks_for_no_figures(run, nvidia_smi):
    pids = nvidia_smi()
    watch = RunWatch(str(run))
    async for _ in watch.updates(once=True):
        pass
    assert pids_of(pids) == []


async def test_a_restarted_run_is_measured_although_an_old_exit_record_lies_there(run, nvidia_smi):
    nvidia_smi()
    (run / "rc").write_text("RC x 137\n")
    os.utime(run / "rc", (1_000_000_000, 1_000_000_000))
    watch = RunWatch(str(run))
    async with Following(watch) as told:
        await told.until(lambda: watch.reader.gpu or told.task.done(), "figures")
    assert watch.reader.gpu or told.task.done()


async def test_a_mirror_watched_as_a_folder_shows_its_own_figures(run, nvidia_smi):
    pids = nvidia_smi()
    (run / GPU_LIVE).write_text("0, NVIDIA H200, 71, 4198, 143771, 38, 120.5, 2026/11/22 17:19:42.698\n")
    watch = RunWatch(str(run))
    async with Following(watch) as told:
        await told.caught_up()
        await asyncio.sleep(0.3)
    assert watch.reader.gpu[0].samples[0].utilisation == 71.0
    assert pids_of(pids) == []


@pytest.mark.sshd
async def test_over_ssh_one_connection_carries_all_and_its_loss_ends_the_loop(
    run, tmp_path, nvidia_smi, sshd
):
    pids = nvidia_smi()
    sshd.configure(f"SetEnv PATH={os.environ['PATH']}")
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    watch = RunWatch(str(run), host="lab", mirror=tmp_path / "mirror", ssh=ssh)
    async with Following(watch) as told:
        await told.until(lambda: watch.reader.gpu and watch.reader.gpu[0].count >= 5, "five samples")
        assert len(sshd.sessions()) == 1
        assert len(pids_of(pids)) == 1
        sshd.kill_sessions()
        assert await gone(pids_of(pids)[:1])
        seen = watch.reader.gpu[0].count
        await told.until(lambda: watch.reader.gpu[0].count >= seen + 5, "figures of the next contact")
    assert len(pids_of(pids)) == 2
    utilisations = [sample.utilisation for sample in watch.reader.gpu[0].samples]
    second = utilisations.index(0, 1)
    assert utilisations == [*range(second), *range(len(utilisations) - second)]
