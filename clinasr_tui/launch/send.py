"""Send files to a host: only what is not there yet, going on where an attempt was cut off, each checked."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.launch import receiver
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.scripts import start_script
from clinasr_tui.text import size_text, visible

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host, Process

_CHUNK = 1 << 18
_HASHED = 1 << 20
_SILENCE = 60.0
"""Seconds without a word from the receiver, which speaks every one, after which contact is lost."""
_SPARE = 256 << 20
"""Bytes that are to stay free on the host's disk: what is sent is for a run, which writes, too."""


class Item(NamedTuple):
    """A file to send: its relative path on the host, and its content (a file here, or bytes)."""

    path: str
    source: Path | bytes
    like: Callable[[str], str] | None = None
    """From its SHA-256 to another path there, under which the same content may lie already."""


@dataclass(slots=True)
class Sent:
    """How far sending is, and at the end what was done. Bytes count content, not what goes around it."""

    files: int = 0
    """Files to send: those the host lacks."""
    there: int = 0
    """Files that are there already."""
    bytes: int = 0
    """Bytes to send."""
    done_files: int = 0
    done_bytes: int = 0


Tell = Callable[[Sent], bool]
"""Is told how far it is; returns False to cancel."""


class _Announced(NamedTuple):
    item: Item
    size: int
    digest: str

    @property
    def like(self) -> str:
        """Where the same content may lie there; "" for nowhere else."""
        return self.item.like(self.digest) if self.item.like is not None else ""


async def send(
    host: Host, root: str, items: Sequence[Item], tell: Tell | None = None, *, spare: int | None = None
) -> Sent:
    """Make `items` stand under the folder `root` of an entered host.

    `spare` bytes are to stay free on its disk; None is what a run wants at least.
    Each file is written beside its place and renamed once its SHA-256 is right. Raises UnreachableError if
    contact is lost (send again to go on), RemoteError for what the host cannot do, InputError for a file
    that cannot be read here or changes meanwhile, InterruptedError if `tell` returns False.
    """
    announced = await asyncio.to_thread(lambda: [_announce(item) for item in items])
    sent = Sent(there=len(announced))
    files = [(one.item.path, one.size, one.digest, one.like) for one in announced]
    request = {"root": root, "files": files}
    process = await start_script(host, (receiver,), request)
    try:
        answers = _answers(host, process)
        keeps = _SPARE if spare is None else spare
        needed = await _plan(host, root, answers, announced, sent, keeps)
        reader = asyncio.create_task(_confirmations(host, answers, announced, len(needed), sent))
        try:
            await _pour(process, announced, needed, sent, tell)
        except UnreachableError:
            # The receiver may have said why before it ended.
            with suppress(UnreachableError):
                await reader
            raise
        else:
            await reader
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError, RemoteError, InputError):
                await reader
    finally:
        await process.close()
    _told(tell, sent)
    return sent


def _announce(item: Item) -> _Announced:
    digest, size = hashlib.sha256(), 0
    with _opened(item) as stream:
        while chunk := stream.read(_HASHED):
            digest.update(chunk)
            size += len(chunk)
    return _Announced(item, size, digest.hexdigest())


def _opened(item: Item) -> BinaryIO:
    if isinstance(item.source, bytes):
        return BytesIO(item.source)
    try:
        return item.source.open("rb")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(item.source)) from error


