"""Process start to first paint, beside a minimal Textual app."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import report, until_text

RUNS = 7
MINIMAL = """
from textual.app import App
from textual.widgets import Static
class Minimal(App):
    def compose(self):
        yield Static("painted")
Minimal().run()
"""


def main() -> None:
    """Measure in turn and print."""
    data = Path(__file__).resolve().parent.parent / "clinasr_tui" / "demo" / "data"
    with tempfile.TemporaryDirectory() as folder:
        for cycle in ("cycle1", "cycle2"):
            shutil.copytree(data / cycle, Path(folder) / cycle, ignore=shutil.ignore_patterns("audio"))
        ours, rival = [], []
        for _ in range(RUNS + 1):
            ours.append(until_text([sys.executable, "-m", "clinasr_tui", folder], b"Cycles"))
            rival.append(until_text([sys.executable, "-c", MINIMAL], b"painted"))
    report("clinasr-tui, first paint", ours[1:], "minimal Textual app", rival[1:])


if __name__ == "__main__":
    main()
