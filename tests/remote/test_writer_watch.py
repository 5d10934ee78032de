"""The process that writes a run: seen while it lives, missed when it has gone without a word."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clinasr_tui.remote import contact, writer_watch
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training import run_reader
from clinasr_tui.training.layout import WRITERS_LIVE
from clinasr_tui.training.run_reader import RunReader
from clinasr_tui.training.snapshot import Outcome
from tests.support.following import Following

START = (
    "GPU available: True (cuda), used: True\n"
    "\rTraining:   0%|          | 0/20 [00:00<?, ?it/s]\r"
    "\rEpoch 1:  50%|#####     | 9/20 [00:02<00:08,  4.00it/s]\r"
)
FINISH = "`Trainer.fit` stopped: `max_epochs=3` reached.\n"

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(contact, "_LOOK_FOR_WRITERS", 0.05)
    monkeypatch.setattr(run_reader, "_LAST_WORDS", 0.2)
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def writer(run):
    """A process that has the console open, as a shell's redirection leaves it."""
    started = []

    def start():
        with (run / "console.log").open("a") as console:
            console.write(START)
            console.flush()
            started.append(
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=console)
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def end(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def snapshot(watch):
    return watch.reader.snapshot(watch.heard_at)


async def test_a_killed_run_without_exit_record_is_missed_within_seconds(run, writer, tmp_path):
    process = writer()
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(watch) as told:
        await told.until((tmp_path / "mirror" / WRITERS_LIVE).exists, "the writer is seen")
        assert snapshot(watch).outcome is Outcome.RUNNING
        end(process)
        await told.until(lambda: snapshot(watch).outcome is Outcome.UNKNOWN, "the writer is missed")
    found = snapshot(watch)
    assert [alert.id for alert in found.health] == ["crashed"]
    assert "the process has gone" in found.headline
    again = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(again) as told:
        await told.until(lambda: snapshot(again).outcome is Outcome.UNKNOWN, "known again after a restart")
        process = writer()
        await told.until(lambda: snapshot(again).outcome is Outcome.RUNNING, "a new writer")
        end(process)


async def test_a_writer_that_went_while_nobody_looked_is_missed(run, writer, tmp_path):
    process = writer()
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(watch) as told:
        await told.until((tmp_path / "mirror" / WRITERS_LIVE).exists, "the writer is seen")
    end(process)
    again = RunWatch(str(run), mirror=tmp_path / "mirror")
    async with Following(again) as told:
        await told.until(lambda: snapshot(again).outcome is Outcome.UNKNOWN, "the writer is missed")


async def test_a_run_that_ends_well_or_says_how_is_not_missed(run, writer):
    process = writer()
    watch = RunWatch(str(run))
    async with Following(watch) as told:
        await told.caught_up()
        with (run / "console.log").open("a") as console:
            console.write(FINISH)
        end(process)
        await told.until(told.task.done, "the end")
    assert snapshot(watch).outcome is Outcome.FINISHED


async def test_readers_and_files_beside_the_run_are_no_writers(run, writer, tmp_path):
    (run / "console.log").write_text(START)
    with (run / "console.log").open(), (run / "gpu.csv").open("w"):
        watch = RunWatch(str(run), mirror=tmp_path / "mirror")
        async with Following(watch) as told:
            await told.caught_up()
            await asyncio.sleep(0.3)
            await told.until(lambda: snapshot(watch).outcome is Outcome.RUNNING, "still believed")
    assert not (tmp_path / "mirror" / WRITERS_LIVE).exists()


class File:
    fd, ident = 3, "x"

    def __init__(self, path):
        self.path = path


def test_one_that_opens_the_file_now_and_then_is_never_missed(monkeypatch):
    looks = iter([True, False, False, True, True, False, False, True, True, True, False, True, False, False])
    monkeypatch.setattr(writer_watch, "has_writer", lambda names, idents: next(looks))
    watch = writer_watch.WriterWatch({"file": "w", "every": 0.0}, {})
    rows = []
    for _ in range(14):
        watch.next_look = 0.0
        rows.append(watch.turn(False, {"console.log": File("console.log")}).decode().split()[1:])
    assert [row[0] if row else "" for row in rows] == [""] * 9 + ["open"] + [""] * 3 + ["gone"]
    assert watch.turn(True, {}) == b""


@pytest.mark.parametrize(
    ("rows", "later", "outcome"),
    [
        (b"\n1.000 open\n\n9.000 gone\n", None, Outcome.UNKNOWN),
        (b"\n1.000 open\n\n9.000 gone\n", 200.0, Outcome.RUNNING),
        (b"\n1.000 open\n\n9.000 gone\n\n12.000 open\n", None, Outcome.RUNNING),
        (b"\n1.000 open\n\n9.000 go", None, Outcome.RUNNING),
        (b"gone\nx gone\n", None, Outcome.RUNNING),
    ],
)
def test_the_last_row_counts_unless_something_came_since(rows, later, outcome):
    reader = RunReader()
    reader.feed("console.log", START.encode(), at=100.0)
    for number in range(len(rows)):
        reader.feed(WRITERS_LIVE, rows[number : number + 1], at=150.0)
    if later:
        reader.feed("console.log", b"still there\n", at=later)
    assert reader.snapshot(220.0).outcome is outcome
    assert reader.snapshot(155.0).outcome is Outcome.RUNNING
    assert reader.snapshot().outcome is Outcome.RUNNING
