"""One contact with a run: start the follower, mirror what it sends and feed the reader."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clinasr_tui.errors import ClinasrError, InputError, RemoteError
from clinasr_tui.remote import (
    followed,
    follower,
    follower_io,
    frames,
    gpu_loop,
    slurm_ask,
    slurm_loop,
    writer_watch,
)
from clinasr_tui.remote.backlog import feed
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.mirror import LOCK, safe_path
from clinasr_tui.remote.scripts import start_script
from clinasr_tui.text import visible
from clinasr_tui.training.gpu import LIVE_COLUMNS
from clinasr_tui.training.layout import GPU_LIVE, LIVE_FILES, SLURM_LIVE, WATCHED_PATTERNS, WRITERS_LIVE
from clinasr_tui.training.run_reader import LogLines

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinasr_tui.remote.host import Host, Process
    from clinasr_tui.remote.mirror import Mirror
    from clinasr_tui.training.run_reader import RunReader

_COMMAND_NOT_FOUND = 127
_SILENCE = 15.0  # seconds; the follower speaks every two
_MOST_LINES = 200_000  # kept for a reader of updates who is slow
_AT_ONCE = 1 << 16  # bytes; what a running run writes is read as it comes
_PAUSE = 0.005  # seconds without a byte: time to read
_READ_EVERY = 0.1  # seconds, however fast the bytes come
# These act on the reader or say that all has been read. So may a file that starts over.
_AFTER_ALL_READ = (frames.FileFrame, frames.Record, frames.CaughtUp, frames.End)
_LEASE = 30.0  # seconds without a word from us after which the follower ends
_LOOK_FOR_WRITERS = 4.0  # seconds
_SCRIPT = (follower_io, followed, gpu_loop, writer_watch, slurm_ask, slurm_loop, follower)


@dataclass(slots=True)
class Inbox:
    """What has come since the last update."""

    lines: LogLines = field(default_factory=LogLines)
    notes: list[str] = field(default_factory=list)
    fresh: bool = False
    """Something came that no update has told yet: lines, notes, scalars, a change of state."""
    greeted: bool = False
    caught_up: bool = False
    ended: bool = False
    """The follower has sent all it was asked for."""
    last_write: float = 0.0
    """time.monotonic() of when the newest byte was written on the host."""
    judged: float = -1.0
    """`last_write` for which `over` and `has_exit_code` were judged."""
    over: bool = False
    has_exit_code: bool = False
    heard_at: float | None = None
    """Unix seconds of when the follower last said anything."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    """The lines have been told."""


class RunContact:
    """Feeds one run's mirror and reader from one follower.

    `local` says that the folder is on this machine, so that a missing one is the operator's slip.
    """

    def __init__(self, run_dir: str, mirror: Mirror, reader: RunReader, *, local: bool) -> None:
        self._run_dir = run_dir
        self._mirror = mirror
        self._reader = reader
        self._local = local
        self._backlog = mirror.backlog
        self._read_at = time.monotonic()
        self._paths: dict[int, str] = {}
        self.inbox = Inbox()

    @property
    def is_behind(self) -> bool:
        """True while bytes are mirrored that the reader has not had yet."""
        return bool(self._backlog)

    async def pump(self, host: Host, *, once: bool) -> None:
        """Run the follower on `host` until it ends, filling the inbox.

        Raises UnreachableError if contact is lost, RemoteError or InputError where retrying cannot help.
        """
        process = await start_script(host, _SCRIPT, self._request(once))
        beating = asyncio.create_task(_beat(process))
        try:
            decoder = frames.FrameDecoder(host.name)
            while not self.inbox.ended:
                chunk = await self._next_chunk(host, process)
                if not chunk:
                    raise await self._ended_early(host, process)
                self.inbox.heard_at = self._reader.heard_at = time.time()
                for frame in decoder.feed(chunk):
                    if isinstance(frame, _AFTER_ALL_READ):
                        await self._read_all()
                    self._take(frame, host)
                self.inbox.news.set()
                # Bulk data is always ready; the screen must have its turn too.
                await asyncio.sleep(0)
        except ClinasrError:
            await self._read_all()
            raise
        finally:
            beating.cancel()
            await process.close()

    async def _next_chunk(self, host: Host, process: Process) -> bytes:
        """What the follower says next; what is mirrored is read while it is silent, and now and then."""
        coming = asyncio.ensure_future(process.read())
        try:
            while self._backlog and not coming.done():
                if time.monotonic() - self._read_at < _READ_EVERY:
                    await asyncio.wait((coming,), timeout=_PAUSE)
                if not coming.done() or time.monotonic() - self._read_at >= _READ_EVERY:
                    await self._read_slice()
            async with asyncio.timeout(_SILENCE):
                return await coming
        except TimeoutError:
            what = f"the follower has said nothing for {_SILENCE:g} s"
            raise UnreachableError(what, where=host.name) from None
        finally:
            if not coming.cancel() and not coming.cancelled():
                coming.exception()  # else the loop would complain that nobody looked

    async def _read_slice(self) -> None:
        """Read a little of what is mirrored."""
        path = self._backlog.path
        before = self._reader.damaged(path)
        self.inbox.lines.take(self._backlog.read(self._mirror.read, self._reader))
        self._tell_damage(path, before)
        self.inbox.fresh = True
        self.inbox.news.set()
        await asyncio.sleep(0)
        if len(self.inbox.lines) > _MOST_LINES:
            self.inbox.taken.clear()
            await self.inbox.taken.wait()
        self._read_at = time.monotonic()

    async def _read_all(self) -> None:
        """Read all that is mirrored."""
        while self._backlog:
            await self._read_slice()

    def _request(self, once: bool) -> dict[str, object]:
        """What the follower is asked for."""
        return {
            "dir": self._run_dir,
            "patterns": WATCHED_PATTERNS,
            "mirror": LOCK,
            "have": self._mirror.have(),
            "once": once,
            "interval": 0.05,
            "lease": _LEASE,
            "gpu": {"file": GPU_LIVE, "columns": LIVE_COLUMNS},
            "writers": {"file": WRITERS_LIVE, "every": _LOOK_FOR_WRITERS},
            "slurm": {"file": SLURM_LIVE},
        }

    async def _ended_early(self, host: Host, process: Process) -> RemoteError:
        """Why standard output ended before the follower said so."""
        try:
            async with asyncio.timeout(_SILENCE):
                code, stderr = await process.wait()
        except TimeoutError:
            return UnreachableError("the follower has closed its output", where=host.name)
        last = visible(stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
        if code == _COMMAND_NOT_FOUND or (not self.inbox.greeted and "not found" in last):
            return RemoteError(
                f"there is no {host.python} to read the run folder with",
                where=host.name,
                remedy="Install Python 3.6 or newer there (apt-get install python3), then watch again.",
            )
        if self.inbox.greeted or code is None:
            return UnreachableError(f"the follower ended{': ' if last else ''}{last}", where=host.name)
        return RemoteError(
            f"the follower did not start (exit code {code}): {last or 'it said nothing'}",
            where=host.name,
            remedy="Check that the account may run commands and that its python3 works.",
        )

    def _take(self, frame: frames.Frame, host: Host) -> None:
        """Act on one frame."""
        self.inbox.fresh = self.inbox.fresh or not isinstance(frame, frames.Beat)
        match frame:
            case frames.DataFrame():
                self._data(frame)
            case frames.FileFrame():
                self._file(frame, host)
            case frames.Record(number, stale):
                self._record(number, stale)
            case frames.Hello():
                self.inbox.greeted = True
            case frames.CaughtUp():
                self.inbox.caught_up = True
                self.inbox.lines.take(placed(self._reader.settle(), self._mirror.name))
            case frames.End():
                self.inbox.ended = True
            case frames.Note(message):
                self.inbox.notes.append(visible(message))
            case frames.Failure(why, message):
                raise self._failure(why, message, host)
            case frames.Beat():
                pass

    def _failure(self, why: str, message: str, host: Host) -> RemoteError | InputError:
        what = f"the run folder {visible(message)}"
        remedy = "Check the path; a run has its console and event files there."
        if why != "folder":
            return RemoteError(visible(message), where=host.name)
        if self._local:
            return InputError(what, where=self._run_dir, remedy=remedy)
        return RemoteError(what, where=f"{host.name}:{self._run_dir}", remedy=remedy)

    def _file(self, frame: frames.FileFrame, host: Host) -> None:
        """A file's bytes are going to come: after ours, or from the beginning."""
        path = frame.path
        if not safe_path(path):
            self._paths.pop(frame.number, None)
            self.inbox.notes.append(f"a file with an odd name is not followed: {visible(path)}")
            return
        self._paths[frame.number] = path
        here = self._mirror.size(path)
        if frame.offset == here and not frame.why:
            self._mirror.begin(path, frame.identity)
        elif frame.offset == 0:
            self._mirror.start_over(path, frame.identity)
            self._mirror.doubted.discard(path)
            self._reader.reset(path)
            self.inbox.notes.append(f"{path} was {frame.why or 'replaced'} on the host: it starts over here")
        else:
            raise RemoteError(f"{path} goes on at {frame.offset}, but {here} bytes are here", where=host.name)

    def _record(self, number: int, stale: bool) -> None:
        """An exit record belongs to an earlier start of the run, or after all to the last one."""
        path = self._paths.get(number)
        if path is None or stale is (path in self._mirror.doubted):
            return
        self.inbox.judged = -1.0
        if stale:
            self._mirror.doubted.add(path)
            self._reader.reset(path)
            self.inbox.notes.append(f"{path} is older than what the run wrote since: it does not count")
        else:
            self._mirror.doubted.discard(path)
            self._reader.feed(path, self._mirror.content(path))

    def _data(self, frame: frames.DataFrame) -> None:
        """New bytes: mirror first, so that a line never points at bytes that are not there."""
        path = self._paths.get(frame.number)
        if path is None:
            return
        if frame.offset != self._mirror.size(path):
            raise RemoteError(f"bytes of {path} are missing before {frame.offset}", where="follower")
        self._mirror.append(path, frame.data)
        if path not in LIVE_FILES:  # The others are not the run's own: they say nothing of its writing.
            self.inbox.last_write = max(self.inbox.last_write, time.monotonic() - frame.age)
        elif path == SLURM_LIVE:
            self.inbox.judged = -1.0
        name, at = self._mirror.name(path), time.time() - frame.age
        if self._backlog or len(frame.data) > _AT_ONCE:
            self._backlog.add(path, name, frame.offset, frame.offset + len(frame.data), at)
        else:
            before = self._reader.damaged(path)
            self.inbox.lines.take(feed(self._reader, path, name, frame.data, at))
            self._tell_damage(path, before)

    def _tell_damage(self, path: str, before: int) -> None:
        """Say that a checksum was wrong: points are missing from the curve, and not by the run's doing."""
        more = self._reader.damaged(path) - before
        if more:
            what = "1 record or stretch was" if more == 1 else f"{more} records or stretches were"
            self.inbox.notes.append(f"{path} is damaged: {what} skipped, the points around it are kept")


async def _beat(process: Process) -> None:
    """Tell the follower now and then that it is still wanted."""
    with contextlib.suppress(RemoteError):
        while True:
            await asyncio.sleep(_LEASE / 6)
            await process.write(b"\n")


def placed(lines: LogLines, name_of: Callable[[str], str]) -> LogLines:
    """The lines with the mirror's names for their files."""
    return lines.renamed({batch.file: name_of(batch.file) for batch in lines.batches})
