"""The fake Brev CLI put on PATH for one test, its cloud to look at and to break."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.support import fake_brev


class FakeBrev:
    """`program` is the executable; the cloud's state is a file that every call reads anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.program = self.bin / "brev"
        script = Path(fake_brev.__file__)
        self.program.write_text(
            f'#!/bin/sh\n# A FAKE of the brev command line, for tests.\nBREV_FAKE_DIR="{folder}" '
            f'exec "{sys.executable}" -I -S "{script}" "$@"\n'
        )
        self.program.chmod(0o755)
        fake_brev.write(folder, fake_brev.new_cloud())

    @property
    def cloud(self) -> dict[str, Any]:
        """The cloud's state as it is now."""
        return json.loads((self.folder / "cloud.json").read_text())

    def set(self, **changes: Any) -> None:
        """Change the cloud or make it faulty."""
        with (self.folder / "cloud.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fake_brev.write(self.folder, {**self.cloud, **changes})

    @property
    def boxes(self) -> list[dict[str, Any]]:
        """What bills now."""
        return self.cloud["boxes"]

    def add_box(self, name: str, status: str = "RUNNING", **more: Any) -> None:
        """A box somebody made."""
        box = {"name": name, "id": f"id-{name}", "status": status, "type": "g5.xlarge", "gpu": "A10G"}
        box |= {"disk": 200, "stoppable": True, "looks": 0, "lag": 0, **more}
        self.set(boxes=[*self.boxes, box])

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call so far: argv, what standard input was, whether it had a terminal."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ran(self, command: str) -> list[list[str]]:
        """The calls of one command, without questions for help."""
        argvs = [call["argv"] for call in self.calls]
        return [argv for argv in argvs if argv[:1] == [command] and argv[-1] != "--help"]

    @property
    def path(self) -> str:
        """PATH with this CLI first."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"
