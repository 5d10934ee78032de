"""What commands print: data on standard output, JSON with its schema first, plain tables."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinasr_tui.text import visible


def add_json(parser: argparse.ArgumentParser) -> None:
    """The `--json` option every command shares."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_priority(parser: argparse.ArgumentParser) -> None:
    """The `--priority` option of gate, split and compare."""
    parser.add_argument(
        "--priority",
        type=categories,
        metavar="CATEGORY,…",
        help="targeted entity categories (default: the workspace's, else drug)",
    )


def categories(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of entity categories, refusing unknown ones."""
    from clinasr_tui.flywheel.vocabulary import ENTITY_CATEGORIES

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in ENTITY_CATEGORIES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(ENTITY_CATEGORIES)}")
    return names


def print_json(
    command: str, document: Mapping[str, Any], **lists: Iterable[Sequence[Mapping[str, Any]]]
) -> None:
    """Print one JSON document whose first key is the schema.

    `lists` are further keys whose lists are long: they come in batches and are never held as a whole.
    ASCII only: any terminal encoding can carry it, and so can a lone surrogate of a transcript.
    """
    # `dump` would write piece by piece, ten times as slowly.
    text = json.dumps({"schema": f"clinasr.{command}/1", **document}, allow_nan=False)
    sys.stdout.write(text[:-1])
    for name, batches in lists.items():
        sys.stdout.write(f', "{name}": [')
        between = ""
        for batch in batches:
            sys.stdout.write(between + json.dumps(batch, allow_nan=False)[1:-1])
            between = ", "
        sys.stdout.write("]")
    sys.stdout.write("}\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print text lines, control characters made visible."""
    for line in lines:
        sys.stdout.write(visible(line) + "\n")


def note(line: str) -> None:
    """One line for the operator that is not data."""
    sys.stderr.write(visible(line) + "\n")


def figure(value: float | None, digits: int = 3) -> str:
    """A score, or – where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A relative change in per cent with its sign."""
    return "–" if value is None else f"{value * 100:+.0f} %".replace("-", "−")


def signature_line(signature: Mapping[str, str]) -> str:
    """What makes figures repeatable, in one line."""
    parts = ", ".join(f"{key} {value}" for key, value in signature.items())
    return f"signature: {parts or 'not known'}"


def table(rows: Sequence[Sequence[str]], *, left: int = 1, indent: str = "  ") -> list[str]:
    """Align columns: the first `left` ones to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def typed(path: Path) -> str:
    """A path as part of a command that can be pasted into a shell."""
    return shlex.quote(shown(path))


def shown(path: Path) -> str:
    """A path as the operator would type it: relative where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
