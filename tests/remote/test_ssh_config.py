"""What an operator's ssh config says holds: jumps, proxies, agents, includes, matches. No agent travels."""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
import threading
import time
from contextlib import AsyncExitStack

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.sshd import Agent, Sshd

pytestmark = pytest.mark.sshd

# A proxy of a few lines: this machine may have no netcat.
PROXY = """\
import os, select, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
there = socket.create_connection((host, port))
while True:
    ready, _, _ = select.select([0, there], [], [])
    os.write(2, b"proxy: on the way\\n")
    for one in ready:
        data = os.read(0, 65536) if one == 0 else there.recv(65536)
        if not data:
            sys.exit()
        there.sendall(data) if one == 0 else os.write(1, data)
"""


def settings(sshd):
    return SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)


async def answer(sshd, host="lab", argv=("echo", "here")):
    """What a command on the host prints."""
    async with open_host(host, settings(sshd)) as there:
        process = await there.start(list(argv))
        out = b""
        while chunk := await process.read():
            out += chunk
        await process.close()
    await proxies_gone()
    return out.decode().strip()


def has_proxies():
    """The threads in which asyncio waits for its processes, where it has threads for that."""
    return any(thread.name.startswith(("asyncio-waitpid", "waitpid")) for thread in threading.enumerate())


async def proxies_gone():
    """Let the event loop hear that proxy commands have ended before the test closes it."""
    limit = time.monotonic() + 5
    while has_proxies():
        assert time.monotonic() < limit, "a proxy command goes on"
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def no_agent(monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def agent(tmp_path, monkeypatch):
    with Agent(tmp_path) as one:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(one.socket))
        yield one


@pytest.fixture
def proxy(tmp_path):
    script = tmp_path / "a proxy.py"
    script.write_text(PROXY)
    return f"{sys.executable} '{script}'"


@pytest.fixture
def inner(sshd, tmp_path):
    """A second server, behind "lab", its key confirmed too."""
    with Sshd(tmp_path / "inner") as server:
        with sshd.known_hosts.open("a") as known:
            known.write(f"[127.0.0.1]:{server.port} {server.host_key}\n")
        yield server


async def test_proxy_jump_goes_through_the_jump_host(sshd, inner):
    sshd.add(inner.entry("inner", "ProxyJump lab"))
    port = await answer(sshd, "inner", ("sh", "-c", "echo $SSH_CONNECTION"))
    assert port.split()[3] == str(inner.port)
    sshd.stop()
    with pytest.raises(RemoteError, match=f"port {sshd.port} was refused"):
        await answer(sshd, "inner")


async def test_a_chain_of_jump_hosts(sshd, inner, tmp_path):
    with Sshd(tmp_path / "last") as last:
        with sshd.known_hosts.open("a") as known:
            known.write(f"[127.0.0.1]:{last.port} {last.host_key}\n")
        sshd.add(inner.entry("inner"))
        sshd.add(last.entry("last", "ProxyJump lab,inner"))
        ports = (await answer(sshd, "last", ("sh", "-c", "echo $SSH_CONNECTION"))).split()
        assert ports[3] == str(last.port)


async def test_jump_hosts_in_a_circle_are_bad_input(sshd):
    sshd.config.write_text(sshd.entry("one", "ProxyJump two") + sshd.entry("two", "ProxyJump one"))
    with pytest.raises(InputError, match="lead in a circle"):
        await answer(sshd, "one")


async def test_target_behind_a_jump_host_that_is_down(sshd, inner):
    sshd.add(inner.entry("inner", "ProxyJump lab"))
    inner.stop()
    with pytest.raises(RemoteError, match=rf"{inner.port} cannot be reached through the jump host"):
        await answer(sshd, "inner")


async def test_proxy_command_may_talk_on_standard_error(sshd, proxy):
    sshd.add(sshd.entry("proxied", f"ProxyCommand {proxy} %h %p"))
    assert await answer(sshd, "proxied") == "here"
    assert await answer(sshd, "proxied", ("head", "-c", "3000000", "/dev/zero")) == "\0" * 3_000_000


