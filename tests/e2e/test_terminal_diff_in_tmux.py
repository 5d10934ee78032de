"""What the shortened output leaves on a real terminal is what the whole output would have left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.terminal_screen import TerminalScreen, seen

pytestmark = pytest.mark.tmux

PLAIN = """
import sys
from clinasr_tui import app
app.frugal = lambda driver: driver
from clinasr_tui.cli import main
raise SystemExit(main([sys.argv[1]]))
"""
KEYS = ("5", "l", "z", "PageUp", "Up", "End", "z", "6", "2", "PageDown", "5")


class Tmux:
    """A tmux server of its own with the app in it."""

    def __init__(self, name: str, argv: list[str]) -> None:
        self.base = ["tmux", "-L", name, "-f", "/dev/null"]
        command = ["env", "TERM=tmux-256color", "COLORTERM=truecolor", *argv]
        self.run("new-session", "-d", "-x", "100", "-y", "32", *command)

    def run(self, *args: str) -> str:
        return subprocess.run([*self.base, *args], check=True, capture_output=True, text=True).stdout

    def screen(self, size: tuple[int, int]) -> TerminalScreen:
        screen = TerminalScreen(*size)
        for row, line in enumerate(self.run("capture-pane", "-p", "-e", "-N").splitlines()):
            screen.feed(f"\x1b[{row + 1};1H{line}")
        return screen


def same(two: list[Tmux], text: str = "", size: tuple[int, int] = (100, 32)) -> bool:
    """True once both show `text`, the same and, a moment later, still the same."""
    limit = time.monotonic() + 10
    calm = 0
    while calm < 2 and time.monotonic() < limit:
        short, whole = (server.screen(size) for server in two)
        calm = calm + 1 if seen(short) == seen(whole) and text in "\n".join(short.text()) else 0
        time.sleep(0.15)
    return calm == 2


@pytest.fixture
def two(tmp_path: Path, two_cycles: Path, recordings: Path):
    """The app with the shortened and with the whole output, on workspaces of the same content."""
    model = two_cycles / "cycle1" / "models" / "sft3"
    shutil.copytree(recordings / "sft3", model)
    other = tmp_path / "other" / two_cycles.name
    shutil.copytree(two_cycles, other, symlinks=True)
    for root in (two_cycles, other):
        (root / "cycle1" / "models" / "sft3" / "training_run_info.json").write_text("{}")
    script = tmp_path / "plain.py"
    script.write_text(PLAIN)
    name = f"diff{os.getpid()}"
    servers = [
        Tmux(name + "a", [sys.executable, "-m", "clinasr_tui", str(two_cycles)]),
        Tmux(name + "b", [sys.executable, str(script), str(other)]),
    ]
    yield servers
    for server in servers:
        server.run("kill-server")


def test_every_screen_looks_the_same(two: list[Tmux]) -> None:
    assert same(two, "Cycles")
    for key in KEYS:
        for server in two:
            server.run("send-keys", key)
        assert same(two, "finished" if key == "5" else ""), key
    for server in two:
        server.run("resize-window", "-x", "84", "-y", "25")
    assert same(two, "Watch", (84, 25))
