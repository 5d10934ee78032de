"""The members of a tar archive that may mean harm: what is held, read and unfolded is bounded.

The standard library's reader takes in a header's extension (a long name, pax records) whole, whatever size
it claims, and calls itself for each of a chain; of it only the parsing of one 512-byte header is used.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

from clinasr_tui.flywheel.files import HarmError

MOST_MEMBERS = 10_000
MOST_EXTENDED = 4 << 20
"""Bytes of long names and pax records, all together: a model's are some hundred a member."""
MOST_IN_A_ROW = 8
"""Extensions before a member: pax records and long names make three."""
MOST_INFLATED = 8 << 30
"""Bytes a gzipped archive may unfold to while its members are looked for: twice the largest model."""
MOST_RATIO = 20
"""Times its own size it may unfold: weights do 1.1 to 1.7 times. A bomb is no more work than a model then."""
ALWAYS_INFLATED = 64 << 20
"""Bytes that are unfolded at any ratio: a small model's text and zeros."""
_BLOCK = tarfile.BLOCKSIZE
_CHUNK, _PIECE = 64 << 10, 1 << 20
"""Bytes read of a gzipped file and unfolded of it at once."""
_GZIP = b"\x1f\x8b"
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_EXTENSIONS = (*_PAX, *_LONG, tarfile.XGLTYPE)
_LENGTH = re.compile(rb"([0-9]{1,7}) ")
_SIZE = re.compile(rb"[0-9]{1,18}")
_SPARSE = "it has a sparse file, which no model needs"


class Member(NamedTuple):
    """What a header says of a member; its content comes next in the source."""

    name: str
    size: int
    """Bytes of content."""
    is_file: bool
    """False for links, folders and devices."""


class Source(Protocol):
    """Bytes read forwards."""

    at: int
    """Bytes read and skipped so far."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""

    def skip(self, size: int) -> None:
        """Leave out the next `size` bytes. Raises EOFError if there are fewer."""


def tar_source(stream: IO[bytes]) -> Source:
    """An open file as a source; a gzipped one is unfolded as it is read."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    zipped = stream.read(2) == _GZIP
    stream.seek(0)
    return _Inflated(stream) if zipped else _Plain(stream, size)


class _Plain:
    """A file as it is: what is skipped is not read."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._size = stream, size
        self.at = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        found = self._stream.read(size)
        self.at += len(found)
        return found

    def skip(self, size: int) -> None:
        """Go on behind them."""
        if self.at + size > self._size:
            raise EOFError("the archive is cut off")
        self.at = self._stream.seek(self.at + size)


class _Inflated:
    """A gzipped file's content, up to a limit."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(wbits=31)
        self._taken = 0
        self.at = 0

    def read(self, size: int) -> bytes:
        """The next bytes, unfolded."""
        return b"".join(self._pieces(size))

    def skip(self, size: int) -> None:
        """Unfold and forget them: a gzipped file cannot be entered in the middle."""
        if sum(map(len, self._pieces(size))) < size:
            raise EOFError("the archive is cut off")

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size and not self._inflate.eof:
            chunk = self._inflate.unconsumed_tail
            if not chunk:
                chunk = self._stream.read(_CHUNK)
                self._taken += len(chunk)
            if not chunk:
                raise EOFError("the gzip stream is cut off")
            found = self._inflate.decompress(chunk, min(size, _PIECE))
            size -= len(found)
            self.at += len(found)
            self._expect_in_proportion()
            yield found

    def _expect_in_proportion(self) -> None:
        if self.at > MOST_INFLATED:
            raise HarmError(f"it unfolds to more than {MOST_INFLATED >> 30} GB")
        if self.at > max(ALWAYS_INFLATED, MOST_RATIO * self._taken):
            raise HarmError(f"it unfolds to more than {MOST_RATIO} times its size")


def tar_members(source: Source) -> Iterator[Member]:
    """Each member in turn; its content may be read from the source before the next is asked for.

    Raises HarmError for what no model needs, TarError and EOFError for what is no tar or is cut off.
    """
    shared: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    headers = in_a_row = extended = 0
    while (header := _header(source)) is not None:
        headers += 1
        if headers > MOST_MEMBERS:
            raise HarmError(f"it has more than {MOST_MEMBERS:,} files")
        if header.type in _EXTENSIONS:
            in_a_row, extended = in_a_row + 1, extended + header.size
            if in_a_row > MOST_IN_A_ROW or extended > MOST_EXTENDED:
                raise HarmError("its headers are longer than any model needs")
            (shared if header.type == tarfile.XGLTYPE else own).update(_extension(source, header))
            continue
        member = _member(header, {**shared, **own})
        end = source.at + _padded(member.size if _has_content(header) else 0)
        yield member
        source.skip(end - source.at)
        in_a_row, own = 0, {}


def _header(source: Source) -> tarfile.TarInfo | None:
    """The next header; None at the end, and at what is none: as the standard library has it."""
    begins, block = source.at, source.read(_BLOCK)
    if len(block) == _BLOCK and not any(block):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        if begins == 0:
            raise
        return None
    if header.size < 0:
        raise tarfile.ReadError("a negative size")
    return header


def _extension(source: Source, header: tarfile.TarInfo) -> dict[str, bytes]:
    """What a header of a header says: `path` and `size`, as pax names them."""
    content = source.read(header.size)
    source.skip(_padded(header.size) - len(content))
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": content.split(b"\0", 1)[0]}
    return {} if header.type in _LONG else _records(content)


def _records(content: bytes) -> dict[str, bytes]:
    """Pax records (`length key=value`, a line each) as far as they matter here."""
    found, at = {}, 0
    while length := _LENGTH.match(content, at):
        end = at + int(length[1])
        if not length.end() < end <= len(content):
            raise tarfile.ReadError("damaged pax records")
        key, _, value = content[length.end() : end - 1].partition(b"=")
        if key.startswith(b"GNU.sparse."):
            raise HarmError(_SPARSE)
        if key in (b"path", b"size"):
            found[key.decode()] = value.rstrip(b"/")
        at = end
    return found


def _member(header: tarfile.TarInfo, told: dict[str, bytes]) -> Member:
    if header.type == tarfile.GNUTYPE_SPARSE:
        raise HarmError(_SPARSE)
    size = told.get("size")
    if size is not None and not _SIZE.fullmatch(size):
        raise tarfile.ReadError("damaged pax records")
    path = told.get("path")
    name = header.name if path is None else path.decode(errors="surrogateescape")
    return Member(name, header.size if size is None else int(size), header.isreg())


def _has_content(header: tarfile.TarInfo) -> bool:
    """True if bytes follow: a link's or a folder's size means none."""
    return header.isreg() or header.type not in tarfile.SUPPORTED_TYPES


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
