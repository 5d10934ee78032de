"""Files arrive whole, once, and go on where an attempt was cut off: on this machine and over a real sshd."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.launch.send import Item, Sent, send
from clinasr_tui.remote.host import Host, SshSettings, UnreachableError
from clinasr_tui.remote.hosts import open_host
from tests.support.small_disk import mounted

if TYPE_CHECKING:
    from tests.support.sshd import Sshd

BIG = random.Random(5).randbytes(3 << 20)


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.sshd)])
def open_one(request: pytest.FixtureRequest) -> Host:
    if request.param == "local":
        return open_host(None, SshSettings())
    sshd: Sshd = request.getfixturevalue("sshd")
    return open_host("lab", SshSettings(config=sshd.config, known_hosts=sshd.known_hosts))


@asynccontextmanager
async def lab(sshd: Sshd) -> AsyncIterator[Host]:
    async with open_host("lab", SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)) as host:
        yield host


def files_in(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".receiving"
    }


def items_in(folder: Path) -> list[Item]:
    folder.mkdir()
    (folder / "a b'\"$(x).wav").write_bytes(b"RIFF" * 1000)
    (folder / "empty").write_bytes(b"")
    (folder / "big.flac").write_bytes(BIG)
    return [
        *(Item(f"audio/{path.name}", path) for path in sorted(folder.iterdir())),
        Item("train.jsonl", "{}\nä\n".encode()),
    ]


async def test_everything_arrives_and_nothing_twice(open_one: Host, tmp_path: Path) -> None:
    items, root = items_in(tmp_path / "here"), tmp_path / "there"
    told: list[tuple[int, int]] = []

    def tell(sent: Sent) -> bool:
        told.append((sent.done_bytes, sent.bytes))
        return True

    async with open_one as host:
        first = await send(host, str(root), items, tell)
        again = await send(host, str(root), items)
        (tmp_path / "here" / "empty").write_bytes(b"no more")
        third = await send(host, str(root), items)
    assert files_in(root) == {
        item.path: item.source if isinstance(item.source, bytes) else item.source.read_bytes()
        for item in items
    }
    assert (first.files, first.there, first.done_files) == (4, 0, 4)
    assert first.bytes == first.done_bytes == len(BIG) + 4000 + 6
    assert (again.files, again.there, again.bytes) == (0, 4, 0)
    assert (third.files, third.bytes) == (1, 7)
    assert told == sorted(told)
    assert told[-1] == (first.bytes, first.bytes)


async def test_same_size_with_other_content_is_sent(open_one: Host, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    async with open_one as host:
        sent = await send(host, str(tmp_path), [Item("x", b"new")])
    assert sent.files == 1
    assert (tmp_path / "x").read_bytes() == b"new"


@pytest.mark.sshd
async def test_goes_on_where_it_was_cut_off(tmp_path: Path, sshd: Sshd) -> None:
    (tmp_path / "big").write_bytes(BIG)
    items, root = [Item("big", tmp_path / "big")], tmp_path / "there"

    def cut(sent: Sent) -> bool:
        if sent.done_bytes > 2 << 20:
            sshd.kill_sessions()
        return True

    with pytest.raises(UnreachableError):
        async with lab(sshd) as host:
            await send(host, str(root), items, cut)
    assert not (root / "big").exists()
    (left,) = root.glob("*.part")
    begun = left.stat().st_size
    async with lab(sshd) as host:
        sent = await send(host, str(root), items)
    assert 0 < begun < len(BIG)
    # What was on its way is still written.
    assert sent.bytes == sent.done_bytes <= len(BIG) - begun
    assert files_in(root) == {"big": BIG}


PART = f"big.{hashlib.sha256(BIG).hexdigest()[:12]}.part"


async def test_a_complete_part_is_only_renamed(open_one: Host, tmp_path: Path) -> None:
    (tmp_path / PART).write_bytes(BIG)
    async with open_one as host:
        sent = await send(host, str(tmp_path), [Item("big", BIG)])
    assert sent.bytes == 0
    assert files_in(tmp_path) == {"big": BIG}


async def test_a_wrong_part_is_thrown_away_and_the_next_attempt_is_right(
    open_one: Host, tmp_path: Path
) -> None:
    (tmp_path / PART).write_bytes(BIG[:100] + b"x" + BIG[101:2000])
    async with open_one as host:
        with pytest.raises(InputError, match="changed while it was sent"):
            await send(host, str(tmp_path), [Item("big", BIG)])
        assert files_in(tmp_path) == {}
        await send(host, str(tmp_path), [Item("big", BIG)])
    assert files_in(tmp_path) == {"big": BIG}


async def test_cancelling_keeps_what_has_come(open_one: Host, tmp_path: Path) -> None:
    async with open_one as host:
        with pytest.raises(InterruptedError, match="cancelled after"):
            await send(host, str(tmp_path), [Item("big", BIG)], lambda sent: sent.done_bytes < 1 << 20)
        sent = await send(host, str(tmp_path), [Item("big", BIG)])
    assert sent.bytes < len(BIG)
    assert files_in(tmp_path) == {"big": BIG}


async def test_a_file_that_grows_shorter_is_never_half_there(tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(BIG)

    def shorten(sent: Sent) -> bool:
        os.truncate(source, 1 << 20)
        return True

    async with open_host(None, SshSettings()) as host:
        with pytest.raises(InputError, match=f"^{source}: it changed"):
            await send(host, str(tmp_path / "there"), [Item("big", source)], shorten)
    assert "big" not in files_in(tmp_path / "there")


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    async with open_host(None, SshSettings()) as host:
        with pytest.raises(InputError, match=r"no.wav: cannot be read \(No such file"):
            await send(host, str(tmp_path), [Item("no.wav", tmp_path / "no.wav")])


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out"])
async def test_nothing_leaves_the_folder(tmp_path: Path, path: str) -> None:
    async with open_host(None, SshSettings()) as host:
        with pytest.raises(RemoteError, match="leads out of the folder"):
            await send(host, str(tmp_path / "root"), [Item(path, b"x")])
    assert not [name for name in files_in(tmp_path) if name.startswith("out")]


async def test_a_folder_that_cannot_be_made_is_one_line(open_one: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with open_one as host:
        with pytest.raises(RemoteError, match=r"cannot be written there: .*file/root: Not a directory"):
            await send(host, str(tmp_path / "file/root"), [Item("a", b"x")])


async def test_home_folder_is_the_hosts(
    open_one: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"clinasr-test-{os.getpid()}"
    place = Path.home() / name
    try:
        async with open_one as host:
            await send(host, f"~/{name}", [Item("a", b"x")])
        assert (place / "a").read_bytes() == b"x"
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    with mounted(tmp_path / "small", "2m") as folder:
        yield folder


async def test_a_full_disk_is_said_before_and_while_sending(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_host(None, SshSettings()) as host:
        with pytest.raises(RemoteError, match=r"3\.1 MB are to be sent and .* its disk has 2\.1 MB left"):
            await send(host, str(small_disk), [Item("big", BIG)])
        monkeypatch.setattr("clinasr_tui.launch.send._SPARE", -(1 << 40))
        with pytest.raises(RemoteError, match="its disk is full"):
            await send(host, str(small_disk), [Item("big", BIG)])
    assert "big" not in files_in(small_disk)


async def test_file_modes_follow_the_hosts_umask(open_one: Host, tmp_path: Path) -> None:
    async with open_one as host:
        await send(host, str(tmp_path), [Item("a", b"x")])
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) & 0o600 == 0o600
