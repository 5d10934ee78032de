"""A run's name and folder are one launch's alone: here while it is launched, on its machine for good."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.launch import claim_host, process_start
from clinasr_tui.launch.already import running_already
from clinasr_tui.launch.control import RunHandle, is_alive
from clinasr_tui.remote.scripts import ask
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clinasr_tui.remote.host import Host

_SECONDS = 60.0


class Claim(NamedTuple):
    """Who wants a run's folder on its machine."""

    owner: str = ""
    """The run of a workspace, as a mark."""
    undone: str = ""
    """The folder in which an earlier start of this very run was undone: what is there is put aside."""


NOBODY = Claim()
"""Takes any folder in which no run began."""


def owner_mark(folder: Path) -> str:
    """The mark of a run, by its folder in the workspace: another workspace of the same name has another."""
    known = f"{platform.node()}\n{folder.absolute()}"
    return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run's name in the workspace while it is launched. Raises InputError if another process does.

    The folder itself is locked: no file stays, and a process that dies holds nothing. One that was made for a
    launch that failed before it wrote its record goes again.
    """
    made = [folder, *([] if folder.parent.exists() else [folder.parent])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=str(folder)) from error
    try:
        _lock(fd, folder)
        yield
    finally:
        with suppress(OSError):
            for one in made:
                one.rmdir()
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        same = folder.exists() and os.path.samestat(folder.stat(), os.fstat(fd))
    except BlockingIOError:
        same = False
    except OSError:
        return  # a disk without locks
    if not same:
        raise InputError(
            f"the run {folder.name} is being launched by another process",
            where=str(folder),
            remedy="Choose another name, or wait until it is started and watch it",
        )


async def claim(handle: RunHandle, host: Host, wanted: Claim) -> None:
    """Have the run's folder on an entered host for this launch alone. Raises RemoteError if it is taken.

    In a folder in which a run began before, that one's model and figures would be taken for this run's.
    """
    undone = wanted.undone == handle.run_dir
    request = {"folder": handle.run_dir, "owner": wanted.owner, "undone": undone}
    answer = await ask(host, (process_start, claim_host), request, "claimed", _SECONDS)
    where = f"{host.name}:{handle.run_dir}"
    if answer.get("trouble"):
        raise RemoteError(f"the run's folder cannot be had: {visible(str(answer['trouble']))}", where=where)
    if answer.get("taken") and await is_alive(handle, host):
        raise running_already(handle.run, host.name)
    if answer.get("taken"):
        remedy = "Choose another name for the run; or resume that run, or move its folder away"
        raise RemoteError(visible(str(answer["taken"])), where=where, remedy=remedy)
