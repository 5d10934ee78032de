"""A run's exit record, written from outside where the run itself could not leave one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.send import Item, send
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.scripts import succeeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clinasr_tui.remote.host import Host

_FILE = "exit.json"


async def has_record(host: Host, run_dir: str) -> bool:
    """True if the run has left one."""
    return await succeeds(host, ["test", "-e", f"{run_dir}/{_FILE}"])


async def write_exit(host: Host, run_dir: str, document: Mapping[str, object]) -> bool:
    """Write what is known of its end, and that it is not the run's own word; True if it could be.

    It is small, and a disk without room may be what ended the run: no room is kept free for others, and a
    record that cannot be written keeps nobody from ending the run or fetching what it left. Raises
    UnreachableError.
    """
    by = "written from outside: the run itself could not leave a record"
    try:
        await send(host, run_dir, [Item(_FILE, json.dumps({**document, "by": by}).encode())], spare=0)
    except UnreachableError:
        raise
    except RemoteError:
        return False
    return True
