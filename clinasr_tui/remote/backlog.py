"""What is in the mirror and has not been read yet: places, not bytes.

Bytes are safe once they are mirrored, and a host sends faster than a log can be understood. So receiving
goes first: a burst is written down at the line's speed and read from the mirror in its pauses.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinasr_tui.training.log_lines import LogLines
    from clinasr_tui.training.run_reader import RunReader

SLICE = 1 << 18
"""Bytes read at a time: a few milliseconds, so that the screen has its turn."""


class _Unread(NamedTuple):
    """A stretch of the mirrored file `name`, which holds bytes of `path` written at `at` (Unix seconds)."""

    path: str
    name: str
    start: int
    stop: int
    at: float


class Backlog:
    """Stretches in the order they came. A stretch is gone from it exactly when the reader has been fed it."""

    def __init__(self) -> None:
        self._unread: deque[_Unread] = deque()

    def __bool__(self) -> bool:
        return bool(self._unread)

    @property
    def path(self) -> str:
        """The file the next slice is of."""
        return self._unread[0].path

    def add(self, path: str, name: str, start: int, stop: int, at: float) -> None:
        """These bytes have been mirrored."""
        if self._unread:
            last = self._unread[-1]
            if last.name == name and last.stop == start:
                start = self._unread.pop().start
        self._unread.append(_Unread(path, name, start, stop, at))

    def read(self, mirrored: Callable[[str, int, int], bytes], reader: RunReader) -> LogLines:
        """Feed the reader the next slice; the lines it completes, under the mirror's names.

        `mirrored` gives bytes of a file of the mirror: name, start and length.
        """
        path, name, start, stop, at = self._unread[0]
        data = mirrored(name, start, min(SLICE, stop - start))
        lines = feed(reader, path, name, data, at)
        if start + len(data) < stop:
            self._unread[0] = _Unread(path, name, start + len(data), stop, at)
        else:
            self._unread.popleft()
        return lines


def feed(reader: RunReader, path: str, name: str, data: bytes, at: float) -> LogLines:
    """Feed bytes of `path` written at `at` (Unix seconds), mirrored as `name`; lines point there."""
    return reader.feed(path, data, at=at).renamed({path: name})
