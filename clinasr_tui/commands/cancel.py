"""`cancel`: end a run so that it can be resumed: it saves its `-last` checkpoint first."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from clinasr_tui.commands.host_options import add_ssh, ssh_settings, trusting
from clinasr_tui.commands.launched import LaunchedRun, add_run, launched_run
from clinasr_tui.commands.output import add_json, note, print_json, print_lines, typed
from clinasr_tui.commands.progress import StatusLine
from clinasr_tui.errors import ExitCode, InputError
from clinasr_tui.launch.control import STOP_SECONDS, cancel

if TYPE_CHECKING:
    from clinasr_tui.launch.checkpoints import Checkpoint
    from clinasr_tui.remote.host import SshSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `cancel`."""
    add_run(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--seconds",
        type=int,
        default=STOP_SECONDS,
        metavar="N",
        help="how long it may take to save before it is killed (default: %(default)s)",
    )
    add_ssh(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once the run is over and can be resumed, 1 if it was over already, 4 if declined."""
    found = launched_run(args.run)
    if not args.yes and not _confirmed(found):
        note("cancelled: the run goes on")
        return ExitCode.DECLINED
    ssh = ssh_settings(args, found.cycle, found.host)
    return asyncio.run(trusting(args, found.host, ssh, lambda: _end(args, found, ssh)))


def _confirmed(found: LaunchedRun) -> bool:
    if not sys.stdin.isatty():
        raise InputError("nobody is here to ask whether the run is to end", remedy="Add --yes")
    where = f" on {found.host}" if found.host else ""
    sys.stderr.write(f"End {found.handle.run}{where}? It saves its -last checkpoint first. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _end(args: argparse.Namespace, found: LaunchedRun, ssh: SshSettings) -> int:
    from clinasr_tui.launch.checkpoints import checkpoints_of
    from clinasr_tui.launch.fetch import open_folder
    from clinasr_tui.launch.result import close_record
    from clinasr_tui.remote.hosts import open_host

    line = StatusLine(seen=sys.stderr.isatty())
    try:
        async with open_host(found.host, ssh) as host:
            ended = await cancel(
                found.handle,
                host,
                seconds=args.seconds,
                tell=lambda waited: line.write(f"waiting for the -last checkpoint: {waited:.0f} s"),
            )
            async with open_folder(host, found.handle.run_dir) as there:
                saved = [one for one in checkpoints_of(there.files) if one.is_last]
        await close_record(found.folder, ssh)
    finally:
        line.erase()
    _say(args, found, saved, ended=ended)
    return ExitCode.OK if ended else ExitCode.NO


def _say(args: argparse.Namespace, found: LaunchedRun, saved: list[Checkpoint], *, ended: bool) -> None:
    run = found.handle.run
    if args.json:
        document = {
            "run": run,
            "ended": ended,
            "saved": [{"file": one.file.path, "bytes": one.file.size} for one in saved],
        }
        print_json("cancel", document)
    elif ended:
        print_lines([f"{run} is over"])
    else:
        print_lines([f"{run} was over already"])
    for one in saved:
        note(f"saved: {one.name} ({one.file.size / 1e6:.1f} MB)")
    cycle = typed(found.cycle)
    if saved:
        note(f"go on from there: clinasr-tui train {cycle} --run {run} --resume")
    else:
        note("no -last checkpoint was saved: there is nothing to resume from")
    note(f"bring logs and model here: clinasr-tui fetch {typed(found.folder)}")
