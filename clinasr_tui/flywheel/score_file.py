"""From a file of transcripts to scores, whatever its size.

A small file is read into memory. A large one is divided at line ends and read and scored by one
process a core, for which each row's texts stay in the file: a million rows take seconds, and less
memory than their texts.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.flywheel import parallel
from clinasr_tui.flywheel.columns import CodedColumn, PackedColumn, StoredColumn, StoredLines, StoredRows
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.hypotheses import (
    Hypotheses,
    is_array,
    no_transcripts,
    read_hypotheses,
    unreadable,
)
from clinasr_tui.flywheel.manifest import RowFault, read_manifest
from clinasr_tui.flywheel.manifest_fill import ManifestColumns, fill, lacking
from clinasr_tui.flywheel.progress import report
from clinasr_tui.flywheel.row_scores import score_texts
from clinasr_tui.flywheel.scoring import ScoredSet, Scores, score
from clinasr_tui.flywheel.transcript_blocks import HYPOTHESIS, KEYS, MANIFEST_KEYS
from clinasr_tui.flywheel.transcript_parts import Part, file_identity, read_part
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clinasr_tui.flywheel.progress import Progress

LARGE_BYTES = 8 << 20
"""Size from which on processes of their own are worth their start (about 60 ms)."""
_LEAST_PART = 2 << 20
_MOST_PARTS = 16
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
    step = progress if manifest is None else _share(progress, 0.0, 0.7)
    stored = _is_large(path, arrays=False)
    hypotheses = None if stored else read_hypotheses(path)
    scored = _score_stored(path, step) if hypotheses is None else score(hypotheses, step)
    if manifest is not None and (warn is not None or lacking(scored.hypotheses)):
        columns = _manifest_columns(manifest, _share(progress, 0.7, 0.9))
        filled = fill(scored.hypotheses, columns)
        for warning in filled.warnings if warn is not None else ():
            warn(warning)  # type: ignore[misc]
        _score_again(scored, filled.changed, _share(progress, 0.9, 1.0))
    report(progress, 1.0, _SCORING)
    return scored


def _share(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """Progress of a step that is a part of the whole."""
    if progress is None:
        return None
    told = progress
    return lambda fraction: told(begin + (end - begin) * fraction)


def _is_large(path: Path, *, arrays: bool) -> bool:
    with open_input(path, "manifest" if arrays else "transcript file") as stream:
        try:
            size = os.fstat(stream.fileno()).st_size
            return size >= LARGE_BYTES and (arrays or not is_array(stream.fileno()))
        except OSError as error:
            raise unreadable(path, error) from None


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


def _manifest_columns(path: Path, progress: Progress | None) -> ManifestColumns:
    if not _is_large(path, arrays=True):
        return ManifestColumns.of(read_manifest(path))
    table = _read_table(path, MANIFEST_KEYS, progress, _READING_MANIFEST)
    return ManifestColumns(table.audio, table.texts, dict(zip(CLINICAL_FIELDS, table.clinical, strict=True)))


def _score_stored(path: Path, progress: Progress | None) -> ScoredSet:
    table = _read_table(path, KEYS, progress, _SCORING)
    heard = StoredColumn(table.rows, HYPOTHESIS)
    hypotheses = Hypotheses(path, table.line, table.audio, table.texts, heard, *table.clinical)
    return ScoredSet(hypotheses, Scores(*table.scores))


class _Table(NamedTuple):
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
        ranges = [(size * part // count, size * (part + 1) // count) for part in range(count)]
        # Its import takes as long as scoring 20,000 rows: it goes on while the processes start.
        Thread(target=import_module, args=("numpy",)).start()
        parts = parallel.run_parts(
            read_part,
            [(str(path.absolute()), identity, start, stop, keys) for start, stop in ranges],
            progress=progress,
            work=work,
        )
        _raise_first_fault(path, parts)
        if not any(part.audio_lengths for part in parts):
            raise no_transcripts(path)
    except OSError as error:
        os.close(descriptor)
        raise unreadable(path, error) from None
    except BaseException:
        os.close(descriptor)
        raise
    return _joined(path, descriptor, keys, parts)


def _raise_first_fault(path: Path, parts: Sequence[Part]) -> None:
    before = 1
    for part in parts:
        if part.fault is not None:
            line, *fault = part.fault
            raise RowFault(*fault).as_input_error(f"{path}:{before + line}")
        before += part.lines


def _joined(path: Path, descriptor: int, keys: tuple[str, ...], parts: list[Part]) -> _Table:
    """Put the parts together. Takes the descriptor over and empties the parts, to hold nothing twice."""
    import numpy as np

    block_rows, block_lines, offsets = (
        list(chain.from_iterable(getattr(part, name) for part in parts))
        for name in ("block_rows", "block_lines", "offsets")
    )
    rows = StoredRows(path, descriptor, keys, offsets, block_rows, block_lines)
    lines: Sequence[int] = StoredLines(rows) if block_rows != block_lines else range(1, len(rows) + 1)
    checks = np.concatenate([np.frombuffer(part.text_checks, np.uint32) for part in parts])
    lengths = np.concatenate([np.frombuffer(part.audio_lengths, np.uint32) for part in parts])
    audio = PackedColumn(b"".join(chain.from_iterable(part.audio for part in parts)), lengths)
    clinical = [_coded(parts, field) for field in range(len(CLINICAL_FIELDS))]
    scores = parts[0].scores
    for part in parts[1:]:
        for column in scores:
            column.extend(part.scores.pop(0))
    return _Table(rows, lines, audio, StoredColumn(rows, keys[1], checks), clinical, scores)


def _coded(parts: Sequence[Part], field: int) -> CodedColumn:
    """One clinical field: the parts number their values each for themselves."""
    import numpy as np

    numbers: dict[str, int] = {}
    columns: list[NDArray[Any]] = []
    for part in parts:
        values, codes = part.values[field], part.codes[field]
        known = np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.uint32)
        columns.append(known[np.frombuffer(codes, f"u{codes.itemsize}")])
    smallest = np.min_scalar_type(max(len(numbers) - 1, 0))
    return CodedColumn(list(numbers), np.concatenate([column.astype(smallest) for column in columns]))
