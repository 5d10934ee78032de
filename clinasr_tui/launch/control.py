"""What can be done with a run that was launched: does it live, end it, settle what its end left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from clinasr_tui.errors import InputError
from clinasr_tui.launch.container_run import ContainerRun
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.process_run import ProcessRun
from clinasr_tui.launch.slurm import JobRun

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host

STOP_SECONDS = 300
"""How long a run may take to save its `-last` checkpoint before it is killed."""


class StartedRun(Protocol):
    """A run behind whatever has started it; hosts are entered."""

    async def is_alive(self, host: Host) -> bool:
        """Whether it goes on, or is going to."""
        ...

    async def end(self, host: Host, seconds: int, tell: Callable[[float], object]) -> bool:
        """Have it save and end, wait until it has; False if it was over."""
        ...

    async def settle(self, host: Host) -> bool:
        """Write the exit record it could not; True if one was written."""
        ...


class RunHandle(NamedTuple):
    """How a run was launched, from its record."""

    run: str
    run_dir: str
    """Absolute, on the machine."""
    container: str | None
    """None for a run without a container."""
    socket: str = DOCKER_SOCKET
    """Where the machine's Docker engine listens."""
    job: str | None = None
    """The job's name, for a run that was submitted to Slurm."""

    @property
    def started(self) -> StartedRun:
        """The run itself."""
        if self.job is not None:
            return JobRun(self.run_dir, self.job)
        if self.container is not None:
            return ContainerRun(self.run_dir, self.container, self.socket)
        return ProcessRun(self.run_dir)


def handle_of(record: Mapping[str, Any]) -> RunHandle:
    """The handle in a run's record. Raises InputError for a run that was not launched by this program."""
    run, run_dir, backend = record.get("run"), record.get("run_dir"), record.get("backend")
    if not isinstance(run, str) or not isinstance(run_dir, str) or not isinstance(backend, str):
        raise InputError(
            "this run was not launched from here: it can be watched, not ended",
            remedy="End it where it was started.",
        )
    container, socket, job = (record.get(name) for name in ("container", "docker_socket", "job_name"))
    return RunHandle(
        run,
        run_dir,
        container if isinstance(container, str) else None,
        socket if isinstance(socket, str) else DOCKER_SOCKET,
        job if isinstance(job, str) else None,
    )


async def is_alive(handle: RunHandle, host: Host) -> bool:
    """Whether the run goes on, or waits to, on an entered host."""
    return await handle.started.is_alive(host)


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
    return await handle.started.end(host, seconds, tell)


async def settle_by_name(handle: RunHandle, host: Host) -> bool:
    """Write the exit record that a killed wrapper could not; True if one was written.

    The engine knows a container's exit code and whether memory ran out, Slurm what became of a job; of a
    process its machine knows that it has gone. Nothing is written while the run lives.
    """
    return await handle.started.settle(host)
