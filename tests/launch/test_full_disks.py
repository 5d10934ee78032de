"""Nearly full disks, there and here: what is small is written all the same, what is over is over."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.recipe import Recipe
from clinasr_tui.launch.control import RunHandle, cancel, is_alive, settle_by_name
from clinasr_tui.launch.fetch import open_folder
from clinasr_tui.launch.flow import launch
from clinasr_tui.launch.places import Places
from clinasr_tui.launch.plan import Backend, Plan
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.launching import BASE, folder_of, launched, plan_of, until
from tests.support.small_disk import mounted

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a real disk of a size; it goes when the test ends."""
    made = []

    def of(size: str) -> Path:
        made.append(mounted(tmp_path / "disk", size))
        return made[-1].__enter__()

    yield of
    for one in made:
        one.__exit__(None, None, None)


def fill(folder: Path) -> None:
    """Leave no byte on its disk."""
    with (folder / "filler").open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * 4096)
        except OSError:
            pass


async def orphan(machine: Path, split: tuple[Path, Path], nemo: Path, recordings: Path) -> Path:
    """A run that goes on and whose wrapper was killed, so that it cannot leave its record."""
    places = Places(str(machine), "demo", 1, "wait-orphan")
    recipe = Recipe(precision="32")
    plan = Plan(
        places, BASE, recipe, backend=Backend.LOCAL, python="/usr/bin/python3", nemo_root=str(nemo), cpu=True
    )
    async with open_host(None, SshSettings()) as host:
        await launch(plan, split, host, lambda _: True, lambda _: None)
    folder = folder_of(plan)
    last = max(path for path in (recordings / "sft3/run").iterdir() if path.is_file())
    half, place = last.stat().st_size // 2, folder / "run" / last.name
    await until(lambda: place.exists() and place.stat().st_size == half, "it never came to wait")
    os.kill(json.loads((folder / "pid.json").read_text())["pid"], signal.SIGKILL)
    return folder


@pytest.mark.parametrize("full", [False, True])
async def test_a_run_is_ended_on_a_machine_with_no_room(
    full: bool,
    disk: Callable[[str], Path],
    split: tuple[Path, Path],
    nemo: Path,
    recordings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = disk("40m")
    with monkeypatch.context() as roomy:
        roomy.setattr("clinasr_tui.launch.send._SPARE", 0)
        folder = await orphan(machine, split, nemo, recordings)
    if full:
        fill(machine)
    async with open_host(None, SshSettings()) as host:
        assert await cancel(RunHandle("wait-orphan", str(folder), None), host)
        assert not await is_alive(RunHandle("wait-orphan", str(folder), None), host)
    if full:
        assert not (folder / "exit.json").exists()
    else:
        assert json.loads((folder / "exit.json").read_text())["signal"] == "SIGTERM"


@pytest.mark.dockerd
async def test_a_container_that_was_killed_on_a_full_disk_is_settled_once_there_is_room(
    disk: Callable[[str], Path],
    split: tuple[Path, Path],
    dockerd: Dockerd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_of("wait-killed", disk("40m"))
    with monkeypatch.context() as roomy:
        roomy.setattr("clinasr_tui.launch.send._SPARE", 0)
        await launched(plan, split, dockerd)
    folder, name = folder_of(plan), plan.places.container
    await until((folder / "run").exists, "it never began")
    dockerd.docker("kill", name)
    fill(Path(plan.places.root))
    handle = RunHandle(plan.places.run, str(folder), name, str(dockerd.socket))
    async with open_host(None, SshSettings()) as host:
        assert not await settle_by_name(handle, host)
        (Path(plan.places.root) / "filler").unlink()
        assert await settle_by_name(handle, host)
    assert json.loads((folder / "exit.json").read_text())["exit_code"] == 137
    dockerd.docker("rm", "-f", name)


async def test_a_small_file_is_fetched_onto_a_disk_with_little_room(
    disk: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/model.nemo").write_bytes(b"m" * 3_000_000)
    here = disk("8m")
    async with open_host(None, SshSettings()) as host, open_folder(host, str(tmp_path / "there")) as folder:
        await folder.fetch(folder.files[0], here / "model.nemo")
        assert (here / "model.nemo").stat().st_size == 3_000_000
        with pytest.raises(
            InputError,
            match=r"model\.nemo needs 3\.0 MB and 3\.0 MB to spare, this disk has 5\.4 MB left",
        ):
            await folder.fetch(folder.files[0], here / "again.nemo")
