"""A run in a container: does it live, end it, settle what its end left open."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from clinasr_tui.launch.engine_on import engine_on
from clinasr_tui.launch.outside_record import has_record, write_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinasr_tui.launch.docker_engine import ContainerState
    from clinasr_tui.remote.host import Host

_LOOK_SECONDS = 0.5


class ContainerRun:
    """The run of a folder as a container of the Docker engine at `socket`."""

    def __init__(self, run_dir: str, name: str, socket: str) -> None:
        self._run_dir, self._name, self._socket = run_dir, name, socket

    async def is_alive(self, host: Host) -> bool:
        """Whether the container runs."""
        state = await self._state(host)
        return state is not None and state.running

    async def end(self, host: Host, seconds: int, tell: Callable[[float], object]) -> bool:
        """Have it save and end; killed after `seconds`. False if it was over."""
        async with engine_on(host, self._socket) as engine:
            state = await asyncio.to_thread(engine.state, self._name)
            if state is None or not state.running:
                return False
            await asyncio.to_thread(engine.kill, self._name, "SIGTERM")
            begun, killed = time.monotonic(), False
            while state is not None and state.running:
                waited = time.monotonic() - begun
                tell(waited)
                if waited > seconds and not killed:
                    killed = True
                    await asyncio.to_thread(engine.kill, self._name)
                await asyncio.sleep(_LOOK_SECONDS)
                state = await asyncio.to_thread(engine.state, self._name)
        await self._settle(host, state)
        return True

    async def settle(self, host: Host) -> bool:
        """Write the exit record that a killed wrapper could not: the engine knows the exit code and whether
        memory ran out. True if one was written; nothing is while the container lives."""
        return await self._settle(host, await self._state(host))

    async def _state(self, host: Host) -> ContainerState | None:
        async with engine_on(host, self._socket) as engine:
            return await asyncio.to_thread(engine.state, self._name)

    async def _settle(self, host: Host, state: ContainerState | None) -> bool:
        if state is None or state.running or state.exit_code is None:
            return False
        if await has_record(host, self._run_dir):
            return False
        document: dict[str, object] = {
            "exit_code": state.exit_code,
            "oom": state.oom_killed,
            "started": state.started,
            "ended": state.ended,
        }
        return await write_exit(host, self._run_dir, document)
