"""What is said of boxes and their cost: title line, state, the last line on leaving. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from clinasr_tui.box.brev_answers import BoxStatus
from clinasr_tui.box.record import BoxRecord, Phase
from clinasr_tui.flywheel.cost import NIGHT_HOURS, money

LAPTOP_WORDS = (
    "stopping when done is carried out by this program: if this machine sleeps, loses its network or the "
    "program ends, nobody stops the box and it bills on"
)


def headline(records: Sequence[BoxRecord], now: float) -> str:
    """The title line's few words: what bills, by the hour and so far; "" if nothing does."""
    billing = [record for record in records if record.bills]
    if not billing:
        stopped = any(record.status is BoxStatus.STOPPED for record in records)
        return "box: stopped, its disk bills" if stopped else ""
    hourly = sum(record.offer.hourly for record in billing)
    so_far = sum(record.cost(now) for record in records)
    which = "box" if len(billing) == 1 else f"{len(billing)} boxes"
    return f"{which}: {money(hourly)}/h · {money(so_far)} so far"


def state_words(record: BoxRecord, now: float) -> str:
    """Where the box is, in one line."""
    at = "" if record.seen_at is None else time.strftime(", seen %H:%M", time.localtime(record.seen_at))
    match record.phase:
        case Phase.GONE:
            return record.why_ended or "gone"
        case Phase.LOST:
            return f"not listed any more{at}: deleted elsewhere, or in another organisation where it bills on"
        case Phase.ASKED:
            minutes = max(0.0, now - record.asked_at) / 60
            return f"asked for {minutes:.0f} min ago, not listed yet: it may come and bill"
        case Phase.DELETING:
            if record.status is BoxStatus.RUNNING:
                return f"asked to be deleted, but RUNNING{at}: it bills; delete it again if that stays so"
            return f"being deleted{at}: it bills until it is gone"
        case _:
            return _listed_words(record, at)


def _listed_words(record: BoxRecord, at: str) -> str:
    if record.status is BoxStatus.RUNNING:
        answers = record.answered_at is not None
        return f"ready{at}: SSH answers" if answers else f"RUNNING{at}, its SSH server has not answered yet"
    words = {
        BoxStatus.STOPPED: f"stopped{at}: only its disk bills",
        BoxStatus.STOPPING: f"stopping{at}: it bills until it has stopped",
        BoxStatus.FAILED: f"failed{at}: delete it, it may bill",
    }
    pending = f"{record.word or 'pending'}{at}: it bills from the moment it was asked for"
    return words.get(record.status or BoxStatus.PENDING, pending)


def meter_words(record: BoxRecord, now: float) -> str:
    """Hours times price, at most; what a stopped box goes on costing."""
    hours = record.hours(now)
    source = "" if record.offer.source == "live" else ", published price: NOT live"
    length = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
    price = f"{money(record.offer.hourly)} per hour"
    words = f"≈ {money(record.cost(now))} at most ({length} at {price}{source})"
    if record.status is BoxStatus.STOPPED:
        words += f", and {money(record.offer.stopped_month)} a month for the disk"
    return words


def warning_words(record: BoxRecord) -> str:
    """What is wrong with it, "" if nothing is."""
    if record.is_other_type and not record.is_over:
        made = f"✖ Brev made {record.type_listed}, not {record.offer.type} as agreed"
        return f"{made}: its price is not known here"
    return ""


def leaving_line(records: Sequence[BoxRecord], now: float) -> str:
    """The last line printed on leaving: what bills on and how to end it; "" if nothing does."""
    billing = [record for record in records if record.bills]
    if not billing:
        return ""
    parts = []
    for record in billing:
        hourly, so_far = money(record.offer.hourly), money(record.cost(now))
        night = money(NIGHT_HOURS * record.offer.hourly)
        parts.append(f"{record.name} bills on: {hourly} per hour ({night} a night), {so_far} so far")
    end = "stop" if all(record.offer.stoppable for record in billing) else "delete"
    name = billing[0].name if len(billing) == 1 else "NAME"
    armed = any(record.stop_when_done for record in billing)
    unarmed = (
        " Stopping when done needs this program: `clinasr-tui watch RUN --stop-when-done`." if armed else ""
    )
    return f"{'; '.join(parts)}. End it: clinasr-tui {end} {name}.{unarmed}"


def delete_words(record: BoxRecord) -> str:
    """What deleting means."""
    return (
        f"{record.name} and its {record.offer.disk_gb:g} GB disk are deleted for good: runs, models and logs "
        "that were not fetched are lost. Deleting leaves nothing to pay"
    )


def stop_words(record: BoxRecord) -> str:
    """What stopping means."""
    month = money(record.offer.stopped_month)
    return (
        f"{record.name} is stopped and what runs on it ends. Its disk stays and costs {month} a month; "
        "starting it again bills by the hour again"
    )
