"""This machine as a host."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

from clinasr_tui.errors import RemoteError
from clinasr_tui.remote.host import STDERR_KEPT, UnreachableError

_GRACE = 2.0  # seconds for a command to end after its standard input has


class LocalProcess:
    """A child process with byte streams."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        self._child = child
        self._stdin, self._stdout = child.stdin, child.stdout
        self._stderr = asyncio.create_task(_last_bytes(child.stderr))

    async def read(self, n: int = 1 << 18) -> bytes:
        """Up to `n` bytes of standard output; b"" at its end."""
        return await self._stdout.read(n)

    async def write(self, data: bytes) -> None:
        """Write to standard input; raises UnreachableError if the command has ended."""
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise UnreachableError(
                "the command ended before it was asked anything", where="this machine"
            ) from error

    async def wait(self) -> tuple[int | None, bytes]:
        """Exit code (None if killed by a signal) and the last of standard error."""
        code = await self._child.wait()
        return (None if code < 0 else code), await self._stderr

    async def close(self) -> None:
        """Close standard input, then end the command if it does not end by itself."""
        self._stdin.close()
        try:
            async with asyncio.timeout(_GRACE):
                await self._drain()
        except TimeoutError:
            await self.kill()
        await self._stderr

    async def kill(self) -> None:
        """End the command at once."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._drain()

    async def _drain(self) -> None:
        """Read on until the command has ended: one that blocks on a full pipe could not end."""
        while await self._stdout.read(1 << 18):
            pass
        await self._child.wait()


class LocalHost:
    """Commands run as children of this process."""

    name = "this machine"
    python = sys.executable

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def start(self, argv: Sequence[str]) -> LocalProcess:
        """Start a command, out of reach of the terminal's Ctrl-C.

        A cancel waits until it runs and ends it: asyncio's own start of a child, cancelled half-way, leaves
        pipes open and the child unreaped.
        """
        starting = asyncio.create_task(self._spawn(argv))
        cancelled = await _outlast(starting)
        if cancelled and starting.exception() is None:
            await _outlast(asyncio.create_task(starting.result().kill()))
        if cancelled:
            raise asyncio.CancelledError
        return starting.result()

    async def _spawn(self, argv: Sequence[str]) -> LocalProcess:
        pipe = asyncio.subprocess.PIPE
        try:
            child = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 20, start_new_session=True
            )
        except OSError as error:
            raise RemoteError(f"cannot start {argv[0]}: {error.strerror}", where=self.name) from error
        return LocalProcess(child)

    @contextlib.asynccontextmanager
    async def local_socket(self, path: str) -> AsyncIterator[str]:
        """The socket itself."""
        yield path


async def _outlast(task: asyncio.Task[Any]) -> bool:
    """Wait until `task` is done, however often this is cancelled meanwhile; True if it was."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled


async def _last_bytes(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, keep the last 64 KiB."""
    kept = b""
    while chunk := await stream.read(STDERR_KEPT):
        kept = (kept + chunk)[-STDERR_KEPT:]
    return kept
