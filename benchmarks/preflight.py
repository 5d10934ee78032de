"""Pre-flight of a million rows without looking for files, and of 20,000 rows with their audio headers.

Beside it, in turn: a plain loop of `json.loads` and comparisons as one would write it by hand, pandas
reading the same file (and checking nothing), and for the audio `soundfile.info` row by row. The rows
are the demo's, repeated with running numbers so that no two are equal. Megabytes are the first
process's; each of the others holds less.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Measured, report, whole

ROWS = 1_000_000
ROWS_WITH_AUDIO = 20_000
RUNS = 3
OURS = """
import sys
from pathlib import Path
from clinasr_tui.flywheel.preflight import check_manifest
found = check_manifest(Path(sys.argv[1]), check_audio=len(sys.argv) > 3)
assert (found.rows, found.errors) == (int(sys.argv[2]), 0), found
"""
BY_HAND = """
import json, os, re, sys, unicodedata
def normalise(text):
    text = unicodedata.normalize("NFKD", text).lower()
    return " ".join(re.sub(r"[^\\w\\s-]", "", text).split())
categories = {"drug", "procedure", "anatomy", "condition", "lab", "role"}
sources = {"override", "merriam-webster", "magpie_g2p"}
rows, problems, seen = 0, [], set()
for line, raw in enumerate(open(sys.argv[1], encoding="utf-8"), 1):
    try:
        row = json.loads(raw)
    except ValueError:
        problems.append((line, "bad json"))
        continue
    rows += 1
    path = os.path.normpath(row.get("audio_filepath") or "")
    if path in seen:
        problems.append((line, "duplicate audio"))
    seen.add(path)
    duration, text, term = row.get("duration"), row.get("text") or "", row.get("term") or ""
    if not isinstance(duration, float) or not 0.1 <= duration <= 20:
        problems.append((line, "duration"))
    if not text.strip() or not text.isprintable():
        problems.append((line, "text"))
    if row.get("entity_category") not in categories or row.get("ipa_source") not in sources:
        problems.append((line, "vocabulary"))
    if f" {normalise(term)} " not in f" {normalise(text)} ":
        problems.append((line, "term not in text"))
assert (rows, problems) == (int(sys.argv[2]), [])
"""
PANDAS = """
import sys
import pandas
assert len(pandas.read_json(sys.argv[1], lines=True)) == int(sys.argv[2])
"""
SOUNDFILE = """
import json, sys
import soundfile
rows = 0
for raw in open(sys.argv[1], encoding="utf-8"):
    info = soundfile.info(json.loads(raw)["audio_filepath"])
    rows += info.channels == 1 and info.frames > 0
assert rows == int(sys.argv[2])
"""
CYCLE = Path(__file__).resolve().parent.parent / "clinasr_tui" / "demo" / "data" / "cycle1"


def write_rows(path: Path, count: int, *, real_audio: bool) -> None:
    """Write `count` manifest rows; their audio is the demo's own, or nowhere."""
    rows = [json.loads(line) for line in (CYCLE / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            row = dict(rows[number % len(rows)])
            here = str(CYCLE / row["audio_filepath"])
            row["audio_filepath"] = here if real_audio else f"/data/clinical/cycle1/audio/{number}.flac"
            row["text"] += f" bed {number}"
            out.write(json.dumps(row) + "\n")


def run(program: str, *argv: object) -> Measured:
    """One fresh process."""
    return whole([sys.executable, "-c", program, *map(str, argv)])


def main() -> None:
    """Measure in turn and print."""
    with tempfile.TemporaryDirectory() as folder:
        many, heard = Path(folder) / "many.jsonl", Path(folder) / "heard.jsonl"
        write_rows(many, ROWS, real_audio=False)
        write_rows(heard, ROWS_WITH_AUDIO, real_audio=True)
        ours, by_hand, pandas = [], [], []
        for _ in range(RUNS):
            ours.append(run(OURS, many, ROWS))
            by_hand.append(run(BY_HAND, many, ROWS))
            pandas.append(run(PANDAS, many, ROWS))
        with_audio, soundfile = [], []
        for _ in range(RUNS):
            with_audio.append(run(OURS, heard, ROWS_WITH_AUDIO, "audio"))
            soundfile.append(run(SOUNDFILE, heard, ROWS_WITH_AUDIO))
    name = f"clinasr-tui, {ROWS:,} rows"
    report(name, ours, "json.loads and checks by hand", by_hand)
    report(name, ours, "pandas.read_json, no check", pandas)
    report(f"clinasr-tui, {ROWS_WITH_AUDIO:,} rows, audio", with_audio, "soundfile.info by hand", soundfile)


if __name__ == "__main__":
    main()
