"""Box: what is rented and what it costs, offers with live prices, stop and delete."""

from __future__ import annotations

import time
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.box.consent import NOTHING_CREATED
from clinasr_tui.box.record import Phase
from clinasr_tui.box.words import (
    LAPTOP_WORDS,
    delete_words,
    meter_words,
    state_words,
    stop_words,
    warning_words,
)
from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.cost import (
    DEFAULT_NAME,
    SKUS,
    cost_lines,
    costs,
    ending_words,
    money,
    published_offer,
)
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.confirm_dialog import ConfirmDialog
from clinasr_tui.screens.cost_dialog import CostDialog
from clinasr_tui.text import visible
from clinasr_tui.widgets.columns import Column, cells
from clinasr_tui.widgets.figures import Line
from clinasr_tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.box.consent import Consent
    from clinasr_tui.box.record import BoxRecord
    from clinasr_tui.box_desk import BoxDesk
    from clinasr_tui.flywheel.cost import Offer, Sku
    from clinasr_tui.messages import BoxChanged

_NONE = (
    "None is rented from here, nothing is billed. A box is one way to a GPU: any host of your ssh config, or "
    "this machine, works without one. Prices below are asked for by brev; a box is made only after you have "
    "seen what it costs and typed YES."
)
_WIDEST = 110
"""Wider, the eye loses the line between price and what ends it."""
_ENDS = {True: "stop/delete", False: "only delete", None: "delete"}


