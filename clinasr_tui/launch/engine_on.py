"""A host's Docker engine, opened without holding up the event loop that carries its socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.launch.docker_engine import Engine
    from clinasr_tui.remote.host import Host


@asynccontextmanager
async def engine_on(host: Host, socket: str) -> AsyncIterator[Engine]:
    """The engine at `socket` of an entered host; its methods block and belong into threads."""
    from clinasr_tui.launch.docker_engine import Engine

    async with host.local_socket(socket) as local:
        engine = Engine(local, host.name)
        await asyncio.to_thread(engine.open)
        try:
            yield engine
        finally:
            await asyncio.to_thread(engine.close)
