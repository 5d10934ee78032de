"""A run's end: settled where the run itself could not say it, and written into its record."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import ClinasrError
from clinasr_tui.launch.control import handle_of, settle_by_name
from clinasr_tui.launch.record import amend_record, end_record, read_record
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.training.snapshot import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clinasr_tui.launch.control import RunHandle
    from clinasr_tui.remote.host import SshSettings
    from clinasr_tui.training.snapshot import RunSnapshot

_LARGEST = 1 << 16


QUIET_SECONDS = 10.0
"""Silence after which the machine is asked about a run, and again after each so many seconds."""


class QuietLook:
    """Asks the machine about a launched run that has gone quiet: its Docker engine, Slurm, its processes.

    What was killed leaves no word. What is known of it there is then written as the run's exit record and
    comes to whoever follows the run as a file of it.
    """

    def __init__(self, record: Mapping[str, Any], host_name: str | None, ssh: SshSettings) -> None:
        try:
            self._handle: RunHandle | None = handle_of(record)
        except ClinasrError:
            self._handle = None
        self._host_name, self._ssh = host_name, ssh
        self._heard: float | None = None
        self._since = time.monotonic()
        self._asking: asyncio.Task[bool] | None = None

    def look(self, snapshot: RunSnapshot) -> None:
        """Call it every few seconds; asks in the background where it is time."""
        now = time.monotonic()
        if snapshot.last_activity != self._heard:
            self._heard, self._since = snapshot.last_activity, now
        asking = self._asking is not None and not self._asking.done()
        if self._handle is None or snapshot.ended or asking or now - self._since < QUIET_SECONDS:
            return
        self._since = now
        self._asking = asyncio.create_task(settle_quiet(self._handle, self._host_name, self._ssh))

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])


async def settle_quiet(handle: RunHandle, host_name: str | None, ssh: SshSettings) -> bool:
    """Have what its machine knows of a quiet run's end written where the run left no word; True if it was.

    For a watcher: nothing is raised; False for a machine that does not answer.
    """
    try:
        async with await asyncio.to_thread(open_host, host_name, ssh) as host:
            return await settle_by_name(handle, host)
    except ClinasrError:
        return False


def complete_record(folder: Path, snapshot: RunSnapshot, exit_file: Path, *, over: bool = False) -> bool:
    """Complete the record in a run's folder of the workspace; True if it was changed.

    `exit_file` is the run's exit.json as mirrored here, if there is one. Nothing is written for a run that
    goes on or was not launched from here. `over` says that no process of it lives, whatever its files say:
    then an end that nothing tells is written as unknown. Raises InputError if it cannot be written.
    """
    try:
        record = read_record(folder)
        handle_of(record)
    except ClinasrError:
        return False
    if not (snapshot.ended or over):
        return False
    left = _exit_record(exit_file)
    changes = end_record(snapshot, left)
    if snapshot.outcome is Outcome.RUNNING:
        changes["outcome"] = str(Outcome.UNKNOWN)
    versions = left.get("versions")
    if isinstance(versions, dict):
        changes["versions"] = {**record.get("versions", {}), **versions}
    if all(record.get(key) == value for key, value in changes.items()):
        return False
    amend_record(folder, changes)
    return True


def _exit_record(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
