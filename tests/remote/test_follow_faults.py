"""Connections that break in every way a network knows: the bytes received are the bytes written, once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from clinasr_tui.remote import contact, run_watch, ssh
from clinasr_tui.remote.run_watch import Contact, RunWatch, SshSettings
from tests.support.following import Following
from tests.support.slow_road import Road
from tests.support.sshd import Sshd

pytestmark = pytest.mark.sshd

LINE = "[NeMo I 2026-11-22 17:03:20 nemo_logging:393] line {:06d} of the run's console, padded {}\n"


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "console.log").touch()
    return folder


@pytest.fixture
def quick(monkeypatch):
    """The product's waits, shortened: they are counted in seconds that a test would only sleep through."""
    monkeypatch.setattr(run_watch, "_TICK", 0.05)
    monkeypatch.setattr(ssh, "KEEPALIVE_SECONDS", 0.2)
    monkeypatch.setattr(contact, "_LEASE", 1.2)


class Writer:
    """A run that writes numbered lines to its console."""

    def __init__(self, run):
        self.path = run / "console.log"
        self.count = 0

    def write(self, lines, size=0):
        with self.path.open("a") as out:
            for _ in range(lines):
                out.write(LINE.format(self.count, "x" * size))
                self.count += 1

    @asynccontextmanager
    async def streaming(self, told):
        """Lines all the time, from when they arrive."""
        writing = asyncio.create_task(self._write_on())
        try:
            await self.flows(told)
            yield
        finally:
            writing.cancel()

    async def flows(self, told):
        before = told.count
        await told.until(lambda: told.count > before + 100, "the stream is flowing")

    async def _write_on(self):
        while True:
            self.write(40)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def followed(sshd, run, tmp_path):
    """Follow the run over the server; in the end all has come, once, and nothing runs on on the host."""
    writer = Writer(run)
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    watch = RunWatch(str(run), host="lab", mirror=tmp_path / "mirror", ssh=settings)
    async with Following(watch) as told:
        await told.caught_up()
        yield told, writer
        writer.write(1)
        await told.until(lambda: told.count >= writer.count, f"all {writer.count} lines")
        await asyncio.sleep(0.1)  # for what would come twice
    assert (tmp_path / "mirror" / "console.log").read_bytes() == writer.path.read_bytes()
    numbers = [int(text.split(" line ")[1][:6]) for text in told.texts]
    assert numbers == list(range(writer.count))
    await none_left(sshd)


async def none_left(sshd, but=0, seconds=5.0):
    """Wait until nothing runs on the host any more for connections that are gone."""
    limit = time.monotonic() + seconds
    while len(sshd.commands()) > but:
        assert time.monotonic() < limit, f"left on the host: {sshd.commands()}"
        await asyncio.sleep(0.05)


async def contact_is(told, state):
    await told.until(lambda: told.contact is state, state)


async def test_sessions_killed_again_and_again_mid_stream(sshd, run, tmp_path, quick):
    async with followed(sshd, run, tmp_path) as (told, writer), writer.streaming(told):
        for _ in range(3):
            await writer.flows(told)
            assert sshd.kill_sessions() > 0
            await contact_is(told, Contact.LOST)
            await contact_is(told, Contact.CONNECTED)
    assert told.notes.count("contact lost") == 3
    assert "the run itself goes on" in told.notes


async def test_jump_host_dies_mid_stream(sshd, run, tmp_path, quick):
    with Sshd(tmp_path / "jump") as jump:
        with sshd.known_hosts.open("a") as known:
            known.write(f"[127.0.0.1]:{jump.port} {jump.host_key}\n")
        sshd.config.write_text(sshd.entry("lab", "ProxyJump jump") + jump.entry("jump"))
        async with followed(sshd, run, tmp_path) as (told, writer), writer.streaming(told):
            assert jump.kill_sessions() > 0
            await contact_is(told, Contact.LOST)
            await contact_is(told, Contact.CONNECTED)


async def test_server_restarted_while_the_run_writes(sshd, run, tmp_path, quick):
    async with followed(sshd, run, tmp_path) as (told, writer), writer.streaming(told):
        sshd.stop()
        await contact_is(told, Contact.LOST)
        await asyncio.sleep(0.3)
        sshd.start()
        await contact_is(told, Contact.CONNECTED)


async def test_frozen_server_process_is_noticed(sshd, run, tmp_path, quick):
    """SIGSTOP: the connection stays open and answers nothing."""
    async with followed(sshd, run, tmp_path) as (told, writer), writer.streaming(told):
        frozen = sshd.sessions()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        await contact_is(told, Contact.LOST)
        assert "keepalive" in told.notes
        await contact_is(told, Contact.CONNECTED)
        await none_left(sshd, but=1)  # the frozen connection's follower
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def test_a_frozen_connection_is_given_up_after_eight_seconds():
    assert (ssh.KEEPALIVE_SECONDS, ssh.KEEPALIVE_COUNT) == (2, 3)
    assert contact._LEASE > 3 * ssh.KEEPALIVE_SECONDS * ssh.KEEPALIVE_COUNT


@asynccontextmanager
async def over_a_road(sshd):
    """The ssh config leads over a road that can be closed."""
    async with Road(sshd.port) as road:
        text = sshd.config.read_text().replace(f"Port {sshd.port}", f"Port {road.port}")
        sshd.config.write_text(text)
        sshd.known_hosts.write_text(f"[127.0.0.1]:{road.port} {sshd.host_key}\n")
        yield road


async def test_packets_that_stall_for_a_while_lose_nothing(sshd, run, tmp_path):
    async with (
        over_a_road(sshd) as road,
        followed(sshd, run, tmp_path) as (told, writer),
        writer.streaming(told),
    ):
        road.stall()
        await asyncio.sleep(0.4)
        road.open.set()
    assert not any(update.contact is Contact.LOST for update in told.updates)


