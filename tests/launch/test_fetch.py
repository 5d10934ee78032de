"""Files come whole, checked and only once; what changes or leads astray is refused."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.checkpoints import best_of, checkpoints_of
from clinasr_tui.launch.fetch import Fetching, Folder, HostFile, open_folder
from clinasr_tui.remote.host import Host, SshSettings, UnreachableError
from clinasr_tui.remote.hosts import open_host

if TYPE_CHECKING:
    from tests.support.sshd import Sshd

BIG = random.Random(3).randbytes(3 << 20)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    (folder / "run/checkpoints").mkdir(parents=True)
    (folder / "run/checkpoints/a.nemo").write_bytes(BIG)
    (folder / "empty.log").touch()
    (folder / "odd\nname").write_text("x")
    (folder / "link.log").symlink_to("/etc/passwd")
    return folder


@asynccontextmanager
async def opened(there: Path) -> AsyncIterator[Folder]:
    async with open_host(None, SshSettings()) as host, open_folder(host, str(there)) as folder:
        yield folder


def parts(place: Path) -> list[Path]:
    return list(place.parent.glob(".*.part"))


async def test_files_are_listed_and_fetched_as_they_are(host: Host, there: Path, tmp_path: Path) -> None:
    async with host, open_folder(host, str(there)) as folder:
        assert set(folder.files) == {HostFile("empty.log", 0), HostFile("run/checkpoints/a.nemo", len(BIG))}
        for file in folder.files:
            await folder.fetch(file, tmp_path / "here" / file.path)
    assert (tmp_path / "here/run/checkpoints/a.nemo").read_bytes() == BIG
    assert (tmp_path / "here/empty.log").read_bytes() == b""
    assert not parts(tmp_path / "here/run/checkpoints/a.nemo")


async def test_what_is_here_already_is_not_fetched_again(there: Path, tmp_path: Path) -> None:
    place = tmp_path / "model.nemo"
    place.write_bytes(BIG)
    before = place.stat().st_ino
    told: list[Fetching] = []
    async with opened(there) as folder:
        await folder.fetch(folder.files[-1], place, lambda now: told.append(now) is None)
    assert told == []
    assert place.stat().st_ino == before


async def test_fetching_goes_on_where_it_was_cut_off(there: Path, tmp_path: Path) -> None:
    place, told = tmp_path / "model.nemo", []

    def stop(now: Fetching) -> bool:
        return now.done < len(BIG) // 2

    async with opened(there) as folder:
        with pytest.raises(InterruptedError, match="cancelled after"):
            await folder.fetch(folder.files[-1], place, stop)
    assert not place.exists()
    assert len(parts(place)) == 1
    async with opened(there) as folder:
        await folder.fetch(folder.files[-1], place, lambda now: told.append(now.done) is None)
    assert told[0] > len(BIG) // 2
    assert place.read_bytes() == BIG
    assert not parts(place)


@pytest.mark.sshd
async def test_a_lost_connection_leaves_nothing_under_the_final_name(
    sshd: Sshd, there: Path, tmp_path: Path
) -> None:
    place = tmp_path / "model.nemo"
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    async with open_host("lab", settings) as host, open_folder(host, str(there)) as folder:
        with pytest.raises(UnreachableError):
            await folder.fetch(folder.files[-1], place, lambda _: sshd.kill_sessions() >= 0)
    assert not place.exists()


async def test_a_file_that_changes_meanwhile_is_refused(there: Path, tmp_path: Path) -> None:
    place = tmp_path / "model.nemo"

    def rewrite(now: Fetching) -> bool:
        with (there / "run/checkpoints/a.nemo").open("r+b") as stream:
            stream.seek(-1, 2)
            stream.write(b"?")
        return True

    async with opened(there) as folder:
        with pytest.raises(RemoteError, match="it changed while it was fetched"):
            await folder.fetch(folder.files[-1], place, rewrite)
    assert not place.exists()
    assert not parts(place)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "link.log", "gone"])
async def test_what_leads_out_of_the_folder_is_not_sent(there: Path, path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    async with opened(there) as folder:
        with pytest.raises(RemoteError, match="it cannot be fetched"):
            await folder.digest(HostFile(path, 1))


async def test_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="there is no folder"):
        async with opened(tmp_path / "none"):
            pass


def test_the_best_checkpoint_is_never_the_last_ones_copy() -> None:
    names = [
        "x--val_wer=0.0833-epoch=0.ckpt",
        "x--val_wer=0.0347-epoch=1.ckpt",
        "x--val_wer=0.0347-epoch=2-last.ckpt",
        "x--val_wer=inf-epoch=3.ckpt",
    ]
    files = [HostFile(f"run/checkpoints/{name}", 1) for name in names]
    points = checkpoints_of([*files, HostFile("run/checkpoints/x.nemo", 1), HostFile("a.ckpt", 1)])
    assert [one.is_last for one in points] == [False, False, True, False]
    best = best_of(points)
    assert best is not None
    assert (best.name, best.val_wer) == ("x--val_wer=0.0347-epoch=1.ckpt", 0.0347)
    assert best_of([]) is None
