"""The Python that has NeMo: which one it is, and whether it has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.places import program_here
from clinasr_tui.launch.plan import Backend
from clinasr_tui.nemo_side import NEMO_INSTALL
from clinasr_tui.remote.local import LocalHost
from clinasr_tui.remote.scripts import succeeds

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host

_HAS_NEMO = "import importlib.util as u, sys; sys.exit(u.find_spec('nemo') is None)"


def python_of(chosen: str, backend: Backend, host: str | None) -> str:
    """The Python a job runs with; "" leaves it to the machine.

    On this machine (`host` None) a process takes the one that runs us, where the extra `nemo` is installed,
    and a path is meant from the current folder.
    """
    if host is not None or backend is Backend.DOCKER:
        return chosen or "python3"
    return program_here(chosen) or (LocalHost.python if backend is Backend.LOCAL else "python3")


async def expect_nemo(python: str, host: Host) -> None:
    """Raise RemoteError if that Python of an entered host has no NeMo."""
    if not await succeeds(host, [python, "-c", _HAS_NEMO]):
        raise RemoteError(
            f"{python} has no NeMo",
            where=host.name,
            remedy="Name the one that has it (Python in the settings, --python), or install it there: "
            + NEMO_INSTALL,
        )
