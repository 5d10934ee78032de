"""Scripts of the standard library that are sent to a host's Python and run there, never installed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host, Process

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
