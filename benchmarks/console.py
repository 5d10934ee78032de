"""Reading a console of a million lines, beside an ordered list of regexes and, if it is there, toolong.

A line is what stands between two breaks, `\\r` and `\\n` alike, if it is not empty. The text is the recorded
run's own: its start, its training steps over and over with a validation every 1,000 steps, its end. The
regexes are what one would write first: one pattern a kind of line, tried in order, the name of the first
that fits counted. Ours also gives each line its level and place and puts it into the log's store, follows
the run's phase and keeps the newest sample predictions.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.measure import Measured, has_module, report, whole

LINES = 1_000_000
RUNS = 5
OURS = """
import sys
from pathlib import Path
from clinasr_tui.training.log_store import LogStore
from clinasr_tui.training.run_reader import RunReader
folder = Path(sys.argv[1])
reader, log = RunReader(), LogStore(lambda file: folder / file)
with (folder / "console.log").open("rb") as file:
    while piece := file.read(1 << 18):
        log.append(reader.feed("console.log", piece))
log.append(reader.close())
assert len(log) > 300_000, len(log)
assert reader.snapshot().samples > 100_000
"""
REGEXES = r"""
import re, sys
KINDS = [(name, re.compile(pattern)) for name, pattern in (
    ("training bar", rb"Epoch (\d+): +(\d+)%\|.*?\| (\d+)/(\d+) \[.*?\]"),
    ("validation bar", rb"(?:Validation|Sanity Checking).*?\|.*?\| (\d+)/(\d+)"),
    ("NeMo", rb"\[NeMo ([IWECD]) (\S+ \S+) (\S+)\] (.*)"),
    ("validated", rb"Epoch \d+, global step (\d+): '(\w+)' reached (\S+)"),
    ("traceback", rb"Traceback \(most recent call last\)"),
    ("error", rb"^\w*(?:Error|Exception)\b"),
    ("warning", rb"Warning|WARN"),
    ("blank", rb"^\s*$"),
)]
counts = {}
rest = b""
with open(sys.argv[1] + "/console.log", "rb") as file:
    while piece := file.read(1 << 18):
        *lines, rest = re.split(rb"[\r\n]", rest + piece)
        for line in lines:
            for name, pattern in KINDS:
                if pattern.search(line):
                    break
            else:
                name = "text"
            counts[name] = counts.get(name, 0) + 1
assert counts["NeMo"] > 100_000, counts
"""
# What toolong does when it opens a file: find where its lines (by newline alone) begin.
TOOLONG = """
import sys, threading
from toolong.log_file import LogFile
log = LogFile(sys.argv[1] + "/console.log")
log.open(threading.Event())
count = sum(len(breaks) for _, breaks in log.scan_line_breaks())
assert count > 500_000, count
"""
WRITE = f"""
import sys
from pathlib import Path
from benchmarks.console import count_lines, long_console
console = long_console({LINES})
(Path(sys.argv[1]) / "console.log").write_bytes(console)
print(count_lines(console))
"""
RECORDED = Path(__file__).resolve().parent.parent / "tests" / "data" / "recordings" / "sft3" / "console.log"


@cache
def long_console(lines: int) -> bytes:
    """About as many lines: the recorded console with its steps repeated, epochs of 1,000 steps."""
    console = RECORDED.read_bytes()
    begin, end = console.index(b"\rEpoch 0:"), console.rindex(b"`Trainer.fit`")
    first, second = console.index(b"\rEpoch 1:", begin), console.index(b"\rEpoch 2:")
    steps = console.index(b"\rEpoch 1:   4%", first), console.index(b"\rEpoch 1:  90%", first)
    around = console[first : steps[0]], console[steps[1] : second]
    epoch = around[0] + console[slice(*steps)] * 23 + around[1]
    count = max(1, lines // count_lines(epoch))
    return console[:begin] + epoch * count + console[end:]


def count_lines(text: bytes) -> int:
    """Pieces between breaks that are not empty."""
    return sum(map(bool, re.split(rb"[\r\n]", text)))


def main() -> None:
    """Measure in turn and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rivals", default=sys.executable, help="a Python that has toolong")
    rivals = arguments.parse_args().rivals
    ours: list[Measured] = []
    others: dict[str, list[Measured]] = {"ordered regexes": [], "toolong's line scan": []}
    programs = {"ordered regexes": (sys.executable, REGEXES), "toolong's line scan": (rivals, TOOLONG)}
    with tempfile.TemporaryDirectory() as folder:
        # Written by another process: a child begins with its parent's memory, which would be counted.
        made = subprocess.run(
            [sys.executable, "-c", WRITE, folder], check=True, capture_output=True, text=True
        )
        lines = int(made.stdout)
        print(f"{(Path(folder) / 'console.log').stat().st_size / 1e6:.0f} MB, {lines:,} lines")
        if not has_module(rivals, "toolong"):
            del programs["toolong's line scan"]
        for _ in range(RUNS):
            ours.append(whole([sys.executable, "-c", OURS, folder]))
            for name, (python, program) in programs.items():
                others[name].append(whole([python, "-c", program, folder]))
    for name in programs:
        report("clinasr-tui, everything", ours, name, others[name])
    best = sorted(run.seconds for run in ours)[len(ours) // 2]
    print(f"{lines / best / 1e6:.2f} million lines a second, process start included")


if __name__ == "__main__":
    main()
