"""An SSH host: one connection, keys checked against our own file, no agent forwarded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import asyncssh

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.remote.host import STDERR_KEPT
from clinasr_tui.remote.proxy_command import ProxyCommand
from clinasr_tui.remote.ssh_errors import connection_error, contact_lost, denied_error, host_key_error
from clinasr_tui.remote.ssh_keys import identity_options
from clinasr_tui.remote.trust import SSH_PORT, entry_name, keys_of, known_hosts_path, read_known_hosts
from clinasr_tui.text import typed_path, visible

if TYPE_CHECKING:
    from asyncssh import SSHKey, SSHKnownHosts

    from clinasr_tui.remote.host import SshSettings

    _Chain = list[asyncssh.SSHClientConnection]

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS = 2
KEEPALIVE_COUNT = 3
_WINDOW = 4 << 20
# asyncssh opens the whole window anew whenever a reader who lags takes anything at all, and would keep all
# a host can send. Taking everything there is each time bounds that to a few windows.
_ALL = 1 << 30
_GRACE = 1.0
# AES-GCM is the fastest with hardware AES, which every GPU box has.
_MOST_JUMPS = 8
_CIPHERS = "^aes128-gcm@openssh.com"

# Without a handler of its own, asyncssh's warnings would be printed over the screen.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())


class _Client(asyncssh.SSHClient):
    """Judges the host's key: called only if it is not among the trusted ones."""

    def __init__(
        self, alias: str, known: SSHKnownHosts, path: Path, report: Callable[[RemoteError], None]
    ) -> None:
        self._alias, self._known, self._path, self._report = alias, known, path, report

    def validate_host_public_key(self, host: str, addr: str, port: int, key: SSHKey) -> bool:
        """Never trusts; reports what the operator must decide or know."""
        confirmed = tuple(known.get_fingerprint() for known in keys_of(host, port, self._known))
        self._report(host_key_error(self._alias, host, port, key, confirmed, self._path))
        return False


