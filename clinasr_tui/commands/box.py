"""`box`: what is rented, where it is and what it has cost; offers with their prices."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from clinasr_tui.commands.box_output import (
    account_lines,
    box_document,
    offer_document,
    offer_line,
    own_boxes,
)
from clinasr_tui.commands.output import add_json, note, print_json, print_lines, table
from clinasr_tui.errors import ExitCode, InputError
from clinasr_tui.flywheel.cost import DEFAULT_DISK_GB, DEFAULT_SKU, SKUS, Sku, sku

if TYPE_CHECKING:
    from clinasr_tui.box.boxes import Account, Boxes
    from clinasr_tui.flywheel.cost import Offer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `box`."""
    parser.add_argument("--offers", action="store_true", help="also ask for offers and their prices")
    add_kind(parser)
    parser.add_argument(
        "--forget", metavar="NAME", help="stop looking after a box that is not listed any more"
    )
    add_json(parser)


def add_kind(parser: argparse.ArgumentParser) -> None:
    """What kind of box is asked for."""
    names = ", ".join(one.id for one in SKUS)
    parser.add_argument("--sku", default=DEFAULT_SKU.id, help=f"{names} (default: %(default)s)")
    parser.add_argument(
        "--disk", type=float, default=DEFAULT_DISK_GB, metavar="GB", help="at least (default: %(default)g)"
    )
    parser.add_argument("--stoppable", action="store_true", help="only types that can be stopped")


def kind_of(args: argparse.Namespace) -> Sku:
    """The SKU asked for. Raises InputError for one that is not known or a disk that is none."""
    wanted = sku(args.sku)
    if wanted is None:
        known = ", ".join(f"{one.id} ({one.vram_gb:g} GB, {one.what_for})" for one in SKUS)
        raise InputError(f"{args.sku!r} is no kind of box known here", remedy=f"Known are {known}")
    if not 30 <= args.disk <= 10_000:
        raise InputError(f"a disk of {args.disk:g} GB is not from 30 to 10000", remedy="200 GB is enough")
    return wanted


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if Brev could be asked or nothing had to be, 3 if boxes could not be looked after."""
    boxes = own_boxes()
    kind = kind_of(args)
    if args.forget:
        boxes.forget(args.forget)
        note(f"{args.forget} is not looked after any more")
    # Without a box of ours there is nothing to ask, and most operators have no brev at all.
    ask = bool(boxes.book.live()) or args.offers or boxes.cli.is_installed
    account, offers = asyncio.run(_look(boxes, args, kind, ask=ask))
    if args.json:
        _print_document(boxes, account, offers)
    else:
        print_lines(account_lines(account))
        _print_offers(offers, kind)
    if account.problem is not None:
        note(f"Brev could not be asked: {account.problem}")
        return ExitCode.REMOTE if account.records or args.offers else ExitCode.OK
    return ExitCode.OK


async def _look(
    boxes: Boxes, args: argparse.Namespace, kind: Sku, *, ask: bool
) -> tuple[Account, tuple[Offer, ...] | None]:
    from clinasr_tui.box.boxes import Account

    account = await boxes.look() if ask else Account(())
    if not args.offers or account.problem is not None:
        return account, None
    return account, await boxes.cli.offers(kind, disk_gb=args.disk, stoppable=args.stoppable)


def _print_document(boxes: Boxes, account: Account, offers: tuple[Offer, ...] | None) -> None:
    now = time.time()
    document = {
        "boxes": [box_document(record, now) for record in account.records],
        "others": [
            {"name": one.name, "status": one.word, "type": one.type, "gpu": one.gpu} for one in account.others
        ],
        "billing": any(record.bills for record in account.records),
        "problem": None if account.problem is None else str(account.problem),
        "brev_installed": boxes.cli.is_installed,
    }
    if offers is not None:
        document["offers"] = [offer_document(offer) for offer in offers]
    print_json("box", document)


def _print_offers(offers: tuple[Offer, ...] | None, kind: Sku) -> None:
    if offers is None:
        return
    rows = [offer_line(number, offer) for number, offer in enumerate(offers, 1)]
    print_lines([f"offers of {kind.id}:", *table(rows, left=7)] if rows else [f"no offer of {kind.id} now"])
