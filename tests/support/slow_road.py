"""A TCP proxy of the test's own between a client and a server: it can stall, lose or cut what passes."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Road:
    """`async with Road(port) as road:` listens on `road.port`; bytes pass while `road.open` is set."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.open = asyncio.Event()
        self.open.set()
        self.passed = 0
        self.port = 0

    async def __aenter__(self) -> Road:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task

    def stall(self) -> None:
        """From now on nothing passes, and nobody is told: a network that has gone."""
        self.open.clear()

    def lose(self) -> None:
        """Forget the connections there are without telling either end; new ones pass."""
        for task in self._tasks:
            task.cancel()
        self.open.set()

    def cut(self) -> None:
        """Reset the connections there are."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, there_writer]
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                await self.open.wait()
                sink.write(data)
                await sink.drain()
                self.passed += len(data)
            sink.write_eof()
