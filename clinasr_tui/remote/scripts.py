"""Scripts of the standard library that are sent to a host's Python and run there, never installed."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from clinasr_tui.errors import RemoteError
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host, Process

_MOST = 1 << 22
# Reads the script's length and the script; free of anything a login shell could take for its own.
_BOOT = "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"


async def start_script(host: Host, modules: Sequence[ModuleType], request: Mapping[str, object]) -> Process:
    """Run the modules' source, in order, as one script on `host`.

    Its standard input then holds the request as one line of JSON, and whatever the caller writes.
    """
    process = await host.start([host.python, "-I", "-S", "-u", "-c", _BOOT])
    script = "".join(inspect.getsource(module) for module in modules).encode()
    try:
        await process.write(b"%d\n%s%s\n" % (len(script), script, json.dumps(request).encode()))
    except BaseException:
        await process.close()
        raise
    return process


async def succeeds(host: Host, argv: Sequence[str]) -> bool:
    """True if a command on an entered host exits with 0. Raises UnreachableError if it is cut off."""
    process = await host.start(argv)
    try:
        code, _ = await process.wait()
    finally:
        await process.close()
    if code is None:
        raise UnreachableError(f"{argv[0]} was cut off", where=host.name)
    return code == 0


async def ask(
    host: Host, modules: Sequence[ModuleType], request: Mapping[str, object], kind: str, seconds: float
) -> dict[str, object]:
    """Run a script that answers with one JSON line whose "t" is `kind`, and return the answer.

    Raises RemoteError if there is no such answer within `seconds`.
    """
    process = await start_script(host, modules, request)
    said = b""
    try:
        async with asyncio.timeout(seconds):
            while len(said) < _MOST and (chunk := await process.read()):
                said += chunk
            code, stderr = await process.wait()
    except TimeoutError:
        raise RemoteError(f"the machine has not answered for {seconds:g} s", where=host.name) from None
    finally:
        await process.close()
    for line in said.splitlines():
        # A login shell may greet first.
        with suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict) and answer.get("t") == kind:
                return answer
    last = visible(stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
    raise RemoteError(
        f"the machine cannot be asked (exit code {code}): {last or 'it said nothing'}",
        where=host.name,
        remedy="Check that the account may run commands and that python3 works there.",
    )
