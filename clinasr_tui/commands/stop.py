"""`stop`: end a box's billing by the hour; its disk stays and costs."""

from __future__ import annotations

import argparse
import asyncio

from clinasr_tui.box.names import require_name
from clinasr_tui.commands.box_output import add_name, default_name, end_box, own_boxes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stop`."""
    add_name(parser, "the box to stop")


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once it is asked for (and seen, without --no-wait), 3 if it is not stopped."""
    boxes = own_boxes()
    name = require_name(args.name or default_name(boxes))
    return asyncio.run(end_box(boxes, name, "stop", wait=not args.no_wait))
