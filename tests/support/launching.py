"""Launch runs in tests: small plans without a GPU, and waiting for what they leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.recipe import Recipe
from clinasr_tui.launch.control import RunHandle, cancel
from clinasr_tui.launch.engine_on import engine_on
from clinasr_tui.launch.flow import Launched, Prepared, Progress, launch
from clinasr_tui.launch.places import Places
from clinasr_tui.launch.plan import Plan
from clinasr_tui.remote.host import Host, SshSettings
from clinasr_tui.remote.hosts import open_host

if TYPE_CHECKING:
    from clinasr_tui.launch.docker_engine import Engine
    from tests.support.dockerd import Dockerd

BASE = "nvidia/parakeet-tdt-0.6b-v2"


def plan_of(run: str, machine: Path) -> Plan:
    """A run without a GPU: the stand-in needs none."""
    return Plan(Places(str(machine), "demo ws", 1, run), BASE, Recipe(precision="32"), cpu=True)


async def launched(
    plan: Plan,
    split: tuple[Path, Path],
    dockerd: Dockerd,
    *,
    host: Host | None = None,
    before: Callable[[Prepared], object] = lambda _: None,
    tell: Callable[[Progress], bool] = lambda _: True,
) -> Launched:
    async with host or open_host(None, SshSettings()) as entered:
        return await launch(plan, split, entered, tell, before, socket=str(dockerd.socket))


def folder_of(plan: Plan) -> Path:
    return Path(plan.places.at(plan.places.run_dir))


def there(folder: Path) -> list[Path]:
    """Everything below a folder; nothing if it does not exist."""
    return sorted(folder.rglob("*"))


async def until(holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, what
        await asyncio.sleep(0.05)


async def ended(plan: Plan) -> Path:
    folder = folder_of(plan)
    await until((folder / "exit.json").exists, "the run never ended")
    return folder


@asynccontextmanager
async def engine_of(dockerd: Dockerd) -> AsyncIterator[Engine]:
    async with open_host(None, SshSettings()) as host, engine_on(host, str(dockerd.socket)) as engine:
        yield engine


async def stopped(plan: Plan, dockerd: Dockerd) -> None:
    """End a run as an operator does, and wait for it."""
    handle = RunHandle(plan.places.run, str(folder_of(plan)), plan.places.container, str(dockerd.socket))
    async with open_host(None, SshSettings()) as host:
        assert await cancel(handle, host, seconds=20)


async def started(plan: Plan, split: tuple[Path, Path], host: Host) -> Launched:
    """Launch on an entered host, without a workspace."""
    return await launch(plan, split, host, lambda _: True, lambda _: None)
