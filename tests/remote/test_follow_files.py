"""Files that are rotated, cut, replaced or broken while they are followed over a real connection."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from contextlib import asynccontextmanager

import pytest

from clinasr_tui.remote import run_watch
from clinasr_tui.remote.run_watch import Contact, RunWatch, SshSettings
from clinasr_tui.training.snapshot import Outcome
from tests.support.event_records import scalar
from tests.support.following import Following, append, nemo

pytestmark = pytest.mark.sshd


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    append(folder / "console.log", b"".join(nemo(f"line {number}") for number in range(40)))
    return folder


@asynccontextmanager
async def followed(sshd, run, tmp_path):
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    watch = RunWatch(str(run), host="lab", mirror=tmp_path / "mirror", ssh=settings)
    async with Following(watch) as told:
        await told.caught_up()
        yield told


def mirrored(tmp_path, name="console.log"):
    """The bytes of each generation of a file."""
    found = [tmp_path / "mirror" / name]
    while (more := tmp_path / "mirror" / f"{name}~{len(found) + 1}").exists():
        found.append(more)
    return [path.read_bytes() for path in found if path.exists()]


async def arrived(told, tmp_path, *expected, name="console.log"):
    """Wait until exactly these bytes are here, generation by generation, and every line of them is told."""
    await told.until(lambda: mirrored(tmp_path, name) == list(expected), f"{name} as it was written")
    if name == "console.log":
        lines = sum(data.count(b"\n") for data in expected)
        await told.until(lambda: told.count >= lines, f"{lines} lines")
        assert told.count == lines


async def test_renamed_away_and_its_writer_goes_on(sshd, run, tmp_path):
    """logrotate's `create`: a writer that never reopens goes on in the renamed file."""
    console = run / "console.log"
    old = console.read_bytes()
    with console.open("ab", buffering=0) as writer:
        async with followed(sshd, run, tmp_path) as told:
            console.rename(run / "console.log.1")
            writer.write(nemo("after the rename"))
            await arrived(told, tmp_path, old + nemo("after the rename"))
            console.touch()
            writer.write(nemo("beside an empty new file"))
            await arrived(told, tmp_path, (run / "console.log.1").read_bytes())
            append(console, nemo("reopened"))
            await arrived(told, tmp_path, (run / "console.log.1").read_bytes(), nemo("reopened"))


async def test_deleted_while_its_writer_goes_on(sshd, run, tmp_path):
    console = run / "console.log"
    old = console.read_bytes()
    with console.open("ab", buffering=0) as writer:
        async with followed(sshd, run, tmp_path) as told:
            console.unlink()
            writer.write(nemo("still written"))
            await arrived(told, tmp_path, old + nemo("still written"))


@pytest.mark.parametrize("new", [b"", nemo("of the new file")], ids=["empty", "written"])
async def test_rotated_while_nobody_looks(sshd, run, tmp_path, new):
    (run / "console.log").write_bytes(nemo("a short file, known again by its inode"))
    async with followed(sshd, run, tmp_path):
        pass
    append(run / "console.log", nemo("before the rename"))
    old = (run / "console.log").read_bytes()
    (run / "console.log").rename(run / "console.log.1")
    append(run / "console.log", new)
    async with followed(sshd, run, tmp_path) as told:
        await arrived(told, tmp_path, old, *([new] if new else []))
        append(run / "console.log", nemo("and on"))
        await arrived(told, tmp_path, old, new + nemo("and on"))


async def test_rotated_while_nobody_looks_and_nothing_new(sshd, run, tmp_path):
    async with followed(sshd, run, tmp_path):
        pass
    (run / "console.log").rename(run / "console.log-20261122")
    append(run / "console.log-20261122", nemo("written there"))
    async with followed(sshd, run, tmp_path) as told:
        await arrived(told, tmp_path, (run / "console.log-20261122").read_bytes())


@pytest.mark.parametrize("looking", [True, False], ids=["followed", "while nobody looks"])
async def test_copied_and_truncated(sshd, run, tmp_path, looking):
    """logrotate's `copytruncate`: what was written just before is only in the copy."""
    console, copy = run / "console.log", run / "console.log.1"
    async with followed(sshd, run, tmp_path) as told:
        if looking:
            rotate(console, copy)
            await arrived(told, tmp_path, copy.read_bytes(), nemo("new"))
            assert "console.log was truncated" in told.notes
    if not looking:
        rotate(console, copy)
        async with followed(sshd, run, tmp_path) as told:
            await arrived(told, tmp_path, copy.read_bytes(), nemo("new"))


def rotate(console, copy):
    """As fast as can be: no look of the follower's in between."""
    with console.open("r+b") as file:
        data = file.read() + nemo("last words")
        copy.write_bytes(data)
        file.truncate(0)
    append(console, nemo("new"))


