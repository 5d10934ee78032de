"""Rent, watch, stop and delete boxes: consent, durable state and the CLI put together in the safe order.

The state is written before `create` is called, so that whatever is cut off between the typed word and the
first answer over SSH is found again at the next start, and said what it costs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import TYPE_CHECKING

from clinasr_tui.box.brev import BrevCli, UnclearError
from clinasr_tui.box.brev_answers import BoxStatus, Instance
from clinasr_tui.box.consent import NOTHING_CREATED, Consent, ConsentError, check
from clinasr_tui.box.names import require_name
from clinasr_tui.box.record import (
    BoxRecord,
    Phase,
    begun,
    billing_again,
    ended,
    reconciled,
)
from clinasr_tui.box.state import BoxBook
from clinasr_tui.errors import HostKeyError, InputError, RemoteError

if TYPE_CHECKING:
    from clinasr_tui.flywheel.cost import Offer
    from clinasr_tui.remote.host import SshSettings

POLL_SECONDS = 5.0
READY_SECONDS = 20 * 60.0
"""How long a box may take from `create` to its first answer."""
_REFRESH_EVERY = 6
GONE_SECONDS = 5 * 60.0
"""How long a stop or a delete is waited for."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is known after a look: our boxes and whatever else is listed."""

    records: tuple[BoxRecord, ...]
    """Boxes made from here that are not over, oldest first."""
    others: tuple[Instance, ...] = ()
    """Instances of the account that were not made from here; they may bill too."""
    problem: RemoteError | None = None
    """Why Brev could not be asked; the records are then as they were left."""