class BoxScreen(CockpitScreen):
    """The operator's rented boxes and what could be rented."""

    SCREEN_ID = "box"
    TITLE_TEXT = "Box"

    def __init__(self) -> None:
        super().__init__()
        self._selected = ""

    @property
    def desk(self) -> BoxDesk:
        """The app's store for boxes."""
        return self.session.boxes

    def compose_body(self) -> ComposeResult:
        """What is rented above, offers below, the chosen offer's cost under them."""
        with VerticalScroll(classes="panel", id="rented") as rented:
            rented.border_title = "Rented"
            yield Static(id="rented-text")
        with Vertical(classes="panel", id="offers-panel"):
            yield LineList(id="offers")
            yield Static(id="offers-empty")
        yield Static(id="offer-cost")

    def on_mount(self) -> None:
        """Prices are asked for when the screen is first seen; the keys choose among them."""
        self.query_one("#rented").can_focus = False
        self.query_one("#offers").focus()
        if self.desk.offers is None and not self.desk.asking:
            self.desk.ask_offers()

    def refresh_view(self) -> None:
        """Draw what is known."""
        if self.is_mounted:
            self._draw()

    def on_box_changed(self, message: BoxChanged) -> None:
        """News of a box or of offers."""
        super().on_box_changed(message)
        self._draw()

    def on_resize(self) -> None:
        """Lines are wrapped to the width."""
        self.refresh_view()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another offer: what would it cost?"""
        event.stop()
        self._draw_cost()

    # --- actions -------------------------------------------------------------------------------

    def action_select(self) -> None:
        """Show what the offer costs and ask."""
        offer = self._offer()
        if offer is None:
            self.show_problem("choose an offer first: r asks for prices")
        elif not offer.is_fresh(time.time()):
            self.show_problem("the price is old by now and is asked for again: choose once more")
            self.desk.ask_offers()
        else:
            self._ask(self._free_name(), offer, "create")

    def action_start(self) -> None:
        """Start the stopped box, after the same question."""
        record = self._box()
        if record is None or record.bills:
            self.show_problem("no stopped box is chosen")
        else:
            self._ask(record.name, record.offer, "start")

    def action_stop(self) -> None:
        """Stop the chosen box."""
        record = self._box()
        if record is None or not record.bills:
            self.show_problem("no box bills by the hour")
        elif record.offer.stoppable is False:
            self.show_problem(f"{record.name}: {ending_words(record.offer)}. D deletes it")
        else:
            self._confirm(
                "Stop this box?", stop_words(record), "Stop it", partial(self.desk.stop, record.name)
            )

    def action_delete(self) -> None:
        """Delete the chosen box."""
        record = self._box()
        if record is None:
            self.show_problem("no box is rented from here")
        elif record.phase is Phase.LOST:
            self._confirm(
                "Forget this box?",
                f"{record.name} is not listed any more. If it is in another organisation, it bills on there: "
                "look at Brev's console first.",
                "Forget it",
                partial(self._forget, record.name),
            )
        else:
            words = delete_words(record)
            self._confirm("Delete this box?", words, "Delete it", partial(self.desk.delete, record.name))

    def action_connect(self) -> None:
        """Wait until the chosen box answers over SSH; confirm its key."""
        record = self._box()
        if record is None or not record.bills:
            self.show_problem("no box is running")
        else:
            self.show_problem(None)
            self.desk.wait_for(record.name)

    def action_ask(self) -> None:
        """Ask for boxes and prices again."""
        self.show_problem(None)
        self.desk.ask_offers()

    def action_kind(self, step: int) -> None:
        """Another kind of GPU."""
        self.desk.kind = SKUS[(SKUS.index(self.desk.kind) + step) % len(SKUS)]
        self.action_ask()

    def action_stoppable(self) -> None:
        """Only types that can be stopped, or all."""
        self.desk.only_stoppable = not self.desk.only_stoppable
        self.action_ask()

    def action_box(self, step: int) -> None:
        """Another one of several boxes."""
        names = [record.name for record in self.desk.records]
        if names:
            here = names.index(self._selected) if self._selected in names else len(names) - 1
            self._selected = names[(here + step) % len(names)]
            self._draw()

    def _ask(self, name: str, offer: Offer, action: str) -> None:
        self.show_problem(None)
        dialog = CostDialog(name, offer, cost_lines(offer, name), honest=LAPTOP_WORDS, action=action)

        def answered(consent: Consent | None) -> None:
            if consent is None:
                why = f" ({dialog.why})" if dialog.why else ""
                self.show_problem(f"cancelled{why}: {NOTHING_CREATED}")
                return
            self.show_problem(None)
            self._selected = name
            self.desk.provision(consent)

        self.app.push_screen(dialog, answered)

    def _confirm(self, title: str, text: str, yes: str, do: partial[None]) -> None:
        def answered(sure: bool | None) -> None:
            if sure:
                self.show_problem(None)
                do()

        self.app.push_screen(ConfirmDialog(title, text, yes), answered)

    def _forget(self, name: str) -> None:
        try:
            self.desk.forget(name)
        except ClinasrError as error:
            self.show_problem(error)

    # --- what is chosen ------------------------------------------------------------------------

    def _box(self) -> BoxRecord | None:
        """The chosen box, else the newest."""
        records = self.desk.records
        return next((one for one in records if one.name == self._selected), records[-1] if records else None)

    def _offer(self) -> Offer | None:
        key = self.query_one("#offers", LineList).cursor_key
        offers = self.desk.offers or ()
        return next((offer for number, offer in enumerate(offers) if str(number) == key), None)

    def _free_name(self) -> str:
        """The published name, or with the next number while a box of that name is there."""
        taken = {record.name for record in self.desk.records} | {one.name for one in self.desk.others}
        names = [DEFAULT_NAME, *(f"{DEFAULT_NAME}-{number}" for number in range(2, len(taken) + 3))]
        return next(name for name in names if name not in taken)

    # --- drawing -------------------------------------------------------------------------------

    def _draw(self) -> None:
        width = max(30, self.size.width - 6)
        self.query_one("#rented-text", Static).update(self._rented(width))
        kind = self.desk.kind
        panel = self.query_one("#offers-panel")
        only = ", stoppable ones" if self.desk.only_stoppable else ""
        panel.border_title = Content(f"Offers of {kind.id}{only}: {kind.what_for}")
        self._draw_offers()
        self._draw_cost()
        trouble = self.desk.broken or self.desk.problem
        if trouble:
            self.show_problem(trouble)

    def _rented(self, width: int) -> Content:
        now = time.time()
        lines: list[Content] = []
        chosen = self._box()
        for record in self.desk.records:
            lines += _rented_box(
                record, self.desk.said.get(record.name, ""), now, width, here=record is chosen
            )
        if not lines and not self.desk.broken:
            lines = [Content.styled(part, "$quiet") for part in wrap(_NONE, width)]
        if self.desk.said.get(""):
            lines.append(Content.styled(visible(self.desk.said[""]), "$good"))
        if self.desk.others:
            names = ", ".join(f"{one.name} ({one.word})" for one in self.desk.others)
            text = f"Not rented from here, cost not known: {names}"
            lines += [Content.styled(part, "$quiet") for part in wrap(visible(text), width)]
        return Content("\n").join(lines)

    def _draw_offers(self) -> None:
        offers = self.desk.offers
        shown = self.query_one("#offers", LineList)
        shown.show(
            [Line(str(number), partial(_offer_line, offer)) for number, offer in enumerate(offers or ())]
        )
        shown.display = bool(offers)
        empty = self.query_one("#offers-empty", Static)
        empty.display = not offers
        if self.desk.asking:
            text = "asking brev for offers and their prices …"
        elif offers is None:
            text = "\n".join(["prices are not known: r asks again", *_published(self.desk.kind)])
        else:
            text = "no offer of this kind now: n shows another kind, r asks again"
        empty.update(Content.styled(text, "$quiet"))

    def _draw_cost(self) -> None:
        offer = self._offer()
        line = self.query_one("#offer-cost", Static)
        line.display = offer is not None
        if offer is not None:
            total = costs(offer)
            first, last = (money(amount) for amount in total.run)
            line.update(
                Content.assemble(
                    ("a run ≈ ", "$quiet"),
                    (f"{first}–{last}", "bold"),
                    (" · forgotten: a night ", "$quiet"),
                    (money(total.night), "bold"),
                    (", a week ", "$quiet"),
                    (money(total.week), "bold"),
                    (f"\n{ending_words(offer)}", "$bad" if offer.stoppable is False else "$quiet"),
                )
            )


def _rented_box(record: BoxRecord, said: str, now: float, width: int, *, here: bool) -> list[Content]:
    """Name, state, meter and warnings of one box."""
    offer = record.offer
    gpu = f"{offer.gpu} {offer.vram_gb:g} GB" + (f" × {offer.gpu_count}" if offer.gpu_count > 1 else "")
    head = f"{record.name} · {gpu} · {offer.disk_gb:g} GB disk · {offer.type}"
    mark = ("▸ ", "bold $primary") if here else ("  ", "")
    lines = [Content.assemble(mark, (visible(head), "bold")).truncate(width, ellipsis=True)]
    loud = "bold $accent" if record.bills else ""
    for text, style in (
        (state_words(record, now), ""),
        (meter_words(record, now), loud),
        (f"stopped when a watched run is over: {LAPTOP_WORDS}" if record.stop_when_done else "", "$quiet"),
        (said, "$good" if not said.startswith("✖") else "bold $bad"),
        (warning_words(record), "bold $bad"),
    ):
        lines += [Content.styled(f"  {part}", style) for part in wrap(visible(text), width - 2)]
    return lines


def _published(kind: Sku) -> list[str]:
    """What the method's text says a box of this kind costs, marked as such."""
    offer = published_offer(kind, time.time())
    if offer is None:
        return []
    _, price, *rest = cost_lines(offer, DEFAULT_NAME)
    return ["", price, *(line for line in rest if not line.startswith("⚠"))]


_COLUMNS = (
    Column("", 9, right=True),
    Column("", 13),
    Column("", 7, right=True),
    Column("", 0),
    Column("", 11),
    Column("", 6, right=True),
)


def _offer_line(offer: Offer, width: int) -> Content:
    """Price, GPU, disk, type, what ends billing, how soon it is up."""
    boots = "" if offer.boot_seconds is None else f"{max(1, round(offer.boot_seconds / 60))} min"
    count = f" × {offer.gpu_count}" if offer.gpu_count > 1 else ""
    live = "" if offer.source == "live" else " (published, not live)"
    texts: list[Content | str] = [
        Content.styled(f"{money(offer.hourly)}/h", "bold $accent"),
        f"{offer.gpu} {offer.vram_gb:g} GB{count}",
        f"{offer.disk_gb:g} GB",
        visible(offer.type) + live,
        Content.styled(_ENDS[offer.stoppable], "" if offer.stoppable else "$bad"),
        Content.styled(boots, "$quiet"),
    ]
    return cells(_COLUMNS, texts, min(width, _WIDEST))
