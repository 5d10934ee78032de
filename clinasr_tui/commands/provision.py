"""`provision`: rent one GPU box, after its cost was shown and YES was typed for it (method, section 8)."""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.box.consent import NOTHING_CREATED
from clinasr_tui.box.names import require_name
from clinasr_tui.box.words import LAPTOP_WORDS, leaving_line
from clinasr_tui.commands.box import add_kind, kind_of
from clinasr_tui.commands.box_output import box_document, box_lines, offer_line, own_boxes
from clinasr_tui.commands.consent_prompt import ask, require_terminal
from clinasr_tui.commands.output import add_json, note, print_json, print_lines, table
from clinasr_tui.commands.sources import settings_of
from clinasr_tui.errors import ExitCode, HostKeyError, InputError, RemoteError
from clinasr_tui.flywheel.cost import DEFAULT_NAME, cost_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.box.boxes import Boxes
    from clinasr_tui.box.record import BoxRecord
    from clinasr_tui.flywheel.cost import Offer, Sku


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `provision`. None of them is consent: that is typed."""
    parser.add_argument("--name", default=DEFAULT_NAME, help="of the instance (default: %(default)s)")
    add_kind(parser)
    parser.add_argument("--type", metavar="TYPE", help="this instance type, not the cheapest of its kind")
    parser.add_argument(
        "--stop-when-done", action="store_true", help="stop the box when a watched run is over"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait until SSH answers")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if the box is made, 4 if the operator declined, 2 without a terminal."""
    require_terminal()
    wanted, name = kind_of(args), require_name(args.name)
    boxes = own_boxes()
    record = _provision(boxes, name, wanted, args)
    if record is None:
        note(f"cancelled: {NOTHING_CREATED}")
        return ExitCode.DECLINED
    if not args.no_wait:
        record = asyncio.run(_until_ready(boxes, record))
    now = time.time()
    if args.json:
        print_json("provision", {"box": box_document(record, now)})
    else:
        print_lines(box_lines(record, now))
    note(leaving_line(boxes.book.live(), now))
    return ExitCode.OK


def _provision(boxes: Boxes, name: str, wanted: Sku, args: argparse.Namespace) -> BoxRecord | None:
    """Look, ask, make. The prompt is outside of every event loop, which would keep Ctrl-C from it."""
    account = asyncio.run(boxes.look())
    if account.problem is not None:
        raise account.problem
    if bills := leaving_line(account.records, time.time()):
        note(f"already: {bills}")
    stopped = next((one for one in account.records if one.name == name and not one.bills), None)
    if stopped is not None:
        return _start(boxes, stopped, args)
    offers = asyncio.run(boxes.cli.offers(wanted, disk_gb=args.disk, stoppable=args.stoppable))
    offer = _choose(offers, args, wanted)
    if args.stop_when_done and not offer.stoppable:
        raise InputError(f"{offer.type} cannot be stopped: {NOTHING_CREATED}", remedy="Add --stoppable")
    lines = [*cost_lines(offer, name), *([LAPTOP_WORDS] if args.stop_when_done else [])]
    note("This will start billing:")
    consent = ask(name, offer, lines, stop_when_done=args.stop_when_done)
    return None if consent is None else asyncio.run(boxes.provision(consent, name, offer))


def _start(boxes: Boxes, record: BoxRecord, args: argparse.Namespace) -> BoxRecord | None:
    """The box is there and stopped: start it, after the same question."""
    note(f"{record.name} is there and stopped. Starting it bills by the hour again:")
    lines = cost_lines(record.offer, record.name)
    consent = ask(record.name, record.offer, lines, action="start", stop_when_done=args.stop_when_done)
    return None if consent is None else asyncio.run(boxes.start(consent, record.name, record.offer))


def _choose(offers: Sequence[Offer], args: argparse.Namespace, wanted: Sku) -> Offer:
    """The one offer to ask about: the cheapest, or the type named. Raises RemoteError without one."""
    if offers:
        note(f"offers of {wanted.id}, cheapest first:")
        for line in table([offer_line(number, offer) for number, offer in enumerate(offers, 1)], left=7):
            note(line)
    found = [offer for offer in offers if args.type in (None, offer.type)]
    if found:
        return found[0]
    what = f"no offer of {wanted.id} with {args.disk:g} GB" + (f" named {args.type}" if args.type else "")
    raise RemoteError(f"{what}: {NOTHING_CREATED}", remedy="Try another --sku, a smaller --disk, or later")


async def _until_ready(boxes: Boxes, record: BoxRecord) -> BoxRecord:
    """Wait for SSH; a host key not confirmed yet is told, and the box stays."""
    from clinasr_tui.remote.host import SshSettings

    settings = settings_of(Path.cwd())
    ssh = SshSettings(known_hosts=settings.known_hosts)
    told = ""
    try:
        async with aclosing(boxes.until_ready(record.name, ssh)) as looks:
            async for record, line in looks:  # noqa: PLR1704 — the newest record is the answer
                if line != told:
                    told = line
                    note(f"{record.name}: {line}")
    except HostKeyError as error:
        if error.changed:
            raise
        note(f"{record.name}: its SSH server answers. {error}")
    return boxes.book.find(record.name) or record
