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

from clinasr_tui.commands.output import add_json, note, print_json
from clinasr_tui.commands.sources import settings_of
from clinasr_tui.commands.stop_when_done import StopWhenDone
from clinasr_tui.errors import ExitCode, HostKeyError
from clinasr_tui.training.snapshot import Outcome, RunSnapshot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from clinasr_tui.remote.run_watch import RunWatch, SshSettings, WatchUpdate

_LOOK_EVERY = 2.0
"""Seconds after which a silent run is looked at again."""
_GONE_FOR_GOOD = 60.0
"""Seconds after which a run whose process has gone is not waited for any longer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `watch`."""
    parser.add_argument("run_dir", metavar="RUN", help="the run folder (on the host, with --host)")
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
    parser.add_argument("--ssh-config", type=Path, metavar="FILE", help="instead of ~/.ssh/config")
    parser.add_argument(
        "--known-hosts", type=Path, metavar="FILE", help="instead of our own known-hosts file"
    )
    parser.add_argument(
        "--trust", metavar="SHA256:…", help="confirm a host's key at first contact by its fingerprint"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 while the run goes on or has finished, 1 if it failed in any way."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Into a file or a pipe too each line must be there when it is told.
        sys.stdout.reconfigure(line_buffering=True)
    stop_box = StopWhenDone(args)
    with stop_box.told_if_cut_off():
        snapshot = asyncio.run(_watch(args))
    if args.json and not args.follow:
        from clinasr_tui.training.run_document import to_json

        print_json("watch", to_json(snapshot))
    if not stop_box.after(snapshot.outcome):
        return ExitCode.REMOTE
    return ExitCode.OK if snapshot.outcome in (Outcome.FINISHED, Outcome.RUNNING) else ExitCode.NO


def _ssh_settings(args: argparse.Namespace) -> SshSettings:
    from clinasr_tui.remote.run_watch import SshSettings

    settings = settings_of(Path.cwd())
    return SshSettings(
        config=args.ssh_config or settings.ssh_config,
        known_hosts=args.known_hosts or settings.known_hosts,
    )


async def _watch(args: argparse.Namespace) -> RunSnapshot:
    """Follow the run; a first contact is trusted only if `--trust` names its very fingerprint."""
    ssh = _ssh_settings(args)
    try:
        return await _follow(args, ssh)
    except HostKeyError as error:
        if error.changed:
            raise
        if args.trust != error.fingerprint:
            error.remedy = (
                "It is not the one --trust names: nothing was remembered"
                if args.trust
                else f"{(error.remedy or '').rstrip('.')} with --trust {error.fingerprint}"
            )
            raise
        from clinasr_tui.remote.trust import remember

        remember(error, ssh.known_hosts)
        note(f"{args.host}: key {error.fingerprint} confirmed by --trust and remembered")
    return await _follow(args, ssh)


async def _follow(args: argparse.Namespace, ssh: SshSettings) -> RunSnapshot:
    from clinasr_tui.remote.run_watch import RunWatch

    watch = RunWatch(args.run_dir, host=args.host, mirror=args.mirror, ssh=ssh)
    if args.host is None:
        watch.reader.expect(_record(args.run_dir))
    teller = _teller(args)
    try:
        async with aclosing(watch.updates(once=args.once)) as updates, aclosing(_or_time(updates)) as news:
            gone_since: float | None = None
            async for update in news:
                teller.update(watch, update)
                silent = update is None or not update.lines
                gone_since = (gone_since or time.monotonic()) if silent and _has_gone(watch) else None
                if gone_since is not None and time.monotonic() - gone_since > _GONE_FOR_GOOD:
                    break
    except asyncio.CancelledError:
        note("watching has ended; the run itself goes on")
        raise
    snapshot = watch.reader.snapshot(watch.heard_at)
    teller.end(snapshot)
    return snapshot


def _has_gone(watch: RunWatch) -> bool:
    """True if the run's process has gone without a word; a scheduler may start it anew, but soon."""
    snapshot = watch.reader.snapshot(watch.heard_at)
    return snapshot.outcome is Outcome.UNKNOWN and any(alert.id == "crashed" for alert in snapshot.health)


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

    folder = Path(run_dir).expanduser().absolute()
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