async def test_truncated_again_and_again(sshd, run, tmp_path):
    console = run / "console.log"
    expected = [console.read_bytes()]
    async with followed(sshd, run, tmp_path) as told:
        for number in range(4):
            expected.append(nemo(f"life {number}") * (number + 1))
            console.write_bytes(expected[-1])
            await arrived(told, tmp_path, *expected)
    assert told.notes.count("was truncated") == 4


async def test_replaced_by_rename_while_contact_is_lost(sshd, run, tmp_path, monkeypatch):
    monkeypatch.setattr(run_watch, "_TICK", 0.1)
    old = (run / "console.log").read_bytes()
    async with followed(sshd, run, tmp_path) as told:
        sshd.kill_sessions()
        await told.until(lambda: told.contact is Contact.LOST, "the loss")
        append(run / "fresh", nemo("another file") * 100)
        (run / "fresh").replace(run / "console.log")
        await arrived(told, tmp_path, old, nemo("another file") * 100)
    assert "console.log was replaced" in told.notes


async def test_odd_bytes_arrive_as_they_are(sshd, run, tmp_path):
    """Lines of 10 MB, UTF-8 cut anywhere, carriage returns by the thousand, bytes that are no text."""
    long = b"x" * 10_000_000 + b"\n"
    text = "épicondylite naïve 💊 日本語\n".encode() * 50
    bars = b"".join(
        b"\rEpoch 0: %3d%%|###   | %d/100 [00:01<00:02, 1.2it/s]" % (n % 100, n) for n in range(9000)
    )
    odd = bytes(range(256)) * 20 + b"\n"
    console = run / "console.log"
    async with followed(sshd, run, tmp_path) as told:
        append(console, long[:7_000_000])
        await asyncio.sleep(0.1)
        append(console, long[7_000_000:])
        for at in range(0, len(text), 7):
            append(console, text[at : at + 7])
            if at % 70 == 0:
                await asyncio.sleep(0)
        append(console, bars + b"\n" + odd + long)
        append(console, nemo("the last line"))
        await told.until(lambda: mirrored(tmp_path) == [console.read_bytes()], "every byte")
        await told.until(lambda: lines_of(told)[-1:] == [nemo("the last line").rstrip(b"\n")], "every line")
    shown = lines_of(told)
    assert b"".join(shown).count(b"x") >= 20_000_000
    assert shown.count(text.splitlines()[0]) == 50
    assert sum(b"it/s]" in line for line in shown) <= 1, "progress bars are folded away"


def lines_of(told):
    """The bytes of the lines told, each read where it says it stands."""
    file = told.watch.mirror_path("console.log").read_bytes()
    lines = [line for update in told.updates for line in update.lines]
    assert [line.offset for line in lines] == sorted({line.offset for line in lines}), "no line twice"
    return [file[line.offset : line.offset + line.length] for line in lines]


def points(start, stop, wall):
    return [scalar("train_loss", step, wall + step, 1.0 / (step + 1)) for step in range(start, stop)]


async def test_event_records_cut_anywhere(sshd, run, tmp_path, monkeypatch):
    """Also by a lost connection."""
    monkeypatch.setattr(run_watch, "_TICK", 0.1)
    name = f"run/events.out.tfevents.{int(time.time())}.box.1.0"
    data = b"".join(points(0, 200, 1000.0))
    async with followed(sshd, run, tmp_path) as told:
        for at in range(0, len(data), 101):
            append(run / name, data[at : at + 101])
            if at == 101 * 40:
                await told.until(lambda: told.watch.reader.snapshot().points > 50, "points are coming")
                sshd.kill_sessions()
                await told.until(lambda: told.contact is Contact.LOST, "the loss")
            await asyncio.sleep(0)
        await told.until(lambda: told.watch.reader.snapshot().points == 200, "200 points")
        await arrived(told, tmp_path, data, name=name)
    assert told.watch.reader.snapshot().damaged == 0
    assert list(told.watch.reader.train_loss.steps) == list(range(200))


async def test_corrupt_checksum_costs_one_point_and_is_counted(sshd, run, tmp_path):
    name = f"run/events.out.tfevents.{int(time.time())}.box.1.0"
    records = points(0, 50, 1000.0)
    spoilt = bytearray(records[20])
    spoilt[-1] ^= 1
    records[20] = bytes(spoilt)
    async with followed(sshd, run, tmp_path) as told:
        for record in records:
            append(run / name, record)
        await told.until(lambda: told.watch.reader.snapshot().points == 49, "the other points")
        await arrived(told, tmp_path, b"".join(records), name=name)
    assert told.watch.reader.snapshot().damaged == 1


