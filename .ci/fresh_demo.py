"""Run the README's demo command in a fresh clone, in a terminal, in an empty environment."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.terminal import Terminal  # noqa: E402

# What a package installer may need from outside; nothing of this project's environment.
KEPT = ("PATH", "HOME", "LANG", "PIP_")


def main(command: str) -> None:
    """Clone, run, look for the home screen, quit."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clinasr-tui"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        kept = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(KEPT)]
        shell = f"cd {shlex.quote(str(clone))} && {command}"
        argv = ["env", "-i", *kept, "TERM=tmux-256color", "sh", "-c", shell]
        with Terminal(argv, name="fresh") as terminal:
            terminal.wait_for("Cycles", "Next", seconds=600)
            terminal.press("q")
            terminal.wait_for("EXIT=0", seconds=20)
    sys.stdout.write("the README's demo command works in a fresh clone\n")


if __name__ == "__main__":
    main(sys.argv[1])
