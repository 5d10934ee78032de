"""What `provision`, `stop`, `delete` and `box` share: the operator's boxes and how they are printed."""

from __future__ import annotations

import argparse
import time
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clinasr_tui.box.words import meter_words, state_words, warning_words
from clinasr_tui.commands.output import note, print_lines
from clinasr_tui.errors import ExitCode
from clinasr_tui.flywheel.cost import DEFAULT_NAME, money

if TYPE_CHECKING:
    from clinasr_tui.box.boxes import Account, Boxes
    from clinasr_tui.box.record import BoxRecord
    from clinasr_tui.flywheel.cost import Offer


def add_name(parser: argparse.ArgumentParser, what: str) -> None:
    """The NAME argument of stop and delete."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help=f"{what} (default: the only one, or {DEFAULT_NAME})"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait until Brev says so")


def own_boxes() -> Boxes:
    """The operator's boxes."""
    from clinasr_tui.box.boxes import Boxes

    return Boxes()


def default_name(boxes: Boxes) -> str:
    """The name that is meant without one: the only box looked after, else the published name."""
    live = boxes.book.live()
    return live[0].name if len(live) == 1 else DEFAULT_NAME


async def end_box(boxes: Boxes, name: str, verb: str, *, wait: bool) -> int:
    """Stop or delete a box and, if asked, wait until Brev says so; the exit code."""
    await (boxes.stop(name) if verb == "stop" else boxes.delete(name))
    record = boxes.book.find(name)
    if not wait or record is None:
        note(f"{verb} of {name} is asked for: it bills until Brev is done (`clinasr-tui box` tells)")
        return ExitCode.OK
    told = ""
    async with aclosing(boxes.until_over(name)) as looks:
        async for record in looks:
            words = state_words(record, time.time())
            if words != told:
                told = words
                note(f"{name}: {words}")
    print_lines(box_lines(record, time.time()))
    done = record.is_over or record.status == "stopped"
    return ExitCode.OK if done else ExitCode.REMOTE


def box_document(record: BoxRecord, now: float) -> dict[str, Any]:
    """One box for `--json`."""
    return {
        "name": record.name,
        "phase": str(record.phase),
        "status": record.word or None,
        "bills": record.bills,
        "hours": round(record.hours(now), 4),
        "cost": round(record.cost(now), 4),
        "price_per_hour": record.offer.hourly,
        "price_source": str(record.offer.source),
        "stopped_disk_per_month": record.offer.stopped_month if record.offer.stoppable else None,
        "stoppable": record.offer.stoppable,
        "stop_when_done": record.stop_when_done,
        "ready": record.answered_at is not None,
        "asked_at": record.asked_at,
        "consent": record.consent,
        "offer": offer_document(record.offer),
        "warning": warning_words(record),
        "says": state_words(record, now),
    }


def offer_document(offer: Offer) -> dict[str, Any]:
    """One offer for `--json`."""
    return {**asdict(offer), "source": str(offer.source), "hourly": offer.hourly}


def box_lines(record: BoxRecord, now: float) -> list[str]:
    """One box for people."""
    offer = record.offer
    gpu = f"{offer.gpu} {offer.vram_gb:g} GB" + (f" × {offer.gpu_count}" if offer.gpu_count > 1 else "")
    lines = [
        f"{record.name} · {gpu} · {offer.type} · {offer.disk_gb:g} GB disk",
        f"  {state_words(record, now)}",
        f"  {meter_words(record, now)}",
    ]
    warning = warning_words(record)
    return [*lines, f"  {warning}"] if warning else lines


def account_lines(account: Account) -> list[str]:
    """Every box, then what others made."""
    now = time.time()
    lines = [line for record in account.records for line in box_lines(record, now)]
    if not lines:
        lines = ["no box is rented from here: any SSH host, or this machine, needs none"]
    if account.others:
        lines.append("not rented from here, their cost is not known:")
        lines += [f"  {one.name} · {one.gpu or '–'} · {one.type} · {one.word}" for one in account.others]
    return lines


def offer_line(number: int, offer: Offer) -> list[str]:
    """An offer's cells: number, price, GPU, disk, where, what ends billing."""
    ends = {True: "stop or delete", False: "only delete", None: "delete (stop not said)"}[offer.stoppable]
    boots = "" if offer.boot_seconds is None else f"up in {max(1, round(offer.boot_seconds / 60))} min"
    price = f"{money(offer.hourly)}/h" + ("" if offer.source == "live" else " published")
    gpu = f"{offer.gpu} {offer.vram_gb:g} GB" + (f" × {offer.gpu_count}" if offer.gpu_count > 1 else "")
    return [str(number), price, gpu, f"{offer.disk_gb:g} GB disk", offer.type, ends, boots]