async def _answers(host: Host, process: Process) -> AsyncIterator[dict[str, object]]:
    """The receiver's lines. Raises RemoteError for the trouble it tells."""
    rest = b""
    while True:
        try:
            async with asyncio.timeout(_SILENCE):
                chunk = await process.read()
        except TimeoutError:
            what = f"the host has said nothing for {_SILENCE:g} s"
            raise UnreachableError(what, where=host.name) from None
        if not chunk:
            code, stderr = await process.wait()
            last = visible(stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
            if code in (None, 0, 255):
                raise UnreachableError(f"sending was cut off{': ' if last else ''}{last}", where=host.name)
            what = f"files cannot be received (exit code {code}): {last}"
            raise RemoteError(what, where=host.name, remedy="Check that the account's python3 works.")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            answer = _parsed(line)
            if answer.get("t") == "error":
                raise _trouble(host, answer)
            yield answer


def _parsed(line: bytes) -> dict[str, object]:
    """A line of the receiver; anything else (a login shell's greeting) means nothing."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _trouble(host: Host, answer: dict[str, object]) -> RemoteError:
    what = visible(str(answer.get("message")))
    if answer.get("why") == "full":
        return RemoteError(
            f"its disk is full ({what})", where=host.name, remedy="Make room, then send again."
        )
    return RemoteError(f"files cannot be written there: {what}", where=host.name)


async def _plan(
    host: Host,
    root: str,
    answers: AsyncIterator[dict[str, object]],
    announced: Sequence[_Announced],
    sent: Sent,
    spare: int,
) -> list[tuple[int, int]]:
    """What the host lacks: (index, offset) pairs. Raises RemoteError if it has no room for it and `spare`."""
    needed: list[tuple[int, int]] = []
    async for answer in answers:
        if answer.get("t") == "need":
            index, offset = _number(answer, "i"), _number(answer, "offset")
            needed.append((index, offset))
            sent.bytes += announced[index].size - offset
        elif answer.get("t") == "plan":
            break
    free = _number(answer, "free")
    if needed and sent.bytes + spare > free:
        keeping = f" and {size_text(spare)} to stay free" if spare else ""
        raise RemoteError(
            f"{size_text(sent.bytes)} are to be sent{keeping}, its disk has {size_text(free)} left",
            where=f"{host.name}:{root}",
            remedy="Make room there, or choose a folder on a larger disk.",
        )
    sent.files, sent.there = len(needed), sent.there - len(needed)
    return needed


def _number(answer: dict[str, object], key: str) -> int:
    value = answer.get(key)
    return value if isinstance(value, int) else 0


async def _pour(
    process: Process,
    announced: Sequence[_Announced],
    needed: Sequence[tuple[int, int]],
    sent: Sent,
    tell: Tell | None,
) -> None:
    """Write the pieces, and the empty line that ends them."""
    for index, offset in needed:
        one = announced[index]
        lacking = one.size - offset
        with _opened(one.item) as stream:
            stream.seek(offset)
            for piece in _pieces(stream, lacking):
                await process.write(b'{"i":%d,"n":%d}\n%s' % (index, len(piece), piece))
                sent.done_bytes += len(piece)
                lacking -= len(piece)
                _told(tell, sent)
        if lacking:
            raise _changed(one)
    await process.write(b"\n")


def _pieces(stream: BinaryIO, lacking: int) -> Iterator[bytes]:
    """The next bytes in pieces; one empty piece where nothing is lacking."""
    if not lacking:
        yield b""
    while lacking and (piece := stream.read(min(_CHUNK, lacking))):
        yield piece
        lacking -= len(piece)


def _told(tell: Tell | None, sent: Sent) -> None:
    if tell is not None and not tell(sent):
        raise InterruptedError(f"sending was cancelled after {sent.done_bytes / 1e6:.1f} MB")


async def _confirmations(
    host: Host,
    answers: AsyncIterator[dict[str, object]],
    announced: Sequence[_Announced],
    expected: int,
    sent: Sent,
) -> None:
    """Count the files that have arrived, until the receiver has said that it is done."""
    async for answer in answers:
        if answer.get("t") == "done":
            sent.done_files += 1
        elif answer.get("t") == "bad":
            raise _changed(announced[_number(answer, "i")])
        elif answer.get("t") == "end":
            break
    if sent.done_files != expected:
        raise UnreachableError(f"{sent.done_files} of {expected} files have arrived", where=host.name)


def _changed(one: _Announced) -> InputError:
    where = one.item.path if isinstance(one.item.source, bytes) else os.fspath(one.item.source)
    return InputError("it changed while it was sent", where=where, remedy="Send it again once it is whole.")
