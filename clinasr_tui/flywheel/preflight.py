"""Pre-flight: everything that would waste a paid run, found before it (method, section 1).

A manifest is read once and in order; a large one in parts, by several processes. Memory grows with
the rows by 24 bytes each, from which the same audio on several rows is told.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from clinasr_tui.flywheel.files import numbered_lines, open_input, reading
from clinasr_tui.flywheel.manifest import RowFault, decode_object
from clinasr_tui.flywheel.parallel import processes, run_parts
from clinasr_tui.flywheel.preflight_findings import Finding, Findings
from clinasr_tui.flywheel.preflight_part import DIGEST, Part, Span, check_part
from clinasr_tui.flywheel.preflight_rows import RowChecks
from clinasr_tui.flywheel.preflight_rows import check_audio as look_at_audio
from clinasr_tui.flywheel.preflight_rules import Severity, rule_for, rule_of
from clinasr_tui.flywheel.progress import Progress, report

__all__ = ["PreflightReport", "Problem", "Severity", "check_manifest", "check_row"]

# Below this many bytes a process, starting it takes longer than it saves; audio makes rows dearer.
_BYTES_PER_PROCESS = 4 << 20
_BYTES_PER_PROCESS_WITH_AUDIO = 1 << 20
# Up to here a dictionary is quicker than loading numpy, and not yet large.
_ROWS_WITHOUT_NUMPY = 50_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding at a line (1-based) and field; `message` says what happens and what to do."""

    id: str
    severity: Severity
    line: int
    field: str
    message: str
    remedy: str = ""
    """What to do, on its own."""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """Findings in line order. Of very many, the first of each kind are listed; all are counted."""

    rows: int
    problems: tuple[Problem, ...]
    counts: dict[str, int]
    """Findings by id, listed or not."""
    unlisted: dict[Severity, int] = field(default_factory=dict)
    """Findings that are counted and not listed."""
    lines: dict[Severity, array[int]] = field(default_factory=dict)
    """The line of every finding in order, listed or not."""

    @property
    def truncated(self) -> bool:
        """True if not every finding is listed."""
        return any(self.unlisted.values())

    @property
    def errors(self) -> int:
        """Findings that must be mended before money is spent."""
        return self._number(Severity.ERROR)

    @property
    def warnings(self) -> int:
        """Findings that deserve a look."""
        return self._number(Severity.WARNING)

    @property
    def ok(self) -> bool:
        """True without any error."""
        return self.errors == 0

    def _number(self, severity: Severity) -> int:
        return sum(each.severity is severity for each in self.problems) + self.unlisted.get(severity, 0)


def check_manifest(
    path: Path, *, check_audio: bool = True, progress: Progress | None = None
) -> PreflightReport:
    """Check every line; a line that does not parse is a finding, not an exception.

    `progress(fraction)` may return False to cancel (raises InterruptedError). Raises InputError only
    if the file itself cannot be read.
    """
    with ExitStack() as stack:
        stack.enter_context(reading(path, "manifest"))
        data = _readable_twice(path, stack)
        array_begins = _array_begins(data)
        if array_begins is not None:
            line, fault = array_begins
            findings = Findings()
            findings.add(fault.id, fault.field, line, fault.what)
            return _report(0, findings)
        spans = _spans(data, _BYTES_PER_PROCESS_WITH_AUDIO if check_audio else _BYTES_PER_PROCESS)
        if len(spans) == 1:
            parts = [check_part(data, path, spans[0], check_audio, progress=progress)]
        else:
            tasks = [(data, path, span, check_audio) for span in spans]
            parts = run_parts(check_part, tasks, progress=progress, work="pre-flight")
    rows = sum(part.rows for part in parts)
    findings = _joined(parts)
    if not rows:
        findings.add("no_rows", "", 1, "the manifest has no rows")
    report(progress, 1.0, "pre-flight")
    return _report(rows, findings)


