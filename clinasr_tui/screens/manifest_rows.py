"""A manifest's rows as the Manifest screen shows them: table columns, row detail, problems by line."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.flywheel.manifest_table import BrokenRow, ManifestTable, Query
from clinasr_tui.flywheel.normalise import normalise
from clinasr_tui.flywheel.preflight_rules import Severity
from clinasr_tui.text import visible
from clinasr_tui.widgets.histogram import FINE_BINS, Bins, count_bins
from clinasr_tui.widgets.row_detail import RowFacts
from clinasr_tui.widgets.row_table import Column

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.flywheel.manifest import ManifestRow
    from clinasr_tui.flywheel.manifest_table import Survey
    from clinasr_tui.flywheel.preflight import PreflightReport, Problem
    from clinasr_tui.flywheel.progress import Progress
    from clinasr_tui.flywheel.troubles import Troubles

_COLUMNS = (
    ("line", Column("line", 6, align="right")),
    ("", Column("", 1)),
    ("term", Column("term", 14, 1)),
    ("entity_category", Column("category", 9, drop=2)),
    ("noise_level", Column("noise", 8, drop=4)),
    ("ipa_source", Column("pronunciation", 15, drop=5)),
    ("voice_id", Column("voice", 8, drop=6)),
    ("context_type", Column("context", 10, drop=7)),
    ("duration", Column("s", 6, align="right", drop=3)),
    ("text", Column("text", 22, 4)),
)
SORTS = (
    "line",
    "term",
    "entity_category",
    "noise_level",
    "ipa_source",
    "voice_id",
    "context_type",
    "duration",
)
"""Fields the sort key goes through, the file's order first."""


def columns(sort: str, *, descending: bool) -> list[Column]:
    """The table's columns, the sorted one marked ↑ or ↓."""
    mark = " ↓" if descending else " ↑"
    return [
        Column(
            column.title + (mark if field == sort and (sort != "line" or descending) else ""),
            column.width,
            column.weight,
            column.align,
            column.drop,
        )
        for field, column in _COLUMNS
    ]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows are wanted and in what order."""

    text: str = ""
    """The filter as typed."""
    troubled: bool = False
    sort: str = "line"
    descending: bool = False

    @property
    def everything(self) -> bool:
        """True for all rows in the file's order."""
        return not self.text.strip() and not self.troubled and self.sort == "line" and not self.descending


def pick(table: ManifestTable, choice: Choice, troubles: Troubles, progress: Progress) -> array[int] | None:
    """0-based lines of the rows wanted, None for all; slow for many rows: call it in a thread."""
    if choice.everything:
        return None
    if choice.troubled and not choice.text.strip():
        chosen = array("L", [line - 1 for line in troubles.lines() if line <= len(table)])
    else:
        chosen = table.select(Query.parse(choice.text), progress)
        if choice.troubled:
            chosen = array("L", [index for index in chosen if index + 1 in troubles])
    if choice.sort != "line" or choice.descending:
        chosen = table.sort(chosen, choice.sort, descending=choice.descending, progress=progress)
    return chosen


def count(table: ManifestTable, chosen: array[int] | None, progress: Progress) -> tuple[Survey, Bins | None]:
    """Facets and durations of the rows chosen; for a thread."""
    survey = table.survey(chosen, progress)
    return survey, count_bins(survey.durations, FINE_BINS)


def outline(manifest: Path, audio: str, wanted: int) -> list[tuple[float, float]]:
    """The waveform of a row's audio in `wanted` columns; for a thread. Raises InputError."""
    from clinasr_tui.flywheel.audio import waveform
    from clinasr_tui.flywheel.manifest import audio_path

    return waveform(audio_path(manifest, audio), max(wanted, 2))


def toggle_clause(text: str, clause: str) -> str:
    """The filter with a clause added, or taken away if it is in it."""
    there = clauses(text)
    kept = [one for one in there if one != clause]
    return " ".join(kept if len(kept) < len(there) else [*there, clause])


def clauses(text: str) -> list[str]:
    """The clauses of a filter as they are written, values in quotation marks whole."""
    return re.findall(r'[^\s"]*"[^"]*"|\S+', text)


def seconds_text(duration: float | None) -> str:
    """A row's duration as the table shows it; – for null or absent."""
    return "–" if duration is None else f"{duration:.2f}"


