"""`check`: pre-flight a manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from clinasr_tui.commands.output import add_json, print_json, print_lines
from clinasr_tui.errors import ExitCode
from clinasr_tui.flywheel.preflight import PreflightReport, check_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `check`."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--no-audio", action="store_true", help="do not look at the audio files")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if the manifest is clean enough to spend money on, 1 if not."""
    report = check_manifest(args.manifest, check_audio=not args.no_audio)
    if args.json:
        print_json("check", _document(report))
    else:
        print_lines(_story(report, args.manifest))
    return ExitCode.OK if report.ok else ExitCode.NO


def _document(report: PreflightReport) -> dict[str, object]:
    problems = [
        {
            "id": problem.id,
            "severity": str(problem.severity),
            "line": problem.line,
            "field": problem.field,
            "message": problem.message,
        }
        for problem in report.problems
    ]
    return {"rows": report.rows, "ok": report.ok, "problems": problems, "counts": report.counts}


def _story(report: PreflightReport, manifest: Path) -> list[str]:
    lines = [
        f"{manifest}:{problem.line}: {problem.severity}: {problem.message} [{problem.id}]"
        for problem in report.problems
    ]
    warnings = len(report.problems) - report.errors
    verdict = "clean" if report.ok else "not clean: mend the errors before any money is spent"
    lines.append(f"{report.rows} rows, {report.errors} errors, {warnings} warnings: {verdict}")
    return lines
