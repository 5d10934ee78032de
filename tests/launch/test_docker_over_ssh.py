"""A Docker engine behind an SSH connection: the same code, the socket carried over."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.docker_engine import ContainerSpec, ContainerState, Engine
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.dockerd import IMAGE

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.dockerd]


async def test_a_container_runs_on_the_other_side(sshd: Sshd, dockerd: Dockerd, tmp_path: Path) -> None:
    code = "open('/work/said', 'w').write('there')"
    spec = ContainerSpec(
        "far", IMAGE, ["python3", "-c", code], str(tmp_path), {str(tmp_path): "/work"}, gpus=False
    )

    def run(socket: str) -> ContainerState | None:
        with Engine(socket, where="lab") as engine:
            engine.start(spec)
            limit = time.monotonic() + 15
            while (state := engine.state("far")) is not None and state.ended is None:
                assert time.monotonic() < limit
                time.sleep(0.05)
            engine.remove("far")
            return state

    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    async with open_host("lab", settings) as host, host.local_socket(str(dockerd.socket)) as socket:
        assert Path(socket).parent.stat().st_mode & 0o077 == 0
        state = await asyncio.to_thread(run, socket)
    assert state is not None
    assert state.exit_code == 0
    assert (tmp_path / "said").read_text() == "there"
    assert not Path(socket).parent.exists()


async def test_a_host_without_docker_is_one_line(sshd: Sshd, tmp_path: Path) -> None:
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)

    def enter(socket: str) -> None:
        with Engine(socket, where="lab"):
            pass

    async with open_host("lab", settings) as host, host.local_socket(str(tmp_path / "none")) as socket:
        with pytest.raises(RemoteError, match=r"lab: Docker cannot be used"):
            await asyncio.to_thread(enter, socket)
