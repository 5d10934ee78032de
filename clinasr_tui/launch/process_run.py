"""A run as a process of its own: does it live, end it."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from clinasr_tui.launch import process_start, signal_process
from clinasr_tui.launch.outside_record import has_record, write_exit
from clinasr_tui.remote.scripts import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinasr_tui.remote.host import Host

_ANSWER_SECONDS = 30.0
_LOOK_SECONDS = 0.5


class ProcessRun:
    """The run of a folder as a process."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir

    async def is_alive(self, host: Host) -> bool:
        """Whether the process lives."""
        return await self._signalled(host, 0)

    async def end(self, host: Host, seconds: int, tell: Callable[[float], object]) -> bool:
        """Have it save and end; killed after `seconds`. False if it was over."""
        begun = time.monotonic()
        if not await self._signalled(host, signal.SIGTERM):
            return False
        tell(0.0)
        number = 0
        while await self._signalled(host, number):
            waited = time.monotonic() - begun
            tell(waited)
            number = signal.SIGKILL if waited > seconds else 0
            await asyncio.sleep(_LOOK_SECONDS)
        if not await has_record(host, self._run_dir):
            # The wrapper had gone before, or was killed: what is known is what the run was sent.
            name = signal.Signals(number or signal.SIGTERM).name
            await write_exit(host, self._run_dir, {"exit_code": None, "signal": name, "asked": "SIGTERM"})
        return True

    async def settle(self, host: Host) -> bool:
        """Nobody knows more of a process than its folder."""
        del host
        return False

    async def _signalled(self, host: Host, number: int) -> bool:
        request = {"folder": self._run_dir, "signal": int(number)}
        answer = await ask(host, (process_start, signal_process), request, "signalled", _ANSWER_SECONDS)
        return answer.get("alive") is True
