"""`watch`: follow a run folder, here or on a host: a plain story, JSON events or one JSON document."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import time
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clinasr_tui.commands.host_options import add_ssh, ssh_settings, trusting
from clinasr_tui.commands.output import add_json, note, print_json, typed
from clinasr_tui.commands.stop_when_done import StopWhenDone
from clinasr_tui.errors import ClinasrError, ExitCode
from clinasr_tui.flywheel.workspace import MIRROR_FOLDER
from clinasr_tui.launch.ending import QuietLook, complete_record, settle_quiet
from clinasr_tui.launch.record import ENDED
from clinasr_tui.text import typed_path
from clinasr_tui.training.snapshot import Outcome, RunSnapshot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from clinasr_tui.commands.launched import LaunchedRun
    from clinasr_tui.remote.host import SshSettings
    from clinasr_tui.remote.run_watch import RunWatch, WatchUpdate

_LOOK_EVERY = 2.0
"""Seconds after which a silent run is looked at again."""
_GONE_FOR_GOOD = 60.0
"""Seconds after which a run whose process has gone is not waited for any longer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `watch`."""
    parser.add_argument(
        "run_dir",
        metavar="RUN",
        help="the run folder (on the host, with --host), or a launched run's in the workspace",
    )
    parser.add_argument("--host", metavar="HOST", help="a host of the ssh config; default: this machine")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="read what is there and end")
    how.add_argument(
        "--follow",
        action="store_true",
        help="until the run has ended (the default); with --json print one event a line",
    )
    parser.add_argument(
        "--stop-when-done", action="store_true", help="then stop the rented box that --host names"
    )
    parser.add_argument(
        "--mirror", type=Path, metavar="DIR", help="keep the run's bytes here and resume from it"
    )
    add_ssh(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 while the run goes on or has finished, 1 if it failed in any way."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Into a file or a pipe too each line must be there when it is told.
        sys.stdout.reconfigure(line_buffering=True)
    launched = _launched(args)
    stop_box = StopWhenDone(args)
    with stop_box.told_if_cut_off():
        snapshot = asyncio.run(_watch(args, launched))
    if args.json and not args.follow:
        from clinasr_tui.training.run_document import to_json

        print_json("watch", to_json(snapshot))
    if not stop_box.after(snapshot.outcome):
        return ExitCode.REMOTE
    return ExitCode.OK if snapshot.outcome in (Outcome.FINISHED, Outcome.RUNNING) else ExitCode.NO


def _launched(args: argparse.Namespace) -> LaunchedRun | None:
    """The run whose folder in the workspace was named: it is watched where it was launched."""
    from clinasr_tui.commands.launched import launched_run

    try:
        found = None if args.host else launched_run(typed_path(args.run_dir))
    except ClinasrError:
        return None
    if found is not None:
        args.run_dir, args.host = found.handle.run_dir, found.host
        args.mirror = args.mirror or found.folder / MIRROR_FOLDER
    return found


async def _watch(args: argparse.Namespace, launched: LaunchedRun | None = None) -> RunSnapshot:
    """Follow the run; a first contact is trusted only if `--trust` names its very fingerprint."""
    ssh = ssh_settings(args, launched.cycle if launched else Path.cwd(), args.host)
    return await trusting(args, args.host, ssh, lambda: _follow(args, ssh, launched))


async def _follow(args: argparse.Namespace, ssh: SshSettings, launched: LaunchedRun | None) -> RunSnapshot:
    from clinasr_tui.remote.run_watch import RunWatch

    watch = RunWatch(args.run_dir, host=args.host, mirror=args.mirror, ssh=ssh)
    if launched is not None:
        watch.reader.expect(launched.record)
    elif args.host is None:
        watch.reader.expect(_record(args.run_dir))
    teller = _teller(args)
    quiet = QuietLook(launched.record if launched else {}, args.host, ssh)
    if args.once and launched is not None and launched.record.get("state") != ENDED:
        # One look is too short to see that nothing comes any more.
        await settle_quiet(launched.handle, args.host, ssh)
    try:
        async with aclosing(watch.updates(once=args.once)) as updates, aclosing(_or_time(updates)) as news:
            gone_since: float | None = None
            async for update in news:
                teller.update(watch, update)
                silent = update is None or not update.lines
                gone_since = (gone_since or time.monotonic()) if silent and _has_gone(watch) else None
                if update is None:
                    quiet.look(watch.reader.snapshot(watch.heard_at))
                if gone_since is not None and time.monotonic() - gone_since > _GONE_FOR_GOOD:
                    break
    except asyncio.CancelledError:
        note("watching has ended; the run itself goes on")
        raise
    finally:
        await quiet.close()
    snapshot = watch.reader.snapshot(watch.heard_at)
    teller.end(snapshot)
    if launched is not None and snapshot.outcome is Outcome.INTERRUPTED:
        note(_going_on(launched))
    if launched is not None and complete_record(launched.folder, snapshot, watch.mirror_path("exit.json")):
        note(f"its result can be brought here: clinasr-tui fetch {typed(launched.folder)}")
    return snapshot


def _has_gone(watch: RunWatch) -> bool:
    """True if the run's process has gone without a word; a scheduler may start it anew, but soon."""
    snapshot = watch.reader.snapshot(watch.heard_at)
    return snapshot.outcome is Outcome.UNKNOWN and any(alert.id == "crashed" for alert in snapshot.health)


