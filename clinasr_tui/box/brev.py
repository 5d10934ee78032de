"""NVIDIA Brev's command line as a child process: never asked anything, never left hanging, never guessed at.

Standard input is /dev/null but for the one line of JSON that pins an offer (an open pipe hangs the CLI or
adds instances), and a session of its own keeps it from the terminal, where it would ask to log in. Signing in
is the operator's own act (`brev login`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.box import brev_commands as commands
from clinasr_tui.box.brev_answers import Instance, read_instances, read_offers
from clinasr_tui.box.consent import Consent, redeem
from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.flywheel.cost import DEFAULT_DISK_GB, Offer, Sku, published_offer
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.box.brev_commands import Capabilities

_OWN_HOST = "any SSH host of your own, or this machine, works without it"
_LARGEST_ANSWER = 8 << 20


class BrevMissingError(RemoteError):
    """There is no brev command line here."""


class NotSignedInError(RemoteError):
    """The operator is not signed in to Brev."""


class UnclearError(RemoteError):
    """Brev was asked to change something and it is not known whether it did."""


class _Answer(NamedTuple):
    code: int
    out: str
    err: str


class BrevCli:
    """The installed CLI. `program` is its name on PATH or its path."""

    def __init__(self, program: str = "brev") -> None:
        self._program = program
        self._able: Capabilities | None = None

    @property
    def is_installed(self) -> bool:
        """True if there is such a command."""
        return shutil.which(self._program) is not None

    async def version(self) -> str:
        """What it says of itself, on one line."""
        answer = await self._run(commands.VERSION)
        return visible(" ".join(answer.out.split()))[:80]

    async def able(self) -> Capabilities:
        """What the installed CLI takes, by its `--help`. Raises RemoteError if it cannot be used."""
        if self._able is None:
            asked = [self._run((*name.split(), "--help"), check=False) for name in commands.PROBED]
            answers = await asyncio.gather(*asked)
            helps = {
                name: answer.out if answer.code == 0 else ""
                for name, answer in zip(commands.PROBED, answers, strict=True)
            }
            able = commands.Capabilities.of(helps)
            if not able.listing:
                raise RemoteError(
                    "this version has no `ls --json`, so nobody could see what bills",
                    where="brev",
                    remedy=f"Update the brev command line; {_OWN_HOST}",
                )
            self._able = able
        return self._able

    async def instances(self) -> tuple[Instance, ...]:
        """Every instance of the account. Raises NotSignedInError or another RemoteError."""
        return read_instances((await self._run(commands.LIST)).out)

    async def offers(
        self, wanted: Sku, *, disk_gb: float = DEFAULT_DISK_GB, stoppable: bool = False
    ) -> tuple[Offer, ...]:
        """Boxes of this kind, cheapest first; the published figures where the CLI tells no prices."""
        able = await self.able()
        now = time.time()
        if not able.pinned:
            published = published_offer(wanted, now, disk_gb=disk_gb) if able.published else None
            return (published,) if published else ()
        answer = await self._run(commands.search(wanted.gpu, disk_gb, stoppable=stoppable))
        found = [offer for offer in read_offers(answer.out, disk_gb, now) if offer.fits(wanted)]
        return tuple(sorted(found, key=lambda offer: offer.hourly))

    async def create(self, consent: Consent, name: str, offer: Offer) -> None:
        """Make the box that was consented to, this type and no other; uses the consent up.

        Raises ConsentError without a valid one (nothing was started then), UnclearError if a box may have
        been made all the same.
        """
        able = await self.able()
        if not (able.pinned or able.published):
            raise RemoteError(
                "this version takes neither a pinned offer nor the published form",
                where="brev create",
                remedy=f"Update the brev command line; {_OWN_HOST}",
            )
        redeem(consent, name, offer)
        argv, pinned = commands.create(name, offer, able)
        await self._change(argv, pinned)

    async def start(self, consent: Consent, name: str, offer: Offer) -> None:
        """Start a stopped box: it bills again, so it needs a consent as `create` does."""
        redeem(consent, name, offer, "start")
        await self._change(commands.on_box("start", name))

    async def stop(self, name: str) -> None:
        """Ask for a stop, which takes a while. Raises RemoteError if the type cannot be stopped."""
        await self._change(commands.on_box("stop", name))

    async def delete(self, name: str) -> None:
        """Ask for the box to be deleted with its disk, which takes a while."""
        await self._change(commands.on_box("delete", name))

    async def refresh(self) -> None:
        """Have the ssh entries of running boxes written."""
        able = await self.able()
        if able.refresh:
            await self._run(able.refresh)

    async def _change(self, argv: Sequence[str], stdin: bytes | None = None) -> None:
        """A command after which the account may be different, whatever it answers."""
        try:
            await self._run(argv, stdin)
        except (BrevMissingError, NotSignedInError):
            raise
        except RemoteError as error:
            raise UnclearError(error.what, where=error.where, remedy=error.remedy) from error

    async def _run(self, argv: Sequence[str], stdin: bytes | None = None, *, check: bool = True) -> _Answer:
        """Run one command to its end. Raises RemoteError for exit codes other than 0, if `check`."""
        label = f"brev {argv[0]}"
        limit = commands.SECONDS.get(argv[0], commands.OTHER_SECONDS)
        call = _Call((self._program, *argv))
        try:
            answer = await asyncio.to_thread(call.answer, stdin, limit)
        except subprocess.TimeoutExpired:
            remedy = "Try it by hand; https://status.brev.dev or your network may say why"
            raise RemoteError(f"no answer within {limit:g} s", where=label, remedy=remedy) from None
        finally:
            call.end()
        if check and answer.code != 0:
            raise _failure(label, answer)
        return answer


class _Call:
    """One command as a child process, waited for in a thread.

    asyncio's own start of a child, cancelled half-way, leaves pipes open and the child unreaped; ending this
    one is a matter of one signal, whenever it comes and however often.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = False

    def answer(self, stdin: bytes | None, seconds: float) -> _Answer:
        """Run it to its end. Raises subprocess.TimeoutExpired, BrevMissingError or InputError."""
        with self._spawn(takes_input=stdin is not None) as child:
            try:
                out, err = child.communicate(stdin, seconds)
            finally:
                self.end()
        return _Answer(child.returncode, _text(out), _text(err))

    def end(self) -> None:
        """Kill what still runs, with whatever it started itself, and start nothing more."""
        with self._lock:
            self._ended = True
            if self._child is not None and self._child.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._child.pid, signal.SIGKILL)

    def _spawn(self, *, takes_input: bool) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        with self._lock:
            if self._ended:
                raise asyncio.CancelledError
            try:
                self._child = subprocess.Popen(  # noqa: S603 (words of our own, no shell)
                    self._argv,
                    stdin=pipe if takes_input else subprocess.DEVNULL,
                    stdout=pipe,
                    stderr=pipe,
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise BrevMissingError(
                    "the brev command line is not installed",
                    remedy=f"Install it and run `brev login`; {_OWN_HOST}",
                ) from None
            except OSError as error:
                raise InputError(f"cannot be started ({error.strerror})", where=self._argv[0]) from error
            return self._child


def _text(data: bytes) -> str:
    return data[:_LARGEST_ANSWER].decode("utf-8", "replace")


def _failure(label: str, answer: _Answer) -> RemoteError:
    """Exit codes say only that it failed; the last line of standard error says why."""
    said = f"{answer.out} {answer.err}".lower()
    if "logged out" in said or "brev login" in said or "log in?" in said:
        return NotSignedInError(
            "nobody is signed in", where=label, remedy="Run `brev login` in a terminal, then try again"
        )
    lines = [line.strip() for line in answer.err.splitlines() if line.strip()]
    why = visible(lines[-1])[:200] if lines else f"exit code {answer.code} without a word"
    if "does not support stop" in why:
        remedy = "Only deleting ends its billing; fetch what you need first"
        return RemoteError(f"{why} It still bills", where=label, remedy=remedy)
    return RemoteError(why, where=label, remedy=_remedy(label, answer.err))


def _remedy(label: str, err: str) -> str:
    if "no capacity" in err:
        return "There is none of this type now: choose another offer"
    if "already exists" in err:
        return "Choose another name, or delete the box of that name"
    return f"`{label}` by hand may say more"
