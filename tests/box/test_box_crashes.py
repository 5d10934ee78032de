"""Killed between any two steps from the typed word to the first answer over SSH: the next start knows."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clinasr_tui.box.boxes import Boxes
from clinasr_tui.box.brev import BrevCli
from clinasr_tui.box.state import BoxBook
from clinasr_tui.box.words import headline, leaving_line
from tests.support.brev import FakeBrev
from tests.support.sshd import Sshd

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("rent_and_die.py")
NAME = "crash-test"


@pytest.fixture
def world(tmp_path):
    """A fake cloud whose boxes answer on a real sshd, and how to rent there in a process of its own."""
    brev = FakeBrev(tmp_path / "brev")
    brev.set(steps={"DEPLOYING": 0, "STARTING": 0, "STOPPING": 0, "DELETING": 0})
    with Sshd(tmp_path / "sshd") as server:
        server.trust()
        where = {"HostName": "127.0.0.1", "Port": server.port, "User": getpass.getuser()}
        brev.set(ssh={**where, "IdentityFile": str(tmp_path / "sshd" / "id")})

        def rent(last: int) -> subprocess.CompletedProcess[str]:
            home = tmp_path / f"home{last}"
            home.mkdir()
            argv = [sys.executable, SCRIPT, brev.program, home / "state", server.known_hosts, last]
            return subprocess.run(
                list(map(str, argv)),
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)},
                timeout=60,
            )

        yield brev, rent, tmp_path


@pytest.mark.sshd
@pytest.mark.timeout(180)
async def test_killed_at_every_boundary(world):
    """SIGKILL before and after each write and each process, one after the other, until one run survives."""
    brev, rent, folder = world
    rented = 0
    for last in range(100):
        brev.set(boxes=[])
        done = rent(last)
        if done.returncode == 0:
            assert "survived 0" in done.stdout, "every boundary up to the end was a place to die"
            break
        assert done.returncode == -9, done.stderr
        home = folder / f"home{last}"
        (home / "state").mkdir(exist_ok=True)
        book = BoxBook(home / "state")
        boxes = Boxes(BrevCli(str(brev.program)), book)
        before = book.live()
        account = await boxes.look()
        at = f"boundary {last}"
        if brev.boxes:
            rented += 1
            (record,) = account.records
            assert before, f"{at}: a box bills that was not on the disk before it was asked for"
            assert record.bills, at
            assert record.type_listed == record.offer.type, at
            assert account.others == (), at
            assert "/h" in headline(account.records, record.asked_at + 3600), at
            assert NAME in leaving_line(account.records, record.asked_at + 3600), at
            consents = [json.loads(line) for line in book.log.read_text().splitlines()]
            assert [consent["id"] for consent in consents] == [record.consent], at
        for record in account.records:
            assert record.bills, f"{at}: what may bill is said to"
        shutil.rmtree(home)
    else:
        raise AssertionError("no run came to its end")
    assert last > 12, "too few boundaries to prove anything"
    assert rented > 5
