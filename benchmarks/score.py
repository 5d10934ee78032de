"""Scoring 100,000 rows from process start to arrays, beside jiwer row by row.

The rows are the demo's transcripts, repeated with running numbers so that no two are equal.
jiwer gets a tenth of the rows and its time is multiplied by ten (its cost a row does not depend on n).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Measured, report, whole

ROWS = 100_000
RUNS = 3
OURS = """
import sys
from pathlib import Path
from clinasr_tui.flywheel.hypotheses import read_hypotheses
from clinasr_tui.flywheel.scoring import score
assert len(score(read_hypotheses(Path(sys.argv[1])))) == int(sys.argv[2])
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


def main() -> None:
    """Measure in turn and print."""
    with tempfile.TemporaryDirectory() as folder:
        full, tenth = Path(folder) / "full.jsonl", Path(folder) / "tenth.jsonl"
        write_rows(full, ROWS)
        write_rows(tenth, ROWS // 10)
        ours, rival = [], []
        for _ in range(RUNS):
            ours.append(whole([sys.executable, "-c", OURS, str(full), str(ROWS)]))
            tenth_run = whole([sys.executable, "-c", JIWER, str(tenth), str(ROWS // 10)])
            rival.append(Measured(tenth_run.seconds * 10, tenth_run.megabytes))
    report(f"clinasr-tui, {ROWS:,} rows", ours, "jiwer, row by row", rival)


if __name__ == "__main__":
    main()
