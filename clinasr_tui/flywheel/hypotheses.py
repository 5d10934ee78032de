"""Transcripts: `per_sample.json`, `offline_hyps.jsonl` (method, section 1).

Either file is JSONL or one JSON array. `read_hypotheses` keeps all of it in memory; files of millions
of rows are read by `score_file`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.manifest import without_bom
from clinasr_tui.flywheel.transcript_blocks import (
    KEYS,
    LineFault,
    Row,
    columns_of,
    is_array,
    parse_lines,
    repeated_key,
    whole_lines,
)
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

# A column's attribute name and the key it is read from, in the order of `Hypothesis` after `line`.
COLUMNS = dict(zip(("audio_filepath", "reference", "hypothesis", *CLINICAL_FIELDS), KEYS, strict=True))
_BATCH = 256


class Hypothesis(NamedTuple):
    """One transcribed row, as a view of its columns."""

    line: int
    audio_filepath: str
    reference: str
    hypothesis: str
    term: str
    entity_category: str
    ipa_source: str
    voice_id: str
    noise_level: str
    context_type: str


@dataclass(slots=True)
class Hypotheses:
    """Transcribed rows in input order, one sequence a column: lists, or the small ones of `columns`."""

    path: Path | None
    line: Sequence[int] = field(default_factory=list)
    """Where the row stands: 1-based line in a JSONL file, 1-based element in a JSON array."""
    audio_filepath: Sequence[str] = field(default_factory=list)
    reference: Sequence[str] = field(default_factory=list)
    hypothesis: Sequence[str] = field(default_factory=list)
    term: Sequence[str] = field(default_factory=list)
    entity_category: Sequence[str] = field(default_factory=list)
    ipa_source: Sequence[str] = field(default_factory=list)
    voice_id: Sequence[str] = field(default_factory=list)
    noise_level: Sequence[str] = field(default_factory=list)
    context_type: Sequence[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.reference)

    def row(self, index: int) -> Hypothesis:
        """Row `index` (0-based)."""
        return Hypothesis(self.line[index], *(self.column(name)[index] for name in COLUMNS))

    def column(self, name: str) -> Sequence[str]:
        """A text column by its field name (`term`, `entity_category`, …)."""
        if name not in COLUMNS:
            raise KeyError(name)
        return cast("Sequence[str]", getattr(self, name))

    def replace_column(self, name: str, texts: Sequence[str]) -> None:
        """Put other texts in place of a column, one a row."""
        if name not in COLUMNS or len(texts) != len(self):
            raise KeyError(name)
        setattr(self, name, texts)

    def select(self, indices: Iterable[int]) -> Hypotheses:
        """A copy in memory with just these rows, in this order."""
        chosen = list(indices)
        columns = ([column[index] for index in chosen] for column in map(self.column, COLUMNS))
        return Hypotheses(self.path, [self.line[index] for index in chosen], *columns)


def read_hypotheses(path: Path) -> Hypotheses:
    """Read transcripts of either form; null or absent clinical fields are "".

    Raises InputError naming `path:line` (in a JSON array the element's number) for a row without
    `ref` or `hyp`, for a key that stands twice, and for what is not JSON.
    """
    with open_input(path, "transcript file") as stream:
        try:
            array = is_array(stream.fileno())
            found = _read_array(path, stream.read()) if array else _read_lines(path, stream.fileno())
        except OSError as error:
            raise unreadable(path, error) from None
    if not len(found):
        raise no_transcripts(path)
    return found


def no_transcripts(path: Path) -> InputError:
    """What is said of a file without rows."""
    return InputError("there are no transcripts", where=str(path), remedy="Make them in stage eval")


def unreadable(path: Path, error: OSError) -> InputError:
    """What is said of a file that was opened and then cannot be read (a pipe, a failing disk)."""
    why = error.strerror or str(error)
    return InputError(f"cannot be read ({why})", where=str(path), remedy="Name a regular file, and try again")


class _Columns:
    """Columns in memory, filled batch by batch."""

    def __init__(self) -> None:
        self.line: list[int] = []
        self.texts: dict[str, list[str]] = {name: [] for name in COLUMNS}
        self._seen: dict[str, str] = {}

    def add(self, rows: Sequence[Row], numbers: Sequence[int]) -> None:
        """Put rows behind those there are. Raises LineFault."""
        if not rows:
            return
        self.line.extend(numbers)
        for (name, texts), column in zip(self.texts.items(), columns_of(rows, numbers), strict=True):
            # Their values repeat: one string object a value keeps the rows small.
            texts.extend(map(self._seen.setdefault, column, column) if name in CLINICAL_FIELDS else column)


def _read_lines(path: Path, descriptor: int) -> Hypotheses:
    columns, line = _Columns(), 1
    try:
        for _, block in whole_lines(descriptor, 0, os.fstat(descriptor).st_size):
            rows, numbers, lines = parse_lines(block, line)
            columns.add(rows, numbers)
            line += lines
    except LineFault as found:
        raise found.fault.as_input_error(f"{path}:{found.line}") from None
    return Hypotheses(path, columns.line, **columns.texts)


def _read_array(path: Path, raw: bytes) -> Hypotheses:
    elements = _array_elements(path, raw)
    columns = _Columns()
    try:
        for start in range(0, len(elements), _BATCH):
            rows = elements[start : start + _BATCH]
            columns.add(rows, range(start + 1, start + 1 + len(rows)))
    except LineFault as found:
        raise found.fault.as_input_error(f"{path}:element {found.line}") from None
    return Hypotheses(path, columns.line, **columns.texts)


def _array_elements(path: Path, raw: bytes) -> list[Row]:
    try:
        text = without_bom(raw, 1).decode()
        elements = json.loads(text)
        repeated = repeated_key(text, elements)
    except json.JSONDecodeError as error:
        what = f"not valid JSON ({error.msg} at column {error.colno})"
        raise InputError(what, where=f"{path}:{error.lineno}", remedy="Write the file again") from None
    except (ValueError, RecursionError):
        raise InputError("not usable as UTF-8 JSON", where=str(path), remedy="Write the file again") from None
    for number, element in enumerate(elements, 1):
        if not isinstance(element, dict):
            where = f"{path}:element {number}"
            raise InputError("not a JSON object", where=where, remedy="Fix or remove it")
    if repeated is not None:
        number, key = repeated
        where = f"{path}:element {number}"
        raise InputError(f"{key} stands twice in the row", where=where, remedy="Fix or remove it")
    return cast("list[Row]", elements)
