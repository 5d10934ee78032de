"""The app itself: `clinasr-tui [WORKSPACE]`."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from clinasr_tui.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the app."""
    parser.add_argument("workspace", type=Path, nargs="?", default=Path(), metavar="WORKSPACE")


def require_terminal() -> None:
    """The app needs a terminal on both sides. Raises InputError naming the headless way."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError(
            "the app needs a terminal",
            remedy="Use the headless commands (clinasr-tui --help lists them), or run it in a terminal",
        )


def run(args: argparse.Namespace) -> int:
    """Open the app on a workspace."""
    require_terminal()
    # Imports allocate so much that collecting takes a tenth of the start; the app collects once it is seen.
    gc.disable()
    from clinasr_tui.app import run_app

    return run_app(args.workspace)
