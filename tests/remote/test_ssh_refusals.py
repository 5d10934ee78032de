"""Why there is no connection: each cause its own line, with what to do."""

from __future__ import annotations

import asyncio
import getpass
import socket
from contextlib import asynccontextmanager

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.remote import ssh
from clinasr_tui.remote.host import SshSettings, UnreachableError
from clinasr_tui.remote.hosts import open_host
from tests.support.sshd import Agent

pytestmark = pytest.mark.sshd


async def refusal(sshd, host="lab", kind=RemoteError):
    """The one line of a connection that does not come about."""
    with pytest.raises(kind) as caught:
        async with open_host(host, SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@asynccontextmanager
async def server(greet):
    """A server that is no sshd; its port."""

    async def serve(reader, writer):
        await greet(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def redirected(sshd, port):
    sshd.config.write_text(sshd.config.read_text().replace(f"Port {sshd.port}", f"Port {port}"))


async def test_no_answer_in_time(sshd, monkeypatch):
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        redirected(sshd, silent.getsockname()[1])
        line = await refusal(sshd, kind=UnreachableError)
    assert "no answer from 127.0.0.1 port" in line
    assert "within 0.3 s" in line
    assert "firewall" in line


async def test_a_login_that_hangs_is_no_answer_either(sshd, monkeypatch):
    """The port opens and greets, then nothing: the machine swaps, or is half dead."""
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.5)

    async def greet(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()

    async with server(greet) as port:
        redirected(sshd, port)
        assert "no answer from" in await refusal(sshd, kind=UnreachableError)


async def test_closed_before_the_login(sshd):
    async def greet(reader, writer):
        pass

    async with server(greet) as port:
        redirected(sshd, port)
        line = await refusal(sshd, kind=UnreachableError)
    assert f"127.0.0.1 port {port} closed the connection before the login" in line
    assert "fail2ban" in line
    assert "run itself goes on" not in line


async def test_another_service_on_the_port(sshd):
    async def greet(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"<html>\r\n" * 2000)
        await writer.drain()

    async with server(greet) as port:
        redirected(sshd, port)
        line = await refusal(sshd)
    assert f"no SSH connection to 127.0.0.1 port {port}: " in line
    assert "ssh -v lab" in line


async def test_no_network_to_the_address(sshd):
    sshd.config.write_text(sshd.config.read_text().replace("127.0.0.1", "255.255.255.255"))
    line = await refusal(sshd, kind=UnreachableError)
    assert "255.255.255.255" in line
    assert "network" in line


async def test_unresolvable_name_says_what_was_looked_up(sshd):
    sshd.config.write_text(sshd.config.read_text().replace("127.0.0.1", "gpu-box.invalid"))
    line = await refusal(sshd, kind=UnreachableError)
    assert line.startswith("lab: no host named gpu-box.invalid can be found")
    assert "HostName" in line


async def test_too_many_keys_tried(sshd, tmp_path, monkeypatch):
    sshd.configure("MaxAuthTries 2")
    sshd.config.write_text(sshd.config.read_text().replace("IdentitiesOnly yes", ""))
    sshd.new_key("id")
    with Agent(tmp_path) as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
        for number in range(3):
            agent.add(sshd.new_key(f"key{number}"))
        line = await refusal(sshd)
    assert f"gave up on {getpass.getuser()} after too many keys" in line
    assert "IdentitiesOnly yes" in line


async def test_an_account_that_may_not_log_in(sshd):
    sshd.configure(f"DenyUsers {getpass.getuser()}")
    assert f"does not let {getpass.getuser()} log in" in await refusal(sshd)


async def test_sessions_not_allowed(sshd):
    config = sshd.folder / "sshd_config"
    config.write_text(config.read_text().replace("MaxSessions 64", "MaxSessions 0"))
    sshd.configure("")
    settings = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    async with open_host("lab", settings) as host:
        with pytest.raises(RemoteError, match=r"does not let a command start.*MaxSessions"):
            await host.start(["true"])


async def test_no_common_cipher_is_said(sshd):
    sshd.configure("Ciphers aes256-cbc")
    line = await refusal(sshd)
    assert "No matching encryption algorithm" in line


async def test_host_text_is_made_safe(sshd):
    """A proxy's words come from elsewhere: no escape sequence reaches the screen."""
    sshd.add(sshd.entry("evil", "ProxyCommand printf '\\033]0;owned\\007\\033[2J' >&2; false"))
    line = await refusal(sshd, "evil")
    assert "\x1b" not in line
    assert "\x07" not in line


async def test_unreadable_config_is_bad_input(sshd):
    sshd.config.write_bytes(b"Host \xff\xfe\n")
    assert str(sshd.config) in await refusal(sshd, kind=InputError)
