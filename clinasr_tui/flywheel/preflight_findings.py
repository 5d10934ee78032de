"""What pre-flight has found so far: everything counted and placed, a bounded number kept in detail."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from clinasr_tui.flywheel.preflight_rules import Severity, rule_key, rule_of

MAX_KEPT = 10_000
"""Findings kept in detail. Where there are more, the first ones of every kind are."""


class Finding(NamedTuple):
    """One finding; `what` is what is wrong with the row, without what follows from it."""

    line: int
    """1-based."""
    order: int
    """Findings of one line stand in this order."""
    id: str
    field: str
    what: str


@dataclass(slots=True)
class Findings:
    """Findings by kind (`rule_key`), each kind in line order."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[Finding]] = field(default_factory=dict)
    lines: dict[Severity, array[int]] = field(default_factory=lambda: {each: array("I") for each in Severity})
    """The line of every finding, four bytes each, also of those that are not kept."""
    _held: int = 0
    _added: int = 0

    def add(self, problem_id: str, field_name: str, line: int, what: str) -> None:
        """Note a finding. Those of one kind come in line order."""
        key = rule_key(problem_id, field_name)
        kept = self.kept.setdefault(key, [])
        if len(kept) == self.counts[key] and len(kept) < MAX_KEPT:
            kept.append(Finding(line, self._added, problem_id, field_name, what))
            self._held += 1
        self.counts[key] += 1
        self.lines[rule_of(key).severity].append(line)
        self._added += 1
        if self._held >= 2 * MAX_KEPT:
            self._thin()

    def extend(self, other: Findings, lines_before: int) -> None:
        """Put the findings of the next part of the file after these."""
        for key, kept in other.kept.items():
            mine = self.kept.setdefault(key, [])
            if len(mine) == self.counts[key]:
                mine += [each._replace(line=each.line + lines_before) for each in kept]
        for severity, lines in other.lines.items():
            self.lines[severity].extend(line + lines_before for line in lines)
        self.counts.update(other.counts)
        self._added = max(self._added, other._added)
        self._thin()

    def _thin(self) -> None:
        limit = fair_share([len(kept) for kept in self.kept.values()], MAX_KEPT)
        for kept in self.kept.values():
            del kept[limit:]
        self._held = sum(map(len, self.kept.values()))

    def in_line_order(self) -> Iterator[Finding]:
        """The kept ones, at most MAX_KEPT."""
        self._thin()
        yield from sorted(each for kept in self.kept.values() for each in kept)


def fair_share(counts: list[int], total: int) -> int:
    """The largest n with sum(min(count, n)) ≤ total (0 if even one of each is too much)."""
    share = 0
    left, remaining = total, sorted(counts)
    while remaining:
        step = remaining[0] - share
        if step * len(remaining) > left:
            return share + left // len(remaining)
        left -= step * len(remaining)
        share = remaining.pop(0)
    return max(share, total)
