"""`demo`: the app on the bundled cycle, with the recorded run streaming over a real SSH connection."""

from __future__ import annotations

import argparse
from pathlib import Path

from clinasr_tui.commands.open import require_terminal, say_what_bills
from clinasr_tui.commands.output import note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `demo`."""
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="X",
        help="how many times as fast as recorded (default: about a minute)",
    )
    parser.add_argument("--dir", type=Path, metavar="DIR", help="lay the workspace out here and keep it")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed between 0 and 10000")
    return speed


def run(args: argparse.Namespace) -> int:
    """Lay the demo out, start its box, open the app; the box ends with the app."""
    require_terminal()
    from clinasr_tui.app import run_app
    from clinasr_tui.demo import launch

    with launch(args.dir, args.speed) as box:
        note(f"the demo's box is up; its host key is {box.fingerprint} (the app will ask about it)")
        if box.started_over:
            note(f"{box.workspace}: this demo was played before; it starts over")
        try:
            return run_app(box.workspace)
        finally:
            say_what_bills()
