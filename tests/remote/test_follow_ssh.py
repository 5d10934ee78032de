"""Following through OpenSSH's own server: lossless, and every refusal its own clear line."""

from __future__ import annotations

import getpass
import shutil
import stat

import pytest

from clinasr_tui.errors import HostKeyError, InputError, RemoteError
from clinasr_tui.remote import run_watch
from clinasr_tui.remote.run_watch import Contact, RunWatch, SshSettings
from clinasr_tui.remote.trust import remember
from clinasr_tui.training.snapshot import Outcome
from tests.support.following import Following, append, nemo
from tests.support.sshd import Sshd

pytestmark = pytest.mark.sshd


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "a run's folder"
    folder.mkdir()
    append(folder / "console.log", nemo("first"))
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A second of the countdown is a tenth: it would only be slept through."""
    monkeypatch.setattr(run_watch, "_TICK", 0.1)


def settings(sshd):
    return SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)


async def read_once(sshd, folder, host="lab"):
    watch = RunWatch(str(folder), host=host, ssh=settings(sshd))
    async for _ in watch.updates(once=True):
        pass
    return watch


async def test_growing_folder_arrives_byte_for_byte(sshd, run, tmp_path, recordings):
    recorded = (recordings / "sft3" / "console.log").read_bytes()
    mirror = tmp_path / "mirror"
    async with Following(RunWatch(str(run), host="lab", mirror=mirror, ssh=settings(sshd))) as told:
        await told.caught_up()
        (run / "run").mkdir()
        events = next((recordings / "sft3" / "run").glob("*tfevents*"))
        shutil.copy(events, run / "run")
        for start in range(0, len(recorded), 9973):
            append(run / "console.log", recorded[start : start + 9973])
        append(run / "rc", b"0\n")
        await told.until(told.task.done, "the end", 15)
    for file in (run / "console.log", run / "run" / events.name):
        assert (mirror / file.relative_to(run)).read_bytes() == file.read_bytes()
    snapshot = told.watch.reader.snapshot()
    assert (snapshot.outcome, snapshot.points) == (Outcome.FINISHED, 150)


async def test_killed_connection_resumes_and_shows_every_line_once(sshd, run, tmp_path):
    mirror = tmp_path / "mirror"
    async with Following(RunWatch(str(run), host="lab", mirror=mirror, ssh=settings(sshd))) as told:
        await told.caught_up()
        append(run / "console.log", nemo("before") * 20_000)
        await told.until(lambda: told.count > 1, "the stream is flowing")
        assert sshd.kill_sessions() > 0
        await told.until(lambda: told.contact is Contact.LOST, "the loss is noticed")
        append(run / "console.log", nemo("meanwhile"))
        await told.until(lambda: told.contact is Contact.CONNECTED, "contact again")
        append(run / "console.log", nemo("after"))
        await told.until(lambda: told.count >= 20_003, "what comes after")
    assert (mirror / "console.log").read_bytes() == (run / "console.log").read_bytes()
    lines = [line for update in told.updates for line in update.lines]
    assert [line.offset for line in lines] == sorted({line.offset for line in lines})
    assert len(lines) == 20_003
    assert "contact lost" in told.notes
    assert "the run itself goes on" in told.notes
    assert [update.retry_in for update in told.updates if update.contact is Contact.LOST] == [1.0]


async def test_server_gone_is_retried_with_growing_pauses(sshd, run):
    async with Following(RunWatch(str(run), host="lab", ssh=settings(sshd))) as told:
        await told.caught_up()
        sshd.stop()
        await told.until(lambda: any(update.retry_in == 2.0 for update in told.updates), "the second pause")
        sshd.start()
        await told.until(lambda: told.contact is Contact.CONNECTED, "contact again")
    waits = [update.retry_in for update in told.updates if update.contact is Contact.LOST]
    assert waits == [1.0, 2.0, 1.0]


async def test_first_contact_asks_and_a_confirmed_key_is_remembered(sshd, run):
    sshd.known_hosts.unlink()
    with pytest.raises(HostKeyError) as caught:
        await read_once(sshd, run)
    error = caught.value
    assert (error.fingerprint, error.known, error.changed) == (sshd.fingerprint, (), False)
    assert (error.host, error.port, error.public_key) == ("127.0.0.1", sshd.port, sshd.host_key)
    assert sshd.fingerprint in str(error)

    remember(error, sshd.known_hosts)
    assert sshd.known_hosts.read_text() == f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n"
    assert stat.S_IMODE(sshd.known_hosts.stat().st_mode) == 0o600
    await read_once(sshd, run)


async def test_same_watch_goes_on_after_the_key_is_confirmed(sshd, run):
    sshd.known_hosts.unlink()
    watch = RunWatch(str(run), host="lab", ssh=settings(sshd))
    with pytest.raises(HostKeyError) as caught:
        async for _ in watch.updates():
            pass
    remember(caught.value, sshd.known_hosts)
    async with Following(watch) as told:
        await told.caught_up()
        assert told.texts == [nemo("first").decode().rstrip("\n")]


async def test_changed_key_is_refused_with_both_fingerprints(sshd, run):
    old = sshd.fingerprint
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    with pytest.raises(HostKeyError) as caught:
        await read_once(sshd, run)
    assert caught.value.changed
    assert caught.value.known == (old,)
    assert old in str(caught.value)
    assert sshd.fingerprint in str(caught.value)
    with pytest.raises(InputError, match="another key has been confirmed"):
        remember(caught.value, sshd.known_hosts)
    assert sshd.fingerprint not in sshd.known_hosts.read_text()


async def test_key_changed_while_contact_was_lost_ends_the_watch(sshd, run):
    async with Following(RunWatch(str(run), host="lab", ssh=settings(sshd))) as told:
        await told.caught_up()
        sshd.stop()
        sshd.new_host_key()
        sshd.start()
        await told.until(lambda: told.contact is Contact.LOST, "the loss is noticed")
        with pytest.raises(HostKeyError, match="CHANGED"):
            await told.until(lambda: False, "the refusal")


async def test_another_ports_key_does_not_stand_in(sshd, run):
    """The same address on port 22 may be another machine behind a forwarder."""
    sshd.known_hosts.write_text(f"127.0.0.1 {sshd.host_key}\n")
    with pytest.raises(HostKeyError) as caught:
        await read_once(sshd, run)
    assert not caught.value.changed


async def test_refused_port_is_said_at_first_contact(sshd, run):
    sshd.stop()
    with pytest.raises(RemoteError, match=f"127.0.0.1 port {sshd.port} was refused"):
        await read_once(sshd, run)


async def test_unknown_name_is_said(sshd, run):
    with pytest.raises(RemoteError, match=r"no host named nowhere\.invalid"):
        await read_once(sshd, run, host="nowhere.invalid")


async def test_a_key_the_host_does_not_know_is_said_with_the_user(sshd, run):
    sshd.new_key("id")
    with pytest.raises(RemoteError, match=f"does not let {getpass.getuser()} log in.*authorized_keys"):
        await read_once(sshd, run)


async def test_an_encrypted_key_is_recognised(sshd, run):
    path = sshd.new_key("id", passphrase="secret words")
    with pytest.raises(RemoteError, match=f"{path} is encrypted"):
        await read_once(sshd, run)


async def test_folder_missing_on_the_host_is_named(sshd, tmp_path):
    with pytest.raises(RemoteError, match=r"lab:.*/nowhere: the run folder does not exist"):
        await read_once(sshd, tmp_path / "nowhere")


async def test_host_without_python_is_told_what_to_install(sshd, run):
    sshd.configure("SetEnv PATH=/nowhere")
    with pytest.raises(RemoteError, match=r"there is no python3.*Install Python 3\.6"):
        await read_once(sshd, run)


async def test_a_talkative_login_does_not_disturb(sshd, run):
    """Some accounts print a greeting even without a terminal."""
    sshd.configure('ForceCommand echo welcome; eval "$SSH_ORIGINAL_COMMAND"')
    watch = await read_once(sshd, run)
    assert watch.mirror_path("console.log").read_bytes() == nemo("first")


async def test_proxy_jump_is_judged_by_our_own_file_too(sshd, run, tmp_path):
    with Sshd(tmp_path / "inner") as inner:
        sshd.config.write_text(
            sshd.config.read_text()
            + f"\nHost inner\n  HostName 127.0.0.1\n  Port {inner.port}\n  User {getpass.getuser()}\n"
            + f'  IdentityFile "{inner.folder}/id"\n  ProxyJump lab\n  UserKnownHostsFile /dev/null\n'
        )
        with pytest.raises(HostKeyError) as caught:
            await read_once(sshd, run, host="inner")
        assert caught.value.port == inner.port
        remember(caught.value, sshd.known_hosts)
        await read_once(sshd, run, host="inner")

        jump, target = sshd.known_hosts.read_text().splitlines()
        sshd.known_hosts.write_text(f"{target}\n")
        with pytest.raises(HostKeyError) as caught:
            await read_once(sshd, run, host="inner")
        assert caught.value.port == sshd.port
        assert caught.value.public_key in jump


async def test_broken_ssh_config_is_bad_input(sshd, run):
    sshd.config.write_text("Host lab\n  Port twenty\n")
    with pytest.raises(InputError, match=r"config.*line 2"):
        await read_once(sshd, run)
    sshd.config.unlink()
    with pytest.raises(InputError, match="no such ssh config"):
        await read_once(sshd, run)


async def test_broken_known_hosts_is_bad_input(sshd, run):
    sshd.known_hosts.write_text("gibberish\n")
    with pytest.raises(InputError, match="cannot be read as known hosts"):
        await read_once(sshd, run)
