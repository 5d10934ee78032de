"""Follow a run folder, local or remote, with the same code: mirror its bytes and read the run.

One follower process on the host sends the bytes of every file of interest, framed; they are
appended to the local mirror and fed to the RunReader. Losing the connection loses nothing:
the next follower is asked for the bytes after the last mirrored one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from clinasr_tui.training.run_reader import LogLine, RunReader


class Contact(StrEnum):
    """State of the connection to the host."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """Something new came: finished log lines and the state of the connection.

    `retry_in` (seconds) counts down to the next attempt while contact is lost; `note` is a line
    to show (a truncated file, a lost connection and why).
    """

    contact: Contact
    lines: tuple[LogLine, ...] = ()
    retry_in: float | None = None
    note: str = ""
    caught_up: bool = False
    """True once everything that was there at the start has been read."""


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How to reach SSH hosts."""

    config: Path | None = None
    """ssh config to read; None means ~/.ssh/config."""
    known_hosts: Path | None = None
    """Our own known-hosts file; None means the one in the operator's state folder."""


class RunWatch:
    """One watched run: a reader that fills while `updates()` is iterated.

    `host` None is this machine. `mirror` is the local folder for the bytes; None keeps the mirror in
    a temporary folder. The mirrored file of a LogLine is `mirror_path(line.file)`.
    """

    def __init__(
        self,
        run_dir: str,
        *,
        host: str | None = None,
        name: str = "",
        mirror: Path | None = None,
        ssh: SshSettings | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def reader(self) -> RunReader:
        """The reader; everything it says is up to the last update."""
        raise NotImplementedError

    def mirror_path(self, file: str) -> Path:
        """Local file with the bytes of `file` so far."""
        raise NotImplementedError

    def updates(self, *, once: bool = False) -> AsyncIterator[WatchUpdate]:
        """Yield updates (coalesced, at most about ten a second) until the run has ended or forever.

        `once` reads what is there and ends. Raises HostKeyError for a key the operator has not
        confirmed, RemoteError where retrying cannot help (authentication, refused at first contact,
        no such folder); a connection lost later is retried with back-off and yielded as LOST.
        """
        raise NotImplementedError