async def test_failing_proxy_command_is_quoted(sshd):
    sshd.add(sshd.entry("proxied", "ProxyCommand sh -c \"echo 'no route to %h' >&2\""))
    with pytest.raises(RemoteError, match=r"ProxyCommand does not reach .*no route to 127\.0\.0\.1"):
        await answer(sshd, "proxied")


async def test_missing_proxy_command_is_quoted(sshd):
    sshd.add(sshd.entry("proxied", "ProxyCommand /nowhere/proxy %h"))
    with pytest.raises(RemoteError, match=r"ProxyCommand does not reach .*/nowhere/proxy"):
        await answer(sshd, "proxied")


async def test_key_only_in_the_agent(sshd, agent):
    key = sshd.folder / "id"
    agent.add(key)
    key.unlink()
    sshd.config.write_text(sshd.config.read_text().replace("IdentitiesOnly yes", ""))
    assert await answer(sshd) == "here"


@pytest.mark.parametrize("only", ["yes", "no"])
async def test_encrypted_key_in_the_agent(sshd, agent, only):
    """What the message of a refused encrypted key advises does work."""
    key = sshd.new_key("id", passphrase="secret words")
    (sshd.folder / "authorized_keys").write_bytes((sshd.folder / "id.pub").read_bytes())
    text = sshd.config.read_text().replace("IdentitiesOnly yes", f"IdentitiesOnly {only}")
    sshd.config.write_text(text)
    with pytest.raises(RemoteError, match=f"ssh-add {key}"):
        await answer(sshd)
    agent.add(key, "secret words")
    assert await answer(sshd) == "here"


async def test_identities_only_keeps_the_agents_other_keys_back(sshd, agent):
    other = sshd.new_key("other")
    agent.add(other)
    (sshd.folder / "authorized_keys").write_bytes((sshd.folder / "other.pub").read_bytes())
    with pytest.raises(RemoteError, match="does not let"):
        await answer(sshd)
    (sshd.folder / "id").unlink()
    (sshd.folder / "id.pub").unlink()
    with pytest.raises(RemoteError, match="does not let"):
        await answer(sshd)


async def test_public_half_names_the_agents_key(sshd, agent):
    agent.add(sshd.folder / "id")
    sshd.config.write_text(sshd.config.read_text().replace('/id"', '/id.pub"'))
    assert await answer(sshd) == "here"


async def test_identity_agent_of_the_config(sshd, agent, monkeypatch):
    agent.add(sshd.folder / "id")
    (sshd.folder / "id").unlink()
    monkeypatch.delenv("SSH_AUTH_SOCK")
    sshd.add(f'Host *\n  IdentityAgent "{agent.socket}"')
    assert await answer(sshd) == "here"


async def test_an_agent_that_is_gone_does_not_matter(sshd, monkeypatch, tmp_path):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    assert await answer(sshd) == "here"


@pytest.mark.parametrize("jump", [False, True], ids=["direct", "through a jump host"])
async def test_the_agent_is_never_forwarded(sshd, inner, agent, jump):
    agent.add(sshd.folder / "id")
    agent.add(inner.folder / "id")
    sshd.add(inner.entry("inner", *(["ProxyJump lab"] if jump else [])))
    sshd.add("Host *\n  ForwardAgent yes")
    assert await answer(sshd, "inner", ("sh", "-c", "echo agent=$SSH_AUTH_SOCK")) == "agent="
    assert await answer(sshd, "lab", ("sh", "-c", "echo agent=$SSH_AUTH_SOCK")) == "agent="
    assert "auth-agent" not in (sshd.folder / "log").read_text()