def _going_on(launched: LaunchedRun) -> str:
    """How a run that was stopped goes on."""
    again = f"clinasr-tui train {typed(launched.cycle)} --run {launched.handle.run} --resume"
    more = " --slurm-option time=HH:MM:SS (if it needs more)" if launched.handle.job else ""
    return f"go on from its -last checkpoint, if it has saved one: {again}{more}"


async def _or_time(updates: AsyncIterator[WatchUpdate]) -> AsyncGenerator[WatchUpdate | None]:
    """The updates as they come, and None where none has come for a while: silence is news too."""
    coming: asyncio.Task[WatchUpdate] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(updates))
            done, _ = await asyncio.wait({coming}, timeout=_LOOK_EVERY)
            if not done:
                yield None
                continue
            try:
                update = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield update
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await coming


async def _next(updates: AsyncIterator[WatchUpdate]) -> WatchUpdate:
    return await anext(updates)


def _record(run_dir: str) -> dict[str, object]:
    """What the record beside a run folder of this machine says, if it is this folder's."""
    from clinasr_tui.flywheel.workspace import RUN_INFO_FILE

    folder = typed_path(run_dir).absolute()
    try:
        info = json.loads((folder.parent / RUN_INFO_FILE).read_text(encoding="utf-8"))
        own = isinstance(info, dict) and (folder.parent / str(info["run_dir"])).resolve() == folder.resolve()
    except (OSError, ValueError, KeyError, RecursionError):
        return {}
    return info if own else {}


class _Teller(Protocol):
    """Tells a run as it goes on."""

    def update(self, watch: RunWatch, update: WatchUpdate | None) -> None:
        """Something came, or, without an update, some time has passed."""

    def end(self, snapshot: RunSnapshot) -> None:
        """The last word."""


class _Quiet:
    """Tells nothing but notes: the document follows."""

    def update(self, watch: RunWatch, update: WatchUpdate | None) -> None:
        """A note for the operator."""
        if update is not None and update.note:
            note(update.note)

    def end(self, snapshot: RunSnapshot) -> None:
        """Nothing."""


def _teller(args: argparse.Namespace) -> _Teller:
    if args.json and args.follow:
        from clinasr_tui.commands.run_events import Events

        return Events()
    if args.json:
        return _Quiet()
    from clinasr_tui.commands.run_story import Story

    return Story(once=args.once)
