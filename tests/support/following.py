"""Iterate a RunWatch in the background and look at what it has told so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.remote.run_watch import Contact, RunWatch, WatchUpdate


class Following:
    """`async with Following(watch) as told:` then `await told.until(...)`."""

    def __init__(self, watch: RunWatch) -> None:
        self.watch = watch
        self.updates: list[WatchUpdate] = []
        self.times: list[float] = []
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Following:
        self.task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self.task

    async def _run(self) -> None:
        async with aclosing(self.watch.updates()) as updates:
            async for update in updates:
                self.updates.append(update)
                self.times.append(time.monotonic())

    async def until(self, holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        """Wait until something holds; fails at once if following ended with an error."""
        assert self.task is not None
        limit = time.monotonic() + seconds
        while not holds():
            if self.task.done() and (error := self.task.exception()):
                raise error
            assert time.monotonic() < limit, f"not in {seconds} s: {what}; told {self.updates[-3:]}"
            await asyncio.sleep(0.01)

    async def caught_up(self) -> None:
        """Wait until everything that was there has been read."""
        await self.until(lambda: any(update.caught_up for update in self.updates), "caught up")

    @property
    def contact(self) -> Contact | None:
        """The last told state of the connection."""
        return self.updates[-1].contact if self.updates else None

    @property
    def notes(self) -> str:
        """All notes so far."""
        return "\n".join(update.note for update in self.updates if update.note)

    @property
    def count(self) -> int:
        """How many lines have been told."""
        return sum(len(update.lines) for update in self.updates)

    @property
    def texts(self) -> list[str]:
        """The text of every line told, read where the line says it stands."""
        files: dict[str, bytes] = {}
        lines = [line for update in self.updates for line in update.lines]
        for file in {line.file for line in lines}:
            files[file] = self.watch.mirror_path(file).read_bytes()
        return [files[line.file][line.offset : line.offset + line.length].decode() for line in lines]


def nemo(text: str) -> bytes:
    """A line as NeMo logs it."""
    return f"[NeMo I 2026-11-22 17:03:20 nemo_logging:393] {text}\n".encode()


def append(path: Path, data: bytes) -> None:
    """Write at the end of a file, which is made with its folder if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)
