"""What went wrong with an SSH connection, in one line each, with what to do."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from clinasr_tui.errors import HostKeyError, RemoteError
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.ssh_keys import identity_files, is_encrypted
from clinasr_tui.remote.trust import entry_name
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncssh import SSHClientConnectionOptions, SSHKey

    from clinasr_tui.remote.proxy_command import ProxyCommand


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
    tried = list(identity_files(options.config))
    locked = [str(path) for path in tried if is_encrypted(path)]
    if locked:
        remedy = (
            f"The key {locked[0]} is encrypted, only an agent can use it here: load it with "
            f"`ssh-add {locked[0]}`."
        )
    else:
        keys = ", ".join(map(str, tried)) or "none found"
        remedy = (
            f"Check User and IdentityFile in the ssh config and authorized_keys on the host (keys: {keys})."
        )
    return RemoteError(f"the host does not let {options.username} log in", where=alias, remedy=remedy)


def connection_error(
    alias: str, options: SSHClientConnectionOptions, error: Exception, proxy: ProxyCommand | None = None
) -> RemoteError:
    """Why there is no connection: UnreachableError where trying again later may help."""
    for applies, what, remedy in _unreachable(options, error, proxy):
        if applies:
            return UnreachableError(what, where=alias, remedy=remedy)
    if "too many authentication failures" in str(error).lower():
        what = f"the host gave up on {options.username} after too many keys were tried"
        remedy = "Name the right key: IdentityFile and `IdentitiesOnly yes` in the ssh config."
        return RemoteError(what, where=alias, remedy=remedy)
    what = f"no SSH connection to {options.host} port {options.port}: {_reason(error)}"
    return RemoteError(what, where=alias, remedy=f"`ssh -v {alias}` says more.")


def _unreachable(
    options: SSHClientConnectionOptions, error: Exception, proxy: ProxyCommand | None
) -> Iterator[tuple[bool, str, str]]:
    """What may be, the surest first: if it applies, what is wrong, what to do."""
    at = f"{options.host} port {options.port}"
    command = proxy.command if proxy is not None else ""
    broken = isinstance(error, ConnectionError | asyncssh.ConnectionLost)
    yield (
        isinstance(error, TimeoutError),
        f"no answer from {at} within {options.connect_timeout:g} s",
        "Is the box running, and does a firewall let you through?",
    )
    yield (
        bool(command) and (broken or isinstance(error, OSError)),
        f"the ProxyCommand does not reach {at}: {(proxy and proxy.last_words) or _reason(error)}",
        "Check the ProxyCommand in the ssh config; run by hand it may say more.",
    )
    yield (
        isinstance(error, socket.gaierror | UnicodeError),
        f"no host named {options.host} can be found",
        "Check the spelling, the ssh config's HostName and this machine's network.",
    )
    yield (
        # With several addresses asyncio joins the errors into one text without an errno.
        isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error),
        f"the connection to {at} was refused",
        "Is the box running, its SSH server up and the port right?",
    )
    yield (
        isinstance(error, asyncssh.ChannelOpenError),
        f"{at} cannot be reached through the jump host: {visible(getattr(error, 'reason', ''))}",
        "The jump host could not reach it: check HostName and port as seen from there.",
    )
    yield (
        broken,
        f"{at} closed the connection before the login",
        "Is that an SSH server? It may be starting, have too many logins at once (MaxStartups) or bar this "
        "machine for a while (fail2ban).",
    )
    yield (
        isinstance(error, OSError),
        f"{at} cannot be reached: {_reason(error)}",
        "Check this machine's network and the address in the ssh config.",
    )


def contact_lost(alias: str, error: Exception) -> UnreachableError:
    """A connection that was there is gone."""
    return UnreachableError(
        f"the connection broke: {_reason(error)}", where=alias, remedy="The run itself goes on."
    )


def _reason(error: Exception) -> str:
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return visible(text or type(error).__name__)
