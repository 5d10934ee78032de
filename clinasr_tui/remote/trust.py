"""Host keys: our own known-hosts file, trust on first use by the operator, changed keys refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.errors import HostKeyError, InputError
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from asyncssh import SSHKey, SSHKnownHosts

SSH_PORT = 22


def known_hosts_path(configured: Path | None) -> Path:
    """The known-hosts file in use (default: `$XDG_STATE_HOME/clinasr-tui/known_hosts`)."""
    if configured is not None:
        return typed_path(configured)
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "clinasr-tui" / "known_hosts"


def remember(error: HostKeyError, configured: Path | None) -> None:
    """Add the key of a first contact to the known-hosts file. Refuses (InputError) a changed key."""
    path = known_hosts_path(configured)
    known = keys_of(error.host, error.port, read_known_hosts(path))
    if error.fingerprint in (key.get_fingerprint() for key in known):
        return
    if error.changed or known:
        raise InputError(
            f"another key has been confirmed for {error.host} port {error.port} before; it is not replaced",
            where=str(path),
            remedy="If the box was rebuilt, delete its line from this file and connect again.",
        )
    line = f"{entry_name(error.host, error.port)} {error.public_key.strip()}\n".encode()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _append_line(path, line)
    except OSError as problem:
        raise InputError(
            f"cannot write the host's key: {problem.strerror}",
            where=str(path),
            remedy="Make the folder writable or set known_hosts in clinasr.toml.",
        ) from problem


def read_known_hosts(path: Path) -> SSHKnownHosts:
    """Read a known-hosts file; none means that no host is known. Raises InputError if it is broken."""
    import asyncssh

    try:
        return asyncssh.import_known_hosts(path.read_text(encoding="utf-8") if path.exists() else "")
    except (OSError, ValueError) as problem:
        raise InputError(
            f"cannot be read as known hosts: {problem}",
            where=str(path),
            remedy="Repair or delete the line; hosts are asked about again.",
        ) from problem


def keys_of(host: str, port: int, known: SSHKnownHosts) -> list[SSHKey]:
    """The plain keys confirmed for exactly this host and port."""
    # Asking for the entry's full name keeps a key of port 22 from standing in for another port's.
    return list(known.match(entry_name(host, port), "", None)[0])


def entry_name(host: str, port: int) -> str:
    """How a known-hosts line names a host."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def _append_line(path: Path, line: bytes) -> None:
    """Append in one write, so that two processes cannot mix their lines."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(fd, line)
        os.fsync(fd)
    finally:
        os.close(fd)