class ManifestRows:
    """The rows in view (a RowSource): all lines of a table, or the chosen ones in the chosen order."""

    def __init__(self, table: ManifestTable, chosen: array[int] | None, troubles: Troubles) -> None:
        self.table = table
        self.chosen = chosen
        self.troubles = troubles
        self._troubled: list[int] | None = None

    def __len__(self) -> int:
        return len(self.table) if self.chosen is None else len(self.chosen)

    def line_index(self, place: int) -> int:
        """0-based line of the file at a place of the table."""
        return place if self.chosen is None else self.chosen[place]

    def place_of(self, index: int) -> int | None:
        """Where a 0-based line of the file stands; None if it is not in view."""
        if self.chosen is None:
            return index if 0 <= index < len(self.table) else None
        try:
            return self.chosen.index(index)
        except ValueError:
            return None

    def cells(self, index: int) -> list[str]:
        """One text per column; a broken line says why instead."""
        row = self.table.row(self.line_index(index))
        sign = self._sign(row.line)
        if isinstance(row, BrokenRow):
            return [str(row.line), sign or "✖", f"line {row.line}: {row.message}"]
        return [
            str(row.line),
            sign,
            row.term,
            row.entity_category,
            row.noise_level,
            row.ipa_source,
            row.voice_id,
            row.context_type,
            seconds_text(row.duration),
            row.text,
        ]

    def tone(self, index: int) -> str:
        """Colour of a row by its worst problem."""
        line_index = self.line_index(index)
        sign = self._sign(line_index + 1)
        if not sign and isinstance(self.table.row(line_index), BrokenRow):
            sign = "✖"
        return {"✖": "error", "▲": "warning"}.get(sign, "")

    def _sign(self, line: int) -> str:
        worst = self.troubles.worst(line)
        return "" if worst is None else "✖" if worst is Severity.ERROR else "▲"

    def next_problem(self, place: int, direction: int) -> int | None:
        """Place of the next (1) or previous (-1) row with a problem, round the end; None without any."""
        if self._troubled is None:
            if self.chosen is None:
                self._troubled = [line - 1 for line in self.troubles.lines()]
            else:
                lines = self.troubles
                self._troubled = [at for at, index in enumerate(self.chosen) if index + 1 in lines]
        if not self._troubled:
            return None
        if direction > 0:
            return self._troubled[bisect_right(self._troubled, place) % len(self._troubled)]
        return self._troubled[bisect_left(self._troubled, place) - 1]


def row_facts(row: ManifestRow | BrokenRow, problems: Sequence[Problem]) -> RowFacts:
    """Everything the row detail shows."""
    found = [
        (problem.severity is Severity.ERROR, f"{problem.field}: {problem.message}".lstrip(": "))
        for problem in sorted(problems, key=lambda one: one.severity is not Severity.ERROR)
    ]
    if isinstance(row, BrokenRow):
        what = found or [(True, row.message)]
        return RowFacts(row.line, "", row.text, "", "", (), what, broken=row.message)
    parts = (
        row.term,
        row.entity_category,
        row.ipa_source,
        row.voice_id,
        row.noise_level,
        row.context_type,
        f"{seconds_text(row.duration)} s",
    )
    return RowFacts(
        row.line,
        " · ".join(part or "(none)" for part in parts),
        row.text,
        normalise(row.text),
        row.audio_filepath,
        [(name, _value_text(value)) for name, value in row.fields.items() if name not in _SHOWN_ABOVE],
        found,
    )


_SHOWN_ABOVE = frozenset({"text", "audio_filepath"})


def _value_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def summary(
    rows: ManifestRows,
    choice: Choice,
    preflight: tuple[PreflightReport | None, bool],
    survey: Survey | None,
) -> Content:
    """Rows, hours, pre-flight, filter and order on one line.

    `preflight` is what it found so far, and whether it was stopped.
    """
    report, stopped = preflight
    parts = [summary_rows(rows)]
    if choice.text.strip():
        parts.append(Content.styled(f"filter: {visible(choice.text.strip())}", "bold $accent"))
    if choice.troubled:
        parts.append(Content.styled("only rows with problems", "bold $accent"))
    parts += [summary_problems(report, stopped=stopped), summary_hours(survey)]
    return Content.styled(" · ", "$quiet").join(part for part in parts if part)


def summary_rows(rows: ManifestRows) -> Content:
    """`250 rows`, or `23 of 250 rows`."""
    lines = len(rows.table)
    return Content(f"{lines:,} rows" if rows.chosen is None else f"{len(rows):,} of {lines:,} rows")


def summary_hours(survey: Survey | None) -> Content:
    """`0.23 h`; empty before it is known."""
    if survey is None:
        return Content("")
    without = survey.without_duration
    return Content(f"{survey.hours:.2f} h{f' ({without:,} without duration)' if without else ''}")


def summary_problems(report: PreflightReport | None, *, stopped: bool = False) -> Content:
    """What pre-flight found, in numbers."""
    if stopped:
        return Content.styled("■ pre-flight stopped", "$accent")
    if report is None:
        return Content.styled("pre-flight is looking …", "$quiet")
    if not report.problems:
        return Content.styled("✔ pre-flight clean", "$good")
    parts = []
    if report.errors:
        parts.append(Content.styled(f"✖ {_count(report.errors, 'error')}", "bold $bad"))
    if report.warnings:
        parts.append(Content.styled(f"▲ {_count(report.warnings, 'warning')}", "$warning"))
    return Content(" ").join(parts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
