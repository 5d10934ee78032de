"""`compare`: two cycles side by side, and the action the decision table gives."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.commands.output import (
    add_json,
    add_priority,
    figure,
    note,
    percent,
    print_json,
    print_lines,
    signature_line,
    table,
)
from clinasr_tui.commands.sources import Source, load_cycle, load_source, place_of, settings_of, workspace_of
from clinasr_tui.errors import ExitCode, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinasr_tui.flywheel.comparison import Comparison, Difference, Slice
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.opinion import GeneralChange
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import Cycle, Workspace

_HEAD = ["", "A", "B", "Δ", "rel.", "95 % of Δ", "p", "n"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compare`."""
    for name in ("a", "b"):
        parser.add_argument(
            name, type=Path, metavar=name.upper(), help="a cycle folder, transcripts, or a leaderboard .md"
        )
    parser.add_argument(
        "--held-out", type=Path, metavar="FILE", help="validation manifest (default: the workspace's split)"
    )
    parser.add_argument(
        "--general",
        type=Path,
        nargs=2,
        metavar=("A", "B"),
        help="transcripts of a general set by both models, to measure forgetting "
        "(default: general_hyps.jsonl of both cycles)",
    )
    add_priority(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; exit code 0 whatever the verdict."""
    result = compared(args)
    if args.json:
        print_json("compare", {"a": str(args.a), "b": str(args.b), **document(result)})
    else:
        print_lines(story(result, f"{args.a} → {args.b}"))
    return ExitCode.OK


def compared(args: argparse.Namespace) -> Comparison:
    """The comparison of `a` and `b`, weighed with the workspace's settings.

    Where `b` is what the service heard of the cycle of `a`, it is judged as serving, not as training.
    """
    from clinasr_tui.flywheel.review import comparison_of, served_of

    a, b = load_source(args.a), load_source(args.b)
    settings = settings_of(args.b if workspace_of(args.b) else args.a)
    if args.priority:
        settings = replace(settings, priority=args.priority)
    if a.scored is None or b.scored is None:
        note("only a leaderboard is known of one side: no row by row comparison, no intervals")
    if _is_serving(args):
        return served_of(a.scored or a.board, b.scored or b.board, _held_out(args), settings).change
    general, unmeasured = _general(args, a.cycle, b.cycle, settings)
    return comparison_of(
        a.scored or a.board,
        b.scored or b.board,
        _held_out(args),
        settings,
        general=general,
        unmeasured=unmeasured,
        stop=_stop(args, a, b, settings),
    )


def _is_serving(args: argparse.Namespace) -> bool:
    """True if A is a cycle, or its transcripts or leaderboard, and B what the service heard of it."""
    a, b = place_of(args.a), place_of(args.b)
    if a is None or b is None or b.cycle.serving is None or a.cycle.folder != b.cycle.folder:
        return False
    offline = [one.resolve() for one in (a.cycle.folder, a.cycle.hypotheses, a.cycle.leaderboard) if one]
    return args.b.resolve() == b.cycle.serving.resolve() and args.a.resolve() in offline


def document(result: Comparison) -> dict[str, Any]:
    """A comparison for `--json`."""
    from clinasr_tui.flywheel.comparison import to_json
    from clinasr_tui.flywheel.judgement import to_json as judgement_json

    return {**to_json(result), **(judgement_json(result.judgement) if result.judgement else {})}


def _held_out(args: argparse.Namespace) -> frozenset[tuple[str, str]] | None:
    from clinasr_tui.flywheel.manifest import read_manifest

    if args.held_out is not None:
        return frozenset((row.audio_filepath, row.term) for row in read_manifest(args.held_out))
    place = place_of(args.b)
    if place is not None:
        return place.workspace.held_out(place.cycle.number)
    # B stands outside of any workspace: its model is taken to be tuned on A's split.
    place = place_of(args.a)
    return place.workspace.held_out(place.cycle.number + 1) if place else None


def _general(
    args: argparse.Namespace, a: Cycle | None, b: Cycle | None, settings: Settings
) -> tuple[GeneralChange | None, str]:
    """What became of general speech, and why it is not known although there is such a set."""
    from clinasr_tui.flywheel.review import general_between, general_of

    if args.general is not None:
        return general_between(args.general[0], args.general[1], settings), ""
    if a is None or b is None:
        return None, ""
    found, problem = general_of(a, b, settings)
    if problem:
        note(f"warning: {problem}")
    return found, problem


def _stop(args: argparse.Namespace, a: Source, b: Source, settings: Settings) -> tuple[str, ...]:
    """What the workspace's other cycles and the run of B say about tuning on."""
    from clinasr_tui.flywheel.review import stop_of
    from clinasr_tui.training.tuning_facts import tuning_facts

    place = place_of(args.b)
    if place is None:
        return ()
    workspace = replace(place.workspace, settings=settings)
    number = place.cycle.number
    known = {number: b}
    before = place_of(args.a)
    if before is not None and before.workspace.root == workspace.root:
        known.setdefault(before.cycle.number, a)
    run = workspace.run_of(number)
    return stop_of(workspace, _newest_first(workspace, number, known), tuning_facts(run) if run else None)


def _newest_first(
    workspace: Workspace, number: int, known: dict[int, Source]
) -> Iterator[tuple[Cycle, ScoredSet | Leaderboard]]:
    """Cycle `number` and the ones before it, read when asked for, back to the first that cannot be."""
    for cycle in reversed(workspace.cycles):
        if cycle.number > number or not (cycle.hypotheses or cycle.leaderboard or cycle.number in known):
            continue
        try:
            source = known.get(cycle.number) or load_cycle(cycle)
        except InputError as error:
            note(f"warning: the cycles before are not looked at: {error}")
            return
        yield cycle, source.scored or source.board


def story(result: Comparison, title: str) -> list[str]:
    """A comparison for people."""
    lines = [title, f"{result.verdict.upper()}: {result.action}"]
    judgement = result.judgement
    if judgement is not None and judgement.differs:
        lines.append(f"honest: {judgement.honest.verdict.upper()}: {judgement.honest.action}")
    lines += [f"- {reason}" for reason in result.reasons]
    lines += _slice_lines("all rows", result.every)
    if result.held_out is not None:
        lines += _slice_lines("held-out rows", result.held_out)
    if result.trained is not None:
        lines += _slice_lines("trained rows", result.trained)
    if judgement is not None and judgement.general is not None:
        general = judgement.general
        rows = [_HEAD, _cells("WER", general.wer), _cells("CER", general.cer)]
        lines += ["", f"general speech ({general.rows})", *table(rows)]
    if result.pairs:
        lines += [
            "",
            f"terms fixed {len(result.fixed)} · broken {len(result.broken)} · "
            f"still wrong {len(result.still_wrong)} · still right {len(result.still_right)}",
        ]
    if result.only_a or result.only_b:
        lines.append(f"left out of the pairs: {result.only_a} rows only in A, {result.only_b} only in B")
    lines += ["", signature_line(result.signature)]
    return lines


def _slice_lines(title: str, part: Slice) -> list[str]:
    rows = [_HEAD]
    rows += [_cells(name.upper(), difference) for name, difference in part.headline.items()]
    for name, difference in part.by.get("entity_category", {}).items():
        rows.append(_cells(f"KER {name or '(none)'}", difference))
    return ["", f"{title} ({part.rows})", *table(rows)]


def _cells(name: str, d: Difference) -> list[str]:
    interval = "–" if d.ci95 is None else f"{d.ci95[0]:+.3f} … {d.ci95[1]:+.3f}"
    delta = "–" if d.delta is None else f"{d.delta:+.3f}"
    p = "–" if d.p is None else ("<0.001" if d.p < 0.001 else f"{d.p:.3f}")
    return [name, figure(d.a), figure(d.b), delta, percent(d.relative), interval, p, str(d.n)]
