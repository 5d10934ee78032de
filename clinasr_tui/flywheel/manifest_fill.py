"""Fill what transcripts lack (clinical fields, references) from the manifest they were made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.columns import CodedColumn, StoredColumn, text_checks
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

if TYPE_CHECKING:
    from clinasr_tui.flywheel.hypotheses import Hypotheses
    from clinasr_tui.flywheel.manifest import ManifestRow

_NOWHERE = -1


class ManifestColumns(NamedTuple):
    """What transcripts can take from a manifest, one text a row in each column."""

    audio_filepath: Sequence[str]
    text: Sequence[str]
    clinical: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, rows: Iterable[ManifestRow]) -> ManifestColumns:
        """The columns of rows in memory."""
        known = list(rows)
        return cls(
            [row.audio_filepath for row in known],
            [row.text for row in known],
            {name: [getattr(row, name) for row in known] for name in CLINICAL_FIELDS},
        )


class Filled(NamedTuple):
    """What filling has done."""

    warnings: list[str]
    changed: list[int]
    """Rows whose reference or term is another one now: their scores are too."""


def lacking(hypotheses: Hypotheses) -> bool:
    """Whether there is anything a manifest could fill."""
    clinical = (hypotheses.column(name) for name in CLINICAL_FIELDS)
    return any("" in column for column in clinical) or bool(_empty_places(hypotheses.reference))


def fill_from_manifest(hypotheses: Hypotheses, manifest: Iterable[ManifestRow]) -> list[str]:
    """Fill empty clinical fields (and references) by `audio_filepath` from a manifest; returns warnings.

    A row whose path is not in the manifest is matched by its file name where that is unique there:
    transcripts often carry absolute paths, manifests relative ones.
    """
    return fill(hypotheses, ManifestColumns.of(manifest)).warnings


def fill(hypotheses: Hypotheses, manifest: ManifestColumns) -> Filled:
    """The same from columns."""
    match = _matched(hypotheses.audio_filepath, manifest.audio_filepath)
    changed = set(_fill_references(hypotheses, manifest.text, match.sources))
    for name in CLINICAL_FIELDS:
        filled = _fill_clinical(hypotheses, name, manifest.clinical[name], match.sources)
        if name == "term":
            changed.update(filled)
    counted = {
        "not in the manifest: their clinical fields stay as they are": match.unmatched,
        "matched by file name only": match.by_name,
        "whose audio stands more than once in the manifest: filled from its first row": match.repeated,
        "whose reference differs from the manifest's text: the transcript file's is scored": _differing(
            hypotheses.reference, manifest.text, match.sources
        ),
    }
    warnings = [f"{count} row{'s' * (count != 1)} {what}" for what, count in counted.items() if count]
    if match.unheard:
        rows, them = ("row has", "it") if match.unheard == 1 else ("rows have", "them")
        warnings.append(f"{match.unheard} manifest {rows} no transcript: the figures are without {them}")
    return Filled(warnings, sorted(changed))


class _Match(NamedTuple):
    sources: Sequence[int]
    """The manifest row of each transcript row, `_NOWHERE` if there is none."""
    unmatched: int
    by_name: int
    repeated: int
    unheard: int
    """Manifest rows that no transcript row matches; one whose audio a matched row has is not among them."""


def _matched(audio: Sequence[str], manifest: Sequence[str]) -> _Match:
    """Match by path, then by a file name that is unique in the manifest."""
    if len(audio) == len(manifest) and audio == manifest and _all_different(audio):
        return _Match(range(len(audio)), 0, 0, 0, 0)
    by_path: dict[str, int] = {}
    ambiguous: set[int] = set()
    for index, path in enumerate(manifest):
        if by_path.setdefault(path, index) != index:
            ambiguous.add(by_path[path])
    names = Counter(map(_file_name, by_path))
    by_name = {_file_name(path): index for path, index in by_path.items() if names[_file_name(path)] == 1}
    sources = [by_path.get(path, by_name.get(_file_name(path), _NOWHERE)) for path in audio]
    used = set(sources)
    return _Match(
        sources,
        sources.count(_NOWHERE),
        sum(path not in by_path for path in audio) - sources.count(_NOWHERE),
        sum(source in ambiguous for source in sources) if ambiguous else 0,
        sum(by_path[path] not in used for path in manifest),
    )


def _all_different(texts: Sequence[str]) -> bool:
    """True only if no text stands twice (two different ones of one hash count as the same)."""
    import numpy as np

    hashes = np.fromiter(map(hash, texts), dtype=np.int64, count=len(texts))
    hashes.sort()
    return not bool((hashes[1:] == hashes[:-1]).any())


def _file_name(path: str) -> str:
    return PurePosixPath(path).name


def _fill_clinical(
    hypotheses: Hypotheses, name: str, theirs: Sequence[str], sources: Sequence[int]
) -> list[int]:
    """Fill the empty places of a column; returns the rows that were."""
    column = hypotheses.column(name)
    if "" not in column:
        return []
    texts = list(column)
    filled = []
    for index, source in enumerate(sources):
        if not texts[index] and source != _NOWHERE and theirs[source]:
            texts[index] = theirs[source]
            filled.append(index)
    if filled:
        hypotheses.replace_column(name, CodedColumn.of(texts) if isinstance(column, CodedColumn) else texts)
    return filled


def _fill_references(hypotheses: Hypotheses, theirs: Sequence[str], sources: Sequence[int]) -> list[int]:
    column = hypotheses.reference
    instead = {
        index: theirs[sources[index]]
        for index in _empty_places(column)
        if sources[index] != _NOWHERE and theirs[sources[index]]
    }
    if isinstance(column, StoredColumn):
        column.put(instead)
    elif instead:
        texts = (instead.get(index, text) for index, text in enumerate(column))
        hypotheses.replace_column("reference", list(texts))
    return list(instead)


def _empty_places(column: Sequence[str]) -> list[int]:
    if isinstance(column, StoredColumn):
        # An empty text has the check 0; of others one in four thousand million has.
        return [index for index, check in enumerate(column.checks) if not check and not column[index]]
    return [index for index, text in enumerate(column) if not text] if "" in column else []


def _differing(references: Sequence[str], texts: Sequence[str], sources: Sequence[int]) -> int:
    """Rows whose reference is another text than their manifest row's."""
    if not isinstance(references, StoredColumn) and not isinstance(texts, StoredColumn):
        pairs = zip(references, sources, strict=True)
        return sum(source != _NOWHERE and reference != texts[source] for reference, source in pairs)
    checks, theirs = zip(text_checks(references), sources, strict=True), text_checks(texts)
    return sum(source != _NOWHERE and check != theirs[source] for check, source in checks)
