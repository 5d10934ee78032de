"""Follow a transcription over one connection until its exit record is there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import RemoteError
from clinasr_tui.nemo_side import NEMO_INSTALL
from clinasr_tui.remote.contact import RunContact
from clinasr_tui.text import visible
from clinasr_tui.training.log_lines import LogLines
from clinasr_tui.training.run_reader import RunReader

if TYPE_CHECKING:
    from clinasr_tui.evaluation.told import Reading
    from clinasr_tui.launch.flow import Progress
    from clinasr_tui.remote.host import Host
    from clinasr_tui.remote.mirror import Mirror

_LOOK_SECONDS = 0.5
QUIET_SECONDS = 20.0
"""Silence after which it is asked whether the transcription still lives."""
_EXIT, _ERRORS = "exit.json", "stderr.log"
_TAIL = 1 << 14
_KILLED = 137


async def follow(
    host: Host,
    run_dir: str,
    mirror: Mirror,
    reading: Reading,
    tell: Callable[[Progress], bool],
    *,
    before: bytes = b"",
    is_gone: Callable[[], Awaitable[bool]] | None = None,
) -> bool:
    """Follow until the exit record is there (True); without `is_gone` only read what is there.

    One follower on the host sends what is new; nothing is asked anew while it speaks. `before` is the exit
    record of an earlier start, which does not count. `is_gone` is asked after some silence, and True ends
    following (False). Raises UnreachableError if contact is lost, InterruptedError if `tell` returns False.
    """
    # The reader takes what a training run would tell; here only the mirrored bytes matter.
    contact = RunContact(run_dir, mirror, RunReader("evaluation"), local=False)
    inbox = contact.inbox
    pump = asyncio.create_task(contact.pump(host, once=is_gone is None))
    pump.add_done_callback(lambda _: inbox.news.set())
    heard = time.monotonic()
    try:
        while not pump.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await inbox.news.wait()
            inbox.news.clear()
            inbox.lines = LogLines()
            inbox.taken.set()
            if reading.take(mirror):
                heard = time.monotonic()
            if not tell(reading.told.progress):
                raise InterruptedError("following was cancelled")
            if is_gone is None or not inbox.caught_up or contact.is_behind:
                continue
            if has_ended(mirror, before):
                return True
            if time.monotonic() - heard > QUIET_SECONDS:
                heard = time.monotonic()
                if await is_gone():
                    return False
        pump.result()
        reading.take(mirror)
        return has_ended(mirror, before)
    finally:
        pump.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pump


def has_ended(mirror: Mirror, before: bytes) -> bool:
    """True if there is an exit record of the last start."""
    content = mirror.content(_EXIT)
    return bool(content) and content != before and _EXIT not in mirror.doubted and bool(exit_record(mirror))


def exit_record(mirror: Mirror) -> dict[str, Any]:
    """The exit record as mirrored; {} while there is none or not all of it."""
    try:
        found = json.loads(mirror.content(_EXIT))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def failure(mirror: Mirror, refused: str, where: str) -> RemoteError:
    """Why a transcription that has ended is not complete."""
    left = exit_record(mirror)
    last = _last_error(mirror)
    again = "The next start goes on with the next row."
    if refused:
        mend = f"Mend that first. {again}"
        return RemoteError(f"the transcription was refused: {refused}", where=where, remedy=mend)
    if left.get("asked"):
        what = f"the transcription was stopped ({visible(str(left['asked']))})"
        return RemoteError(what, where=where, remedy=again)
    if left.get("oom") or left.get("exit_code") == _KILLED:
        known = "the machine's memory was full"
        guess = f"SIGKILL, which most often means that {known}"
        what = f"the transcription was killed: {known if left.get('oom') else guess}"
        return RemoteError(
            what, where=where, remedy=f"{again[:-1]}, best with a smaller batch size (--batch-size)."
        )
    if "No module named" in last:
        remedy = (
            "Name the Python that has NeMo (Python in the settings, --python), or install it: " + NEMO_INSTALL
        )
        return RemoteError(f"NeMo cannot be used there: {last}", where=where, remedy=remedy)
    if not left or left.get("gone") is True:
        said = f", the last it said: {visible(str(left['reason']))}" if left.get("reason") else ""
        return RemoteError(f"the transcription has gone without a word{said}", where=where, remedy=again)
    code = visible(str(left.get("exit_code")))
    return RemoteError(
        f"the transcription failed (exit code {code}): {last or 'it said nothing'}", where=where
    )


def _last_error(mirror: Mirror) -> str:
    """The last line of standard error."""
    size = mirror.size(_ERRORS)
    if not size:
        return ""
    start = max(0, size - _TAIL)
    tail = mirror.read(mirror.name(_ERRORS), start, size - start).decode("utf-8", "replace")
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return visible(lines[-1])[:300] if lines else ""
