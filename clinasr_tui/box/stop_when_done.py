"""Stop a box when its run is over, if the operator armed that in the cost dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.box.brev_answers import BoxStatus
from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.cost import money

if TYPE_CHECKING:
    from clinasr_tui.box.boxes import Boxes
    from clinasr_tui.box.record import BoxRecord

OVER = frozenset({"finished", "failed", "interrupted", "diverged"})
"""Outcomes after which nothing runs any more; of an unknown one nothing is concluded."""


def armed(boxes: Boxes, host: str | None) -> BoxRecord | None:
    """The box behind this host if it is to be stopped when its run is done."""
    record = boxes.book.find(host) if host else None
    return record if record is not None and record.stop_when_done else None


async def stop_after(boxes: Boxes, host: str | None, outcome: str, *, asked: bool = False) -> str:
    """Stop the box behind `host` once its run has ended with `outcome`; the line to tell, "" for none.

    `asked`: the operator asked for it here and now, whatever was armed before. Never raises: what did not
    work is told, with what it costs.
    """
    try:
        record = boxes.book.find(host) if asked and host else armed(boxes, host)
    except ClinasrError as error:
        return f"✖ {error}"
    if record is None:
        return f"{host or 'this machine'} is no box rented from here: nothing is stopped" if asked else ""
    if outcome not in OVER:
        price = money(record.offer.hourly)
        return f"✖ {record.name} is NOT stopped: how the run ended is not known. It bills {price} per hour"
    return await _stop(boxes, record)


async def _stop(boxes: Boxes, record: BoxRecord) -> str:
    begun = False
    try:
        await boxes.stop(record.name)
        begun = True
        async for seen in boxes.until_over(record.name):
            if seen.is_over or seen.status is BoxStatus.STOPPED:
                return f"{record.name} is stopped: its disk costs {money(record.offer.stopped_month)} a month"
    except ClinasrError as error:
        what = "was asked to stop, but that cannot be seen" if begun else "was not stopped and bills on"
        return f"✖ {record.name} {what}: {error}"
    return f"✖ {record.name} was asked to stop and has not yet: it bills until then"