async def test_include_with_quotes_blanks_and_wildcards(sshd):
    folder = sshd.folder / "more configs"
    folder.mkdir()
    (folder / "box").write_text(sshd.entry("box"))
    (folder / "defaults.inc").write_text("Host *\n  ForwardAgent yes\n")
    sshd.config.write_text(f'Include "{folder}/*.inc"\nInclude "{folder}/box"\nHost other\n  Port 1\n')
    assert await answer(sshd, "box") == "here"


async def test_include_within_a_host_block_ends_with_it(sshd):
    extra = sshd.folder / "extra"
    extra.write_text(f"Port {sshd.port}\n")
    text = sshd.config.read_text().replace(f"  Port {sshd.port}\n", f'  Include "{extra}"\n')
    sshd.config.write_text(f"Host elsewhere\n  Include /nowhere/*\n  Port 1\n{text}")
    assert await answer(sshd) == "here"


async def test_include_of_itself_is_bad_input(sshd):
    sshd.add(f'Include "{sshd.config}"')
    with pytest.raises(InputError, match="leads back to itself"):
        await answer(sshd)


@pytest.mark.parametrize(
    "block",
    [
        "Match host gpu-*",
        "Match originalhost gpu-7",
        "Match host !other,gpu-*",
        f"Match localuser {getpass.getuser()}",
        "Match all",
        'Match originalhost gpu-? exec "true"',
        "Host gpu-*",
        "Host gpu-? !gpu-8",
        "Host gpu-7 gpu-8",
    ],
)
async def test_matches_and_wildcards(sshd, block):
    sshd.config.write_text(sshd.entry("x").replace("Host x", block))
    assert await answer(sshd, "gpu-7") == "here"


@pytest.mark.parametrize("block", ["Match host other", 'Match all exec "false"', "Host * !gpu-7"])
async def test_what_does_not_match_does_not_hold(sshd, block):
    sshd.config.write_text(sshd.entry("x").replace("Host x", block))
    with pytest.raises(RemoteError, match="no host named gpu-7"):
        await answer(sshd, "gpu-7")


async def test_identity_file_that_is_missing_is_passed_over(sshd):
    text = sshd.config.read_text()
    sshd.config.write_text(
        text.replace("  IdentityFile", '  IdentityFile "/no where/key"\n  IdentityFile', 1)
    )
    assert await answer(sshd) == "here"


async def test_identity_file_that_is_no_key_is_named(sshd):
    key = sshd.folder / "id"
    key.write_text("gibberish\n")
    with pytest.raises(InputError, match=f"{key}: this is no SSH key"):
        await answer(sshd)


async def test_command_and_terminal_of_the_config_do_not_disturb(sshd):
    sshd.add(
        "Host *\n  RemoteCommand echo theirs\n  RequestTTY force\n  Compression yes\n  ControlMaster auto"
    )
    assert await answer(sshd) == "here"


async def test_argument_lists_arrive_as_they_are(sshd):
    words = ["printf", "%s|", "a b", "$HOME", "'", '"', "*", "; false", "ü", ""]
    assert await answer(sshd, argv=words) == "".join(f"{word}|" for word in words[2:])


async def test_user_and_port_of_the_name(sshd):
    sshd.config.write_text(f'Host *\n  IdentityFile "{sshd.folder}/id"\n')
    name = f"{getpass.getuser()}@127.0.0.1:{sshd.port}"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(open_host(name, settings(sshd)))
    assert await answer(sshd, name) == "here"


async def test_ciphers_and_patience_of_the_config(sshd):
    sshd.add(sshd.entry("picky", "Ciphers aes256-ctr", "ConnectTimeout 1"))
    for name, cipher in (("lab", "aes128-gcm@openssh.com"), ("picky", "aes256-ctr")):
        async with open_host(name, settings(sshd)) as host:
            assert host._chain[-1].get_extra_info("send_cipher") == cipher
    sshd.stop()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", sshd.port))
        silent.listen()
        with pytest.raises(RemoteError, match="within 1 s"):
            await answer(sshd, "picky")
