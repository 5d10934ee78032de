"""The app's store for boxes: what is rented, what it costs, offers, and the work on them. No widgets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import ClinasrError, HostKeyError, InputError
from clinasr_tui.messages import BoxChanged, BoxKeyUnknown

if TYPE_CHECKING:
    from textual.message import Message

    from clinasr_tui.box.boxes import Boxes
    from clinasr_tui.box.brev_answers import Instance
    from clinasr_tui.box.consent import Consent
    from clinasr_tui.box.record import BoxRecord
    from clinasr_tui.flywheel.cost import Offer, Sku
    from clinasr_tui.flywheel.settings import Settings

_NONE_BILLING = "box: none billing"
LOOK_SECONDS = 120.0
"""How often Brev is asked while a box bills."""


class BoxDesk:
    """Everything screens know of boxes. `post` sends to the app, `start_worker(coroutine, name, group)` runs.

    Nothing here asks Brev anything before a box is known from an earlier start, or the operator looks.
    """

    def __init__(
        self,
        settings: Settings,
        post: Callable[[Message], object],
        start_worker: Callable[[Coroutine[Any, Any, None], str, str], object],
        boxes: Boxes | None = None,
    ) -> None:
        self._settings = settings
        self._post = post
        self._start = start_worker
        self._boxes = boxes
        self.records: tuple[BoxRecord, ...] = ()
        """Boxes that are not over, oldest first."""
        self.others: tuple[Instance, ...] = ()
        self._kind: Sku | None = None
        self.only_stoppable = False
        self.offers: tuple[Offer, ...] | None = None
        """Offers of `kind`; None until they were asked for."""
        self.asking = False
        self.problem = ""
        """Why Brev could not be asked, or what did not work."""
        self.broken = ""
        """Why the state of the boxes cannot be read: then nothing is known of what bills."""
        self.said: dict[str, str] = {}
        """The newest line about a box by its name, "" for what is about none."""
        self._waiting: set[str] = set()
        self._looked = 0.0

    @property
    def boxes(self) -> Boxes:
        """The operator's boxes; made when first needed."""
        if self._boxes is None:
            from clinasr_tui.box.boxes import Boxes

            self._boxes = Boxes()
        return self._boxes

    @property
    def kind(self) -> Sku:
        """The kind of box offers are asked for."""
        from clinasr_tui.flywheel.cost import DEFAULT_SKU

        return self._kind or DEFAULT_SKU

    @kind.setter
    def kind(self, kind: Sku) -> None:
        self._kind = kind

    # --- words ---------------------------------------------------------------------------------

    def headline(self) -> tuple[str, bool]:
        """The title line's words about boxes, and whether something bills."""
        if self.broken:
            return "box: NOT KNOWN (4)", True
        if not self.records:
            return _NONE_BILLING, False
        from clinasr_tui.box.words import headline

        return headline(self.records, time.time()), any(record.bills for record in self.records)

    def facts(self) -> dict[str, str]:
        """What the stepper needs: the state of the newest box and one line about it."""
        from clinasr_tui.box.words import state_words
        from clinasr_tui.flywheel.cost import money

        if not self.records:
            return {"box_state": "", "box_detail": ""}
        record = self.records[-1]
        state = "stopped"
        if record.bills:
            state = "pending" if record.answered_at is None else "ready"
        words = f"{record.name}: {state_words(record, time.time()).partition(',')[0]}"
        price = f", {money(record.offer.hourly)} per hour" if record.bills else ""
        return {"box_state": state, "box_detail": words + price}

    # --- looking -------------------------------------------------------------------------------

    def read(self) -> None:
        """Take what is on the disk. Nothing is asked of Brev."""
        try:
            self.records, self.broken = self.boxes.book.live(), ""
        except ClinasrError as error:
            self.broken = str(error)
        self._post(BoxChanged())

    def begin(self) -> None:
        """At the start of the app: find what an earlier session left billing."""
        self.read()
        if self.records:
            self.look()

    def tick(self) -> None:
        """Now and then, while there is a box: the meter runs, and Brev is asked again."""
        if self.records:
            self._post(BoxChanged())
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self.look()

    def look(self) -> None:
        """Ask Brev what is there."""
        self._start(self._work(self._look()), "look for boxes", "box look")

    async def _look(self) -> None:
        self._looked = time.monotonic()
        account = await self.boxes.look()
        self.records, self.others, self.broken = account.records, account.others, ""
        self.problem = "" if account.problem is None else str(account.problem)

    def ask_offers(self) -> None:
        """Ask for offers of the kind in view, with the account's boxes."""
        self.asking, self.offers, self.problem = True, None, ""
        self._start(self._work(self._ask_offers()), "ask for offers", "box look")
        self._post(BoxChanged())

    async def _ask_offers(self) -> None:
        kind, only = self.kind, self.only_stoppable
        try:
            await self._look()
            if not self.problem:
                found = await self.boxes.cli.offers(kind, stoppable=only)
                if (kind, only) == (self.kind, self.only_stoppable):
                    self.offers = found
        finally:
            if (kind, only) == (self.kind, self.only_stoppable):
                self.asking = False

    # --- renting -------------------------------------------------------------------------------

    def provision(self, consent: Consent) -> None:
        """Make the box consented to, and wait until it answers."""
        self._start(self._work(self._provision(consent), consent.name), f"rent {consent.name}", "box")

    async def _provision(self, consent: Consent) -> None:
        name = consent.name
        starting = consent.action == "start"
        self._say(name, "starting …" if starting else f"asking Brev for {consent.offer.type} …")
        make = self.boxes.start if starting else self.boxes.provision
        await make(consent, name, consent.offer)
        self.read()
        await self._wait(name)

    def wait_for(self, name: str) -> None:
        """Wait until a box answers over SSH."""
        if name not in self._waiting:
            self._start(self._work(self._wait(name), name), f"wait for {name}", "box")

    async def _wait(self, name: str) -> None:
        from clinasr_tui.remote.host import SshSettings

        # Brev writes its entries to the usual place, whatever file the workspace names for other hosts.
        ssh = SshSettings(known_hosts=self._settings.known_hosts)
        self._waiting.add(name)
        try:
            async with aclosing(self.boxes.until_ready(name, ssh)) as looks:
                async for _, line in looks:
                    self._say(name, line)
        except HostKeyError as error:
            self._say(name, "its SSH server answers; its key is not confirmed")
            self._post(BoxKeyUnknown(name, error))
        finally:
            self._waiting.discard(name)

    # --- ending --------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Stop a box."""
        self._start(self._work(self._end(name, "stop"), name), f"stop {name}", "box")

    def delete(self, name: str) -> None:
        """Delete a box."""
        self._start(self._work(self._end(name, "delete"), name), f"delete {name}", "box")

    async def _end(self, name: str, verb: str) -> None:
        self._say(name, f"asking Brev to {verb} it …")
        await (self.boxes.stop(name) if verb == "stop" else self.boxes.delete(name))
        self._say(name, "")
        async with aclosing(self.boxes.until_over(name)) as looks:
            async for record in looks:
                self.read()
                if record.is_over:
                    self._say("", f"{name}: {record.why_ended}. Nothing is billed for it any more")

    def forget(self, name: str) -> None:
        """Stop looking after a box that is not listed any more. Raises InputError if it may bill."""
        self.boxes.forget(name)
        self.read()

    def run_ended(self, host: str, outcome: str) -> None:
        """A run on `host` is over: stop its box if that was armed."""
        if any(record.name == host and record.stop_when_done for record in self.records):
            self._start(self._work(self._after_run(host, outcome), host), f"stop {host}", "box")

    async def _after_run(self, host: str, outcome: str) -> None:
        from clinasr_tui.box.stop_when_done import stop_after

        self._say(host, "its run is over: stopping it …")
        self._say(host, await stop_after(self.boxes, host, outcome))

    # --- helpers -------------------------------------------------------------------------------

    def _say(self, name: str, line: str) -> None:
        self.said[name] = line
        self.read()

    async def _work(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        """Run it; what goes wrong is told where it belongs, and nothing escapes."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except ClinasrError as error:
            if isinstance(error, InputError) and self.boxes.book.path.name in (error.where or ""):
                self.broken = str(error)
            self.problem = str(error)
            self.said[name] = ""
        except Exception as error:
            self.problem = f"work on the box failed: {type(error).__name__}: {error}"
        self.read()
