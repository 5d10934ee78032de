"""A run's end: settled where the run itself could not say it, and written into its record."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import ClinasrError
from clinasr_tui.launch.control import handle_of, settle_by_name
from clinasr_tui.launch.record import amend_record, end_record, read_record
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.training.snapshot import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.launch.control import RunHandle
    from clinasr_tui.remote.host import SshSettings
    from clinasr_tui.training.snapshot import RunSnapshot

_LARGEST = 1 << 16


async def settle_quiet(handle: RunHandle, host_name: str | None, ssh: SshSettings) -> bool:
    """Have the engine's word of a quiet run's end written where the run could not leave one; True if it was.

    For a watcher: nothing is raised; False for a run without a container or a machine that does not answer.
    """
    if handle.container is None:
        return False
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
