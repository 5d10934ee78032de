"""A run as a process of its own: start it, does it live, end it, settle what its end left open."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch import detach, process_start, signal_process
from clinasr_tui.launch.already import running_already
from clinasr_tui.launch.outside_record import has_record, write_exit
from clinasr_tui.remote.scripts import ask
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clinasr_tui.remote.host import Host

_START_SECONDS = 60.0
_ANSWER_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_AGAIN = 10.0
"""Seconds in which a wrapper whose command was killed writes the record."""


class ProcessRun:
    """The run of a folder as a process."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir

    async def start(self, host: Host, argv: Sequence[str], run: str) -> str:
        """Start it; the process's id. Raises RemoteError where it lives already or cannot begin."""
        request = {"argv": list(argv), "folder": self._run_dir}
        answer = await ask(host, (process_start, detach), request, "started", _START_SECONDS)
        if answer.get("taken"):
            raise running_already(run, host.name)
        if answer.get("trouble"):
            raise RemoteError(
                f"the run cannot begin: {visible(str(answer['trouble']))}",
                where=f"{host.name}:{self._run_dir}",
                remedy=f"Check that the Python that was named works there (--python): {argv[0]}",
            )
        return str(answer.get("pid"))

    async def is_alive(self, host: Host) -> bool:
        """Whether the process lives."""
        return (await self._signalled(host, 0)).get("alive") is True

    async def end(self, host: Host, seconds: int, tell: Callable[[float], object]) -> bool:
        """Have it save and end; killed after `seconds`. False if it was over."""
        begun, killed = time.monotonic(), None
        if not (await self._signalled(host, signal.SIGTERM)).get("alive"):
            return False
        tell(0.0)
        while await self.is_alive(host):
            waited = time.monotonic() - begun
            tell(waited)
            if waited > seconds and (killed is None or waited - killed > _AGAIN):
                killed = waited
                await self._signalled(host, signal.SIGKILL)
            await asyncio.sleep(_LOOK_SECONDS)
        if not await has_record(host, self._run_dir):
            # The wrapper had gone before, or was killed: what is known is what the run was sent.
            name = "SIGTERM" if killed is None else "SIGKILL"
            await write_exit(host, self._run_dir, {"exit_code": None, "signal": name, "asked": "SIGTERM"})
        return True

    async def settle(self, host: Host) -> bool:
        """Write the exit record of a process that has gone without a word; True if one was written."""
        answer = await self._signalled(host, 0)
        if answer.get("gone") is not True or await has_record(host, self._run_dir):
            return False
        said = visible(str(answer.get("said") or "")) or None
        return await write_exit(host, self._run_dir, {"exit_code": None, "gone": True, "reason": said})

    async def _signalled(self, host: Host, number: int) -> dict[str, object]:
        request = {"folder": self._run_dir, "signal": int(number)}
        return await ask(host, (process_start, signal_process), request, "signalled", _ANSWER_SECONDS)
