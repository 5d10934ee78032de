"""A real terminal for the real program: tmux, driven by keys, read as text."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from types import TracebackType


class Terminal:
    """A private tmux server with one window of a given size running one command."""

    def __init__(self, argv: Sequence[str], *, name: str, columns: int = 120, rows: int = 36) -> None:
        self._name = f"clinasr-{name}-{os.getpid()}"
        # The shell stays after the program so that its last words can be read.
        command = f"env TERM=tmux-256color COLORTERM=truecolor {shlex.join(argv)}; echo EXIT=$?; sleep 60"
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "sh", "-c", command)

    def _tmux(self, *argv: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._name, *argv], capture_output=True, text=True, check=False, timeout=20
        )
        if done.returncode:
            raise RuntimeError(f"tmux {argv}: {done.stderr}")
        return done.stdout

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)

    def press(self, *keys: str) -> None:
        """Send keys by their tmux names."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """The window's text as it stands."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, *texts: str, seconds: float = 30) -> str:
        """Wait until every text stands on the screen; returns the screen."""
        return self.wait_until(lambda screen: all(text in screen for text in texts), f"{texts}", seconds)

    def wait_until(self, holds: Callable[[str], bool], what: str, seconds: float = 30) -> str:
        """Wait until `holds(screen)`; returns the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            screen = self.screen()
            if holds(screen):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"not seen within {seconds} s: {what}\n{self.screen()}")