class SshProcess:
    """A command on an SSH host with byte streams."""

    def __init__(self, host: str, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._host = host
        self._process = process
        self._taken = b""
        self._given = 0
        self._stderr = asyncio.create_task(self._last_bytes())

    async def read(self, n: int = 1 << 18) -> bytes:
        """Up to `n` bytes of standard output; b"" at its end. Raises UnreachableError if contact is lost."""
        if self._given >= len(self._taken):
            try:
                self._taken, self._given = await self._process.stdout.read(_ALL), 0
            except (asyncssh.Error, OSError) as error:
                raise contact_lost(self._host, error) from error
        piece = self._taken[self._given : self._given + n]
        self._given += len(piece)
        return piece

    async def write(self, data: bytes) -> None:
        """Write to standard input; raises UnreachableError if contact is lost."""
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (asyncssh.Error, OSError) as error:
            raise contact_lost(self._host, error) from error

    async def wait(self) -> tuple[int | None, bytes]:
        """Exit code (None if killed by a signal or contact was lost) and the last of standard error."""
        stderr = await self._stderr
        await self._process.wait_closed()
        return self._process.exit_status, stderr

    async def close(self) -> None:
        """Close standard input; the channel is given up if the command does not end."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write_eof()
        self._process.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await self._process.wait_closed()
        self._stderr.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._stderr

    async def _last_bytes(self) -> bytes:
        """Read standard error to its end, keep the last 64 KiB."""
        kept = b""
        with contextlib.suppress(asyncssh.Error, OSError):
            while chunk := await self._process.stderr.read(STDERR_KEPT):
                kept = (kept + chunk)[-STDERR_KEPT:]
        return kept


class SshHost:
    """A host of the operator's ssh config (or a plain host name, or user@host)."""

    python = "python3"

    def __init__(self, name: str, settings: SshSettings) -> None:
        self.name = name
        self._settings = settings
        self._chain: list[asyncssh.SSHClientConnection] = []

    async def __aenter__(self) -> Self:
        config = self._settings.config
        if config is not None and not typed_path(config).is_file():
            raise InputError("no such ssh config", where=str(config), remedy="Set [ssh] config to a file.")
        try:
            self._chain = await _Dialer(self._settings).dial(self.name)
        except BaseException:
            await self._hang_up()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()

    async def start(self, argv: Sequence[str]) -> SshProcess:
        """Start a command: the one place where an argument list becomes a command line."""
        try:
            process = await self._chain[-1].create_process(shlex.join(argv), encoding=None, window=_WINDOW)
        except asyncssh.ChannelOpenError as error:
            raise RemoteError(
                f"the host does not let a command start: {visible(error.reason)}",
                where=self.name,
                remedy="Check the account's limits (MaxSessions) and its login shell.",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise contact_lost(self.name, error) from error
        return SshProcess(self.name, process)

    @contextlib.asynccontextmanager
    async def local_socket(self, path: str) -> AsyncIterator[str]:
        """The host's socket, carried over this connection to one that only this account can open."""
        with tempfile.TemporaryDirectory(prefix="clinasr-") as folder:
            place = f"{folder}/socket"
            try:
                listener = await self._chain[-1].forward_local_path(place, path)
            except (asyncssh.Error, OSError) as error:
                raise contact_lost(self.name, error) from error
            try:
                yield place
            finally:
                listener.close()
                await listener.wait_closed()

    async def _hang_up(self) -> None:
        """Close the connection, then the jump hosts it went through."""
        while self._chain:
            connection = self._chain.pop()
            connection.close()
            try:
                async with asyncio.timeout(_GRACE):
                    await connection.wait_closed()
            except (TimeoutError, asyncssh.Error, OSError):
                connection.abort()


class _Dialer:
    """Opens the connection to a host and, before it, those of its jump hosts: all by the same rules."""

    def __init__(self, settings: SshSettings) -> None:
        config = settings.config
        self._config: Any = () if config is None else [str(typed_path(config))]
        self._path = known_hosts_path(settings.known_hosts)
        self._known = read_known_hosts(self._path)
        self._jumps = 0

    async def dial(self, name: str, through: asyncssh.SSHClientConnection | None = None) -> _Chain:
        """Connect; the last of the list is the connection to `name`, those before it carry it."""
        given = self._given(name)
        options = await self._options(name, given)
        chain: _Chain = []
        try:
            if through is None and isinstance(options.tunnel, str):
                # asyncssh would judge jump hosts by ~/.ssh/known_hosts, or not at all.
                for hop in options.tunnel.split(","):
                    self._count_jump(name)
                    chain += await self.dial(hop.strip(), through)
                    through = chain[-1]
            chain.append(await self._connect(name, options, dict(given, tunnel=through or ())))
        except BaseException:
            for connection in reversed(chain):
                connection.close()
            raise
        return chain

    def _count_jump(self, name: str) -> None:
        self._jumps += 1
        if self._jumps > _MOST_JUMPS:
            raise InputError(
                "its ProxyJump entries lead in a circle", where=name, remedy="Mend the ssh config."
            )

    def _given(self, name: str) -> dict[str, Any]:
        """Connection settings of ours, over those of the ssh config."""
        user, _, target = name.rpartition("@")
        host, port = _host_and_port(target)
        given: dict[str, Any] = {"username": user} if user else {}
        if port is not None:
            given["port"] = port
        return given | {
            "host": host,
            "config": self._config,
            "known_hosts": self._trusted,
            "agent_forwarding": False,
            "x11_forwarding": False,
            "request_pty": False,
            "compression_algs": ["none"],
            "keepalive_interval": KEEPALIVE_SECONDS,
            "keepalive_count_max": KEEPALIVE_COUNT,
        }

    async def _options(self, name: str, given: dict[str, Any]) -> asyncssh.SSHClientConnectionOptions:
        """What the ssh config makes of a host. Raises InputError if it cannot be used."""
        try:
            # asyncssh leaves `construct` untyped in its result.
            options: Any = await asyncssh.SSHClientConnectionOptions.construct(
                None, client_keys=None, **given
            )
        except RecursionError as error:
            raise InputError(
                "an Include of the ssh config leads back to itself",
                where=str((self._config or ["~/.ssh/config"])[0]),
                remedy="Remove the Include.",
            ) from error
        except (OSError, ValueError, asyncssh.Error) as error:
            where = getattr(error, "filename", None) or (self._config or ["~/.ssh/config"])[0]
            raise InputError(
                f"the ssh settings for {name} cannot be used: {getattr(error, 'strerror', None) or error}",
                where=str(where),
                remedy=f"Mend them; `ssh -G {name}` shows what applies.",
            ) from error
        options.connect_timeout = options.config.get("ConnectTimeout") or CONNECT_SECONDS
        return cast("asyncssh.SSHClientConnectionOptions", options)

    async def _connect(
        self, name: str, options: asyncssh.SSHClientConnectionOptions, given: dict[str, Any]
    ) -> asyncssh.SSHClientConnection:
        """One connection. Raises HostKeyError, UnreachableError or RemoteError, each with its own remedy."""
        judged: list[RemoteError] = []
        host, port = options.host_key_alias or options.host, options.port
        given["connect_timeout"] = options.connect_timeout
        if not options.config.get("Ciphers"):
            given["encryption_algs"] = _CIPHERS
        if not self._trusted(host, "", port)[1] and not options.config.get("HostKeyAlgorithms"):
            # A certificate can only be judged where its authority is known.
            given["server_host_key_algs"] = "-*-cert-v01@openssh.com"
        command = options.config.get("ProxyCommand")
        with ProxyCommand(command if isinstance(command, str) and not given["tunnel"] else "") as proxy:
            try:
                return await asyncssh.connect(
                    client_factory=lambda: _Client(name, self._known, self._path, judged.append),
                    **(given | identity_options(options.config) | proxy.options),
                )
            except asyncssh.HostKeyNotVerifiable as error:
                raise (judged[0] if judged else connection_error(name, options, error)) from error
            except asyncssh.PermissionDenied as error:
                raise denied_error(name, options, error) from error
            except (OSError, ValueError, asyncssh.Error) as error:
                raise connection_error(name, options, error, proxy) from error

    def _trusted(self, host: str, addr: str, port: int | None) -> tuple[list[SSHKey], ...]:
        """Trusted keys, certificate authorities and revoked keys of a host; by name, never by address."""
        keys, authorities, revoked, *_ = self._known.match(entry_name(host, port or SSH_PORT), "", None)
        return list(keys), list(authorities), list(revoked)


def _host_and_port(target: str) -> tuple[str, int | None]:
    """Split `host:port` and `[address]:port`; a bare IPv6 address has no port."""
    host, colon, port = target.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return target.strip("[]"), None
