"""Following a 500 MB run folder over SSH, beside `ssh host cat` of the same file.

Both go through the same real sshd on loopback. `cat` writes to nowhere. Ours writes every byte to the
mirror; how long that takes is the first figure. The second is how long until all of it has been read as
well: lines classified and in the log.
Then a line is appended to the followed log a hundred times: how long until its update is there.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from benchmarks.console import long_console
from clinasr_tui.remote.run_watch import RunWatch, SshSettings
from clinasr_tui.training.log_store import LogStore
from tests.support.sshd import Sshd

MEGABYTES = 500
RUNS = 3
APPENDS = 100


def cat(sshd: Sshd, path: Path) -> float:
    """Seconds the OpenSSH client takes for the file."""
    options = ["-F", str(sshd.config), "-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "LogLevel=ERROR"]
    start = time.perf_counter()
    subprocess.run(["ssh", *options, "lab", "cat", str(path)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


async def follow(sshd: Sshd, run: Path, mirror: Path) -> tuple[float, float, int]:
    """Seconds until all bytes are mirrored, until all are read; the lines in the log."""
    watch, size = watched(sshd, run, mirror), (run / "console.log").stat().st_size
    log, start = LogStore(watch.mirror_path), time.perf_counter()

    async def mirrored() -> float:
        copy = mirror / "console.log"
        while not copy.exists() or copy.stat().st_size < size:  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(0.005)
        return time.perf_counter() - start

    safe = asyncio.create_task(mirrored())
    async for update in watch.updates(once=True):
        log.append(update.lines)
    return await safe, time.perf_counter() - start, len(log)


async def latencies(sshd: Sshd, run: Path, mirror: Path) -> list[float]:
    """Seconds from an append on the host to the update that tells it, at uneven moments."""
    watch, found = watched(sshd, run, mirror), []
    async with aclosing(watch.updates()) as updates:
        async for update in updates:
            if update.caught_up:
                break
        for number in range(APPENDS):
            await asyncio.sleep(0.13 + number % 10 * 0.017)
            written = time.perf_counter()
            with (run / "console.log").open("ab") as log:
                log.write(b"one more line\n")
            async for update in updates:
                if update.lines:
                    break
            found.append(time.perf_counter() - written)
    return found


def watched(sshd: Sshd, run: Path, mirror: Path) -> RunWatch:
    """A watch of the folder over SSH."""
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    return RunWatch(str(run), host="lab", mirror=mirror, ssh=ssh)


def cpu_seconds() -> float:
    """User and system time of this process."""
    times = os.times()
    return times.user + times.system


def main() -> None:
    """Measure in turn and print."""
    with tempfile.TemporaryDirectory() as name:
        folder, run = Path(name), Path(name) / "run"
        run.mkdir()
        log = run / "console.log"
        with log.open("wb") as out:
            while out.tell() < MEGABYTES * 1_000_000:
                out.write(long_console(200_000))
        size = log.stat().st_size / 1e6
        rows: list[tuple[float, float, float, float]] = []
        with Sshd(folder / "sshd") as sshd:
            sshd.trust()
            for number in range(RUNS):
                rival, before = cat(sshd, log), cpu_seconds()
                mirror = folder / f"mirror{number}"
                safe, read, lines = asyncio.run(follow(sshd, run, mirror))
                rows.append((rival, safe, read, cpu_seconds() - before))
                (mirror / "console.log").unlink()
            small = folder / "live"
            small.mkdir()
            (small / "console.log").write_bytes(b"begun\n")
            waits = asyncio.run(latencies(sshd, small, folder / "mirror"))
        for label, column in (("ssh host cat, to nowhere", 0), ("clinasr-tui, mirrored", 1), ("and read", 2)):
            seconds = statistics.median(row[column] for row in rows)
            print(f"{label:<28} {seconds:6.2f} s  {size / seconds:5.0f} MB/s  (median of {RUNS})")
        cpu = statistics.median(row[3] for row in rows)
        print(f"{lines:,} lines in the log; {cpu:.1f} s of CPU in our process")
        print(f"mirrored / ssh cat: {statistics.median(row[1] / row[0] for row in rows):.2f}×")
        waits.sort()
        print(
            f"append → update: p50 {waits[len(waits) // 2] * 1000:.0f} ms, "
            f"p95 {waits[len(waits) * 95 // 100] * 1000:.0f} ms"
        )


if __name__ == "__main__":
    main()
