"""The app itself: `clinasr-tui [WORKSPACE]`."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path

from clinasr_tui.commands.output import note
from clinasr_tui.errors import ClinasrError, InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the app."""
    parser.add_argument("workspace", type=Path, nargs="?", default=Path(), metavar="WORKSPACE")
    parser.add_argument(
        "--readonly", action="store_true", help="only look: launch, end, rent and write nothing"
    )


def require_terminal() -> None:
    """The app needs a terminal on both sides. Raises InputError naming the headless way."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(
            "the app needs a terminal",
            remedy="Use the headless commands (clinasr-tui --help lists them), or run it in a terminal",
        )


def say_what_bills() -> None:
    """The last line printed on leaving while a rented box bills, or may."""
    from clinasr_tui.box.state import BoxBook
    from clinasr_tui.box.words import leaving_line

    try:
        line = leaving_line(BoxBook().live(), time.time())
    except ClinasrError as error:
        line = f"it is not known whether a box bills: {error}"
    if line:
        note(line)


def run(args: argparse.Namespace) -> int:
    """Open the app on a workspace."""
    require_terminal()
    # Imports allocate so much that collecting takes a tenth of the start; the app collects once it is seen.
    gc.disable()
    from clinasr_tui.app import run_app

    try:
        return run_app(args.workspace, readonly=args.readonly)
    finally:
        say_what_bills()
