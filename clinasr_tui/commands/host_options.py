"""Options of commands that go to a host, and its key confirmed by fingerprint at a first contact."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from clinasr_tui.commands.output import note
from clinasr_tui.commands.sources import settings_of
from clinasr_tui.errors import HostKeyError
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.plan import NEMO_IMAGE, Backend
from clinasr_tui.remote.host import SshSettings

T = TypeVar("T")
_DIGITS = 6


def add_ssh(parser: argparse.ArgumentParser) -> None:
    """How hosts are reached."""
    parser.add_argument("--ssh-config", type=Path, metavar="FILE", help="instead of ~/.ssh/config")
    parser.add_argument(
        "--known-hosts", type=Path, metavar="FILE", help="instead of our own known-hosts file"
    )
    parser.add_argument(
        "--trust", metavar="SHA256:…", help="confirm a host's key at first contact by its fingerprint"
    )


def add_place(parser: argparse.ArgumentParser, *, backend: str, cpu: str) -> argparse._ArgumentGroup:
    """Where and how work on a machine runs; the help of two options is the command's own."""
    where = parser.add_argument_group("where and how it runs")
    where.add_argument("--backend", type=Backend, choices=list(Backend), help=backend)
    where.add_argument("--image", default="", help=f"default: {NEMO_IMAGE}")
    where.add_argument("--root", default="", metavar="DIR", help="folder there (default: ~/clinasr)")
    where.add_argument("--cpu", action="store_true", default=None, help=cpu)
    where.add_argument("--python", default="", metavar="PATH", help="the Python that has NeMo")
    where.add_argument(
        "--docker-socket", default="", metavar="PATH", help=f"of its Docker engine (default: {DOCKER_SOCKET})"
    )
    return where


def from_one(text: str) -> int:
    """An argument that is a whole number of at least 1. Raises ArgumentTypeError."""
    if not text.isdecimal() or len(text) > _DIGITS or not int(text):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no whole number of at least 1")
    return int(text)


def ssh_settings(args: argparse.Namespace, near: Path, host: str | None) -> SshSettings:
    """The options, else what the workspace around `near` says of that host."""
    from clinasr_tui.box.access import ssh_for

    settings = settings_of(near)
    known_hosts = args.known_hosts or settings.known_hosts
    if args.ssh_config is not None:
        return SshSettings(config=args.ssh_config, known_hosts=known_hosts)
    return ssh_for(host, settings.ssh_config, known_hosts)


async def trusting(
    args: argparse.Namespace, host: str | None, ssh: SshSettings, work: Callable[[], Awaitable[T]]
) -> T:
    """Do `work`; a first contact is trusted only if `--trust` names its very fingerprint."""
    try:
        return await work()
    except HostKeyError as error:
        if error.changed:
            raise
        if args.trust != error.fingerprint:
            error.remedy = (
                "It is not the one --trust names: nothing was remembered"
                if args.trust
                else f"{(error.remedy or '').rstrip('.')} with --trust {error.fingerprint}"
            )
            raise
        from clinasr_tui.remote.trust import remember

        remember(error, ssh.known_hosts)
        note(f"{host}: key {error.fingerprint} confirmed by --trust and remembered")
    return await work()
