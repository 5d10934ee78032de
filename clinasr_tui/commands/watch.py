"""`watch`: follow a run folder, here or on a host, as a plain story or one JSON document."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.commands.output import add_json, note, print_json, print_lines
from clinasr_tui.commands.sources import settings_of
from clinasr_tui.errors import ExitCode, HostKeyError
from clinasr_tui.training.snapshot import Level, Outcome, RunSnapshot

if TYPE_CHECKING:
    from clinasr_tui.remote.run_watch import RunWatch, SshSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `watch`."""
    parser.add_argument("run_dir", metavar="RUN", help="the run folder (on the host, with --host)")
    parser.add_argument("--host", metavar="HOST", help="a host of the ssh config; default: this machine")
    parser.add_argument("--once", action="store_true", help="read what is there and end")
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
    snapshot = asyncio.run(_watch(args))
    if args.json:
        from clinasr_tui.training.run_reader import to_json

        print_json("watch", to_json(snapshot))
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
    story = _Story(quiet=args.json)
    async for update in watch.updates(once=args.once):
        if update.note:
            note(update.note)
        if not args.once:
            story.tell(watch, time.time())
    snapshot = watch.reader.snapshot()
    story.end(snapshot)
    return snapshot


class _Story:
    """Tells what changed, one plain line each, for logs and CI."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._state: tuple[object, ...] = ()
        self._alerts: set[str] = set()

    def tell(self, watch: RunWatch, now: float) -> None:
        """A line for each new phase, epoch, validation and health alert."""
        if self._quiet:
            return
        snapshot = watch.reader.snapshot(now)
        state = (snapshot.phase, snapshot.epoch, snapshot.val_wer)
        if state != self._state:
            self._state = state
            print_lines([snapshot.headline])
        self._alert(snapshot)

    def _alert(self, snapshot: RunSnapshot) -> None:
        for alert in snapshot.health:
            if alert.id not in self._alerts:
                self._alerts.add(alert.id)
                mark = "✖" if alert.severity is Level.ERROR else "!"
                print_lines([f"{mark} {alert.id}: {alert.message}", f"  {alert.remedy}"])

    def end(self, snapshot: RunSnapshot) -> None:
        """The last line: the outcome."""
        if not self._quiet:
            self._alert(snapshot)
            print_lines([snapshot.headline])
