"""Follow a run folder, local or remote, with the same code: mirror its bytes and read the run.

One follower process on the host sends the bytes of every file of interest, framed; they are
appended to the local mirror and fed to the RunReader. Losing the connection loses nothing:
the next follower is asked for the bytes after the last mirrored one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from clinasr_tui.remote.backlog import feed
from clinasr_tui.remote.contact import Inbox, RunContact, placed
from clinasr_tui.remote.host import SshSettings, UnreachableError
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.remote.mirror import Mirror, NoRoomError
from clinasr_tui.text import typed_path
from clinasr_tui.training.run_reader import LogLines, RunReader
from clinasr_tui.training.snapshot import Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from clinasr_tui.training.run_reader import LogLine

__all__ = ["Contact", "RunWatch", "SshSettings", "WatchUpdate"]

_APART = 0.1  # seconds between updates
_QUIET_AFTER_EXIT = 1.0
_QUIET_AFTER_END = 3.0  # without an exit record more may still come
_LAST_WORD = 300.0  # for Slurm's, after the run's own
_JUDGE_EVERY = 0.5
_LONGEST_WAIT = 30
_STEADY = 10.0  # a contact that lasted this long starts the back-off anew
_TICK = 1.0  # seconds
_LOOK_FOR_ROOM = 1.0
_ASLEEP = 5.0  # seconds the wall clock runs ahead of the monotonic one: this machine was asleep


class Contact(StrEnum):
    """State of the connection to the host."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    PAUSED = "paused"
    """This machine's disk is full: nothing is fetched until there is room."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """Something new came: finished log lines and the state of the connection.

    `retry_in` (seconds) counts down to the next attempt while contact is lost; `note` is a line
    to show (a truncated file, a lost connection and why).
    """

    contact: Contact
    lines: Sequence[LogLine] = ()
    retry_in: float | None = None
    note: str = ""
    caught_up: bool = False
    """True once everything that was there at the start has been read."""


class RunWatch:
    """One watched run: a reader that fills while `updates()` is iterated.

    `name` defaults to the run folder's.
    `host` None is this machine. `mirror` is the local folder for the bytes; None keeps the mirror in
    a temporary folder, as does a folder another process is writing to. The mirrored file of a LogLine
    is `mirror_path(line.file)`; lines of a file that started over on the host name `file~2`, `file~3`, …
    """

    def __init__(
        self,
        run_dir: str,
        *,
        host: str | None = None,
        name: str = "",
        mirror: Path | None = None,
        ssh: SshSettings | None = None,
    ) -> None:
        self._host = host
        self._run_dir = run_dir if host is not None else str(typed_path(run_dir).absolute())
        self._ssh = ssh or SshSettings()
        self._mirror_folder = mirror
        self._mirror: Mirror | None = None
        self._reader = RunReader(name or PurePosixPath(self._run_dir).name)
        self._reader.heard_at = 0.0
        self._history: Iterator[tuple[str, str, bytes, float]] = iter(())
        self._caught_up = False
        self._heard_at: float | None = None

    @property
    def heard_at(self) -> float | None:
        """Unix seconds of the last sign of life from the host: up to then its silence is the run's own.

        What `reader.snapshot(now)` wants, so that a lost contact or a laptop's sleep is no stall.
        """
        return self._heard_at

    @property
    def reader(self) -> RunReader:
        """The reader; everything it says is up to the last update."""
        return self._reader

    def mirror_path(self, file: str) -> Path:
        """Local file with the bytes of `file` so far."""
        return self._opened_mirror().folder / file

    def _opened_mirror(self) -> Mirror:
        if self._mirror is None:
            self._mirror = Mirror(self._mirror_folder, f"{self._host or ''}:{self._run_dir}")
            self._history = self._mirror.history()
        return self._mirror

    async def updates(self, *, once: bool = False) -> AsyncGenerator[WatchUpdate]:
        """Yield updates (coalesced, at most about ten a second) until the run has ended or forever.

        `once` reads what is there and ends. Raises HostKeyError for a key the operator has not
        confirmed, RemoteError where retrying cannot help (authentication, refused at first contact,
        no such folder; InputError if the folder is on this machine); a connection lost later, or none to a
        run mirrored before, is retried with back-off and yielded as LOST, unless that run is known to have
        ended. A full disk here is waited out and yielded as PAUSED. After an error it may be iterated again.
        """
        mirror = self._opened_mirror()
        mirror.reopen()
        note = "another process follows this run too; this one keeps its own copy" if mirror.shared else ""
        try:
            yield WatchUpdate(Contact.CONNECTING, note=note)
            for path, name, piece, written in self._history:
                if piece:
                    lines = feed(self._reader, path, name, piece, written)
                    yield WatchUpdate(Contact.CONNECTING, lines=lines)
                    await asyncio.sleep(0)
                else:
                    self._reader.reset(path)
            while mirror.backlog:  # left by an iteration that was broken off
                yield WatchUpdate(Contact.CONNECTING, lines=mirror.backlog.read(mirror.read, self._reader))
                await asyncio.sleep(0)
            async with aclosing(self._contacts(mirror, once)) as contacts:
                async for update in contacts:
                    yield update
            last = placed(self._reader.close(), mirror.name)
            yield WatchUpdate(Contact.CLOSED, last, caught_up=self._caught_up)
        finally:
            mirror.close()

    async def _contacts(self, mirror: Mirror, once: bool) -> AsyncGenerator[WatchUpdate]:
        """One contact after the other until the run has ended."""
        failures, had_contact, told = 0, False, ""
        while True:
            contact = RunContact(self._run_dir, mirror, self._reader, local=self._host is None)
            started = time.monotonic()
            try:
                async with aclosing(self._contact(contact, once)) as updates:
                    async for update in updates:
                        yield update
                return
            except UnreachableError as error:
                had_contact = had_contact or contact.inbox.greeted
                if once or not (had_contact or mirror.have()):
                    raise
                if not had_contact and self._ended_before():
                    yield WatchUpdate(Contact.CONNECTING, note=f"{error} This is what was mirrored before.")
                    return
                told = "" if contact.inbox.greeted else told
                reason = f"contact lost ({error.what}): the run itself goes on"
            except NoRoomError as error:
                had_contact = True
                if once:
                    raise
                async for update in self._no_room(mirror, error):
                    yield update
                continue
            failures = 1 if time.monotonic() - started > _STEADY else failures + 1
            for left in range(min(2 ** (failures - 1), _LONGEST_WAIT), 0, -1):
                note, told = "" if reason == told else reason, reason
                yield WatchUpdate(Contact.LOST, retry_in=float(left), note=note, caught_up=self._caught_up)
                if await _slept_through(_TICK):
                    failures = 0
                    break
            yield WatchUpdate(Contact.CONNECTING, caught_up=self._caught_up)

    def _ended_before(self) -> bool:
        """True if the mirror tells the run's end, so that a host that is gone may well be gone."""
        snapshot = self._reader.snapshot()
        return snapshot.ended and snapshot.exit_code is not None

    async def _no_room(self, mirror: Mirror, error: NoRoomError) -> AsyncGenerator[WatchUpdate]:
        """Say once that the disk is full, wait until it is not."""
        yield WatchUpdate(Contact.PAUSED, note=str(error), caught_up=self._caught_up)
        found = False
        while not found:
            await asyncio.sleep(_LOOK_FOR_ROOM)
            found = await asyncio.to_thread(mirror.has_room)
        note = "there is room again: following goes on"
        yield WatchUpdate(Contact.CONNECTING, note=note, caught_up=self._caught_up)

    async def _contact(self, contact: RunContact, once: bool) -> AsyncGenerator[WatchUpdate]:
        """Follow over one connection, at most ten updates a second; returns when the run has ended."""
        inbox = contact.inbox
        pump = asyncio.create_task(self._pump(contact, once))
        pump.add_done_callback(lambda _: inbox.news.set())
        try:
            while not pump.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_JUDGE_EVERY):
                        await inbox.news.wait()
                inbox.news.clear()
                self._heard_at = inbox.heard_at or self._heard_at
                if inbox.fresh and inbox.greeted:
                    yield self._update(inbox)
                    await asyncio.sleep(_APART)
                elif not once and inbox.caught_up and not contact.is_behind and self._has_ended(inbox):
                    return
            if inbox.fresh and inbox.greeted:
                yield self._update(inbox)
            pump.result()
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await pump

    async def _pump(self, contact: RunContact, once: bool) -> None:
        # The SSH library takes a while to load; the screen goes on meanwhile.
        async with await asyncio.to_thread(open_host, self._host, self._ssh) as host:
            await contact.pump(host, once=once)

    def _update(self, inbox: Inbox) -> WatchUpdate:
        """Tell what has come; the inbox is empty afterwards."""
        self._caught_up = self._caught_up or inbox.caught_up
        update = WatchUpdate(
            Contact.CONNECTED, inbox.lines, note="; ".join(inbox.notes), caught_up=self._caught_up
        )
        inbox.lines = LogLines()
        inbox.taken.set()
        inbox.notes.clear()
        inbox.fresh = False
        return update

    def _has_ended(self, inbox: Inbox) -> bool:
        """True if the run is over and, so far as can be known, nothing more will be written."""
        quiet = time.monotonic() - inbox.last_write
        if quiet < _QUIET_AFTER_EXIT or (inbox.judged == inbox.last_write and not inbox.over):
            return False
        if inbox.judged != inbox.last_write:
            snapshot = self._reader.snapshot()
            inbox.over = snapshot.ended and snapshot.phase in (Phase.FINISHED, Phase.FAILED)
            inbox.has_exit_code = snapshot.exit_code is not None
            # Asked to end, a job may be one that Slurm starts again: it has the last word, if it says one.
            job = snapshot.job if snapshot.outcome is Outcome.INTERRUPTED else None
            if job is not None and job.lives and quiet < _LAST_WORD:
                inbox.over = False
            else:
                inbox.judged = inbox.last_write
        return inbox.over and (inbox.has_exit_code or quiet >= _QUIET_AFTER_END)


async def _slept_through(seconds: float) -> bool:
    """Wait; True if this machine was asleep meanwhile, so that what was tried before says little now."""
    ahead = time.time() - time.monotonic()
    await asyncio.sleep(seconds)
    return time.time() - time.monotonic() - ahead > _ASLEEP
