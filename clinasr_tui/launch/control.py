"""What can be done with a run that was launched: does it live, end it, settle what its end left open."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.launch import process_start, signal_process
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.engine_on import engine_on
from clinasr_tui.launch.send import Item, send
from clinasr_tui.remote.scripts import ask, succeeds

if TYPE_CHECKING:
    from clinasr_tui.launch.docker_engine import ContainerState
    from clinasr_tui.remote.host import Host

STOP_SECONDS = 300
"""How long a run may take to save its `-last` checkpoint before it is killed."""
_ANSWER_SECONDS = 30.0
_LOOK_SECONDS = 0.5


class RunHandle(NamedTuple):
    """How a run was launched, from its record."""

    run: str
    run_dir: str
    """Absolute, on the machine."""
    container: str | None
    """None for a process without a container."""
    socket: str = DOCKER_SOCKET
    """Where the machine's Docker engine listens."""


def handle_of(record: Mapping[str, Any]) -> RunHandle:
    """The handle in a run's record. Raises InputError for a run that was not launched by this program."""
    run, run_dir, backend = record.get("run"), record.get("run_dir"), record.get("backend")
    container = record.get("container")
    if not isinstance(run, str) or not isinstance(run_dir, str) or not isinstance(backend, str):
        raise InputError(
            "this run was not launched from here: it can be watched, not ended",
            remedy="End it where it was started.",
        )
    socket = record.get("docker_socket")
    return RunHandle(
        run,
        run_dir,
        container if isinstance(container, str) else None,
        socket if isinstance(socket, str) else DOCKER_SOCKET,
    )


async def is_alive(handle: RunHandle, host: Host) -> bool:
    """Whether the run's container or process lives on an entered host."""
    if handle.container is None:
        return await _signalled(handle, host, 0)
    async with engine_on(host, handle.socket) as engine:
        state = await asyncio.to_thread(engine.state, handle.container)
    return state is not None and state.running


async def cancel(
    handle: RunHandle,
    host: Host,
    *,
    seconds: int = STOP_SECONDS,
    tell: Callable[[float], object] = lambda _: None,
) -> bool:
    """Ask a run to end and wait until it has; False if it was over already.

    It is sent SIGTERM, on which the stock script saves its `-last` checkpoint; after `seconds` it is killed.
    `tell` is given the seconds waited so far.
    """
    if handle.container is None:
        return await _end_process(handle, host, seconds, tell)
    async with engine_on(host, handle.socket) as engine:
        state = await asyncio.to_thread(engine.state, handle.container)
        if state is None or not state.running:
            return False
        await asyncio.to_thread(engine.kill, handle.container, "SIGTERM")
        begun, killed = time.monotonic(), False
        while state is not None and state.running:
            waited = time.monotonic() - begun
            tell(waited)
            if waited > seconds and not killed:
                killed = True
                await asyncio.to_thread(engine.kill, handle.container)
            await asyncio.sleep(_LOOK_SECONDS)
            state = await asyncio.to_thread(engine.state, handle.container)
    await settle(handle, host, state)
    return True


async def _end_process(handle: RunHandle, host: Host, seconds: int, tell: Callable[[float], object]) -> bool:
    begun = time.monotonic()
    if not await _signalled(handle, host, signal.SIGTERM):
        return False
    tell(0.0)
    number = 0
    while await _signalled(handle, host, number):
        waited = time.monotonic() - begun
        tell(waited)
        number = signal.SIGKILL if waited > seconds else 0
        await asyncio.sleep(_LOOK_SECONDS)
    if not await succeeds(host, ["test", "-e", f"{handle.run_dir}/exit.json"]):
        # The wrapper had gone before, or was killed: what is known is what the run was sent.
        name = signal.Signals(number or signal.SIGTERM).name
        await _write_record(handle, host, {"exit_code": None, "signal": name, "asked": "SIGTERM"})
    return True


async def _signalled(handle: RunHandle, host: Host, number: int) -> bool:
    request = {"folder": handle.run_dir, "signal": int(number)}
    answer = await ask(host, (process_start, signal_process), request, "signalled", _ANSWER_SECONDS)
    return answer.get("alive") is True


async def settle(handle: RunHandle, host: Host, state: ContainerState | None = None) -> bool:
    """Write the exit record that a killed wrapper could not; True if one was written.

    The engine knows the exit code and whether memory ran out. Nothing is written while the container lives.
    """
    if state is None or state.running or state.exit_code is None:
        return False
    if await succeeds(host, ["test", "-e", f"{handle.run_dir}/exit.json"]):
        return False
    document: dict[str, object] = {
        "exit_code": state.exit_code,
        "oom": state.oom_killed,
        "started": state.started,
        "ended": state.ended,
    }
    await _write_record(handle, host, document)
    return True


async def _write_record(handle: RunHandle, host: Host, document: dict[str, object]) -> None:
    by = "written from outside: the run itself could not leave a record"
    await send(host, handle.run_dir, [Item("exit.json", json.dumps({**document, "by": by}).encode())])


async def settle_by_name(handle: RunHandle, host: Host) -> bool:
    """`settle` after asking the engine; False for a run without a container."""
    if handle.container is None:
        return False
    async with engine_on(host, handle.socket) as engine:
        state = await asyncio.to_thread(engine.state, handle.container)
    return await settle(handle, host, state)
