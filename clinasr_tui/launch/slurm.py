"""A run as a Slurm job: submitted, looked at, ended, from a login node."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch import process_start, slurm_host
from clinasr_tui.launch.already import running_already
from clinasr_tui.launch.outside_record import has_record, write_exit
from clinasr_tui.nemo_side.run_and_record import LOGS
from clinasr_tui.remote import slurm_ask
from clinasr_tui.remote.scripts import ask
from clinasr_tui.text import visible
from clinasr_tui.training.layout import SLURM_LOG
from clinasr_tui.training.slurm_job import SlurmJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clinasr_tui.remote.host import Host

_SECONDS = 60.0
_LOOK_SECONDS = 1.0
"""Between two questions while an end is waited for: Slurm asks not to be asked in a hurry."""
_AGAIN = 30
"""Seconds until a job that was told to end is told again."""


class JobRun:
    """The run of a folder as a job; `name` is the job's."""

    def __init__(self, run_dir: str, name: str) -> None:
        self._run_dir, self._name = run_dir, name

    async def submit(self, host: Host, argv: Sequence[str], run: str) -> str:
        """Submit it; the job's number. Raises RemoteError for one that lives, else with Slurm's own words."""
        answer = await self._ask(host, do="submit", argv=list(argv), logs=[*LOGS, SLURM_LOG])
        trouble = visible(str(answer.get("trouble") or ""))
        if answer.get("taken"):
            raise running_already(run, host.name)
        if trouble:
            raise RemoteError(
                f"Slurm did not take the job: {trouble}",
                where=host.name,
                remedy="Give what the cluster asks for: --slurm-option partition=… account=… time=…",
            )
        return visible(str(answer["job"]))

    async def state(self, host: Host) -> SlurmJob:
        """How it stands. Raises RemoteError if Slurm does not answer."""
        answer = await self._ask(host, do="state")
        if answer.get("trouble"):
            what = f"Slurm does not answer: {visible(str(answer['trouble']))}"
            raise RemoteError(what, where=host.name, remedy="Try again when its controller is up")
        return SlurmJob.of({**answer, "at": time.time()})

    async def is_alive(self, host: Host) -> bool:
        """True while it waits or runs; one whose processes have ended is only cleaned up after."""
        return (await self.state(host)).works

    async def end(self, host: Host, seconds: int, tell: Callable[[float], object]) -> bool:
        """Have it save and end, and wait until it has; False if it was over. One that waits is taken away.

        The signal goes to the wrapper alone, which passes it on; after `seconds` Slurm ends the job.
        """
        job = await self.state(host)
        if not job.works:
            return False
        begun, told = time.monotonic(), -float(_AGAIN)
        await self._signal(host, "TERM" if job.state == "RUNNING" else "")
        while True:
            waited = time.monotonic() - begun
            tell(waited)
            if waited > seconds and waited - told >= _AGAIN:
                told = waited
                await self._signal(host, "")
            await asyncio.sleep(_LOOK_SECONDS)
            job = await self.state(host)
            if not job.works:
                break
        await self._settle(host, job, asked=True)
        return True

    async def settle(self, host: Host) -> bool:
        """Write the exit record that the run could not; True if one was written."""
        return await self._settle(host, await self.state(host), asked=False)

    async def _settle(self, host: Host, job: SlurmJob, *, asked: bool) -> bool:
        if not job.state or job.lives or await has_record(host, self._run_dir):
            return False
        reason = job.stopped_by or job.node_failure
        document: dict[str, Any] = {
            "exit_code": job.exit_code if job.has_exit_code else None,
            "signal": None if job.has_exit_code else "SIGTERM" if job.stopped_by else "SIGKILL",
            "oom": job.out_of_memory,
            "asked": "SIGTERM" if asked or job.stopped_by else None,
            "ended": job.ended,
            "slurm": {"job": job.id, "state": job.state},
            **({"reason": reason} if reason else {}),
        }
        return await write_exit(host, self._run_dir, document)

    async def _signal(self, host: Host, name: str) -> None:
        """One that has just ended cannot be signalled, and says so; how it stands is asked next."""
        await self._ask(host, do="signal", signal=name)

    async def _ask(self, host: Host, **request: object) -> dict[str, object]:
        asked = {"folder": self._run_dir, "name": self._name, **request}
        return await ask(host, (process_start, slurm_ask, slurm_host), asked, "slurm", _SECONDS)
