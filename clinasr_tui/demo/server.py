"""The demo's box: an SSH server on loopback behind which the recorded runs are replayed.

Run as `python -m clinasr_tui.demo.server WORKSPACE`. It listens on 127.0.0.1 only, lets in only the key
made for it, and runs what it is asked to as the operator who started it: on the operator's own machine,
nothing is gained by getting in. It ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from clinasr_tui.demo.layout import (
    FIRST_RUN,
    HOST,
    RECORDINGS,
    RUNS,
    begin_run,
    box_folder,
    home_folder,
    publish_cycle,
)
from clinasr_tui.demo.replay import replay

if TYPE_CHECKING:
    from collections.abc import Sequence

ADDRESS = "127.0.0.1"
_CHUNK = 1 << 18
_BETWEEN = 30.0
"""Seconds, as recorded, between one cycle's figures and the next run: time to look at them."""
_SSH_CONFIG = """\
Host {host}
  HostName {address}
  Port {port}
  User demo
  IdentityFile "{identity}"
  IdentitiesOnly yes
  IdentityAgent none
"""


class _Door(asyncssh.SSHServer):
    """Says when somebody has been let in. Everything but running commands stays refused."""

    def __init__(self, entered: asyncio.Event) -> None:
        self._entered = entered

    def auth_completed(self) -> None:
        """The operator has confirmed the host key and logged in."""
        self._entered.set()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m clinasr_tui.demo.server")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--patience", type=float, default=20.0, help="seconds to wait for the first login")
    parser.add_argument("--temporary", action="store_true", help="remove the workspace at the end")
    args = parser.parse_args(argv)
    try:
        asyncio.run(_serve(args.workspace, args.speed, args.patience))
    finally:
        if args.temporary:
            shutil.rmtree(args.workspace.parent, ignore_errors=True)


async def _serve(workspace: Path, speed: float, patience: float) -> None:
    box = box_folder(workspace)
    host_key, client_key = _key(box / "host_key"), _key(box / "client_key")
    _write_python(box / "bin")
    entered = asyncio.Event()
    listener = await _listen(
        box,
        server_factory=partial(_Door, entered),
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(client_key.export_public_key().decode()),
        process_factory=partial(_run_command, workspace),
        encoding=None,
        allow_pty=False,
        agent_forwarding=False,
        x11_forwarding=False,
    )
    port = listener.get_port()
    fingerprint = host_key.get_fingerprint()
    (box / "port").write_text(f"{port}\n", encoding="utf-8")
    (box / "fingerprint.txt").write_text(f"{fingerprint}\n", encoding="utf-8")
    identity = str(box / "client_key").replace("%", "%%")
    config = _SSH_CONFIG.format(host=HOST, address=ADDRESS, port=port, identity=identity)
    (box / "ssh_config").write_text(config, encoding="utf-8")
    play = asyncio.create_task(_play(workspace, speed, patience, entered))
    try:
        print(json.dumps({"port": port, "fingerprint": fingerprint}), flush=True)  # noqa: T201
        await _input_end()
    finally:
        play.cancel()
        listener.close()


async def _listen(box: Path, **options: object) -> asyncssh.SSHAcceptor:
    """Listen on the port of last time, so that a confirmed key stays confirmed; else on any."""
    with contextlib.suppress(OSError, ValueError):
        last = int((box / "port").read_text(encoding="utf-8"))
        return await asyncssh.listen(ADDRESS, last, **options)
    return await asyncssh.listen(ADDRESS, 0, **options)


async def _play(workspace: Path, speed: float, patience: float, entered: asyncio.Event) -> None:
    """Replay the runs, one after the other, from the first login on; after each, what its model gave."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await entered.wait()
    for run, number in RUNS.items():
        run_dir = home_folder(workspace) / run if run == FIRST_RUN else begin_run(workspace, run)
        await replay(RECORDINGS / run, run_dir, speed)
        publish_cycle(workspace, number)
        await asyncio.sleep(_BETWEEN / speed)


async def _run_command(workspace: Path, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run what the client asked for as a real process in the box's home."""
    if process.command is None:
        process.stderr.write(b"this box runs commands only\n")
        process.exit(1)
        return
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command,
        cwd=home_folder(workspace),
        env={
            "HOME": str(home_folder(workspace)),
            "PATH": f"{box_folder(workspace) / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "LANG": "C.UTF-8",
        },
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    inward = asyncio.create_task(_carry_in(process.stdin, child.stdin))
    try:
        await asyncio.gather(
            _carry_out(child.stdout, process.stdout), _carry_out(child.stderr, process.stderr)
        )
        process.exit(max(0, await child.wait()))
    except (asyncssh.Error, OSError):
        pass  # the client has gone
    finally:
        inward.cancel()
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


async def _carry_in(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    """What the client writes goes to the command; its end does, too."""
    with contextlib.suppress(asyncssh.Error, OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
    target.close()


async def _carry_out(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    """What the command writes goes to the client."""
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()


def _key(path: Path) -> asyncssh.SSHKey:
    """The key kept at `path`, made at the first start."""
    if path.exists():
        return asyncssh.read_private_key(path)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="clinasr-tui demo")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.export_private_key())
    return key


def _write_python(folder: Path) -> None:
    """The box's `python3` is this one: an operator's PATH need not have any of that name."""
    folder.mkdir(exist_ok=True)
    quoted = "'" + sys.executable.replace("'", "'\\''") + "'"
    (folder / "python3").write_text(f'#!/bin/sh\nexec {quoted} "$@"\n', encoding="utf-8")
    (folder / "python3").chmod(0o755)


async def _input_end() -> None:
    """Wait until whoever started this has gone."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while await reader.read(_CHUNK):
            pass
    finally:
        transport.close()


if __name__ == "__main__":
    main()
