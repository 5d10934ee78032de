"""What a machine has, asked of this one and over a real sshd; `nvidia-smi` is a stand-in that says so."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.flywheel.recipe import Gpu
from clinasr_tui.launch.machine import Machine, look
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host

if TYPE_CHECKING:
    from tests.support.sshd import Sshd

TWO_GPUS = "NVIDIA L40S, 46068, 8.9, 550.54.15\nTesla T4, 15360, 7.5, 550.54.15"
QUERY = "--query-gpu=name,memory.total,compute_cap,driver_version --format=csv,noheader,nounits"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs in front of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def nvidia_smi(folder: Path, said: str, code: int = 0) -> None:
    """Stand in for nvidia-smi: takes only the query it is meant for."""
    script = folder / "nvidia-smi"
    script.write_text(
        "#!/bin/sh\n# A stand-in for nvidia-smi: there is no GPU here.\n"
        f"[ \"$*\" = '{QUERY}' ] || {{ echo 'Field is not a valid field to query.'; exit 2; }}\n"
        f"cat <<'END'\n{said}\nEND\nexit {code}\n"
    )
    script.chmod(0o755)


async def this_machine(folder: Path, listens: str = "/none") -> Machine:
    async with open_host(None, SshSettings()) as host:
        return await look(host, str(folder), socket=listens)


async def test_gpus_are_told_with_memory_and_capability(stand_in: Path, tmp_path: Path) -> None:
    nvidia_smi(stand_in, TWO_GPUS)
    machine = await this_machine(tmp_path)
    assert machine.gpus == (Gpu("NVIDIA L40S", 46068, (8, 9)), Gpu("Tesla T4", 15360, (7, 5)))
    assert (machine.driver, machine.gpu_trouble) == ("550.54.15", "")


async def test_a_driver_that_does_not_answer_is_said(stand_in: Path, tmp_path: Path) -> None:
    nvidia_smi(stand_in, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9)
    machine = await this_machine(tmp_path)
    assert machine.gpus == ()
    assert "couldn't communicate with the NVIDIA driver" in machine.gpu_trouble


@pytest.mark.skipif(bool(shutil.which("nvidia-smi")), reason="this machine has a GPU")
async def test_a_machine_without_a_gpu_says_so(tmp_path: Path) -> None:
    machine = await this_machine(tmp_path / "not" / "yet")
    assert machine.gpu_trouble == "nvidia-smi is not installed"
    assert machine.folder == str(tmp_path / "not" / "yet")
    assert 0 < machine.disk_free <= machine.disk_total == shutil.disk_usage(tmp_path).total
    assert (machine.uid, machine.gid) == (os.getuid(), os.getgid())
    assert machine.memory > 1 << 28
    assert machine.cpus >= 1


async def test_unknown_figures_are_nought(stand_in: Path, tmp_path: Path) -> None:
    nvidia_smi(stand_in, "GRID \x1b[31mK1, [N/A], [N/A], 1")
    assert (await this_machine(tmp_path)).gpus == (Gpu("GRID ␛[31mK1", 0, (0, 0)),)


@pytest.fixture
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A socket somebody listens on."""
    place = tmp_path_factory.mktemp("s") / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        yield place


async def test_dockers_socket_is_tried(listening: Path, tmp_path: Path) -> None:
    assert (await this_machine(tmp_path, str(listening))).docker == "ok"
    assert (await this_machine(tmp_path, str(tmp_path / "none"))).docker == "missing"
    (tmp_path / "file").write_text("")
    assert (await this_machine(tmp_path, str(tmp_path / "file"))).docker == "silent"


@pytest.mark.sshd
async def test_another_machine_is_asked_over_ssh(sshd: Sshd, tmp_path: Path) -> None:
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    async with open_host("lab", settings) as host:
        machine = await look(host, "~/clinasr")
    assert machine.name == "lab"
    assert machine.folder == str(Path.home() / "clinasr")


async def test_a_machine_without_python_is_one_line(tmp_path: Path) -> None:
    async with open_host(None, SshSettings()) as host:
        host.python = "false"
        with pytest.raises(RemoteError, match="this machine"):
            await look(host, str(tmp_path))
