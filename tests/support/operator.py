"""An operator at a real terminal: a command on a pseudo-terminal of its own, and hands that type there."""

from __future__ import annotations

import os
import pty
import select
import sys
import time


class Operator:
    """A command on a pseudo-terminal of its own, and hands that type there."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.seen = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execve(sys.executable, [sys.executable, "-m", "clinasr_tui", *argv], env)
        self.code: int | None = None

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            data = b""
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, text: str, seconds: float = 20.0) -> None:
        """Wait until it is on the terminal."""
        limit = time.monotonic() + seconds
        while text not in self.seen:
            assert self._read(0.1), f"ended without {text!r}: {self.seen}"
            assert time.monotonic() < limit, f"{text!r} never came: {self.seen}"

    def settle(self) -> None:
        """Read the prompt, as a person would."""
        time.sleep(0.5)

    def type(self, *keys: str, pause: float = 0.04) -> None:
        """Press keys one after the other."""
        for key in keys:
            os.write(self._fd, key.encode())
            time.sleep(pause)

    def end(self, seconds: float = 20.0) -> int:
        """Wait for the end and give the exit code."""
        limit = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < limit, self.seen
        _, status = os.waitpid(self._pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)
