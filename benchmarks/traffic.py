"""Bytes to the terminal, and processor time, while the demo's recorded run streams over SSH."""

from __future__ import annotations

import argparse
import codecs
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.sshd import Sshd
from tests.support.terminal_screen import TerminalScreen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES = ((80, 24), (140, 45))
SPEEDS = (1.0, 10.0)
STREAMED, IDLE = 20.0, 10.0
"""Seconds measured while the run streams (less if it ends before), and after it has ended."""
PROBES = 120
LIMIT = 12_000
"""Bytes a second that a slow line carries beside everything else."""
_MOVE = re.compile(rb"\x1b\[(\d+);(\d+)H")
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program on a pseudo-terminal whose output is read and counted, never drawn."""

    def __init__(self, argv: Sequence[str], columns: int, rows: int) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execvp(argv[0], list(argv))
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = TerminalScreen(columns, rows)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def read(self, seconds: float) -> bytes:
        """What comes within that time."""
        if not select.select([self._file], [], [], max(seconds, 0.0))[0]:
            return b""
        try:
            data = os.read(self._file, 1 << 16)
        except OSError:
            return b""
        self.screen.feed(self._decode(data))
        return data

    def shows(self, text: str) -> bool:
        """True if the text stands on the screen."""
        return any(text in line for line in self.screen.text())

    def until(self, text: str, seconds: float = 30.0) -> None:
        """Read until `text` is shown; raises TimeoutError."""
        end = time.monotonic() + seconds
        while not self.shows(text):
            if time.monotonic() > end:
                raise TimeoutError(f"{text!r} was not shown within {seconds:.0f} s")
            self.read(0.2)

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._file, keys)

    def processor_seconds(self) -> float:
        """User and system time the program has used."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def close(self) -> None:
        """End the program."""
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            self.read(0.1)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                break
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._file)


@contextmanager
def streaming(size: tuple[int, int], speed: float) -> Iterator[Terminal]:
    """The demo's Watch screen from the moment its run is being followed."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "clinasr_tui", "demo", "--speed", str(speed), "--dir", f"{folder}/demo"]
        terminal = Terminal(argv, *size)
        try:
            terminal.until("Cycles")
            terminal.press(b"5")
            terminal.until("First contact")
            terminal.press(b"t")
            terminal.until("connecting")
            yield terminal
        finally:
            terminal.close()


Pieces = list[tuple[float, bytes]]


def record(terminal: Terminal, seconds: float, until: str = "\0") -> tuple[Pieces, float]:
    """(second, bytes) as they come, and the processor seconds used meanwhile."""
    begin, used = time.monotonic(), terminal.processor_seconds()
    pieces: Pieces = []
    while (now := time.monotonic() - begin) < seconds:
        data = terminal.read(min(0.2, seconds - now))
        if data:
            pieces.append((time.monotonic() - begin, data))
        if data and terminal.shows(until):
            break
    return pieces, terminal.processor_seconds() - used


def by_row(data: bytes) -> Counter[int]:
    """Bytes by the terminal row they were written to."""
    found: Counter[int] = Counter()
    parts = _MOVE.split(data)
    for row, _, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        found[int(row)] += len(text) + 8
    return found


def measure(size: tuple[int, int], speed: float, *, rows: bool) -> None:
    """One run at one size and speed, one line."""
    with streaming(size, speed) as terminal:
        begin = time.monotonic()
        pieces, used = record(terminal, STREAMED, "✔ finished")
        passed = time.monotonic() - begin
        terminal.until("✔ finished", 120)
        terminal.read(0.5)
        record(terminal, 6.0)
        idle, idle_used = record(terminal, IDLE)
    total = sum(len(data) for _, data in pieces)
    seconds = Counter[int]()
    for at, data in pieces:
        seconds[int(at)] += len(data)
    print(
        f"{size[0]}×{size[1]} at speed {speed:4.0f}: {total / passed / 1000:5.1f} KB/s over {passed:4.1f} s"
        f" (median second {statistics.median(seconds.values()) / 1000:5.1f}, worst"
        f" {max(seconds.values()) / 1000:5.1f}), processor {100 * used / passed:4.1f} %;"
        f" after the end {sum(len(data) for _, data in idle) / IDLE:5.0f} B/s,"
        f" processor {100 * idle_used / IDLE:4.1f} %"
        f"   {'ok' if total / passed <= LIMIT else 'TOO MUCH'}",
        flush=True,
    )
    if rows:
        found = by_row(b"".join(data for _, data in pieces))
        for row in sorted(found):
            print(f"    row {row:3}  {found[row] / passed:7.0f} B/s")


def latency(size: tuple[int, int]) -> None:
    """Time from appending a line on the host until it stands on the screen, through a real sshd."""
    with tempfile.TemporaryDirectory() as folder, Sshd(Path(folder) / "sshd") as sshd:
        sshd.trust()
        console = Path(folder) / "run" / "console.log"
        console.parent.mkdir()
        console.write_text("[NeMo I 2026-01-01 00:00:00 nemo_logging:393] begin\n")
        model = Path(folder) / "bench" / "cycle1" / "models" / "live"
        model.mkdir(parents=True)
        record_of = {"host": "lab", "run_dir": str(console.parent)}
        (model / "training_run_info.json").write_text(json.dumps(record_of))
        (Path(folder) / "bench" / "clinasr.toml").write_text(
            f'[ssh]\nconfig = "{sshd.config}"\nknown_hosts = "{sshd.known_hosts}"\n'
        )
        terminal = Terminal([sys.executable, "-m", "clinasr_tui", f"{folder}/bench"], *size)
        try:
            terminal.until("Cycles")
            terminal.press(b"5")
            terminal.until("begin")
            times = sorted(_probes(terminal, console))
        finally:
            terminal.close()
    late = times[int(len(times) * 0.95)]
    print(
        f"{size[0]}×{size[1]} append → screen: median {1000 * statistics.median(times):.0f} ms,"
        f" p95 {1000 * late:.0f} ms of {len(times)}   {'ok' if late <= 0.150 else 'TOO SLOW'}"
    )


def _probes(terminal: Terminal, console: Path) -> Iterator[float]:
    """Append lines among others that come eight times a second; gives the seconds until each is seen."""
    chance = random.Random(1)
    with console.open("ab", buffering=0) as file:
        for number in range(PROBES):
            name = f"probe-{number:04}-"
            file.write(f"[NeMo I 2026-01-01 00:00:01 nemo_logging:393] {name}\n".encode())
            begin = time.monotonic()
            while not terminal.shows(name):
                if time.monotonic() - begin > 10:
                    raise TimeoutError(f"{name} was not shown")
                terminal.read(0.02)
            yield time.monotonic() - begin
            pause = time.monotonic() + chance.uniform(0.05, 0.4)
            while (left := pause - time.monotonic()) > 0:
                file.write(b"[NeMo I 2026-01-01 00:00:02 nemo_logging:393] another line of the run\n")
                end = time.monotonic() + min(0.125, left)
                while (rest := end - time.monotonic()) > 0:
                    terminal.read(rest)


def main() -> None:
    """Measure every size at every speed and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", action="store_true", help="also say to which rows the bytes went")
    parser.add_argument("--speed", type=float, help="only this speed")
    parser.add_argument("--columns", type=int, help="only the size with so many columns")
    args = parser.parse_args()
    for size in SIZES:
        for speed in SPEEDS:
            if args.speed in (None, speed) and args.columns in (None, size[0]):
                measure(size, speed, rows=args.rows)
    for size in SIZES:
        if args.columns in (None, size[0]):
            latency(size)


if __name__ == "__main__":
    main()
