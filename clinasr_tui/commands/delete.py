"""`delete`: end all of a box's cost, and lose what was not fetched from it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from clinasr_tui.box.names import require_name
from clinasr_tui.box.words import delete_words
from clinasr_tui.commands.box_output import add_name, default_name, end_box, own_boxes
from clinasr_tui.commands.output import note
from clinasr_tui.errors import ExitCode, InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `delete`."""
    add_name(parser, "the box to delete")
    parser.add_argument("--yes", action="store_true", help="do not ask: what was not fetched is lost")


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once it is asked for (and seen, without --no-wait), 4 if the operator declined."""
    boxes = own_boxes()
    name = require_name(args.name or default_name(boxes))
    if not args.yes and not _confirmed(boxes.book.find(name), name):
        note(f"cancelled: {name} was not deleted")
        return ExitCode.DECLINED
    return asyncio.run(end_box(boxes, name, "delete", wait=not args.no_wait))


def _confirmed(record: object, name: str) -> bool:
    from clinasr_tui.box.record import BoxRecord

    if not sys.stdin.isatty():
        raise InputError("what is deleted is lost, and nobody is here to ask", remedy="Add --yes")
    if isinstance(record, BoxRecord):
        note(delete_words(record))
    else:
        note(f"{name} was not rented from here; it is deleted with its disk for good")
    sys.stderr.write(f"Type its name to delete it: {name}? ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == name
