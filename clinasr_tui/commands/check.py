"""`check`: pre-flight a manifest; write a corrected copy of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from clinasr_tui.commands.output import add_json, note, print_json, print_lines
from clinasr_tui.commands.progress import progress_line
from clinasr_tui.errors import ExitCode, InputError
from clinasr_tui.flywheel.preflight import PreflightReport, check_manifest
from clinasr_tui.flywheel.rewrite import PathChange, Rewritten, rewrite_manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `check`."""
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--no-audio", action="store_true", help="do not look at the audio files")
    copy = parser.add_argument_group("a corrected copy, which is then checked in the manifest's place")
    copy.add_argument(
        "--fix-paths",
        type=_path_change,
        action="append",
        default=[],
        metavar="FROM=TO",
        help="audio in folder FROM is in folder TO; may be given several times, the first that fits counts",
    )
    copy.add_argument(
        "--fill-durations",
        action="store_true",
        help="durations that are missing, null or more than 0.05 s off come from the audio itself",
    )
    copy.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the copy; if in another folder, relative audio paths --fix-paths leaves alone become absolute",
    )
    copy.add_argument("--force", action="store_true", help="replace a different file that is there")
    add_json(parser)


def _path_change(text: str) -> PathChange:
    try:
        return PathChange.parse(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if the manifest (or its corrected copy) is clean enough to spend money on, 1 if not."""
    rewritten = _rewrite(args)
    manifest = args.manifest if rewritten is None else args.out
    with progress_line("pre-flight") as progress:
        report = check_manifest(manifest, check_audio=not args.no_audio, progress=progress)
    if args.json:
        print_json("check", _document(report, rewritten, manifest))
    else:
        print_lines(_story(report, manifest))
    return ExitCode.OK if report.ok else ExitCode.NO


def _rewrite(args: argparse.Namespace) -> Rewritten | None:
    """Write the copy that is asked for, and say what is different in it."""
    wanted = bool(args.fix_paths) or args.fill_durations
    if wanted != (args.out is not None):
        given, missing = ("--out", "--fix-paths or --fill-durations")
        if wanted:
            given, missing = "--fix-paths and --fill-durations", "--out FILE"
        raise InputError(f"{given} needs {missing}", remedy="A manifest is only ever corrected in a copy")
    if not wanted:
        return None
    if args.fill_durations and args.no_audio:
        raise InputError("--fill-durations reads the audio", remedy="Leave --no-audio out")
    with progress_line("rewriting") as progress:
        rewritten = rewrite_manifest(
            args.manifest,
            args.out,
            changes=args.fix_paths,
            fill_durations=args.fill_durations,
            replace=args.force,
            progress=progress,
        )
    note(f"{args.out}: {_changes(rewritten)}")
    for warning in _warnings(rewritten):
        note(f"warning: {warning}")
    return rewritten


def _changes(rewritten: Rewritten) -> str:
    counted = {
        "audio paths changed": rewritten.paths_changed,
        "relative audio paths made absolute": rewritten.made_absolute,
        "durations filled in": rewritten.durations_filled,
    }
    told = [f"{count:,} {what}" for what, count in counted.items() if count]
    return f"{rewritten.rows:,} rows, {', '.join(told) or 'nothing to correct'}"


def _warnings(rewritten: Rewritten) -> list[str]:
    warnings = [f"no audio path is in {change.source}" for change, rows in rewritten.used.items() if not rows]
    if rewritten.audio_unread:
        warnings.append(f"{rewritten.audio_unread:,} durations stay as they are: the audio cannot be read")
    if rewritten.broken:
        warnings.append(f"{rewritten.broken:,} lines are no rows and are copied as they are")
    return warnings


def _document(report: PreflightReport, rewritten: Rewritten | None, manifest: Path) -> dict[str, object]:
    problems = [
        {
            "id": problem.id,
            "severity": str(problem.severity),
            "line": problem.line,
            "field": problem.field,
            "message": problem.message,
            "remedy": problem.remedy,
        }
        for problem in report.problems
    ]
    document: dict[str, object] = {
        "rows": report.rows,
        "ok": report.ok,
        "problems": problems,
        "counts": report.counts,
        "errors": report.errors,
        "warnings": report.warnings,
        "truncated": report.truncated,
    }
    if rewritten is not None:
        document["rewritten"] = {
            "file": str(manifest),
            "rows": rewritten.rows,
            "paths_changed": rewritten.paths_changed,
            "made_absolute": rewritten.made_absolute,
            "durations_filled": rewritten.durations_filled,
            "warnings": _warnings(rewritten),
        }
    return document


def _story(report: PreflightReport, manifest: Path) -> list[str]:
    lines = [
        f"{manifest}:{problem.line}: {problem.severity}: {problem.message} [{problem.id}]"
        for problem in report.problems
    ]
    if report.truncated:
        listed, found = len(report.problems), report.errors + report.warnings
        counts = ", ".join(f"{name} {count:,}" for name, count in report.counts.items())
        lines.append(f"only {listed:,} of {found:,} findings are listed, the first of each kind: {counts}")
    verdict = "clean" if report.ok else "not clean: mend the errors before any money is spent"
    lines.append(f"{report.rows} rows, {report.errors} errors, {report.warnings} warnings: {verdict}")
    return lines
