"""`gate`: is fine-tuning the right next step?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.commands.output import add_json, add_priority, print_json, print_lines, table
from clinasr_tui.commands.sources import load_cycle, settings_of
from clinasr_tui.errors import ExitCode
from clinasr_tui.flywheel.workspace import open_cycle

if TYPE_CHECKING:
    from clinasr_tui.flywheel.gate import GateResult, PriorityFigure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `gate`."""
    parser.add_argument("cycle", type=Path, metavar="CYCLE")
    add_priority(parser)
    parser.add_argument("--base", metavar="NAME", help="the base model to be fine-tuned")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--first-eval", dest="first", action="store_true", default=None, help="the first eval")
    which.add_argument("--later-eval", dest="first", action="store_false", help="after growing the manifest")
    parser.add_argument("--no-audio", action="store_true", help="pre-flight without the audio files")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if the gate passes, 1 if it is blocked."""
    from clinasr_tui.flywheel.preflight import check_manifest
    from clinasr_tui.flywheel.review import gate_of

    cycle = open_cycle(args.cycle)
    settings = settings_of(args.cycle)
    errors = None
    if cycle.manifest is not None:
        errors = check_manifest(cycle.manifest, check_audio=not args.no_audio).errors
    overrides = {"priority": args.priority, "base": args.base}
    settings = replace(settings, **{key: value for key, value in overrides.items() if value})
    source = load_cycle(cycle)
    result = gate_of(cycle, source.board, errors, settings, first_eval=args.first)
    if args.json:
        print_json("gate", _document(result))
    else:
        print_lines(_story(result))
    return ExitCode.OK if result.passed else ExitCode.NO


def _document(result: GateResult) -> dict[str, object]:
    return {
        "verdict": result.verdict,
        "route": str(result.route),
        "reasons": list(result.reasons),
        "criteria": [
            {
                "id": criterion.id,
                "passed": criterion.passed,
                "measured": criterion.measured,
                "threshold": criterion.threshold,
            }
            for criterion in result.criteria
        ],
        "priority": list(result.priority),
        "figures": {name: _figure(figure) for name, figure in result.figures.items()},
        "findings": [
            {"id": finding.id, "route": str(finding.route), "message": finding.message}
            for finding in result.findings
        ],
        "honest": result.honest._asdict(),
        "deviations": [deviation._asdict() for deviation in result.deviations],
        "base": {
            "name": result.base.name,
            "standing": str(result.base.standing),
            "reason": result.base.reason,
            "substitute": result.base.substitute,
        },
    }


def _figure(figure: PriorityFigure) -> dict[str, object]:
    return {"ker": figure.ker, "n": figure.n, "ci95": figure.interval}


def _story(result: GateResult) -> list[str]:
    lines = [f"gate: {result.verdict.upper()}, route: {result.route}"]
    rows = [
        ["✔" if criterion.passed else "✖", criterion.title, criterion.measured, criterion.threshold]
        for criterion in result.criteria
    ]
    if result.honest.verdict != result.verdict:
        lines.append(f"honest: {result.honest.verdict.upper()}: {result.honest.why}")
    lines += table(rows, left=4)
    lines += [f"    {c.title}: {c.remedy}" for c in result.criteria if not c.passed and c.remedy]
    lines += [f"- {reason}" for reason in result.reasons]
    return lines
