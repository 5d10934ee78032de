"""Byte offsets of a text file's lines: opens a file of any size at once, parses only what is seen."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import open_input

if TYPE_CHECKING:
    from clinasr_tui.flywheel.progress import Progress

# Measured on a 355 MB file: larger reads fall out of the processor's cache and are slower.
_BLOCK = 1 << 18


class LineIndex:
    r"""Line offsets of `path`, built in slices so that a worker can show progress and be cancelled.

    Lines end at `\n`; a `\r` before it is not part of the line. A last line without an end counts.
    The file is read by position and never mapped into memory: one cut short by somebody else gives
    short lines instead of ending the program. Safe to read in one thread while another extends it.
    Raises InputError if the file cannot be read.
    """

    def __init__(self, path: Path, what: str = "manifest") -> None:
        self.path = path
        self._file = open_input(path, what)
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._file.seek(0)
        except OSError:
            self._file.close()
            raise InputError(
                "cannot be read by position", where=str(path), remedy="Save it as a regular file first"
            ) from None
        self._starts = array("Q", [0])
        """Start of every indexed line, then the end of the last one."""
        self._position = 0
        self._extending = Lock()

    def __len__(self) -> int:
        """Lines indexed so far."""
        return len(self._starts) - 1

    @property
    def complete(self) -> bool:
        """True once the whole file is indexed."""
        return self._position >= self.size

    def extend(self, max_bytes: int = 8 << 20) -> bool:
        """Index the next `max_bytes`, however long the lines are; returns True while there is more to do."""
        with self._extending:
            target = min(self.size, self._position + max_bytes)
            while self._position < target:
                block = os.pread(self._file.fileno(), min(_BLOCK, target - self._position), self._position)
                if not block:
                    # The file was cut short after it was opened: what is left is all there is.
                    self.size = self._position
                    break
                self._add_line_ends(block)
            if self.complete and self._starts[-1] < self.size:
                self._starts.append(self.size)
        return not self.complete

    def _add_line_ends(self, block: bytes) -> None:
        add, find, base = self._starts.append, block.find, self._position
        end = find(b"\n") + 1
        while end:
            add(base + end)
            end = find(b"\n", end) + 1
        self._position = base + len(block)

    def build(self, progress: Progress | None = None) -> None:
        """Index everything. `progress(fraction)` may return False to stop."""
        while self.extend():
            if progress is not None and not progress(self._position / self.size):
                return
        if progress is not None:
            progress(1.0)

    def line(self, index: int) -> bytes:
        """The bytes of line `index` (0-based) without its line end. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"line {index} of {len(self)}")
        start = self._starts[index]
        return _without_end(os.pread(self._file.fileno(), self._starts[index + 1] - start, start))

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield (index of the first line, bytes of whole lines) for lines `first` to `last` (exclusive).

        For scanning a file: about 256 KiB at a time, indexed lines only.
        """
        last = len(self) if last is None else min(last, len(self))
        while first < last:
            start = self._starts[first]
            beyond = bisect_right(self._starts, start + _BLOCK, first + 1, last + 1) - 1
            beyond = max(beyond, first + 1)
            yield first, os.pread(self._file.fileno(), self._starts[beyond] - start, start)
            first = beyond

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _without_end(line: bytes) -> bytes:
    return line.rstrip(b"\r\n") if line.endswith((b"\n", b"\r")) else line
