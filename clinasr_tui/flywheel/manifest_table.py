"""A manifest of any size as a table: line offsets in memory, only what is looked at is parsed.

Row numbers here are 0-based line indices of the file; a row's `line` is 1-based.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.line_index import LineIndex
from clinasr_tui.flywheel.manifest import (
    ManifestRow,
    RowFault,
    clinical_text,
    decode_object,
    duration_of,
    parse_row,
)
from clinasr_tui.flywheel.manifest_query import Query
from clinasr_tui.flywheel.progress import Progress, report

__all__ = ["FACET_FIELDS", "BrokenRow", "ManifestTable", "Query", "Survey"]

FACET_FIELDS = ("entity_category", "ipa_source", "voice_id", "noise_level", "context_type")
_CACHED_ROWS = 1024
_ROWS_A_STEP = 1024


class BrokenRow(NamedTuple):
    """A line that is no usable row; `message` says why, `raw` is what stands there."""

    line: int
    message: str
    raw: bytes

    @property
    def text(self) -> str:
        """What stands there as text, for showing it."""
        return self.raw.decode(errors="replace")


@dataclass(slots=True)
class Survey:
    """Figures of a set of rows, from one pass."""

    rows: int = 0
    """Lines that are not blank, broken ones included."""
    broken: int = 0
    """Lines that are no JSON object."""
    facets: dict[str, dict[str, int]] = field(default_factory=dict)
    """Field → value ("" for null or absent) → rows, most frequent value first."""
    durations: array[float] = field(default_factory=lambda: array("d"))
    """Seconds of every row that has a usable duration, in row order."""

    @property
    def hours(self) -> float:
        """Hours of audio, as far as durations are known."""
        return sum(self.durations) / 3600

    @property
    def without_duration(self) -> int:
        """Rows whose duration is null, absent or unusable."""
        return self.rows - self.broken - len(self.durations)


class ManifestTable:
    """The lines of a manifest. Raises InputError if the file cannot be read.

    Opening reads nothing: `extend` or `build` index the lines, in slices and in a worker. Rows that
    are indexed can be read at any time, from any thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = LineIndex(path)
        self._rows: dict[int, ManifestRow | BrokenRow] = {}

    def __len__(self) -> int:
        """Lines indexed so far, blank ones included."""
        return len(self.index)

    @property
    def complete(self) -> bool:
        """True once the whole file is indexed."""
        return self.index.complete

    def extend(self, max_bytes: int = 8 << 20) -> bool:
        """Index the next slice; returns True while there is more to do."""
        return self.index.extend(max_bytes)

    def build(self, progress: Progress | None = None) -> None:
        """Index everything. `progress(fraction)` may return False to stop."""
        self.index.build(progress)

    def close(self) -> None:
        """Release the file."""
        self.index.close()

    def row(self, index: int) -> ManifestRow | BrokenRow:
        """Row `index`, parsed when asked for. Raises IndexError beyond what is indexed."""
        row = self._rows.get(index)
        if row is None:
            if len(self._rows) >= _CACHED_ROWS:
                self._rows.clear()
            row = self._rows[index] = self._parse(index)
        return row

    def _parse(self, index: int) -> ManifestRow | BrokenRow:
        raw, line = self.index.line(index), index + 1
        if _is_blank(raw):
            return BrokenRow(line, "a blank line, which NeMo skips", raw)
        try:
            return parse_row(raw, path=self.path, line=line)
        except InputError as error:
            return BrokenRow(line, error.what, raw)

    def select(self, query: Query, progress: Progress | None = None) -> array[int]:
        """Indices (typecode `L`) of the rows that match, in file order; blank lines never do.

        Indexes what is not indexed yet. `progress(fraction)` may return False to cancel (raises
        InterruptedError).
        """
        self.index.build()
        found = array("L")
        needles = query.needles
        for first, block in self.index.blocks():
            lines = block.split(b"\n")
            for offset in _candidates(block, lines, needles):
                raw = lines[offset]
                if not _is_blank(raw) and query.matches(raw, first + offset + 1):
                    found.append(first + offset)
            report(progress, first / len(self), "filtering")
        report(progress, 1.0, "filtering")
        return found

    def survey(self, indices: Sequence[int] | None = None, progress: Progress | None = None) -> Survey:
        """Facets and durations of these rows, or of all; see `select` for `progress`."""
        survey = Survey()
        counters: dict[str, Counter[str]] = {name: Counter() for name in FACET_FIELDS}
        for fraction, batch in self._batches(indices):
            for raw, line in batch:
                survey.rows += 1
                try:
                    fields = decode_object(raw, line)
                except RowFault:
                    survey.broken += 1
                    continue
                for name, counter in counters.items():
                    counter[clinical_text(fields.get(name))] += 1
                seconds = _seconds(fields)
                if seconds is not None:
                    survey.durations.append(seconds)
            report(progress, fraction, "counting")
        report(progress, 1.0, "counting")
        survey.facets = {name: dict(counter.most_common()) for name, counter in counters.items()}
        return survey

    def facets(self, indices: Sequence[int] | None = None) -> dict[str, dict[str, int]]:
        """Values of the facet fields with their rows, among these rows or all."""
        return self.survey(indices).facets

    def sort(
        self,
        indices: Sequence[int],
        name: str,
        *,
        descending: bool = False,
        progress: Progress | None = None,
    ) -> array[int]:
        """The same indices ordered by a field; `line` is the file's order.

        Numbers come before text and text is compared whatever its case. Rows without the field (null,
        empty, broken) stay last either way, equal ones in the order given.
        """
        if name == "line":
            return array("L", sorted(indices, reverse=descending))
        keyed: list[tuple[tuple[int, float, str], int]] = []
        without: list[int] = []
        for done, index in enumerate(indices):
            key = self._sort_key(index, name)
            if key is None:
                without.append(index)
            else:
                keyed.append((key, index))
            if done % _ROWS_A_STEP == 0:
                report(progress, done / len(indices), "sorting")
        keyed.sort(key=lambda item: item[0], reverse=descending)
        return array("L", [*(index for _, index in keyed), *without])

    def _sort_key(self, index: int, name: str) -> tuple[int, float, str] | None:
        try:
            value = decode_object(self.index.line(index), index + 1).get(name)
        except RowFault:
            return None
        if value is None or value == "":
            return None
        if isinstance(value, int | float):
            # NaN would break the order, and a number too large for a float has no place in it.
            number = abs(value) < float("inf")
            return (0, value, "") if number else (1, 0.0, clinical_text(value).casefold())
        return (1, 0.0, clinical_text(value).casefold())

    def _batches(self, indices: Sequence[int] | None) -> Iterator[tuple[float, list[tuple[bytes, int]]]]:
        """(fraction done after it, [(bytes, 1-based line)]) for these rows or all, without blank lines."""
        if indices is None:
            self.index.build()
            for first, block in self.index.blocks():
                lines = enumerate(block.split(b"\n"), first + 1)
                yield (first / len(self), [(raw, line) for line, raw in lines if not _is_blank(raw)])
            return
        for start in range(0, len(indices), _ROWS_A_STEP):
            chosen = indices[start : start + _ROWS_A_STEP]
            rows = [(self.index.line(index), index + 1) for index in chosen]
            yield ((start + len(chosen)) / len(indices), [row for row in rows if not _is_blank(row[0])])


def _candidates(block: bytes, lines: list[bytes], needles: tuple[bytes, ...]) -> Sequence[int]:
    """Offsets of the lines that may match: all, unless plain bytes can rule lines out."""
    if not needles or not block.isascii() or b"\\" in block:
        return range(len(lines))
    lower = block.lower()
    if not all(needle in lower for needle in needles):
        return ()
    return [
        offset for offset, line in enumerate(lower.split(b"\n")) if all(needle in line for needle in needles)
    ]


def _is_blank(raw: bytes) -> bool:
    return not raw or raw.isspace()


def _seconds(fields: dict[str, object]) -> float | None:
    try:
        return duration_of(fields)
    except RowFault:
        return None