def check_row(manifest: Path, raw: bytes, line: int) -> list[Problem]:
    """What is wrong with one line of a manifest and with its audio, by themselves."""
    findings = Findings()
    audio = RowChecks(manifest, findings).row(raw, line)
    for found in look_at_audio([(line, audio)]) if audio else ():
        findings.add(*found)
    return list(map(_problem, findings.in_line_order()))


def _readable_twice(path: Path, stack: ExitStack) -> Path:
    """The manifest itself, or a temporary copy of what a pipe gives only once."""
    with open_input(path, "manifest") as stream:
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return path
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clinasr-")), "manifest.jsonl")
        with copy.open("wb") as out:
            shutil.copyfileobj(stream, out)
        return copy


def _array_begins(path: Path) -> tuple[int, RowFault] | None:
    """Where the file begins as one JSON array: then every line of it would be a finding of its own."""
    with open_input(path, "manifest") as stream:
        for line, raw in numbered_lines(stream):
            try:
                decode_object(raw, line)
            except RowFault as fault:
                return (line, fault) if fault.id == "json_array" else None
            return None
    return None


def _spans(path: Path, least: int) -> list[Span]:
    """The file cut at line ends, a span for each process that is worth starting."""
    with open_input(path, "manifest") as stream:
        size = os.fstat(stream.fileno()).st_size
        edges = [0]
        count = max(min(processes(), size // least), 1)
        for number in range(1, count):
            stream.seek(size * number // count)
            stream.readline()
            edges.append(max(min(stream.tell(), size), edges[-1]))
    return [Span(*edge) for edge in pairwise([*edges, size]) if edge[0] < edge[1]] or [Span(0, size)]


def _joined(parts: Sequence[Part]) -> Findings:
    """The findings of all parts, and those that only all parts together show."""
    findings = Findings()
    audio, lines, lines_before = bytearray(), array("Q"), 0
    for part in parts:
        offset = lines_before - (1 if lines_before else 0)
        findings.extend(part.findings, offset)
        audio += part.audio
        lines.extend(line + offset for line in part.audio_lines) if offset else lines.extend(part.audio_lines)
        lines_before += part.lines
    for place, first in _repeats(audio):
        what = f"the same audio as line {lines[first]}"
        findings.add("duplicate_audio", "audio_filepath", lines[place], what)
    return findings


def _repeats(audio: bytearray) -> Iterable[tuple[int, int]]:
    """(place, first place) of every digest that stands before it already, in order."""
    count = len(audio) // DIGEST
    if count > _ROWS_WITHOUT_NUMPY:
        return _repeats_of_many(audio)
    first: dict[bytes, int] = {}
    digests = (bytes(audio[at : at + DIGEST]) for at in range(0, len(audio), DIGEST))
    seen = (first.setdefault(digest, place) for place, digest in enumerate(digests))
    return [(place, earlier) for place, earlier in enumerate(seen) if earlier != place]


def _repeats_of_many(audio: bytearray) -> Iterator[tuple[int, int]]:
    import numpy as np

    halves = np.frombuffer(audio, dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal ones stay in the file's order
    ordered = halves[order]
    same = np.zeros(len(order), dtype=bool)
    same[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    heads = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    repeats, firsts = order[same], order[heads[same]]
    for at in np.argsort(repeats):
        yield int(repeats[at]), int(firsts[at])


def _report(rows: int, findings: Findings) -> PreflightReport:
    problems = tuple(map(_problem, findings.in_line_order()))
    counts: Counter[str] = Counter()
    unlisted: Counter[Severity] = Counter()
    for key, number in findings.counts.items():
        counts[key.split(" ")[0]] += number
        unlisted[rule_of(key).severity] += number
    unlisted.subtract(problem.severity for problem in problems)
    left = {severity: number for severity, number in unlisted.items() if number}
    lines = {severity: array("I", sorted(found)) for severity, found in findings.lines.items()}
    return PreflightReport(rows, problems, dict(counts), left, lines)


def _problem(finding: Finding) -> Problem:
    rule = rule_for(finding.id, finding.field)
    message = f"{finding.what}: {rule.effect}. {rule.remedy}"
    return Problem(finding.id, rule.severity, finding.line, finding.field, message, rule.remedy)