class Boxes:
    """The operator's boxes. `now` gives Unix seconds."""

    def __init__(
        self,
        cli: BrevCli | None = None,
        book: BoxBook | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.cli = cli or BrevCli()
        self.book = book or BoxBook()
        self._clock = now

    def _now(self) -> float:
        return time.time() if self._clock is None else self._clock()

    async def look(self) -> Account:
        """Ask Brev what is there and bring the records up to date. Raises InputError for a broken state."""
        self.book.read()
        try:
            listed = await self.cli.instances()
        except RemoteError as error:
            return Account(self.book.live(), problem=error)
        return self._reconcile(listed)

    def _reconcile(self, listed: tuple[Instance, ...]) -> Account:
        now = self._now()
        with self.book.change() as records:
            # An earlier box of the same name is over and stays so.
            newest = {record.name: at for at, record in enumerate(records)}
            for at in newest.values():
                records[at] = reconciled(records[at], listed, now)
        live = self.book.live()
        ours = {record.id for record in live if record.id} | {record.name for record in live if not record.id}
        others = tuple(one for one in listed if one.id not in ours and one.name not in ours)
        return Account(live, others)

    # --- what spends ---------------------------------------------------------------------------

    async def provision(self, consent: Consent, name: str, offer: Offer) -> BoxRecord:
        """Make the one box consented to. Raises ConsentError without a valid consent: nothing was created.

        Raises UnclearError if Brev did not say that it worked and does not list it (yet): the record stays
        and every later look settles it.
        """
        check(consent, require_name(name), offer)
        if not offer.is_fresh(self._now()):
            raise InputError(f"the price is old by now: {NOTHING_CREATED}", remedy="Ask for the offers again")
        await self._expect_free(name)
        self.book.write_consent(consent)
        record = BoxRecord(
            name, offer, consent.id, asked_at=self._now(), stop_when_done=consent.stop_when_done
        )
        self.book.put(begun(record))
        try:
            await self.cli.create(consent, name, offer)
        except UnclearError as error:
            self._set(name, failed_at=self._now())
            return await self._settle(name, error)
        except (ConsentError, RemoteError, InputError):
            # Refused before anything was asked of Brev.
            self._end(name, NOTHING_CREATED, never=True)
            raise
        account = await self.look()
        return _named(account.records, name) or self._record(name)

    async def _expect_free(self, name: str) -> None:
        if self.book.find(name) is not None:
            raise InputError(
                f"a box of this name is looked after already: {NOTHING_CREATED}",
                where=name,
                remedy="`clinasr-tui box` says what it costs; use it, delete it, or choose another name",
            )
        if any(instance.name == name for instance in await self.cli.instances()):
            raise InputError(
                f"your account has an instance of this name: {NOTHING_CREATED}",
                where=name,
                remedy="Use or delete it, or choose another name",
            )

    async def _settle(self, name: str, error: UnclearError) -> BoxRecord:
        """Brev gave an error: what does it list?"""
        account = await self.look()
        record = _named(account.records, name)
        if record is not None and record.phase is not Phase.ASKED:
            return record
        if account.problem is None:
            what = f"{error.what}. Brev lists no {name} so far"
        else:
            what = f"{error.what}, and it is not known whether {name} was made"
        remedy = f"{error.remedy or ''}. `clinasr-tui box` looks again: do it before you leave".lstrip(". ")
        raise UnclearError(what, where=error.where, remedy=remedy) from error

    async def start(self, consent: Consent, name: str, offer: Offer) -> BoxRecord:
        """Start a stopped box, which bills again: needs a consent of its own."""
        check(consent, name, offer, "start")
        record = self._record(name)
        self.book.write_consent(consent)
        self.book.put(replace(billing_again(record, self._now()), stop_when_done=consent.stop_when_done))
        await self.cli.start(consent, name, offer)
        return self._record(name)

    # --- what ends billing ---------------------------------------------------------------------

    async def stop(self, name: str) -> None:
        """Ask for a stop; it bills until Brev says STOPPED. Raises InputError for a type that cannot be."""
        record = self.book.find(name)
        if record is not None and record.offer.stoppable is False:
            raise InputError(
                "this type cannot be stopped and bills on",
                where=name,
                remedy="Fetch what you need, then delete it: only that ends billing",
            )
        await self.cli.stop(name)

    async def delete(self, name: str) -> None:
        """Ask for the box and its disk to be deleted; what was not fetched is lost."""
        record = self.book.find(name)
        try:
            await self.cli.delete(name)
        except UnclearError:
            account = await self.look()
            still = _named(account.records, name)
            listed = name in (one.name for one in account.others) or (
                still is not None and still.phase is not Phase.LOST
            )
            if account.problem is not None or listed:
                raise
        if record is not None:
            self._set(name, phase=Phase.DELETING)

    def forget(self, name: str) -> None:
        """Stop looking after a box that Brev does not list any more. Raises InputError if it does."""
        if self._record(name).phase is not Phase.LOST:
            raise InputError("it may still bill and is not forgotten", where=name, remedy="Delete it first")
        self._end(name, "forgotten: it was not listed any more")

    # --- waiting -------------------------------------------------------------------------------

    async def until_over(self, name: str) -> AsyncGenerator[BoxRecord]:
        """The record after each look until it is stopped or gone, at most GONE_SECONDS long."""
        limit, pauses = time.monotonic() + GONE_SECONDS, _pauses()
        while True:
            record = await self._seen(name)
            yield record
            if record.is_over or record.status is BoxStatus.STOPPED or time.monotonic() > limit:
                return
            await asyncio.sleep(next(pauses))

    async def until_ready(self, name: str, ssh: SshSettings) -> AsyncGenerator[tuple[BoxRecord, str]]:
        """The record and one line after each look, until the box's SSH server lets a command run.

        RUNNING comes before sshd answers: both are waited for. Raises HostKeyError at first contact (trust
        it, then call again), RemoteError after READY_SECONDS or when the box is gone: it may still bill.
        """
        limit, pauses = time.monotonic() + READY_SECONDS, _pauses()
        attempts = 0
        while time.monotonic() < limit:
            record = await self._seen(name)
            if record.is_over or record.status in (BoxStatus.STOPPED, BoxStatus.DELETING, BoxStatus.FAILED):
                word = record.why_ended or record.word
                raise RemoteError(f"the box will not answer: {word}", where=name, remedy=_SEE_IT)
            if record.status is not BoxStatus.RUNNING:
                yield record, f"{record.word or 'asked for'}: waiting for the box"
            else:
                if attempts % _REFRESH_EVERY == 0:
                    await self.cli.refresh()
                attempts += 1
                try:
                    await _run_true(name, ssh)
                except HostKeyError:
                    raise
                except RemoteError as error:
                    # A box that is just up refuses connections, then logins, before it lets anybody in.
                    yield record, f"RUNNING, its SSH server does not answer yet ({error.what})"
                else:
                    self._set(name, answered_at=self._now())
                    yield self._record(name), "ready: SSH answers"
                    return
            await asyncio.sleep(next(pauses))
        minutes = READY_SECONDS / 60
        raise RemoteError(f"not ready after {minutes:g} min, and it bills", where=name, remedy=_SEE_IT)

    async def _seen(self, name: str) -> BoxRecord:
        """The record after a look; trouble in asking leaves it as it was."""
        await self.look()
        records = [record for record in self.book.read() if record.name == name]
        if not records:
            raise InputError("no box of this name is looked after here", where=name)
        return records[-1]

    # --- records -------------------------------------------------------------------------------

    def _record(self, name: str) -> BoxRecord:
        record = self.book.find(name)
        if record is None:
            raise InputError("no box of this name is looked after here", where=name, remedy=_SEE_IT)
        return record

    def _set(self, name: str, **changes: object) -> None:
        record = self.book.find(name)
        if record is not None:
            self.book.put(replace(record, **changes))  # type: ignore[arg-type]

    def _end(self, name: str, why: str, *, never: bool = False) -> None:
        record = self.book.find(name)
        if record is not None:
            self.book.put(ended(record, self._now(), why, never=never))


def _pauses() -> Iterator[float]:
    """Seconds between looks: short at first, then POLL_SECONDS."""
    return chain((min(part, POLL_SECONDS) for part in (0.5, 1.0, 2.0)), repeat(POLL_SECONDS))


async def _run_true(name: str, ssh: SshSettings) -> None:
    """Run `true` on the box over a connection of our own. Raises RemoteError if it does not work."""
    from clinasr_tui.remote.ssh import SshHost

    async with SshHost(name, ssh) as host:
        process = await host.start(["true"])
        try:
            code, _ = await process.wait()
        finally:
            await process.close()
    if code != 0:
        raise RemoteError(f"`true` ended with {code}", where=name)


_SEE_IT = "`clinasr-tui box` says what is there and what it costs"


def _named(records: tuple[BoxRecord, ...], name: str) -> BoxRecord | None:
    return next((record for record in records if record.name == name), None)
