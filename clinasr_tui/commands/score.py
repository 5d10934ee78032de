"""`score`: four metrics in five sections."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.commands.output import add_json, figure, note, print_json, print_lines, signature_line, table
from clinasr_tui.commands.sources import Source, load_cycle, load_hypotheses
from clinasr_tui.errors import ExitCode, InputError
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.resampling import Interval
    from clinasr_tui.flywheel.scoring import ScoredSet, Scores

_ROWS_AT_A_TIME = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `score`."""
    parser.add_argument("cycle", type=Path, nargs="?", metavar="CYCLE", help="a cycle folder")
    parser.add_argument("--hyps", type=Path, metavar="FILE", help="transcripts: JSONL or one JSON array")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="fills fields the transcripts lack")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write results.csv and the leaderboard there")
    parser.add_argument("--rows", action="store_true", help="with --json: every row's scores, input order")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Score and print; `--out` writes both files."""
    source = _source(args)
    if args.out is not None:
        _write(source, args.out)
    if args.json:
        from clinasr_tui.flywheel.leaderboard import to_json

        lists = {"per_row": _per_row(_scored(source).scores)} if args.rows else {}
        print_json("score", to_json(source.board), **lists)
    else:
        print_lines(story(source.board))
    return ExitCode.OK


def _source(args: argparse.Namespace) -> Source:
    if (args.cycle is None) == (args.hyps is None):
        raise InputError("name either a cycle folder or --hyps FILE")
    if args.hyps is not None:
        return load_hypotheses(args.hyps, args.manifest)
    from clinasr_tui.flywheel.workspace import open_cycle

    cycle = open_cycle(args.cycle)
    source = load_cycle(cycle)
    if args.manifest is not None and cycle.hypotheses is not None:
        loaded = load_hypotheses(cycle.hypotheses, args.manifest)
        return Source(source.label, loaded.scored, loaded.board, cycle)
    return source


def _scored(source: Source) -> ScoredSet:
    if source.scored is None:
        raise InputError(
            "only a leaderboard is left of this cycle, its rows are gone",
            where=source.label,
            remedy="Leave out --out and --rows",
        )
    return source.scored


def _write(source: Source, folder: Path) -> None:
    from clinasr_tui.flywheel.files import write_atomically
    from clinasr_tui.flywheel.leaderboard_markdown import to_markdown
    from clinasr_tui.flywheel.results import write_results

    scored = _scored(source)
    number = source.cycle.number if source.cycle else None
    name = "leaderboard.md" if number is None else f"leaderboard_cycle{number}.md"
    title = "Leaderboard" if number is None else f"Leaderboard, cycle {number}"
    write_results(scored, folder / "results.csv")
    write_atomically(folder / name, to_markdown(source.board, title=title).encode())
    note(f"wrote {folder / 'results.csv'} and {folder / name}")


def _per_row(scores: Scores) -> Iterator[list[dict[str, float | None]]]:
    """Every row's scores, some thousand at a time."""
    for start in range(0, len(scores), _ROWS_AT_A_TIME):
        rows = range(start, min(start + _ROWS_AT_A_TIME, len(scores)))
        yield [scores.row(index)._asdict() for index in rows]


def story(board: Leaderboard) -> list[str]:
    """The five sections for people."""
    from clinasr_tui.flywheel.leaderboard import METRICS, ipa_source_gap

    lines = [f"{board.rows} rows, {board.ker_rows} with a term"]
    lines += table(
        [[name.upper(), figure(board.metrics[name], 4), _beside(board, name)] for name in METRICS], left=1
    )
    for field in SECTION_FIELDS:
        groups, known = board.by.get(field, {}), board.intervals.get(field, {})
        if groups:
            lines += ["", f"KER by {field}, with 95 % interval"]
            lines += table(
                [
                    [name or "(none)", figure(f.ker), _interval(known.get(name)), f"n {f.n}"]
                    for name, f in groups.items()
                ]
            )
        if field == "ipa_source":
            lines.append(f"  {ipa_source_gap(board)}")
    lines += ["", "KER by term, worst first"]
    lines += table([[f.term, figure(f.ker), f"n {f.n}"] for f in board.terms] or [["(none)", "–", "n 0"]])
    lines += ["", signature_line(board.signature)]
    return lines


def _beside(board: Leaderboard, name: str) -> str:
    """What stands beside a metric's mean: the pooled figure, or the KER's interval."""
    if name == "ker" and board.ker_interval is not None:
        return f"(95 % {_interval(board.ker_interval)})"
    return f"(corpus-level {figure(board.corpus[name], 4)})" if name in board.corpus else ""


def _interval(limits: Interval | None) -> str:
    return "–" if limits is None else f"{figure(limits[0])} … {figure(limits[1])}"
