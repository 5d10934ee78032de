"""Fetch files from a host: each whole and checked or not at all, going on where an attempt was cut off."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.launch import sender
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.scripts import start_script
from clinasr_tui.text import size_text, visible

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host, Process

_SILENCE = 60.0
"""Seconds without a word from the sender, which speaks every one, after which contact is lost."""
_SPARE = 64 << 20
"""Bytes that are to stay free on this disk; for a small file as many as it has."""
_HASHED = 1 << 20
_LONGEST_LINE = 1 << 16


class HostFile(NamedTuple):
    """A file of a host's folder."""

    path: str
    """Relative to the folder."""
    size: int


class Fetching(NamedTuple):
    """How far the fetching of one file is, in bytes."""

    path: str
    done: int
    total: int


Tell = Callable[[Fetching], bool]
"""Is told how far it is; returns False to cancel (InterruptedError)."""


class Folder:
    """A folder of an entered host, asked through one sender; see `open_folder`."""

    def __init__(self, host: Host, process: Process, root: str) -> None:
        self._host, self._process, self._root = host, process, root
        self._rest = b""
        self.files: tuple[HostFile, ...] = ()

    async def digest(self, file: HostFile) -> str:
        """SHA-256 of a file as it is now."""
        await self._command({"hash": file.path})
        return str((await self._answer("hash")).get("sha256"))

    async def fetch(self, file: HostFile, place: Path, tell: Tell | None = None) -> str:
        """Make `place` that file; its SHA-256. What is there with the right content is left as it is.

        Raises UnreachableError if contact is lost (fetch again to go on), RemoteError if the file changes
        meanwhile, InputError if it cannot be written here, InterruptedError if `tell` returns False.
        """
        digest = await self.digest(file)
        if await asyncio.to_thread(holds, place, digest):
            return digest
        part = place.with_name(f".{place.name}.{digest[:12]}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            await self._into(part, file, tell)
            found = await asyncio.to_thread(_sha256, part)
            if found != digest:
                part.unlink()
                raise RemoteError(
                    "it changed while it was fetched",
                    where=f"{self._host.name}:{self._root}/{visible(file.path)}",
                    remedy="Fetch again once the run is over.",
                )
            part.replace(place)
        except OSError as error:
            if isinstance(error, InterruptedError):
                raise
            raise InputError(f"cannot be written ({error.strerror})", where=str(place)) from error
        for stale in place.parent.glob(f".{place.name}.*.part"):
            stale.unlink(missing_ok=True)
        return digest

    async def _into(self, part: Path, file: HostFile, tell: Tell | None) -> None:
        """Append what `part` lacks."""
        done = _begun(part, file)
        await self._command({"send": file.path, "offset": done})
        with part.open("ab") as stream:
            while (answer := await self._answer("piece", "sent")).get("t") == "piece":
                data = await self._bytes(int(answer.get("n", 0)))
                stream.write(data)
                done += len(data)
                if tell is not None and not tell(Fetching(file.path, done, file.size)):
                    raise InterruptedError(f"fetching was cancelled after {done / 1e6:.1f} MB")
            stream.flush()
            os.fsync(stream.fileno())

    async def _command(self, command: dict[str, Any]) -> None:
        await self._process.write(json.dumps(command).encode() + b"\n")

    async def listed(self) -> None:
        """Take the list of files; names that lead out of the folder are left out."""
        found = []
        while (answer := await self._answer("file", "listed")).get("t") == "file":
            path, size = answer.get("path"), answer.get("size")
            if isinstance(path, str) and isinstance(size, int) and _is_plain(path):
                found.append(HostFile(path, size))
        self.files = tuple(found)

    async def _answer(self, *kinds: str) -> dict[str, Any]:
        """The next line of one of these kinds. Raises RemoteError for the trouble the sender tells."""
        while True:
            line = await self._line()
            try:
                answer = json.loads(line)
            except ValueError:
                continue  # a login shell's greeting
            if not isinstance(answer, dict):
                continue
            if answer.get("t") == "error":
                what = visible(str(answer.get("message")))
                raise RemoteError(f"it cannot be fetched: {what}", where=self._host.name)
            if answer.get("t") in kinds:
                return answer

    async def _line(self) -> bytes:
        while b"\n" not in self._rest:
            if len(self._rest) > _LONGEST_LINE:
                raise RemoteError("it answers without end", where=self._host.name)
            self._rest += await self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= sender.CHUNK:
            raise RemoteError("it answers nonsense", where=self._host.name)
        while len(self._rest) < count:
            self._rest += await self._more()
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    async def _more(self) -> bytes:
        try:
            async with asyncio.timeout(_SILENCE):
                chunk = await self._process.read()
                if chunk:
                    return chunk
                code, stderr = await self._process.wait()
        except TimeoutError:
            what = f"the host has said nothing for {_SILENCE:g} s"
            raise UnreachableError(what, where=self._host.name) from None
        last = visible(stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
        if code in (None, 0, 255):
            raise UnreachableError("fetching was cut off: fetch again to go on", where=self._host.name)
        raise RemoteError(f"files cannot be sent (exit code {code}): {last}", where=self._host.name)


@asynccontextmanager
async def open_folder(host: Host, root: str) -> AsyncIterator[Folder]:
    """A folder of an entered host, its files listed."""
    process = await start_script(host, (sender,), {"root": root})
    try:
        folder = Folder(host, process, root)
        await folder.listed()
        yield folder
    finally:
        await process.close()


def _begun(part: Path, file: HostFile) -> int:
    """How many bytes an earlier attempt has left. Raises InputError if there is no room for the others."""
    done = part.stat().st_size if part.exists() else 0
    if done > file.size:
        part.unlink()
        done = 0
    free = shutil.disk_usage(part.parent).free
    lacking = file.size - done
    spare = min(_SPARE, lacking)
    if lacking + spare > free:
        raise InputError(
            f"{visible(file.path)} needs {size_text(lacking)} and {size_text(spare)} to spare, "
            f"this disk has {size_text(free)} left",
            where=str(part.parent),
            remedy="Make room, then fetch again.",
        )
    return done


def holds(place: Path, digest: str) -> bool:
    """True if a file here has this SHA-256."""
    try:
        return place.is_file() and _sha256(place) == digest
    except OSError:
        return False


def _sha256(place: Path) -> str:
    digest = hashlib.sha256()
    with place.open("rb") as stream:
        while chunk := stream.read(_HASHED):
            digest.update(chunk)
    return digest.hexdigest()


def _is_plain(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return (
        "/".join(parts) == path and ".." not in parts and not path.startswith("/") and visible(path) == path
    )
