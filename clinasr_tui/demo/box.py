"""Start and end the demo: a workspace, and a box in a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.demo.layout import box_folder, claimed, prepare_workspace
from clinasr_tui.errors import RemoteError
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_RECORDED = 1.0
"""The recorded run lasts 55 s from its first time stamp to its last."""
_START_SECONDS = 30.0
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DemoBox:
    """A running demo."""

    workspace: Path
    fingerprint: str
    """SHA-256 fingerprint of the box's host key; the app asks the operator to confirm it."""
    port: int
    started_over: bool
    """The folder held a demo that had been played before."""


@contextmanager
def launch(folder: Path | None = None, speed: float | None = None) -> Iterator[DemoBox]:
    """Lay the workspace out (None: a temporary folder that goes with the demo) and start its box.

    The recorded run starts when somebody first logs in, `speed` times as fast as recorded. The box ends
    with the context, or with this process. Raises InputError if the folder cannot be used, RemoteError
    if the box does not start.
    """
    temporary = folder is None
    workspace = Path(tempfile.mkdtemp(prefix="clinasr-")) / "espeak-demo" if folder is None else folder
    workspace = typed_path(workspace).absolute()
    with claimed(workspace):
        started_over = (workspace / "cycle1").exists()
        prepare_workspace(workspace)
        server = _start(workspace, AS_RECORDED if speed is None else speed, temporary=temporary)
        try:
            ready = _ready(server, workspace)
            yield DemoBox(workspace, str(ready["fingerprint"]), int(str(ready["port"])), started_over)
        finally:
            _end(server)


def _start(workspace: Path, speed: float, *, temporary: bool) -> subprocess.Popen[bytes]:
    """The box as a process of its own, out of reach of the terminal's Ctrl-C."""
    argv = [sys.executable, "-P", "-m", "clinasr_tui.demo.server", str(workspace), "--speed", str(speed)]
    package_root = str(Path(__file__).parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    with (box_folder(workspace) / "server.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 — this Python, our own module
            [*argv, "--temporary"] if temporary else argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )


def _ready(server: subprocess.Popen[bytes], workspace: Path) -> dict[str, object]:
    """Wait for the box's one line of JSON."""
    assert server.stdout is not None
    readable, _, _ = select.select([server.stdout], [], [], _START_SECONDS)
    line = server.stdout.readline() if readable else b""
    try:
        ready = json.loads(line)
    except ValueError:
        log = box_folder(workspace) / "server.log"
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise RemoteError(
            f"the demo's box did not start: {last or 'it said nothing'}",
            where=str(log),
            remedy="Check that this machine lets programs listen on 127.0.0.1.",
        ) from None
    return dict(ready)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Closing its standard input ends the box."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.close()
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    server.stdout.close()
