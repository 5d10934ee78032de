"""Row-disjoint stratified split, row for row as published (method, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import write_together
from clinasr_tui.flywheel.thresholds import Thresholds
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.flywheel.manifest import ManifestRow

TRAIN_FILE = "train.jsonl"
VALIDATION_FILE = "validation.jsonl"


@dataclass(frozen=True, slots=True)
class Split:
    """The two sides in the published order, counts by category as (train, validation), warnings."""

    train: tuple[ManifestRow, ...]
    validation: tuple[ManifestRow, ...]
    by_category: dict[str, tuple[int, int]]
    warnings: tuple[str, ...]


def split_rows(
    rows: Sequence[ManifestRow],
    *,
    validation_fraction: float = 0.2,
    seed: int = 42,
    priority: tuple[str, ...] = (),
    min_priority_rows: int | None = None,
) -> Split:
    """Split rows, the same way for the same rows in the same order.

    Raises InputError if a priority category has fewer than `min_priority_rows` (the method's 5) rows or
    the fraction is not between 0 and 1 (both excluded).
    """
    if not 0.0 < validation_fraction < 1.0:
        raise InputError(
            f"the validation fraction {validation_fraction:g} is not between 0 and 1",
            remedy="The method's is 0.2",
        )
    by_category: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_category.setdefault(row.entity_category, []).append(row)
    needed = Thresholds().min_priority_rows if min_priority_rows is None else min_priority_rows
    for category in priority:
        _expect_enough(category, len(by_category.get(category, ())), needed)
    generator = Random(seed)  # noqa: S311  (the published generator, not a secret)
    train: list[ManifestRow] = []
    validation: list[ManifestRow] = []
    counts: dict[str, tuple[int, int]] = {}
    warnings: list[str] = []
    for category, members in by_category.items():
        generator.shuffle(members)
        held_out = max(1, int(validation_fraction * len(members)))
        if len(members) < 2:
            held_out = 0
            name = visible(category) or "(no category)"
            warnings.append(f"{name} has 1 row: it goes to train and the category is not validated")
        validation.extend(members[:held_out])
        train.extend(members[held_out:])
        counts[category] = (len(members) - held_out, held_out)
    if not validation:
        warnings.append("there is no validation row: a run needs at least one")
    return Split(tuple(train), tuple(validation), counts, tuple(warnings))


def _expect_enough(category: str, count: int, needed: int) -> None:
    if count < needed:
        raise InputError(
            f"priority category {category} has {count} row{'s' * (count != 1)}, the method needs {needed}",
            remedy="Grow the manifest (build) before splitting it",
        )


def write_split(split: Split, folder: Path, *, manifest: Path | None = None) -> tuple[Path, Path]:
    """Write train.jsonl and validation.jsonl, both or neither; rows keep the manifest's bytes.

    Raises InputError if that would overwrite `manifest`, the file the rows came from. Relative audio
    paths keep their meaning only beside the manifest: NeMo looks for them beside the file that names them.
    """
    train, validation = folder / TRAIN_FILE, folder / VALIDATION_FILE
    if manifest is not None and manifest.resolve() in (train.resolve(), validation.resolve()):
        raise InputError(
            "the split would overwrite its own manifest", where=str(manifest), remedy="Name another folder"
        )
    write_together({train: _lines(split.train), validation: _lines(split.validation)})
    return train, validation


def _lines(rows: Sequence[ManifestRow]) -> list[bytes]:
    return [row.raw + b"\n" for row in rows]
