"""The headless watch as a real program under real trouble: killed, doubled, flooded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinasr_tui.remote.run_watch import Contact, RunWatch, SshSettings
from tests.support.following import Following
from tests.support.sshd import Sshd

pytestmark = pytest.mark.sshd

LINE = "[NeMo I 2026-11-22 17:03:20 nemo_logging:393] line {:07d} {}\n"
BURST = 200_000_000 if os.environ.get("CLINASR_EVERYTHING") else 40_000_000


@pytest.fixture
def sshd(tmp_path):
    with Sshd(tmp_path / "sshd") as server:
        server.trust()
        yield server


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "console.log").touch()
    return folder


def start_watch(sshd, run, mirror):
    argv = [sys.executable, "-m", "clinasr_tui", "watch", str(run), "--host", "lab", "--mirror", str(mirror)]
    places = ["--ssh-config", str(sshd.config), "--known-hosts", str(sshd.known_hosts)]
    return subprocess.Popen([*argv, *places], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write(run, start, stop, size=0):
    with (run / "console.log").open("a") as out:
        out.writelines(LINE.format(number, "x" * size) for number in range(start, stop))


def end(run):
    with (run / "console.log").open("a") as out:
        out.write("`Trainer.fit` stopped: `max_epochs=3` reached.\n")
    (run / "rc").write_text("0\n")


def wait_for(holds, what, seconds=30.0):
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"not in {seconds} s: {what}"
        time.sleep(0.01)


def size(path):
    return path.stat().st_size if path.exists() else 0


def write_until_killed(sshd, run, mirror):
    """Write lines while a watch follows, kill it in the middle of them; how many were written."""
    process = start_watch(sshd, run, mirror)
    number = 0
    while size(mirror / "console.log") < 300_000:
        write(run, number, number + 500)
        number += 500
        time.sleep(0.005)
        assert number < 1_000_000, "the watch does not keep up"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return number


async def test_killed_and_reopened_shows_history_at_once_then_live(sshd, run, tmp_path):
    """kill -9 in the middle of the stream: nothing is shown twice, nothing is skipped."""
    mirror, console = tmp_path / "mirror", run / "console.log"
    number = write_until_killed(sshd, run, mirror)
    here = size(mirror / "console.log")
    assert console.read_bytes().startswith((mirror / "console.log").read_bytes())
    wait_for(lambda: not sshd.commands(), "the killed watch's follower has ended")

    write(run, number, number + 100)
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    async with Following(RunWatch(str(run), host="lab", mirror=mirror, ssh=settings)) as told:
        await told.caught_up()
        history = [update for update in told.updates if update.contact is Contact.CONNECTING]
        assert sum(line.length for update in history for line in update.lines) > here * 0.9
        write(run, number + 100, number + 101)
        await told.until(lambda: told.count == number + 101, "all lines")
        assert [int(text.split(" line ")[1]) for text in told.texts] == list(range(number + 101))
    assert (mirror / "console.log").read_bytes() == console.read_bytes()


def test_two_programs_follow_one_run(sshd, run, tmp_path):
    mirror = tmp_path / "mirror"
    one = start_watch(sshd, run, mirror)
    wait_for((mirror / "state.json").exists, "the first one's mirror")
    two = start_watch(sshd, run, mirror)
    wait_for(lambda: len(sshd.sessions()) == 2, "both follow")
    write(run, 0, 5000)
    end(run)
    for process in (one, two):
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert out.splitlines()[-1].startswith("finished")
    assert "another process follows this run too" in err
    assert (mirror / "console.log").read_bytes() == (run / "console.log").read_bytes()


def test_a_burst_stays_out_of_memory(sshd, run, tmp_path):
    """The mirror takes it; the program keeps places in it, not its text."""
    mirror, console = tmp_path / "mirror", run / "console.log"
    process = start_watch(sshd, run, mirror)
    wait_for((mirror / "state.json").exists, "contact")
    before = memory(process.pid)
    block = "".join(LINE.format(number, "x" * 140) for number in range(10_000))
    with console.open("a") as out:
        for _ in range(BURST // len(block) + 1):
            out.write(block)
    assert console.stat().st_size >= BURST
    wait_for(lambda: size(mirror / "console.log") == console.stat().st_size, "the burst is here", 60)
    grown = memory(process.pid) - before
    end(run)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (mirror / "console.log").read_bytes() == console.read_bytes()
    assert grown < 100_000, f"{grown} KB more for a burst of {BURST} bytes"


def memory(pid):
    """The most memory a process has had, KB."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1])