async def test_second_event_file_after_a_resume(sshd, run, tmp_path):
    begun = int(time.time())
    first, second = (f"run/events.out.tfevents.{begun + n}.box.1.{n}" for n in range(2))
    async with followed(sshd, run, tmp_path) as told:
        append(run / first, b"".join(points(0, 100, 1000.0)))
        await told.until(lambda: told.watch.reader.snapshot().points == 100, "the first start")
        append(run / second, b"".join(points(80, 150, 5000.0)))
        await told.until(lambda: told.watch.reader.snapshot().points == 150, "the second")
        await arrived(told, tmp_path, (run / first).read_bytes(), name=first)
        await arrived(told, tmp_path, (run / second).read_bytes(), name=second)
    assert told.watch.reader.snapshot().event_files == 2


async def test_two_watchers_at_once(sshd, run, tmp_path):
    async with followed(sshd, run, tmp_path) as one, followed(sshd, run, tmp_path) as two:
        assert "another process follows" in two.notes
        for number in range(20):
            append(run / "console.log", nemo(f"for both {number}"))
            await asyncio.sleep(0.01)
        for told in (one, two):
            await told.until(lambda told=told: told.count == 60, "all lines")
            assert told.watch.mirror_path("console.log").read_bytes() == (run / "console.log").read_bytes()
    assert one.watch.mirror_path("console.log") != two.watch.mirror_path("console.log")


def written_at(path, seconds):
    os.utime(path, (seconds, seconds))


async def test_exit_record_of_an_earlier_start_does_not_count(sshd, run, tmp_path):
    """The run was started again in its folder: what ended is the start before."""
    append(run / "rc", b"1\n")
    written_at(run / "rc", time.time() - 600)
    append(run / "console.log", nemo("started again"))
    async with followed(sshd, run, tmp_path) as told:
        assert told.watch.reader.snapshot().exit_code is None
        assert "rc is older than what the run wrote since" in told.notes
        append(run / "console.log", b"`Trainer.fit` stopped: `max_epochs=3` reached.\n")
        await told.until(lambda: told.count == 42, "the line")
        (run / "rc").write_bytes(b"0\n")
        await told.until(told.task.done, "the end")
    snapshot = told.watch.reader.snapshot()
    assert (snapshot.exit_code, snapshot.outcome) == (0, Outcome.FINISHED)


async def test_second_start_that_ends_as_the_first(sshd, run, tmp_path):
    """The same words in the exit record, written anew: now they count."""
    append(run / "rc", b"1\n")
    written_at(run / "rc", time.time() - 600)
    async with followed(sshd, run, tmp_path) as told:
        assert told.watch.reader.snapshot().exit_code is None
    async with followed(sshd, run, tmp_path) as told:
        assert told.watch.reader.snapshot().exit_code is None, "nor after a restart of ours"
        with (run / "rc").open("r+b") as record:
            record.write(b"1\n")
        await told.until(told.task.done, "the end")
    assert told.watch.reader.snapshot().exit_code == 1
    assert mirrored(tmp_path, "rc") == [b"1\n", b"1\n"]


async def test_exit_record_written_anew_while_nobody_looks(sshd, run, tmp_path):
    append(run / "rc", b"1\n")
    written_at(run / "rc", time.time() - 600)
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    watch = RunWatch(str(run), host="lab", mirror=tmp_path / "mirror", ssh=settings)
    async with Following(watch) as told:
        await told.caught_up()
        assert watch.reader.snapshot().exit_code is None
    written_at(run / "rc", time.time() + 1)
    async with Following(watch) as told:
        await told.until(told.task.done, "the end")
    assert watch.reader.snapshot().exit_code == 1


async def test_copied_folder_of_a_finished_run_is_believed(sshd, tmp_path, recordings):
    """A copy has any times; old ones, in any order, prove nothing."""
    run = tmp_path / "copy"
    shutil.copytree(recordings / "sft3", run)
    (run / "rc").write_bytes(b"0\n")
    for number, path in enumerate(sorted(path for path in run.rglob("*") if path.is_file())):
        written_at(path, time.time() - 3600 + 60 * number)
    written_at(run / "rc", time.time() - 7200)
    events = next(run.rglob("*tfevents*"))
    begun = int(events.name.split(".")[3])
    assert begun < time.time() - 7200
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    watch = RunWatch(str(run), host="lab", ssh=settings)
    async for _ in watch.updates(once=True):
        pass
    assert watch.reader.snapshot().exit_code == 0


async def test_event_file_begun_after_the_record_disproves_it(sshd, run, tmp_path):
    append(run / "rc", b"1\n")
    for name in ("rc", "console.log"):
        written_at(run / name, time.time() - 7200)
    name = f"run/events.out.tfevents.{int(time.time()) - 5000}.box.1.0"
    append(run / name, b"".join(points(0, 5, 1000.0)))
    written_at(run / name, time.time() - 7200)
    async with followed(sshd, run, tmp_path) as told:
        assert told.watch.reader.snapshot().exit_code is None
