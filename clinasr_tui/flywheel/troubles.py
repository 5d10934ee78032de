"""The troubled lines of a manifest: every one of them, however many pre-flight has found."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.preflight import Problem, Severity, check_row
from clinasr_tui.flywheel.preflight_rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clinasr_tui.flywheel.preflight import PreflightReport

_WARNED, _WRONG = 1, 2


class Troubles:
    """Which lines (1-based) have problems, and what they are. A byte a line of the file.

    A report lists only the first findings of each kind where there are very many. What is wrong with
    another line is told by looking at it again, which only the row that is read needs.
    """

    def __init__(self, manifest: Path | None = None, report: PreflightReport | None = None) -> None:
        """Without a report no line has any."""
        self._manifest = manifest
        self._truncated = report is not None and report.truncated
        self._listed: dict[int, list[Problem]] = {}
        for problem in report.problems if report else ():
            if problem.line > 0:
                self._listed.setdefault(problem.line, []).append(problem)
        found = report.lines if report else {}
        self._marks = bytearray(1 + max(chain(*found.values(), self._listed), default=0))
        for severity, mark in ((Severity.WARNING, _WARNED), (Severity.ERROR, _WRONG)):
            for line in found.get(severity, ()):
                self._marks[line] = mark
        self._marks[0] = 0

    def __contains__(self, line: object) -> bool:
        return isinstance(line, int) and 0 <= line < len(self._marks) and self._marks[line] > 0

    def worst(self, line: int) -> Severity | None:
        """The worst problem's severity; None for a line without any."""
        if line not in self:
            return None
        return Severity.ERROR if self._marks[line] == _WRONG else Severity.WARNING

    def lines(self) -> list[int]:
        """All troubled lines in order."""
        return [line for line, mark in enumerate(self._marks) if mark]

    def listed(self, line: int) -> Sequence[Problem]:
        """What the report lists of a line."""
        return self._listed.get(line, ())

    def complete(self, line: int) -> bool:
        """True if nothing of this line is left out of `listed`."""
        return not self._truncated or line not in self

    def look(self, line: int, raw: bytes) -> list[Problem]:
        """Everything about a line, for which it (and its audio) is looked at again. Blocks: for a thread."""
        listed = list(self.listed(line))
        if self.complete(line) or self._manifest is None:
            return listed
        known = {(problem.id, problem.field) for problem in listed}
        again = [one for one in check_row(self._manifest, raw, line) if (one.id, one.field) not in known]
        return [*listed, *again] or [_same_audio(line)]


def _same_audio(line: int) -> Problem:
    """The one problem that a row by itself does not show."""
    rule = rule_of("duplicate_audio")
    message = f"the same audio as a line before: {rule.effect}. {rule.remedy}"
    return Problem("duplicate_audio", rule.severity, line, "audio_filepath", message, rule.remedy)
