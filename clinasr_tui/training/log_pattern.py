"""What a log line must hold: a text or a regular expression, whatever the case of its letters."""

from __future__ import annotations

import re
import warnings

from clinasr_tui.errors import InputError
from clinasr_tui.text import visible
from clinasr_tui.training.time_bound import TimeBound

MAX_PATTERN = 1000
"""Characters."""
_SPANS_SECONDS = 0.05
_SPECIAL = frozenset(r"\.^$*+?{}[]|()")


class LinePattern:
    """A regular expression that is looked for in single lines; one without special characters is a text.

    Raises InputError where `text` is no regular expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._literal = "" if _SPECIAL.intersection(text) else text.casefold()
        try:
            if len(text) > MAX_PATTERN:
                raise re.error(f"longer than {MAX_PATTERN} characters")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._regex = re.compile(text, re.IGNORECASE)
        except (re.error, RecursionError, OverflowError) as error:
            raise InputError(
                f"not a regular expression: {visible(str(error))}",
                remedy="A backslash takes its meaning from a special character",
            ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinePattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def places(self, joined: str) -> list[int]:
        r"""Which of the lines of `joined` (`\n` between them) hold it, counted from 0."""
        if self._literal:
            joined = joined.casefold()
            if self._literal not in joined:
                return []
            return [place for place, line in enumerate(joined.split("\n")) if self._literal in line]
        search = self._regex.search
        return [place for place, line in enumerate(joined.split("\n")) if search(line)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in a line it stands: (start, end), empty matches left out. Raises TooSlowError."""
        with TimeBound(_SPANS_SECONDS):
            return [match.span() for match in self._regex.finditer(text) if match.end() > match.start()]
