"""Scoring 100,000 and 1,000,000 rows of a file, from process start, beside jiwer row by row.

Ours twice: up to the arrays of scores (what the app waits for), and the whole `score --hyps FILE --json`
command with its leaderboard and intervals. The rows are the demo's transcripts, repeated with running
numbers so that no two are equal. jiwer gets 10,000 of them, for WER and CER alone, and its time is
multiplied (its cost a row does not depend on n). Memory is that of the largest process.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Measured, report, whole

SIZES = {100_000: 7, 1_000_000: 3}
"""Rows, and how often each is measured."""
JIWER_ROWS = 10_000
ARRAYS = """
import sys
from pathlib import Path
from clinasr_tui.flywheel.review import scored_file
assert len(scored_file(Path(sys.argv[1]), None)) == int(sys.argv[2])
"""
JIWER = """
import json, sys
import jiwer
count = 0
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    jiwer.wer(row["ref"], row["hyp"])
    jiwer.cer(row["ref"], row["hyp"])
    count += 1
assert count == int(sys.argv[2])
"""


def write_rows(path: Path, count: int) -> None:
    """Write `count` transcripts."""
    source = Path(__file__).resolve().parent.parent / "clinasr_tui" / "demo" / "data" / "cycle1"
    rows = [
        json.loads(line) for line in (source / "per_sample.json").read_text(encoding="utf-8").splitlines()
    ]
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            row = dict(rows[number % len(rows)])
            row["audio_filepath"] = f"audio/{number}.flac"
            row["ref"] += f" bed {number}"
            row["hyp"] += f" bed {number}"
            out.write(json.dumps(row) + "\n")


def jiwer(path: Path, rows: int) -> Measured:
    """Seconds jiwer would take for so many rows."""
    few = whole([sys.executable, "-c", JIWER, str(path), str(JIWER_ROWS)])
    return Measured(few.seconds * rows / JIWER_ROWS, few.megabytes)


def main() -> None:
    """Measure in turn and print."""
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.jsonl"
        write_rows(few, JIWER_ROWS)
        for rows, runs in SIZES.items():
            path = Path(folder) / "rows.jsonl"
            write_rows(path, rows)
            command = [sys.executable, "-m", "clinasr_tui", "score", "--hyps", str(path), "--json"]
            arrays, commands, rival = [], [], []
            for _ in range(runs):
                arrays.append(whole([sys.executable, "-c", ARRAYS, str(path), str(rows)]))
                commands.append(whole(command))
                rival.append(jiwer(few, rows))
            report(f"clinasr-tui, {rows:,} rows to arrays", arrays, "jiwer, row by row", rival)
            report(f"clinasr-tui, {rows:,} rows, command", commands, "jiwer, row by row", rival)


if __name__ == "__main__":
    main()
