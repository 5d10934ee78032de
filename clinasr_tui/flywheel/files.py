"""Open inputs and write outputs: one clear line when it fails, and never half a file."""

from __future__ import annotations

import filecmp
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from clinasr_tui.errors import InputError

if TYPE_CHECKING:
    from io import BufferedReader


class HarmError(Exception):
    """An untrusted file asks for more than any honest one needs; whoever reads it says which file."""


def open_input(path: Path, what: str) -> BinaryIO:
    """Open `path` for reading bytes; `what` names its role ("manifest"). Raises InputError."""
    try:
        if path.is_dir():
            raise InputError(f"is a folder, not a {what}", where=str(path), remedy="Name the file itself")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"no such {what}", where=str(path), remedy="Check the path") from None
    except OSError as error:
        raise _unreadable(path, what, error, "Check its permissions") from None
    except ValueError:
        raise InputError(f"this is no usable path for a {what}", where=repr(str(path))) from None


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong while `path` is read (a failing disk, say) into an InputError."""
    try:
        yield
    except (InterruptedError, BrokenPipeError):
        raise  # cancelled, or whoever is told about it has gone
    except OSError as error:
        raise _unreadable(path, what, error, "Copy it to a disk that works") from None


def sha256_of(path: Path, what: str) -> str:
    """Checksum of a file's bytes, in hexadecimal digits. Raises InputError."""
    with open_input(path, what) as stream, reading(path, what):
        return hashlib.file_digest(cast("BufferedReader", stream), "sha256").hexdigest()


def _unreadable(path: Path, what: str, error: OSError, remedy: str) -> InputError:
    why = error.strerror or str(error)
    return InputError(f"the {what} cannot be read ({why})", where=str(path), remedy=remedy)


def numbered_lines(stream: Iterable[bytes], first: int = 1) -> Iterator[tuple[int, bytes]]:
    r"""Yield (line number, bytes without line end); blank lines are counted and skipped.

    Lines end at `\n`; a `\r` before it is not part of the line. The first line has the number `first`.
    """
    for number, line in enumerate(stream, first):
        if not line.isspace():
            yield number, line.rstrip(b"\r\n")


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file through a temporary one beside it. Raises InputError; an old file then stays."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes | Iterable[bytes]], *, replace: bool = True) -> None:
    """Write several files that belong together: none takes its name before all are written.

    Missing folders are made. Raises InputError and removes the temporary files if one cannot be written,
    and without `replace` if another file has one of the names (the same bytes may stand there).
    """
    written: list[tuple[Path, Path]] = []
    try:
        for path, data in files.items():
            temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append((temporary, path))
                with temporary.open("xb") as stream:
                    stream.writelines((data,) if isinstance(data, bytes) else data)
            except InterruptedError:
                raise  # whoever makes the data was told to stop
            except OSError as error:
                raise _unwritable(path, error) from None
        if not replace:
            for temporary, path in written:
                _expect_no_other(path, temporary)
        for temporary, path in written:
            try:
                temporary.replace(path)
            except OSError as error:
                raise _unwritable(path, error) from None
    finally:
        for temporary, _ in written:
            # A disk that can only be read refuses even what is not there.
            with suppress(OSError):
                temporary.unlink()


def _expect_no_other(path: Path, content: Path) -> None:
    try:
        same = not path.exists() or filecmp.cmp(path, content, shallow=False)
    except OSError:
        same = False
    if not same:
        raise InputError(
            "another file is here already",
            where=str(path),
            remedy="Choose another name, or --force to replace it",
        )


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot be written ({error.strerror})",
        where=str(path),
        remedy="Choose another folder, or check its permissions and free space",
    )
