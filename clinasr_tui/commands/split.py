"""`split`: train.jsonl and validation.jsonl, row for row as published."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.commands.output import add_json, add_priority, note, print_json, print_lines, table
from clinasr_tui.commands.sources import settings_of
from clinasr_tui.errors import ExitCode, InputError

if TYPE_CHECKING:
    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.split import Split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `split`."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--val-fraction", type=float, metavar="F", help="default: the workspace's, else 0.2")
    parser.add_argument("--seed", type=int, metavar="N", help="default: the workspace's, else 42")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: beside the manifest")
    parser.add_argument("--force", action="store_true", help="replace a different split that is there")
    add_priority(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Write both files (never over a different split without --force) and say what is in them."""
    from clinasr_tui.flywheel.manifest import read_manifest
    from clinasr_tui.flywheel.split import split_rows, write_split

    rows, settings = read_manifest(args.manifest), settings_of(args.manifest)
    split = split_rows(
        rows,
        validation_fraction=settings.split.val_fraction if args.val_fraction is None else args.val_fraction,
        seed=settings.split.seed if args.seed is None else args.seed,
        priority=args.priority or settings.priority,
        min_priority_rows=settings.gate.min_priority_rows,
    )
    folder = args.out or args.manifest.parent
    if not args.force:
        _refuse_other_split(split, folder)
    warnings = [*split.warnings, *_path_warnings(split, args.manifest, folder), *_deviations(settings)]
    train, validation = write_split(split, folder, manifest=args.manifest)
    document = {
        "train": len(split.train),
        "validation": len(split.validation),
        "by_category": {
            name: {"train": sides[0], "validation": sides[1]} for name, sides in split.by_category.items()
        },
        "warnings": warnings,
        "files": {"train": str(train), "validation": str(validation)},
    }
    if args.json:
        print_json("split", document)
    else:
        print_lines(_story(split, train, validation))
        for warning in warnings:
            note(f"warning: {warning}")
    return ExitCode.OK


def _refuse_other_split(split: Split, folder: Path) -> None:
    for name, rows in (("train.jsonl", split.train), ("validation.jsonl", split.validation)):
        path = folder / name
        if path.exists() and path.read_bytes() != b"".join(row.raw + b"\n" for row in rows):
            raise InputError(
                "another split is here already",
                where=str(path),
                remedy="Held-out figures depend on it: choose another --out, or --force to replace it",
            )


def _deviations(settings: Settings) -> list[str]:
    """Numbers of the split that the workspace sets otherwise than the method."""
    from clinasr_tui.flywheel.thresholds import deviations

    rows = (one for one in deviations(settings.gate) if one.key == "[gate] min_priority_rows")
    return [str(one) for one in (*deviations(settings.split), *rows)]


def _path_warnings(split: Split, manifest: Path, folder: Path) -> list[str]:
    if folder.resolve() == manifest.resolve().parent:
        return []
    relative = sum(not Path(row.audio_filepath).is_absolute() for row in (*split.train, *split.validation))
    if not relative:
        return []
    return [f"{relative} audio paths are relative to {manifest.parent}: NeMo looks for them beside the split"]


def _story(split: Split, train: Path, validation: Path) -> list[str]:
    rows = [["category", "train", "validation"]]
    rows += [[name or "(none)", str(a), str(b)] for name, (a, b) in split.by_category.items()]
    return [
        f"{train}: {len(split.train)} rows",
        f"{validation}: {len(split.validation)} rows",
        *table(rows),
    ]
