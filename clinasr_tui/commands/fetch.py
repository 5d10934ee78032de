"""`fetch`: bring a run's result into the workspace, checked, so that its machine can go."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING

from clinasr_tui.commands.host_options import add_ssh, ssh_settings, trusting
from clinasr_tui.commands.launched import LaunchedRun, add_run, launched_run
from clinasr_tui.commands.output import add_json, figure, note, print_json, print_lines, shown
from clinasr_tui.commands.progress import StatusLine
from clinasr_tui.commands.sources import workspace_of
from clinasr_tui.errors import ExitCode
from clinasr_tui.flywheel.progress import left_text
from clinasr_tui.text import size_text

if TYPE_CHECKING:
    from clinasr_tui.launch.fetch import Fetching
    from clinasr_tui.launch.result import Result, Unfetched
    from clinasr_tui.remote.host import SshSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `fetch`."""
    add_run(parser)
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="also the checkpoints: to resume elsewhere, or the best one",
    )
    add_ssh(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once the model is here and checked, 1 while the run goes on or if it left no model."""
    found = launched_run(args.run)
    ssh = ssh_settings(args, found.cycle, found.host)
    result = asyncio.run(trusting(args, found.host, ssh, lambda: _fetch(args, found, ssh)))
    _say(args, found, result)
    return ExitCode.OK if result.model else ExitCode.NO


async def _fetch(args: argparse.Namespace, found: LaunchedRun, ssh: SshSettings) -> Result:
    from clinasr_tui.launch.result import fetch_result

    line, begun = StatusLine(seen=sys.stderr.isatty()), time.monotonic()

    def tell(now: Fetching) -> bool:
        seconds = time.monotonic() - begun
        rate = f" at {now.done / seconds / 1e6:.1f} MB/s" if seconds > 1 else ""
        left = left_text(seconds, now.done / now.total) if now.total else ""
        size = f"{now.done / 1e6:.1f} of {now.total / 1e6:.1f} MB{rate}"
        line.write(f"{now.path.rpartition('/')[2]}: {size}{f', {left} left' if left else ''}")
        return True

    try:
        return await fetch_result(found.folder, ssh, tell, checkpoints=args.checkpoints)
    finally:
        line.erase()


def _say(args: argparse.Namespace, found: LaunchedRun, result: Result) -> None:
    from clinasr_tui.launch.result import not_fetched

    around = workspace_of(found.cycle)
    waiting = not_fetched(around.runs, found.host) if around else []
    if args.json:
        document = {
            "run": found.handle.run,
            "outcome": str(result.snapshot.outcome),
            "model": str(result.model) if result.model else None,
            "weights": "last" if result.model else None,
            "bytes": result.model_bytes,
            "sha256": result.sha256 or None,
            "best_checkpoint": (
                {"file": result.best.name, "val_wer": result.best.val_wer} if result.best else None
            ),
            "files": result.files,
            "left_on_machine": [{"file": one.path, "bytes": one.size} for one in result.left],
            "deletable": not waiting,
            "not_fetched": [one.run for one in waiting],
        }
        print_json("fetch", document)
    else:
        print_lines(_lines(result))
    for line in _machine_lines(found, result, waiting):
        note(line)


def _lines(result: Result) -> list[str]:
    lines = [result.snapshot.headline]
    if result.model is None:
        lines.append("the run left no model; its logs are here")
    else:
        size = f"{result.model_bytes / 1e6:.1f} MB, checked"
        lines.append(f"{shown(result.model)}: the last weights ({size})")
    if result.best is not None:
        lines.append(f"best checkpoint by validation: {result.best.name} (WER {figure(result.best.val_wer)})")
    return lines


def _machine_lines(found: LaunchedRun, result: Result, waiting: list[Unfetched]) -> list[str]:
    lines = []
    if result.left:
        size, many = size_text(sum(one.size for one in result.left)), len(result.left) > 1
        stay = f"{len(result.left)} checkpoints ({size}) stay" if many else f"1 checkpoint ({size}) stays"
        for_what = "only to resume or to go back to the best one" if result.is_complete else "the run's work"
        lines.append(f"{stay} there: {for_what} (--checkpoints brings {'them' if many else 'it'})")
    if found.host is None:
        return lines
    if waiting:
        lines.append(f"{found.host} still has results that are not here: {', '.join(map(str, waiting))}")
    else:
        lines.append(
            f"every run's result is here and checked: {found.host} can be deleted without loss of any"
        )
    return lines
