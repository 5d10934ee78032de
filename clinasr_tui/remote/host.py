"""A host is where commands run: this machine or an SSH host, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from clinasr_tui.errors import RemoteError

STDERR_KEPT = 64 * 1024
"""Bytes kept of a command's standard error, its end."""


class UnreachableError(RemoteError):
    """No contact now; trying again later may help."""


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How to reach SSH hosts."""

    config: Path | None = None
    """ssh config to read; None means ~/.ssh/config."""
    known_hosts: Path | None = None
    """Our own known-hosts file; None means the one in the operator's state folder."""


class Process(Protocol):
    """A running command with byte streams."""

    async def read(self, n: int = 1 << 18) -> bytes:
        """Up to `n` bytes of standard output; b"" at its end. Raises RemoteError if contact is lost."""
        ...

    async def write(self, data: bytes) -> None:
        """Write to standard input."""
        ...

    async def wait(self) -> tuple[int | None, bytes]:
        """Exit code (None if killed by a signal) and standard error (its last 64 KiB)."""
        ...

    async def close(self) -> None:
        """End the command (its standard input is closed first) and forget it."""
        ...


class Host(Protocol):
    """Where the GPU is. Entering connects, leaving disconnects. Failures raise RemoteError."""

    name: str
    python: str
    """The Python to run there."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def start(self, argv: Sequence[str]) -> Process:
        """Start a command given as an argument list (quoted once, here)."""
        ...

    def local_socket(self, path: str) -> AbstractAsyncContextManager[str]:
        """A Unix socket here behind which the host's socket at `path` answers, while entered."""
        ...
