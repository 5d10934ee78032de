"""Read transcripts: `per_sample.json`, `offline_hyps.jsonl` (method, section 1).

Either file is JSONL or one JSON array.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import numbered_lines, open_input
from clinasr_tui.flywheel.manifest import (
    ManifestRow,
    RowFault,
    clinical_text,
    decode_object,
    required_text,
    without_bom,
)
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

# A column's attribute name and the key it is read from, in the order of `Hypothesis` after `line`.
_KEYS = {
    "audio_filepath": "audio_filepath",
    "reference": "ref",
    "hypothesis": "hyp",
    **{name: name for name in CLINICAL_FIELDS},
}
_values_of = itemgetter(*_KEYS.values())
_ALL_TEXT = {str}
# Columns whose values repeat: one string object a value keeps a million rows small.
_REPEATING = CLINICAL_FIELDS
_BATCH = 4096


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
    """Transcribed rows in input order, one list a column (a million rows must fit and be quick)."""

    path: Path | None
    line: list[int] = field(default_factory=list)
    """Where the row stands: 1-based line in a JSONL file, 1-based element in a JSON array."""
    audio_filepath: list[str] = field(default_factory=list)
    reference: list[str] = field(default_factory=list)
    hypothesis: list[str] = field(default_factory=list)
    term: list[str] = field(default_factory=list)
    entity_category: list[str] = field(default_factory=list)
    ipa_source: list[str] = field(default_factory=list)
    voice_id: list[str] = field(default_factory=list)
    noise_level: list[str] = field(default_factory=list)
    context_type: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.reference)

    def row(self, index: int) -> Hypothesis:
        """Row `index` (0-based)."""
        return Hypothesis(self.line[index], *(self.column(name)[index] for name in _KEYS))

    def column(self, name: str) -> list[str]:
        """A text column by its field name (`term`, `entity_category`, …)."""
        if name not in _KEYS:
            raise KeyError(name)
        return cast("list[str]", getattr(self, name))

    def select(self, indices: Iterable[int]) -> Hypotheses:
        """A copy with just these rows, in this order."""
        chosen = list(indices)
        copy = Hypotheses(self.path, [self.line[index] for index in chosen])
        for name in _KEYS:
            column = self.column(name)
            copy.column(name).extend([column[index] for index in chosen])
        return copy


def read_hypotheses(path: Path) -> Hypotheses:
    """Read transcripts of either form; null or absent clinical fields are "".

    Raises InputError naming `path:line` (in a JSON array the element's number) for a row without
    `ref` or `hyp`, and for what is not JSON.
    """
    with open_input(path, "transcript file") as stream:
        first = next((line for line in iter(stream.readline, b"") if not line.isspace()), b"")
        stream.seek(0)
        if without_bom(first, 1).lstrip().startswith(b"["):
            found = _read_rows(path, _array_elements(stream, path), "element ")
        else:
            found = _read_rows(path, _jsonl_objects(stream, path), "")
    if not found:
        raise InputError("there are no transcripts", where=str(path), remedy="Make them in stage eval")
    return found


def _jsonl_objects(stream: BinaryIO, path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    for line, raw in numbered_lines(stream):
        try:
            yield line, decode_object(raw, line)
        except RowFault as fault:
            raise fault.as_input_error(f"{path}:{line}") from None


def _array_elements(stream: BinaryIO, path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    try:
        elements = json.loads(without_bom(stream.read(), 1).decode())
    except json.JSONDecodeError as error:
        what = f"not valid JSON ({error.msg} at column {error.colno})"
        raise InputError(what, where=f"{path}:{error.lineno}", remedy="Write the file again") from None
    except (ValueError, RecursionError):
        raise InputError("not usable as UTF-8 JSON", where=str(path), remedy="Write the file again") from None
    for number, element in enumerate(elements, 1):
        if not isinstance(element, dict):
            where = f"{path}:element {number}"
            raise InputError("not a JSON object", where=where, remedy="Fix or remove it")
        yield number, element


def _read_rows(path: Path, objects: Iterator[tuple[int, Mapping[str, object]]], position: str) -> Hypotheses:
    """Fill the columns batch by batch: transposing a batch is quicker than appending value by value."""
    found = Hypotheses(path)
    seen: dict[str, str] = {}
    batch: list[tuple[str, ...]] = []
    for number, fields in objects:
        found.line.append(number)
        try:
            values = _values_of(fields)
            usable = set(map(type, values)) == _ALL_TEXT
        except KeyError:
            usable = False
        batch.append(values if usable else _lenient_values(fields, f"{path}:{position}{number}"))
        if len(batch) == _BATCH:
            _append(found, batch, seen)
            batch.clear()
    _append(found, batch, seen)
    return found


def _lenient_values(fields: Mapping[str, object], where: str) -> tuple[str, ...]:
    """A row's values where a clinical field or the audio is absent, null or no text."""
    try:
        required = (required_text(fields, "ref"), required_text(fields, "hyp"))
    except RowFault as fault:
        raise fault.as_input_error(where) from None
    audio, *clinical = (clinical_text(fields.get(name)) for name in ("audio_filepath", *CLINICAL_FIELDS))
    return (audio, *required, *clinical)


def _append(found: Hypotheses, batch: list[tuple[str, ...]], seen: dict[str, str]) -> None:
    for name, values in zip(_KEYS, zip(*batch, strict=True), strict=False):
        shared = map(seen.setdefault, values, values) if name in _REPEATING else values
        found.column(name).extend(shared)


def fill_from_manifest(hypotheses: Hypotheses, manifest: Iterable[ManifestRow]) -> list[str]:
    """Fill empty clinical fields (and references) by `audio_filepath` from a manifest; returns warnings.

    A row whose path is not in the manifest is matched by its file name where that is unique there:
    transcripts often carry absolute paths, manifests relative ones.
    """
    by_path: dict[str, ManifestRow] = {}
    ambiguous: set[str] = set()
    for row in manifest:
        if by_path.setdefault(row.audio_filepath, row) is not row:
            ambiguous.add(row.audio_filepath)
    names = Counter(map(_file_name, by_path))
    by_name = {_file_name(path): row for path, row in by_path.items() if names[_file_name(path)] == 1}
    unmatched = by_file_name = twice = different = 0
    for index, path in enumerate(hypotheses.audio_filepath):
        source = by_path.get(path) or by_name.get(_file_name(path))
        if source is None:
            unmatched += 1
            continue
        by_file_name += path not in by_path
        twice += source.audio_filepath in ambiguous
        different += not _fill_row(hypotheses, index, source)
    counted = {
        "not in the manifest: their clinical fields stay as they are": unmatched,
        "matched by file name only": by_file_name,
        "whose audio stands more than once in the manifest: filled from its first row": twice,
        "whose reference differs from the manifest's text: the transcript file's is scored": different,
    }
    return [f"{count} row{'s' * (count != 1)} {what}" for what, count in counted.items() if count]


def _fill_row(hypotheses: Hypotheses, index: int, source: ManifestRow) -> bool:
    """Fill row `index`; False if its reference is another one than the manifest's."""
    for name in CLINICAL_FIELDS:
        column = hypotheses.column(name)
        column[index] = column[index] or getattr(source, name)
    hypotheses.reference[index] = hypotheses.reference[index] or source.text
    return hypotheses.reference[index] == source.text


def _file_name(path: str) -> str:
    return PurePosixPath(path).name
