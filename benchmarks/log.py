"""Open, scroll and search a log of a million lines, beside toolong (its own index, lines and test).

    python -m benchmarks.log [--lines 1000000] [--toolong PYTHON]

toolong needs an older Textual: give the interpreter of an environment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3
NEEDLE = "cudaErrorIllegalAddress"
TOOLONG = """
import sys, time, threading
from toolong.log_file import LogFile
from toolong.ui import UI
log = LogFile(sys.argv[1])
start = time.perf_counter()
log.open(threading.Event())
ends = [place for _, batch in log.scan_line_breaks() for place in batch]
opened = time.perf_counter() - start
ends = sorted(ends)
needle = sys.argv[2].lower()
start = time.perf_counter()
found = sum(needle in log.get_line(a, b).lower() for a, b in zip([0, *ends], ends))
print(opened, time.perf_counter() - start, len(ends), found)
"""
OURS = "import sys; from benchmarks.log import measure; measure(sys.argv[1], sys.argv[2])"


def make_log(path: Path, lines: int) -> None:
    """NeMo's and plain lines, warnings, a few errors; a fault the search is for 17 times."""
    with path.open("w") as file:
        for number in range(lines):
            stamp = f"2026-01-02 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
            if number % (lines // 17) == 7:
                file.write(f"RuntimeError: CUDA error: {NEEDLE} at step {number}\n")
            elif number % 10 == 3:
                file.write(f"[NeMo W {stamp} nemo_logging:405] step {number}: gradient norm is not finite\n")
            elif number % 3:
                file.write(f"[NeMo I {stamp} wer:330] WER reference: take apixaban twice daily {number}\n")
            else:
                file.write(f"Epoch 0, global step {number}: 'val_wer' reached 0.08333 (best 0.08333)\n")


def measure(path: str, needle: str) -> None:
    """Open and search as the app does; print seconds to open, to store, to search, lines, matches."""
    from clinasr_tui.training.console import ConsoleParser
    from clinasr_tui.training.log_pattern import LinePattern
    from clinasr_tui.training.log_store import LogStore
    from clinasr_tui.widgets.log_lines import LineFilter, PickedLines

    file = Path(path)
    parser, store = ConsoleParser(file.name), LogStore(file.with_name)
    stored, start = 0.0, time.perf_counter()
    with file.open("rb") as stream:
        while data := stream.read(1 << 20):
            lines = parser.feed(data)
            begun = time.perf_counter()
            store.append(lines)
            stored += time.perf_counter() - begun
    opened = time.perf_counter() - start
    start = time.perf_counter()
    found = PickedLines(store, LineFilter(), len(store), LinePattern(needle))
    while not found.done:
        found.step()
    searched = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(opened, searched, len(store), len(found), stored, memory)


async def scroll(path: Path, data: bytes) -> list[float]:
    """Milliseconds of processor time the app spends on a key, with a view of the whole log."""
    from textual.app import App

    from clinasr_tui.theme import DARK, THEMES
    from clinasr_tui.training.console import ConsoleParser
    from clinasr_tui.training.log_store import LogStore
    from clinasr_tui.widgets.log_view import LogView

    class Bench(App[None]):
        def compose(self):  # type: ignore[no-untyped-def]
            yield LogView()

    parser, store = ConsoleParser(path.name), LogStore(path.with_name)
    store.append(parser.feed(data))
    app = Bench()
    for theme in THEMES:
        app.register_theme(theme)
    app.theme = DARK
    taken: list[float] = []
    async with app.run_test(size=(140, 45)) as pilot:
        view = app.query_one(LogView)
        view.show(store)
        view.focus()
        await pilot.pause()
        for key in ["up", "pageup", "home", "pagedown", "down", "end"] * 20:
            start = time.process_time()
            await pilot.press(key)
            taken.append((time.process_time() - start) * 1000)
    return taken


def _run(argv: list[str]) -> list[float]:
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    """Measure in turn and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--lines", type=int, default=1_000_000)
    arguments.add_argument("--toolong", default=sys.executable)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "console.log"
        make_log(path, chosen.lines)
        print(f"{chosen.lines:,} lines, {path.stat().st_size / 1e6:.0f} MB; median of {RUNS}")
        rival_found = not subprocess.run(
            [chosen.toolong, "-c", "import toolong"], capture_output=True, check=False
        ).returncode
        ours, rival = [], []
        for _ in range(RUNS):
            ours.append(_run([sys.executable, "-c", OURS, str(path), NEEDLE]))
            if rival_found:
                rival.append(_run([chosen.toolong, "-c", TOOLONG, str(path), NEEDLE]))
        keys = asyncio.run(scroll(path, path.read_bytes()))
    opened, searched, kept, found, stored, memory = map(statistics.median, zip(*ours, strict=True))
    print(f"clinasr-tui: open, classified  {opened:6.2f} s  (store: {kept / stored / 1e6:.1f} M lines/s)")
    print(f"clinasr-tui: search, all lines {searched:6.2f} s  ({found:.0f} matches, {memory:.0f} MB peak)")
    print(
        f"clinasr-tui: a key             p50 {statistics.median(keys):.1f} ms, p95 {sorted(keys)[-6]:.1f} ms"
    )
    if not rival_found:
        print("toolong is not installed there: --toolong names a Python that has it")
        return
    theirs, looked, count, matches = map(statistics.median, zip(*rival, strict=True))
    print(f"toolong: open, line ends       {theirs:6.2f} s  ({count:,.0f} lines)")
    print(f"toolong: search, all lines     {looked:6.2f} s  ({matches:.0f} matches)")
    print(f"search, clinasr-tui / toolong: {searched / looked:.2f}×")


if __name__ == "__main__":
    main()
