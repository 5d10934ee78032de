"""Rent a box in a process of its own and be killed at the n-th boundary; run by test_box_crashes.py.

Boundaries are before everything that changes the world: a write of the state or the consent log, the start
of every brev process, its end (while it works and when it has answered), the first connection; the last one
is at the end. The product knows nothing of this.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clinasr_tui.box import boxes as module
from clinasr_tui.box import brev as cli_module
from clinasr_tui.box.boxes import Boxes
from clinasr_tui.box.brev import BrevCli
from clinasr_tui.box.brev_answers import read_offers
from clinasr_tui.box.brev_commands import Capabilities
from clinasr_tui.box.state import BoxBook
from clinasr_tui.flywheel.cost import DEFAULT_DISK_GB
from clinasr_tui.remote.host import SshSettings
from tests.support.fake_brev import FLEXIBLE
from tests.support.typing import typed

NAME = "crash-test"


class Boundary:
    """Kills this process with SIGKILL at the n-th crossing."""

    def __init__(self, last: int) -> None:
        self.left = last

    def cross(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def around(self, owner, name):
        whole = getattr(owner, name)
        if asyncio.iscoroutinefunction(whole):

            async def crossed(*args, **given):
                self.cross()
                return await whole(*args, **given)
        else:

            def crossed(*args, **given):
                self.cross()
                return whole(*args, **given)

        setattr(owner, name, crossed)


async def main(program: str, state: str, known_hosts: str, last: int) -> None:
    boxes = Boxes(BrevCli(program), BoxBook(Path(state)))
    boxes.cli._able = Capabilities(True, False, True, True, ("refresh",))
    (offer,) = read_offers(json.dumps([FLEXIBLE]), DEFAULT_DISK_GB, time.time())
    boundary = Boundary(last)
    for owner, name in (
        (module, "check"),
        (cli_module, "redeem"),
        (BoxBook, "_write"),
        (BoxBook, "write_consent"),
        (cli_module._Call, "_spawn"),
        (subprocess.Popen, "communicate"),
        (cli_module._Call, "end"),
        (module, "_run_true"),
    ):
        boundary.around(owner, name)
    module.POLL_SECONDS = 0.01
    await boxes.provision(typed(NAME, offer), NAME, offer)
    async for _ in boxes.until_ready(NAME, SshSettings(known_hosts=Path(known_hosts))):
        pass
    boundary.cross()
    print("survived", boundary.left)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