async def test_packets_that_stall_for_long_are_asked_for_again(sshd, run, tmp_path, quick):
    """What was on its way in the old connection may not come twice."""
    async with (
        over_a_road(sshd) as road,
        followed(sshd, run, tmp_path) as (told, writer),
        writer.streaming(told),
    ):
        road.stall()
        await contact_is(told, Contact.LOST)
        road.open.set()
        await contact_is(told, Contact.CONNECTED)


async def test_connection_reset(sshd, run, tmp_path, quick):
    async with (
        over_a_road(sshd) as road,
        followed(sshd, run, tmp_path) as (told, writer),
        writer.streaming(told),
    ):
        road.cut()
        await contact_is(told, Contact.LOST)
        await contact_is(told, Contact.CONNECTED)


async def test_follower_ends_even_when_its_connection_dies_in_silence(sshd, run, tmp_path, quick):
    """Blocked in a write, with a host that still believes in the connection."""
    async with over_a_road(sshd) as road, followed(sshd, run, tmp_path) as (told, writer):
        [first] = sshd.commands()
        road.stall()
        writer.write(16_000, size=1000)
        await contact_is(told, Contact.LOST)
        road.lose()
        await contact_is(told, Contact.CONNECTED)
        await told.until(lambda: first not in sshd.commands(), "the first follower has ended")
        assert sshd.sessions(), "the host still serves the connection"


class Clock:
    """A clock that can be set on; the tested modules' `time`."""

    def __init__(self):
        self.wall = self.steady = 0.0

    def time(self):
        return time.time() + self.wall

    def monotonic(self):
        return time.monotonic() + self.steady


@pytest.fixture
async def clock(monkeypatch):
    one = Clock()
    for module in (run_watch, contact):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=one.time, monotonic=one.monotonic))
    monkeypatch.setattr(asyncio.get_running_loop(), "time", one.monotonic)
    return one


@pytest.mark.parametrize("steady", [0.0, 3600.0], ids=["steady clock stood", "steady clock went on"])
async def test_an_hour_asleep(sshd, run, tmp_path, quick, clock, steady):
    """The laptop is shut; the run goes on, the host gives the connection up; the laptop wakes."""
    async with over_a_road(sshd) as road, followed(sshd, run, tmp_path) as (told, writer):
        writer.write(50)
        await told.until(lambda: told.count == 50, "the first lines")
        slept = clock.time()
        road.stall()
        sshd.kill_sessions()
        writer.write(1000)
        clock.wall, clock.steady = 3600.0, steady
        assert told.watch.heard_at < slept + 1, "an hour's sleep is no hour's silence of the run"
        await contact_is(told, Contact.LOST)
        road.lose()
        await contact_is(told, Contact.CONNECTED)
        await told.until(lambda: told.watch.heard_at > slept + 3600, "news of after the sleep")


async def test_waking_up_cuts_the_countdown_short(sshd, run, tmp_path, quick, clock, monkeypatch):
    async with followed(sshd, run, tmp_path) as (told, _):
        sshd.stop()
        await told.until(lambda: any(update.retry_in == 4.0 for update in told.updates), "the third pause")
        sshd.start()
        monkeypatch.setattr(run_watch, "_TICK", 0.2)
        clock.wall = 3600.0
        await contact_is(told, Contact.CONNECTED)
        waits = [update.retry_in for update in told.updates if update.contact is Contact.LOST]
    assert waits[:3] == [1.0, 2.0, 1.0]
    assert 1.0 not in waits[4:], "the countdown from 4 was not waited for"


async def test_the_countdown_is_told_second_by_second(sshd, run, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(run_watch, "_LONGEST_WAIT", 4)
    async with followed(sshd, run, tmp_path) as (told, _):
        sshd.stop()
        lost = [1.0, 2.0, 1.0, 4.0, 3.0, 2.0, 1.0, 4.0, 3.0, 2.0, 1.0]

        def waits():
            return [update.retry_in for update in told.updates if update.contact is Contact.LOST]

        await told.until(lambda: len(waits()) >= len(lost), "four pauses")
        assert waits()[: len(lost)] == lost
        sshd.start()
        await contact_is(told, Contact.CONNECTED)


def watching(sshd, run, tmp_path):
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    return RunWatch(str(run), host="lab", mirror=tmp_path / "mirror", ssh=settings)


async def test_reopened_without_a_network_shows_what_is_here_and_goes_on_trying(sshd, run, tmp_path, quick):
    async with followed(sshd, run, tmp_path) as (_, writer):
        writer.write(100)
    sshd.stop()
    writer.write(10)
    async with Following(watching(sshd, run, tmp_path)) as told:
        await told.until(lambda: any(update.retry_in == 4.0 for update in told.updates), "the third pause")
        assert told.count == 101
        assert told.notes.count("refused") == 1, "said once, not at each attempt"
        sshd.start()
        await told.until(lambda: told.count == 111, "the lines written meanwhile")
        numbers = [int(text.split(" line ")[1][:6]) for text in told.texts]
    assert numbers == list(range(111))


async def test_ended_run_on_a_host_that_is_gone_is_shown_from_the_mirror(sshd, run, tmp_path):
    (run / "console.log").write_text("`Trainer.fit` stopped: `max_epochs=3` reached.\n")
    (run / "rc").write_text("0\n")
    async for _ in watching(sshd, run, tmp_path).updates():
        pass
    sshd.stop()
    watch = watching(sshd, run, tmp_path)
    async with Following(watch) as told:
        await told.until(told.task.done, "the end")
    assert told.contact is Contact.CLOSED
    assert "mirrored before" in told.notes
    assert watch.reader.snapshot().exit_code == 0
