"""Whether a process still writes to a run, as a follower on its host has seen it."""

from __future__ import annotations

import re

_ROW = re.compile(rb"\d{1,12}\.\d{3} (open|gone)")
_MAX_TAIL = 256


class Writers:
    """Reads the follower's rows, `<Unix seconds> open` or `… gone`; the last one counts."""

    def __init__(self) -> None:
        self._tail = b""
        self.gone_at: float | None = None
        """Unix seconds of when it was told that the last writer has gone, None if one is there."""

    def feed(self, data: bytes, at: float | None) -> None:
        """Take the next bytes, which came at `at`."""
        *rows, tail = (self._tail + data).split(b"\n")
        self._tail = tail[:_MAX_TAIL]
        for row in rows:
            if match := _ROW.fullmatch(row):
                self.gone_at = at if match[1] == b"gone" else None
