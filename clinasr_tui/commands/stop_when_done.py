"""`watch --stop-when-done`: the box is stopped when its run is over, and it is told when it is not."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from clinasr_tui.commands.output import note
from clinasr_tui.errors import InputError


class StopWhenDone:
    """What `watch` does about the box; nothing where it was not asked for. Raises InputError without one."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._host: str | None = args.host if args.stop_when_done else None
        if not args.stop_when_done:
            return
        from clinasr_tui.box.boxes import Boxes
        from clinasr_tui.box.words import LAPTOP_WORDS

        if args.once:
            raise InputError("--once does not wait for the end of the run", remedy="Leave one of them out")
        record = Boxes().book.find(args.host) if args.host else None
        if record is None:
            raise InputError(
                f"{args.host or 'this machine'} is no box rented from here: there is nothing to stop",
                remedy="Name it with --host; `clinasr-tui box` lists them",
            )
        if record.offer.stoppable is False:
            raise InputError(
                "this type cannot be stopped, only deleted",
                where=record.name,
                remedy="Watch without --stop-when-done, fetch the results, then delete it",
            )
        note(LAPTOP_WORDS)

    @contextmanager
    def told_if_cut_off(self) -> Iterator[None]:
        """Say so if watching ends before the run does."""
        try:
            yield
        except BaseException:
            if self._host:
                note(f"✖ {self._host} is NOT stopped: watching ended before the run. It bills on")
            raise

    def after(self, outcome: str) -> bool:
        """Stop the box after a run that ended so; False if that did not work."""
        if not self._host:
            return True
        from clinasr_tui.box.boxes import Boxes
        from clinasr_tui.box.stop_when_done import stop_after

        line = asyncio.run(stop_after(Boxes(), self._host, str(outcome), asked=True))
        note(line)
        return not line.startswith("✖")
