"""From a file of transcripts to scores, whatever its size.

A small file is read into memory. A large one is divided at line ends and read and scored by one
process a core, for which each row's texts stay in the file: a million rows take seconds, and less
memory than their texts. Imports little at first: what follows is imported while the processes start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel import parallel
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.progress import Progress, report
from clinasr_tui.flywheel.row_scores import score_texts
from clinasr_tui.flywheel.transcript_blocks import HYPOTHESIS, KEYS, MANIFEST_KEYS, is_array
from clinasr_tui.flywheel.transcript_parts import Part, file_identity, read_part
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

if TYPE_CHECKING:
    from array import array

    from clinasr_tui.flywheel.columns import CodedColumn, PackedColumn, StoredColumn, StoredRows
    from clinasr_tui.flywheel.manifest_fill import ManifestColumns
    from clinasr_tui.flywheel.scoring import ScoredSet

LARGE_BYTES = 8 << 20
"""Size from which on processes of their own are worth their start (about 60 ms)."""
_LEAST_PART = 2 << 20
_MOST_PARTS = 16
_HEAD_START = 2 << 20
"""Bytes that are read and scored in the time of the imports that whoever has scores needs next."""
_BATCH = 256
_SCORING = "scoring"
_READING_MANIFEST = "reading the manifest"


def score_file(
    path: Path,
    manifest: Path | None = None,
    *,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> ScoredSet:
    """Read and score transcripts; a manifest fills fields they lack.

    `warn` is told what does not fit between the two files. Without it a manifest is read only if
    something is lacking. Raises InputError naming `path:line`, and InterruptedError if `progress`
    returns False.
    """
    if manifest is None:
        scored = _score(path, progress)
    else:
        scored = _score(path, _share(progress, 0.0, 0.7))
        _fill(scored, manifest, progress, warn)
    report(progress, 1.0, _SCORING)
    return scored


def _score(path: Path, progress: Progress | None) -> ScoredSet:
    if _is_large(path, "transcript file"):
        return _score_stored(path, progress)
    from clinasr_tui.flywheel.hypotheses import read_hypotheses
    from clinasr_tui.flywheel.scoring import score

    return score(read_hypotheses(path), progress)


def _is_large(path: Path, what: str) -> bool:
    """Whether processes of their own are worth it; never for an array, which has no lines to divide at."""
    with open_input(path, what) as stream:
        try:
            size = os.fstat(stream.fileno()).st_size
            return size >= LARGE_BYTES and not is_array(stream.fileno())
        except OSError:
            return False  # whoever reads it will say why that cannot be


def _fill(
    scored: ScoredSet, manifest: Path, progress: Progress | None, warn: Callable[[str], object] | None
) -> None:
    from clinasr_tui.flywheel.manifest_fill import fill, lacking

    if warn is None and not lacking(scored.hypotheses):
        return
    filled = fill(scored.hypotheses, _manifest_columns(manifest, _share(progress, 0.7, 0.9)))
    for warning in filled.warnings:
        if warn is not None:
            warn(warning)
    _score_again(scored, filled.changed, _share(progress, 0.9, 1.0))


def _manifest_columns(path: Path, progress: Progress | None) -> ManifestColumns:
    from clinasr_tui.flywheel.manifest import read_manifest
    from clinasr_tui.flywheel.manifest_fill import ManifestColumns

    if not _is_large(path, "manifest"):
        return ManifestColumns.of(read_manifest(path))
    table = _read_table(path, MANIFEST_KEYS, progress, _READING_MANIFEST)
    return ManifestColumns(table.audio, table.texts, dict(zip(CLINICAL_FIELDS, table.clinical, strict=True)))


def _score_again(scored: ScoredSet, rows: Sequence[int], progress: Progress | None) -> None:
    """Score some rows anew."""
    hypotheses, columns = scored.hypotheses, scored.scores.columns()
    for start in range(0, len(rows), _BATCH):
        chosen = rows[start : start + _BATCH]
        texts = [
            [column[index] for index in chosen]
            for column in (hypotheses.reference, hypotheses.hypothesis, hypotheses.term)
        ]
        for column, found in zip(columns, score_texts(*texts), strict=True):
            for index, value in zip(chosen, found, strict=True):
                column[index] = value
        report(progress, (start + len(chosen)) / len(rows), _SCORING)


def _share(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """Progress of a step that is a part of the whole."""
    if progress is None:
        return None
    told = progress
    return lambda fraction: told(begin + (end - begin) * fraction)


def _score_stored(path: Path, progress: Progress | None) -> ScoredSet:
    table = _read_table(path, KEYS, progress, _SCORING)
    from clinasr_tui.flywheel.columns import StoredColumn
    from clinasr_tui.flywheel.hypotheses import Hypotheses
    from clinasr_tui.flywheel.scoring import ScoredSet, Scores

    heard = StoredColumn(table.rows, HYPOTHESIS)
    hypotheses = Hypotheses(path, table.line, table.audio, table.texts, heard, *table.clinical)
    return ScoredSet(hypotheses, Scores(*table.scores))


class _Table(NamedTuple):
    """A large file's columns; `texts` are references or a manifest's texts. Scores if it has hypotheses."""

    rows: StoredRows
    line: Sequence[int]
    audio: PackedColumn
    texts: StoredColumn
    clinical: list[CodedColumn]
    scores: list[array[int]]


def _read_table(path: Path, keys: tuple[str, ...], progress: Progress | None, work: str) -> _Table:
    """Read a large file in parts. Raises InputError for the first unusable line."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        identity = file_identity(descriptor)
        size = identity[2]
        count = max(1, min(parallel.processes(), size // _LEAST_PART, _MOST_PARTS))
        tasks = [(str(path.absolute()), identity, *span, keys) for span in _spans(size, count)]
        parts = parallel.run_parts(
            read_part, tasks, progress=progress, work=work, meanwhile=_import_what_follows
        )
        _refuse_faults(path, parts)
    except InterruptedError:
        os.close(descriptor)
        raise  # cancelled: that is no fault of the file, though it is an OSError
    except OSError as error:
        from clinasr_tui.flywheel.hypotheses import unreadable

        os.close(descriptor)
        raise unreadable(path, error) from None
    except BaseException:
        os.close(descriptor)
        raise
    return _joined(path, descriptor, keys, parts)


def _spans(size: int, count: int) -> list[tuple[int, int]]:
    """`size` bytes in `count` spans, the first one shorter: who reads it has to import beside it."""
    less = min(_HEAD_START, size // (2 * count))
    share = (size + less) // count
    edges = [0, *(size - share * number for number in range(count - 1, -1, -1))]
    return list(pairwise(edges))


def _import_what_follows() -> None:
    """What whoever has scores wants next: this takes as long as scoring 20,000 rows."""
    for name in ("clinasr_tui.flywheel.hypotheses", "clinasr_tui.flywheel.leaderboard", "numpy"):
        import_module(name)


def _refuse_faults(path: Path, parts: Sequence[Part]) -> None:
    """Raise InputError for the first unusable line, or if there is no row at all."""
    before = 1
    for part in parts:
        if part.fault is not None:
            from clinasr_tui.flywheel.manifest import RowFault

            line, *fault = part.fault
            raise RowFault(*fault).as_input_error(f"{path}:{before + line}")
        before += part.lines
    if not any(part.audio_lengths for part in parts):
        from clinasr_tui.flywheel.hypotheses import no_transcripts

        raise no_transcripts(path)


def _joined(path: Path, descriptor: int, keys: tuple[str, ...], parts: Sequence[Part]) -> _Table:
    """Put the parts together. Takes the descriptor over and empties the parts, to hold little twice."""
    from clinasr_tui.flywheel.columns import CodedColumn, PackedColumn, StoredColumn, StoredLines, StoredRows

    offsets, block_rows, block_lines = (
        list(chain.from_iterable(column)) for column in zip(*(part.blocks for part in parts), strict=True)
    )
    rows = StoredRows(path, descriptor, keys, offsets, block_rows, block_lines)
    lines: Sequence[int] = StoredLines(rows) if block_rows != block_lines else range(1, len(rows) + 1)
    lengths = chain.from_iterable(part.audio_lengths for part in parts)
    audio = PackedColumn(b"".join(chain.from_iterable(part.audio for part in parts)), lengths)
    clinical = [
        CodedColumn.joined([part.terms for part in parts]),
        *CodedColumn.separated([part.kinds for part in parts], len(CLINICAL_FIELDS) - 1),
    ]
    first = parts[0]
    for part in parts[1:]:
        first.text_checks.extend(part.text_checks)
        for column in first.scores:
            column.extend(part.scores.pop(0))
    return _Table(rows, lines, audio, StoredColumn(rows, keys[1], first.text_checks), clinical, first.scores)
