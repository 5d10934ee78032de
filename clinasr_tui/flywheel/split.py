"""Row-disjoint stratified split, row for row as published (method, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clinasr_tui.flywheel.manifest import ManifestRow


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
) -> Split:
    """Split rows. Raises InputError if a priority category has fewer than 5 rows."""
    raise NotImplementedError


def write_split(split: Split, folder: Path) -> tuple[Path, Path]:
    """Write train.jsonl and validation.jsonl (each to a temporary file, then renamed)."""
    raise NotImplementedError
