"""The GPUs' figures beside a run folder: one nvidia-smi that goes round by itself. It runs on the host.

Its source goes to the host before the follower's, so the same holds for it: standard library, Python 3.6.
"""

import contextlib
import os
import subprocess
import time
from typing import Any

GPU_EVERY = 2  # seconds
GPU_AFTER = 1.0  # seconds; the follower of a run found ended does not live longer
GPU_AGAIN = 60.0  # seconds until one that ended is started anew
GPU_LINE = 4096
GPU_READ = 1 << 16


class GpuLoop:
    """One nvidia-smi that prints the GPUs' figures every GPU_EVERY seconds, as long as the run goes on.

    Its rows continue what the client has. A machine without it, or with a broken driver, goes without.
    """

    def __init__(self, wanted: "dict[str, Any] | None", have: "dict[str, dict[str, Any]]") -> None:
        self.path = str(wanted["file"]) if wanted else ""
        self.ident = "nvidia-smi"
        self.offset = int(have.get(self.path, {}).get("offset", 0))
        self.columns = [str(column) for column in wanted["columns"]] if wanted else []
        self.child: subprocess.Popen[bytes] | None = None
        self.rest = b""
        self.told = False
        self.resumed = self.offset > 0
        self.next_start = float("inf")

    def allow(self) -> None:
        """Everything else has been sent: it may start, if it was asked for."""
        if self.path:
            self.next_start = time.monotonic() + GPU_AFTER

    def turn(self, over: bool) -> bytes:
        """Start it, or end it once the run is `over`; the bytes to send, b"" if none came. Never waits."""
        if over:
            self.stop()
        elif self.child is not None:
            return self.rows()
        elif time.monotonic() >= self.next_start:
            self.start()
        return b""

    def start(self) -> None:
        """Start nvidia-smi; without one there are no figures."""
        self.rest, self.told, self.next_start = b"", False, float("inf")
        query = ["--query-gpu=" + ",".join(self.columns), "--format=csv,noheader,nounits"]
        try:
            self.child = subprocess.Popen(  # noqa: S603  (the columns are ours)
                ["nvidia-smi", *query, "-l", str(GPU_EVERY)],  # noqa: S607  (where the host has it)
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return
        assert self.child.stdout is not None
        os.set_blocking(self.child.stdout.fileno(), False)

    def rows(self) -> bytes:
        """The whole rows that have come."""
        assert self.child is not None
        assert self.child.stdout is not None
        try:
            data = os.read(self.child.stdout.fileno(), GPU_READ)
        except BlockingIOError:
            return b""
        if not data:
            self.stop()
            self.next_start = time.monotonic() + GPU_AGAIN if self.told else float("inf")
            return b""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()[:GPU_LINE]
        # A driver that fails says so on standard output.
        found = b"".join(line + b"\n" for line in lines if line.count(b",") >= len(self.columns) - 1)
        if found:
            self.told = True
            if self.resumed:  # The last connection may have been lost inside a row.
                found, self.resumed = b"\n" + found, False
        return found

    def stop(self) -> None:
        """End nvidia-smi. One that hangs in the driver is not waited for: it ends with its next row."""
        child, self.child = self.child, None
        if child is None:
            return
        assert child.stdout is not None
        child.stdout.close()
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1)
