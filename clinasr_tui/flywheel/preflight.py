"""Pre-flight: everything that would waste a paid run, found before it (method, section 1)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clinasr_tui.flywheel.audio import AudioError, probe
from clinasr_tui.flywheel.files import numbered_lines, open_input
from clinasr_tui.flywheel.manifest import (
    BOM,
    RowFault,
    audio_path,
    clinical_text,
    decode_object,
    duration_of,
    required_text,
    without_bom,
)
from clinasr_tui.flywheel.normalise import contains_term, normalise
from clinasr_tui.flywheel.preflight_rules import MAX_SECONDS, MIN_SECONDS, Severity, rule_for
from clinasr_tui.flywheel.progress import Progress, report
from clinasr_tui.flywheel.vocabulary import ENTITY_CATEGORIES, IPA_SOURCES
from clinasr_tui.text import visible

__all__ = ["PreflightReport", "Problem", "Severity", "check_manifest"]

# Headers are read in parallel for slow shared disks; from a local disk one thread is as quick.
_AUDIO_THREADS = 4
_AUDIO_BATCH = 64
_LINES_PER_PROGRESS = 2000
_LONGEST_QUOTE = 80


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
    path: Path, *, check_audio: bool = True, progress: Progress | None = None
) -> PreflightReport:
    """Check every line; a line that does not parse is a finding, not an exception.

    `progress(fraction)` may return False to cancel (raises InterruptedError). Raises InputError only
    if the file itself cannot be read.
    """
    check = _Check(path)
    share = 0.3 if check_audio else 1.0
    with open_input(path, "manifest") as stream:
        size = os.fstat(stream.fileno()).st_size
        for line, raw in numbered_lines(stream):
            check.row(raw, line)
            if check.rows % _LINES_PER_PROGRESS == 0:
                report(progress, share * min(stream.tell() / size, 1.0) if size else 0.0, "pre-flight")
    if not check.rows:
        check.add("no_rows", "", 1, "the manifest has no rows")
    if check_audio:
        for done in check.audio():
            report(progress, share + (1.0 - share) * done, "pre-flight")
    report(progress, 1.0, "pre-flight")
    check.problems.sort(key=lambda problem: problem.line)
    counts = Counter(problem.id for problem in check.problems)
    return PreflightReport(check.rows, tuple(check.problems), dict(counts))


class _Check:
    """One pass over a manifest: findings so far, and which audio stands on which lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.problems: list[Problem] = []
        self.audio_lines: dict[str, list[int]] = {}

    def add(self, problem_id: str, field: str, line: int, what: str) -> None:
        rule = rule_for(problem_id, field)
        message = f"{what}: {rule.effect}. {rule.remedy}"
        self.problems.append(Problem(problem_id, rule.severity, line, field, message))

    def row(self, raw: bytes, line: int) -> None:
        """Check one line on its own and note its audio."""
        self.rows += 1
        if line == 1 and raw.startswith(BOM):
            self.add("bom", "", line, "a byte-order mark stands before the first row")
        try:
            fields = decode_object(raw, line)
        except RowFault as fault:
            self.add(fault.id, fault.field, line, fault.what)
            return
        # A colon more than there are fields is rare, so the slow exact look seldom happens.
        if raw.count(b":") > len(fields):
            for key in _duplicate_keys(without_bom(raw, line)):
                self.add("duplicate_key", key, line, f"{_quoted(key)} stands twice")
        self._duration(fields, line)
        self._clinical(fields, line, self._text(fields, line))
        try:
            audio = required_text(fields, "audio_filepath")
        except RowFault as fault:
            self.add(fault.id, fault.field, line, fault.what)
        else:
            where = os.path.normpath(audio_path(self.path, audio))
            self.audio_lines.setdefault(where, []).append(line)

    def _duration(self, fields: dict[str, object], line: int) -> None:
        try:
            seconds = duration_of(fields)
        except RowFault as fault:
            self.add(fault.id, fault.field, line, fault.what)
            return
        if "duration" not in fields:
            self.add("missing_field", "duration", line, "duration is missing")
        elif seconds is None:
            self.add("null_duration", "duration", line, "duration is null")
        elif seconds > MAX_SECONDS:
            self.add("too_long", "duration", line, f"{seconds:.2f} s is longer than {MAX_SECONDS:g} s")
        elif seconds < MIN_SECONDS:
            self.add("too_short", "duration", line, f"{seconds:.3f} s is shorter than {MIN_SECONDS:g} s")

    def _text(self, fields: dict[str, object], line: int) -> str | None:
        try:
            text = required_text(fields, "text")
        except RowFault as fault:
            self.add(fault.id, fault.field, line, fault.what)
            return None
        if not text.strip():
            self.add("empty_text", "text", line, "the text is empty")
        if "\ufeff" in text:
            self.add("bom", "text", line, "the text holds a byte-order mark")
        if visible(text) != text:
            self.add("control_characters", "text", line, f"control characters in the text {_quoted(text)}")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            self.add("bad_unicode", "text", line, "half a surrogate pair in the text")
        return text

    def _clinical(self, fields: dict[str, object], line: int, text: str | None) -> None:
        for field, known in (("entity_category", ENTITY_CATEGORIES), ("ipa_source", IPA_SOURCES)):
            value = clinical_text(fields.get(field))
            if value not in known:
                what = f"{field} {_quoted(value)} is not known" if value else f"{field} is empty or missing"
                self.add(f"unknown_{field}", field, line, what)
        term = clinical_text(fields.get("term"))
        scored_term = normalise(term)
        if not scored_term:
            what = f"nothing is left of the term {_quoted(term)} when normalised" if term else "no term"
            self.add("empty_term", "term", line, what)
        elif text is not None and not contains_term(normalise(text), scored_term):
            self.add("term_not_in_text", "term", line, f"{_quoted(term)} does not occur in the row's text")

    def audio(self) -> Iterator[float]:
        """Check the audio files; yields the fraction done."""
        paths = list(self.audio_lines)
        batches = [paths[start : start + _AUDIO_BATCH] for start in range(0, len(paths), _AUDIO_BATCH)]
        pool = ThreadPoolExecutor(_AUDIO_THREADS, "audio-headers")
        try:
            for done, findings in enumerate(pool.map(_audio_findings, batches), 1):
                for path, problem_id, what in findings:
                    for line in self.audio_lines[path]:
                        self.add(problem_id, "audio_filepath", line, what)
                yield done / len(batches)
        finally:
            pool.shutdown(cancel_futures=True)
        for lines in self.audio_lines.values():
            for line in lines[1:]:
                self.add("duplicate_audio", "audio_filepath", line, f"the same audio as line {lines[0]}")


def _audio_findings(paths: Sequence[str]) -> list[tuple[str, str, str]]:
    """(path, finding's id, what is wrong) for the unusable files among `paths`."""
    found = []
    for path in paths:
        try:
            info = probe(Path(path))
        except AudioError as error:
            found.append((path, error.id, f"{error.what}: {visible(path)}"))
        else:
            if info.channels != 1:
                found.append((path, "not_mono", f"{info.channels} channels in {visible(path)}"))
    return found


def _duplicate_keys(raw: bytes) -> list[str]:
    """Keys that stand more than once in one object of a line that is known to parse."""
    twice: list[str] = []

    def collect(pairs: list[tuple[str, object]]) -> None:
        twice.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)

    json.loads(raw.decode(), object_pairs_hook=collect)
    return twice


def _quoted(text: str) -> str:
    shown = visible(text)
    return f'"{shown[:_LONGEST_QUOTE]}{"…" if len(shown) > _LONGEST_QUOTE else ""}"'
