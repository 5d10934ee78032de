"""What went wrong with an SSH connection, in one line each, with what to do."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from clinasr_tui.errors import HostKeyError, RemoteError
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.trust import entry_name
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncssh import SSHClientConnectionOptions, SSHKey

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


def host_key_error(
    alias: str, host: str, port: int, key: SSHKey, confirmed: tuple[str, ...], path: Path
) -> HostKeyError:
    """The error for a first contact (nothing confirmed) or a changed key."""
    fingerprint = key.get_fingerprint()
    if confirmed:
        what = f"the host key has CHANGED: it is {fingerprint}, confirmed before was {' or '.join(confirmed)}"
        remedy = (
            f"If the box was rebuilt, delete the line of {entry_name(host, port)} from {path} and connect "
            "again; otherwise somebody may stand between you and the box."
        )
    else:
        what = f"the host is not known yet, its {key.get_algorithm()} key is {fingerprint}"
        remedy = (
            "Compare it with the box's own figure (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "
            "then confirm it in the app or with --trust."
        )
    return HostKeyError(
        what,
        where=alias,
        remedy=remedy,
        host=host,
        port=port,
        fingerprint=fingerprint,
        public_key=key.export_public_key("openssh").decode().strip(),
        known=confirmed,
    )


def denied_error(
    alias: str, options: SSHClientConnectionOptions, error: asyncssh.PermissionDenied
) -> RemoteError:
    """The host knows none of our keys; an encrypted key that could not be tried is the usual cause."""
    tried = list(_identity_files(options))
    locked = [str(path) for path in tried if _is_encrypted(path)]
    if locked:
        remedy = f"The key {locked[0]} is encrypted and was not tried: load it with `ssh-add {locked[0]}`."
    else:
        keys = ", ".join(map(str, tried)) or "none found"
        remedy = (
            f"Check User and IdentityFile in the ssh config and authorized_keys on the host (keys: {keys})."
        )
    return RemoteError(f"the host does not let {options.username} log in", where=alias, remedy=remedy)


def connection_error(alias: str, options: SSHClientConnectionOptions, error: Exception) -> RemoteError:
    """Why there is no connection: UnreachableError where trying again later may help."""
    at = f"{options.host} port {options.port}"
    if isinstance(error, socket.gaierror | UnicodeError):
        remedy = "Check the spelling, the ssh config's HostName and this machine's network."
        return UnreachableError(f"no host named {options.host} can be found", where=alias, remedy=remedy)
    # With several addresses asyncio joins the errors into one text without an errno.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        remedy = "Is the box running, its SSH server up and the port right?"
        return UnreachableError(f"the connection to {at} was refused", where=alias, remedy=remedy)
    if isinstance(error, TimeoutError):
        remedy = "Is the box running, and does a firewall let you through?"
        return UnreachableError(
            f"no answer from {at} within {options.connect_timeout:g} s", where=alias, remedy=remedy
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        remedy = "The jump host could not reach it: check HostName and port as seen from there."
        reason = f"{at} cannot be reached through the jump host: {visible(error.reason)}"
        return UnreachableError(reason, where=alias, remedy=remedy)
    if isinstance(error, OSError | asyncssh.ConnectionLost):
        return contact_lost(alias, error)
    remedy = f"`ssh -v {alias}` says more."
    return RemoteError(f"no SSH connection to {at}: {_reason(error)}", where=alias, remedy=remedy)


def contact_lost(alias: str, error: Exception) -> UnreachableError:
    """A connection that was there is gone."""
    return UnreachableError(
        f"the connection broke: {_reason(error)}", where=alias, remedy="The run itself goes on."
    )


def _reason(error: Exception) -> str:
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return visible(text or type(error).__name__)


def _identity_files(options: SSHClientConnectionOptions) -> Iterator[Path]:
    """Private keys that were there to be tried."""
    configured = options.config.get("IdentityFile")
    names = configured if isinstance(configured, list) else [f"~/.ssh/{name}" for name in _DEFAULT_KEYS]
    for name in names:
        path = Path(str(name)).expanduser()
        if path.is_file():
            yield path


def _is_encrypted(path: Path) -> bool:
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyImportError as error:
        return "passphrase" in str(error).lower()
    except (OSError, ValueError):
        return False
    return False
