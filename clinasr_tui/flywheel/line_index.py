"""Byte offsets of a text file's lines: opens a file of any size at once, parses only what is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class LineIndex:
    """Line offsets of `path`, built in slices so that a worker can show progress and be cancelled.

    Lines end at `\n`; a `\r` before it is not part of the line. A last line without an end counts.
    """

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        """Lines indexed so far."""
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """True once the whole file is indexed."""
        raise NotImplementedError

    def extend(self, max_bytes: int = 8 << 20) -> bool:
        """Index the next slice; returns True while there is more to do."""
        raise NotImplementedError

    def build(self, progress: Callable[[float], bool] | None = None) -> None:
        """Index everything. `progress(fraction)` may return False to stop."""
        raise NotImplementedError

    def line(self, index: int) -> bytes:
        """The bytes of line `index` (0-based) without its line end."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the file."""
        raise NotImplementedError
