"""A search in the log: every match is counted, the next one is at hand while the count goes on."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from clinasr_tui.text import visible
from clinasr_tui.widgets.log_lines import LineFilter, LogSource, PickedLines

if TYPE_CHECKING:
    from clinasr_tui.training.log_pattern import LinePattern


class LogSearch:
    """The shown lines that hold a pattern."""

    def __init__(self, source: LogSource, chosen: LineFilter, pattern: LinePattern, start: int) -> None:
        """Matches beside the line with the number `start` are found first."""
        self.pattern = pattern
        self._matches = PickedLines(source, chosen, start, pattern)
        self._wish: tuple[int, int] | None = None

    @property
    def done(self) -> bool:
        """All lines have been looked at."""
        return self._matches.done

    def step(self, seconds: float) -> None:
        """Look at more lines for `seconds`. Raises TooSlowError where the pattern needs too long."""
        until = perf_counter() + seconds
        self._matches.forget()
        self._matches.step()
        while not self._matches.done and perf_counter() < until:
            self._matches.step()

    def go(self, direction: int, number: int) -> None:
        """Wish for the next (1) or previous (-1) match beside a line number, round the end."""
        self._wish = direction, number

    def arrive(self) -> int | None:
        """The line number wished for, once; None while it is not known or if there is no match."""
        if self._wish is None:
            return None
        direction, number = self._wish
        place = self._matches.place(number + (direction > 0)) - (direction < 0)
        if not 0 <= place < len(self._matches):
            if not self.done:
                return None
            place = 0 if direction > 0 else len(self._matches) - 1
        self._wish = None
        return self._matches[place] if len(self._matches) else None

    def said(self, here: int | None) -> str:
        """How it stands: `/nan 3 of 17`, `/nan 12 found, 40 %`, `/nan: no line`."""
        name, total = f"/{visible(self.pattern.text)}", len(self._matches)
        if not self.done:
            return f"{name} {total:,} found, {self._matches.progress:.0%}"
        if not total:
            return f"no line with {name}"
        place = 0 if here is None else self._matches.place(here)
        if here is None or place >= total or self._matches[place] != here:
            return f"{name} {total:,} found"
        return f"{name} {place + 1:,} of {total:,}"
