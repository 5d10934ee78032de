"""`compare`: two cycles side by side, and the action the decision table gives."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.commands.output import (
    add_json,
    add_priority,
    figure,
    note,
    percent,
    print_json,
    print_lines,
    table,
)
from clinasr_tui.commands.sources import load_source, settings_of, workspace_of
from clinasr_tui.errors import ExitCode

if TYPE_CHECKING:
    from clinasr_tui.flywheel.comparison import Comparison, Difference, Slice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compare`."""
    for name in ("a", "b"):
        parser.add_argument(
            name, type=Path, metavar=name.upper(), help="a cycle folder, transcripts, or a leaderboard .md"
        )
    parser.add_argument(
        "--held-out", type=Path, metavar="FILE", help="validation manifest (default: the workspace's split)"
    )
    add_priority(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; exit code 0 whatever the verdict."""
    from clinasr_tui.flywheel.comparison import to_json
    from clinasr_tui.flywheel.review import comparison_of

    a, b = load_source(args.a), load_source(args.b)
    settings = settings_of(args.b)
    if args.priority:
        settings = replace(settings, priority=args.priority)
    if a.scored is None or b.scored is None:
        note("only a leaderboard is known of one side: no row by row comparison, no intervals")
    result = comparison_of(a.scored or a.board, b.scored or b.board, _held_out(args), settings)
    if args.json:
        print_json("compare", {"a": str(args.a), "b": str(args.b), **to_json(result)})
    else:
        print_lines(_story(result, f"{args.a} → {args.b}"))
    return ExitCode.OK


def _held_out(args: argparse.Namespace) -> frozenset[tuple[str, str]] | None:
    from clinasr_tui.flywheel.manifest import read_manifest

    if args.held_out is not None:
        return frozenset((row.audio_filepath, row.term) for row in read_manifest(args.held_out))
    workspace = workspace_of(args.b)
    if workspace is None:
        return None
    folder = (args.b if args.b.is_dir() else args.b.parent).resolve()
    number = next((c.number for c in workspace.cycles if c.folder.resolve() == folder), None)
    return None if number is None else workspace.held_out(number)


def _story(result: Comparison, title: str) -> list[str]:
    lines = [title, f"{result.verdict.upper()}: {result.action}"]
    lines += [f"- {reason}" for reason in result.reasons]
    lines += _slice_lines("all rows", result.every)
    if result.held_out is not None:
        lines += _slice_lines("held-out rows", result.held_out)
    if result.trained is not None:
        lines += _slice_lines("trained rows", result.trained)
    if result.pairs:
        lines += [
            "",
            f"terms fixed {len(result.fixed)} · broken {len(result.broken)} · "
            f"still wrong {len(result.still_wrong)} · still right {len(result.still_right)}",
        ]
    if result.only_a or result.only_b:
        lines.append(f"left out of the pairs: {result.only_a} rows only in A, {result.only_b} only in B")
    return lines


def _slice_lines(title: str, part: Slice) -> list[str]:
    rows = [["", "A", "B", "Δ", "rel.", "95 % of Δ", "p", "n"]]
    rows += [_cells(name.upper(), difference) for name, difference in part.headline.items()]
    for name, difference in part.by.get("entity_category", {}).items():
        rows.append(_cells(f"KER {name or '(none)'}", difference))
    return ["", f"{title} ({part.rows})", *table(rows)]


def _cells(name: str, d: Difference) -> list[str]:
    interval = "–" if d.ci95 is None else f"{d.ci95[0]:+.3f} … {d.ci95[1]:+.3f}"
    delta = "–" if d.delta is None else f"{d.delta:+.3f}"
    p = "–" if d.p is None else ("<0.001" if d.p < 0.001 else f"{d.p:.3f}")
    return [name, figure(d.a), figure(d.b), delta, percent(d.relative), interval, p, str(d.n)]
