"""This machine's disk fills up while a run is followed: one message, a pause, then on; nothing lost."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from contextlib import contextmanager

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.remote import run_watch
from clinasr_tui.remote.mirror import Mirror, NoRoomError
from clinasr_tui.remote.run_watch import Contact, RunWatch, SshSettings
from tests.support.following import Following

LINE = "[NeMo I 2026-11-22 17:03:20 nemo_logging:393] line {:06d}\n"


def lines(start, stop):
    return "".join(LINE.format(number) for number in range(start, stop))


def write_lines(path, start, stop):
    with path.open("a") as out:
        out.write(lines(start, stop))


@pytest.fixture
def unlimited_writer():
    """Starts a process that writes to a file; limits set later are not its."""
    started = []

    def start(path):
        with path.open("ab") as out:
            process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=out, text=True)
        started.append(process)

        def write(text):
            process.stdin.write(text)
            process.stdin.flush()

        return write

    yield start
    for process in started:
        process.stdin.close()
        process.wait(5)


@contextmanager
def largest_file(size):
    """No file may grow beyond `size`: the error of a full quota, without a disk to fill."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(run_watch, "_LOOK_FOR_ROOM", 0.1)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_lines(folder / "console.log", 0, 100)
    return folder


def numbers(told):
    return [int(text.split(" line ")[1]) for text in told.texts]


@pytest.mark.sshd
async def test_following_waits_for_room_and_goes_on(sshd, run, tmp_path, quick, unlimited_writer):
    console, mirror = run / "console.log", tmp_path / "mirror"
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    async with Following(RunWatch(str(run), host="lab", mirror=mirror, ssh=settings)) as told:
        await told.caught_up()
        writer = unlimited_writer(console)
        with largest_file(100_000):
            writer(lines(100, 20_000))
            await told.until(lambda: told.contact is Contact.PAUSED, "the pause")
            await asyncio.sleep(0.5)
            assert told.contact is Contact.PAUSED
            assert sshd.commands() == [], "nothing is fetched meanwhile"
            here = (mirror / "console.log").read_bytes()
            assert console.read_bytes().startswith(here)
            writer(lines(20_000, 20_100))
        await told.until(lambda: told.count == 20_100, "all lines")
        write_lines(console, 20_100, 20_101)
        await told.until(lambda: told.count == 20_101, "live again")
    assert numbers(told) == list(range(20_101))
    assert (mirror / "console.log").read_bytes() == console.read_bytes()
    assert told.notes.count("this disk is full") == 1
    assert "Free space" in told.notes
    assert "there is room again" in told.notes
    assert not (mirror / ".room").exists()


async def test_reopened_after_a_full_disk(run, tmp_path, quick):
    """Left while it was full; what is here is whole and is gone on with."""
    console, mirror = run / "console.log", tmp_path / "mirror"
    write_lines(console, 100, 20_000)
    with largest_file(100_000):
        async with Following(RunWatch(str(run), mirror=mirror)) as told:
            await told.until(lambda: told.contact is Contact.PAUSED, "the pause")
    async with Following(RunWatch(str(run), mirror=mirror)) as told:
        await told.caught_up()
    assert numbers(told) == list(range(20_000))
    assert (mirror / "console.log").read_bytes() == console.read_bytes()
    assert not list(mirror.glob("*~*"))


async def test_once_says_it_and_ends(run, tmp_path):
    write_lines(run / "console.log", 100, 20_000)
    with largest_file(100_000), pytest.raises(InputError, match=r"mirror: this disk is full.*Free space"):
        async for _ in RunWatch(str(run), mirror=tmp_path / "mirror").updates(once=True):
            pass


def test_a_piece_is_taken_whole_or_not_at_all(tmp_path):
    mirror = Mirror(tmp_path, "box:/run")
    mirror.begin("console.log", "1:1")
    mirror.append("console.log", b"x" * 900)
    with largest_file(1000):
        with pytest.raises(NoRoomError):
            mirror.append("console.log", b"y" * 200)
        assert not mirror.has_room()
    assert (tmp_path / "console.log").read_bytes() == b"x" * 900
    assert mirror.size("console.log") == 900
    assert mirror.has_room()
    mirror.append("console.log", b"z")
    assert (tmp_path / "console.log").read_bytes() == b"x" * 900 + b"z"
    mirror.close()


def test_what_cannot_be_written_down_is_not_begun(tmp_path):
    """Neither a new file nor a new beginning is known here that a restart would not know."""
    mirror = Mirror(tmp_path, "box:/run")
    mirror.begin("console.log", "1:1")
    mirror.append("console.log", b"old\n")
    with largest_file(10):
        with pytest.raises(NoRoomError):
            mirror.begin("stderr.log", "1:2")
        with pytest.raises(NoRoomError):
            mirror.start_over("console.log", "1:3")
    assert set(mirror.have()) == {"console.log"}
    assert mirror.name("console.log") == "console.log"
    mirror.begin("stderr.log", "1:2")
    mirror.append("stderr.log", b"words\n")
    mirror.start_over("console.log", "1:3")
    mirror.append("console.log", b"new\n")
    before = mirror.have()
    mirror.close()
    again = Mirror(tmp_path, "box:/run")
    assert again.have() == before
    again.close()


def test_bytes_of_no_known_file_are_not_continued(tmp_path):
    """A crash may leave a file that nothing was written down about."""
    mirror = Mirror(tmp_path, "box:/run")
    (tmp_path / "console.log").write_bytes(b"whose?")
    mirror.begin("console.log", "1:1")
    mirror.append("console.log", b"ours\n")
    assert (tmp_path / "console.log").read_bytes() == b"ours\n"
    mirror.close()


def can_mount():
    """True where this test's user may mount a file system of its own."""
    probe = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return os.geteuid() == 0 and subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if can_mount():

    @pytest.fixture
    def disk(tmp_path):
        """A file system of 3 MB."""
        folder = tmp_path / "disk"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], check=True)
        yield folder
        subprocess.run(["umount", "-l", folder], check=True)

    async def test_a_disk_that_is_really_full(run, disk, quick):
        """Filled by something else, then cleared."""
        (disk / "ballast").write_bytes(bytes(2_500_000))
        write_lines(run / "console.log", 100, 20_000)
        async with Following(RunWatch(str(run), mirror=disk / "mirror")) as told:
            await told.until(lambda: told.contact is Contact.PAUSED, "the pause")
            (disk / "ballast").unlink()
            await told.until(lambda: told.count == 20_000, "all lines")
        assert (disk / "mirror" / "console.log").read_bytes() == (run / "console.log").read_bytes()
