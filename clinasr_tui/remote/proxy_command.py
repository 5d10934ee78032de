"""An ssh config's ProxyCommand, run as OpenSSH runs it: by a shell, what it says apart from its data."""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from clinasr_tui.text import visible

_KEPT = 4096


class ProxyCommand:
    """Use as a context manager around `asyncssh.connect(**proxy.options)`; no command is no proxy.

    asyncssh takes what a proxy says on standard error for data of the connection, and the end of its
    standard error for the connection's end. So that goes to a file, and its place is kept open.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._said: Path | None = None

    def __enter__(self) -> Self:
        if self.command:
            fd, name = tempfile.mkstemp(prefix="clinasr-proxy-")
            os.close(fd)
            self._said = Path(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._said is not None:
            with suppress(OSError):
                self._said.unlink()

    @property
    def options(self) -> dict[str, list[str]]:
        """Options for `asyncssh.connect`."""
        if self._said is None:
            return {}
        script = f"exec 3>&2 2>{shlex.quote(str(self._said))}; exec {self.command}"
        return {"proxy_command": ["/bin/sh", "-c", script]}

    @property
    def last_words(self) -> str:
        """The last line it has said on standard error, safe to show; "" if it said nothing."""
        if self._said is None:
            return ""
        try:
            text = self._said.read_bytes()[-_KEPT:].decode("utf-8", "replace")
        except OSError:
            return ""
        return visible(text.strip().rpartition("\n")[2].strip())
