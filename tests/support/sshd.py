"""OpenSSH's own server on loopback, private to one test: own keys, own port, nothing of the system's."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxSessions 64
MaxStartups 100
PrintMotd no
LogLevel VERBOSE
"""
_CONNECTION = b"SSH_CONNECTION="
CLIENT = """\
Host lab
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile "{folder}/id"
  IdentitiesOnly yes
"""


class Sshd:
    """Use as a context manager; `config` is an ssh config with the host "lab"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "config"
        self.known_hosts = folder / "our_known_hosts"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sshd:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.new_host_key()
        self.new_key("id")
        shutil.copy(self.folder / "id.pub", self.folder / "authorized_keys")
        (self.folder / "sshd_config").write_text(CONFIG.format(port=self.port, folder=self.folder))
        self.config.write_text(
            CLIENT.format(port=self.port, folder=self.folder, user=getpass.getuser()), encoding="utf-8"
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def new_key(self, name: str, passphrase: str = "") -> Path:
        """Make a key pair of that name anew."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path]
        subprocess.run(argv, check=True)
        return path

    def new_host_key(self) -> None:
        """Make the host key anew, as a rebuilt box would."""
        self.new_key("host")

    @property
    def host_key(self) -> str:
        """The public host key without its comment."""
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """SHA-256 fingerprint of the host key as ssh-keygen prints it."""
        listed = subprocess.run(
            ["ssh-keygen", "-lf", self.folder / "host.pub"], check=True, capture_output=True, text=True
        )
        return listed.stdout.split()[1]

    def trust(self) -> None:
        """Confirm the host key beforehand."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")

    def add(self, text: str) -> None:
        """Put lines after the ssh config's."""
        with self.config.open("a") as config:
            config.write(f"\n{text}\n")

    def entry(self, name: str, *lines: str) -> str:
        """A `Host` block for this server with further lines."""
        block = CLIENT.replace("Host lab", f"Host {name}")
        return block.format(port=self.port, folder=self.folder, user=getpass.getuser()) + "".join(
            f"  {line}\n" for line in lines
        )

    def start(self) -> None:
        """Start the server and wait until it greets."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its place is compiled in
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
        assert sshd is not None
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", self.folder / "sshd_config"],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        limit = time.monotonic() + 5
        while not self._greets():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.01)

    def configure(self, line: str) -> None:
        """Add a line to the server's configuration and start it anew."""
        with (self.folder / "sshd_config").open("a") as config:
            config.write(f"{line}\n")
        self.stop()
        self.start()

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as client:
                return client.recv(4) == b"SSH-"
        except OSError:
            return False

    def sessions(self) -> list[int]:
        """Process ids of the connections being served."""
        assert self.process is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]

    def kill_sessions(self) -> int:
        """Kill what serves the connections, as a crash would; how many there were."""
        pids = self.sessions()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def commands(self) -> list[int]:
        """Process ids of what still runs for connections of this server, alive or gone."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):
                    environ = (entry / "environ").read_bytes().split(b"\0")
                    if any(
                        one.endswith(b" %d" % self.port) for one in environ if one.startswith(_CONNECTION)
                    ):
                        found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """End the server and its connections."""
        if self.process is not None:
            self.kill_sessions()
            self.process.terminate()
            self.process.wait(5)
            self.process = None


class Agent:
    """OpenSSH's ssh-agent, private to one test; `socket` is its address."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "agent"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Agent:
        self.process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", self.socket], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        limit = time.monotonic() + 5
        while not self.socket.exists():
            assert time.monotonic() < limit, "the agent does not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(5)

    def add(self, key: Path, passphrase: str = "") -> None:
        """Load a key as an operator does with `ssh-add`, giving its passphrase."""
        ask = key.with_name("ask")
        ask.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
        ask.chmod(0o700)
        env = dict(os.environ, SSH_AUTH_SOCK=str(self.socket), SSH_ASKPASS=str(ask), DISPLAY=":0")
        subprocess.run(
            ["ssh-add", "-q", key],
            env=env | {"SSH_ASKPASS_REQUIRE": "force"},
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )


def free_port() -> int:
    """A port of loopback nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
