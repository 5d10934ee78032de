"""Measure whole processes: time to a text on a terminal, wall time, peak memory."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Sequence
from typing import NamedTuple

_CACHE = tempfile.TemporaryDirectory(prefix="clinasr-bench-")


def installed_environment() -> dict[str, str]:
    """The environment of an installed program: compiled modules are kept, whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": _CACHE.name}


class Measured(NamedTuple):
    """One run: wall seconds and peak resident memory in MB."""

    seconds: float
    megabytes: float


def until_text(argv: Sequence[str], text: bytes, *, columns: int = 80, rows: int = 24) -> Measured:
    """Start `argv` on a pseudo-terminal and time it until `text` is painted."""
    start = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], list(argv), installed_environment() | {"TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    seen = b""
    while text not in seen:
        if not select.select([terminal], [], [], 20)[0]:
            raise TimeoutError(f"{text!r} was not painted within 20 s by {argv}")
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError as error:
            raise RuntimeError(f"{argv} ended early: {seen.decode(errors='replace')}") from error
    seconds = time.perf_counter() - start
    os.kill(pid, signal.SIGKILL)
    _, _, usage = os.wait4(pid, 0)
    os.close(terminal)
    return Measured(seconds, usage.ru_maxrss / 1024)


def whole(argv: Sequence[str]) -> Measured:
    """Run `argv` to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(list(argv), stdout=subprocess.DEVNULL, env=installed_environment())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{argv} failed")
    return Measured(time.perf_counter() - start, usage.ru_maxrss / 1024)


def has_module(python: str, module: str) -> bool:
    """True if that Python can import it; a rival that is not installed is told and left out."""
    looked = subprocess.run([python, "-c", f"import {module}"], check=False, capture_output=True)
    if looked.returncode:
        print(f"{module}: not measured, {python} does not have it (see benchmarks/README.md)")
    return looked.returncode == 0


def report(name: str, ours: Sequence[Measured], rival_name: str, rival: Sequence[Measured]) -> None:
    """Print medians and the pairwise ratio."""
    for label, runs in ((name, ours), (rival_name, rival)):
        seconds = statistics.median(run.seconds for run in runs)
        memory = statistics.median(run.megabytes for run in runs)
        print(f"{label:<34} {seconds * 1000:9.0f} ms  {memory:6.0f} MB  (median of {len(runs)})")
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, rival, strict=True))
    print(f"{name} / {rival_name}: {ratio:.3g}×")
