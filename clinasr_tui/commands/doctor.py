"""`doctor`: is all there that the program needs, here and on the host where a run would be?"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.commands.host_options import add_ssh, ssh_settings, trusting
from clinasr_tui.commands.output import add_json, print_json, print_lines
from clinasr_tui.errors import ExitCode
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.places import DEFAULT_ROOT

if TYPE_CHECKING:
    from clinasr_tui.launch.doctor import Check

_LEAST = (80, 24)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `doctor`."""
    parser.add_argument("--host", metavar="HOST", help="a host of the ssh config; default: this machine")
    parser.add_argument("--root", default=DEFAULT_ROOT, metavar="DIR", help="folder there for runs")
    parser.add_argument("--docker-socket", default=DOCKER_SOCKET, metavar="PATH", help="of its Docker engine")
    add_ssh(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if nothing that is needed is missing, else 1."""
    from clinasr_tui.launch.doctor import versions

    checks = [_terminal(), versions(), *asyncio.run(_look(args))]
    if args.json:
        keys = ("id", "ok", "detail", "remedy", "needed")
        print_json("doctor", {"checks": [{key: getattr(one, key) for key in keys} for one in checks]})
    else:
        print_lines(line for one in checks for line in _lines(one))
    return ExitCode.OK if all(one.ok or not one.needed for one in checks) else ExitCode.NO


async def _look(args: argparse.Namespace) -> list[Check]:
    from clinasr_tui.launch.doctor import brev, machine_checks

    ssh = ssh_settings(args, Path.cwd(), args.host)
    found = await trusting(
        args,
        args.host,
        ssh,
        lambda: machine_checks(args.host, ssh, socket=args.docker_socket, root=args.root),
    )
    return [*found, await brev()]


def _terminal() -> Check:
    """What the app needs of the terminal; headless commands need none."""
    from clinasr_tui.launch.doctor import Check

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Check("terminal", True, "none: the app needs one, headless commands do not", needed=False)
    size, name = shutil.get_terminal_size(), os.environ.get("TERM", "")
    encoding = sys.stdout.encoding.lower().replace("-", "")
    detail = f"{name or 'TERM is not set'}, {size.columns}×{size.lines}, {sys.stdout.encoding}"
    if encoding != "utf8":
        return Check("terminal", False, detail, "Set a UTF-8 locale: export LC_ALL=C.UTF-8")
    if name in ("", "dumb"):
        return Check("terminal", False, detail, "Use a terminal that can move the cursor")
    if size.columns < _LEAST[0] or size.lines < _LEAST[1]:
        return Check("terminal", False, detail, f"Make it {_LEAST[0]}×{_LEAST[1]} or larger")
    return Check("terminal", True, detail)


def _lines(one: Check) -> list[str]:
    mark = "✔" if one.ok else "✖" if one.needed else "–"
    lines = [f"{mark} {one.id:<9} {one.detail}"]
    return [*lines, f"  {'':<9} {one.remedy}"] if one.remedy else lines
