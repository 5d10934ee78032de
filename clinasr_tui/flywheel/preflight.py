"""Pre-flight: everything that would waste a paid run, found before it (method, section 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """`error` stops a run or loses data; `warning` deserves a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding at a line (1-based) and field; `message` says what happens and what to do."""

    id: str
    severity: Severity
    line: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """Findings in line order."""

    rows: int
    problems: tuple[Problem, ...]
    counts: dict[str, int]
    """Findings by id."""

    @property
    def errors(self) -> int:
        """Findings that must be mended before money is spent."""
        return sum(problem.severity is Severity.ERROR for problem in self.problems)

    @property
    def ok(self) -> bool:
        """True without any error."""
        return self.errors == 0


def check_manifest(
    path: Path, *, check_audio: bool = True, progress: Callable[[float], bool] | None = None
) -> PreflightReport:
    """Check every line; a line that does not parse is a finding, not an exception.

    Raises InputError only if the file itself cannot be read.
    """
    raise NotImplementedError
