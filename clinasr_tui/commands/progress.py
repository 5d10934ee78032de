"""How far long work is, on standard error where that is a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.progress import left_text

if TYPE_CHECKING:
    from clinasr_tui.flywheel.progress import Progress

# Work that is done sooner shows nothing: a line that flashes by only disturbs.
_SILENT_SECONDS = 0.5
_SECONDS_PER_LINE = 0.1


@contextmanager
def progress_line(work: str) -> Iterator[Progress | None]:
    """Gives what to report progress to; None where nobody would see it. The line is gone at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    line = _Line(work)
    try:
        yield line.show
    finally:
        line.erase()


class StatusLine:
    """One line of standard error that is written over; nothing where `seen` says that nobody would see it."""

    def __init__(self, *, seen: bool) -> None:
        self._seen = seen
        self._shown = float("-inf")
        self._length = 0

    def write(self, text: str) -> None:
        """Show `text` in the line, at most ten times a second."""
        now = monotonic()
        if not self._seen or now - self._shown < _SECONDS_PER_LINE:
            return
        self._shown = now
        self._put(text)

    def erase(self) -> None:
        """Leave an empty line behind."""
        if self._length:
            self._put("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def _put(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        padded = f"\r{text:<{self._length}}"
        # Known before it is written: Ctrl-C may come in between, and the line must still be erased.
        self._length = max(self._length, len(text))
        sys.stderr.write(padded)
        sys.stderr.flush()
        self._length = len(text)


class _Line(StatusLine):
    def __init__(self, work: str) -> None:
        super().__init__(seen=True)
        self._work = work
        self._begun = self._shown = monotonic()

    def show(self, fraction: float) -> bool:
        """Never cancels: Ctrl-C does."""
        seconds = monotonic() - self._begun
        if seconds >= _SILENT_SECONDS:
            left = left_text(seconds, fraction)
            self.write(f"{self._work} {fraction:4.0%}{f', {left} left' if left else ''}")
        return True
