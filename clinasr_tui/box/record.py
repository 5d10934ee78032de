"""What is known of a box between the typed consent and the last cent: phases, billed time, cost. Pure.

Times are Unix seconds, money US dollars. Where the exact moment of a change is not known, the meter takes
the one that costs more: it never shows less than the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from clinasr_tui.box.brev_answers import BoxStatus, Instance
from clinasr_tui.flywheel.cost import Offer, PriceSource

UNLISTED_SECONDS = 600.0
"""A box asked for and not listed for so long was never made."""
UNLISTED_AFTER_ERROR_SECONDS = 120.0
"""The same where `create` reported an error."""
_LATE_SECONDS = 24 * 3600.0
_HOUR = 3600.0


class Phase(StrEnum):
    """Where a box is in its life."""

    ASKED = "asked"
    """Consent is given; `create` may not have been called, or may have been cut off: it may bill."""
    LISTED = "listed"
    """Brev has listed it."""
    DELETING = "deleting"
    """It was asked to be deleted."""
    LOST = "lost"
    """It was listed and is not any more, though nobody here asked for that: it may bill elsewhere."""
    GONE = "gone"
    """Nothing is billed any more, or nothing ever was."""


@dataclass(frozen=True, slots=True)
class BoxRecord:
    """One box made from here."""

    name: str
    offer: Offer
    consent: str
    """Id of the consent, as in the consent log."""
    asked_at: float
    phase: Phase = Phase.ASKED
    stop_when_done: bool = False
    failed_at: float | None = None
    """When `create` reported an error or did not answer."""
    id: str = ""
    type_listed: str = ""
    """The type as Brev lists it; another one than consented to is a defect worth a warning."""
    status: BoxStatus | None = None
    word: str = ""
    """The status as Brev spelled it."""
    seen_at: float | None = None
    """When Brev last listed it."""
    answered_at: float | None = None
    """When its SSH server first answered."""
    spans: tuple[tuple[float, float | None], ...] = ()
    """When it billed, from and to; None while it still does."""
    ended_at: float | None = None
    why_ended: str = ""

    @property
    def bills(self) -> bool:
        """True while it bills or may bill."""
        return bool(self.spans) and self.spans[-1][1] is None

    @property
    def is_over(self) -> bool:
        """True once there is nothing left to pay or to look after."""
        return self.phase is Phase.GONE

    @property
    def is_other_type(self) -> bool:
        """True if Brev made another type than the one consented to."""
        named = self.offer.source is PriceSource.LIVE and bool(self.type_listed)
        return named and self.type_listed != self.offer.type

    def hours(self, now: float) -> float:
        """Hours billed so far, at most."""
        return sum(max(0.0, (now if end is None else end) - begin) for begin, end in self.spans) / _HOUR

    def cost(self, now: float) -> float:
        """Dollars so far, at most; the disk of a stopped box comes on top."""
        return self.hours(now) * self.offer.hourly


def begun(record: BoxRecord) -> BoxRecord:
    """The record as it is written before `create` is called: it counts as billing from then on."""
    return replace(record, spans=((record.asked_at, None),))


def ended(record: BoxRecord, now: float, why: str, *, never: bool = False) -> BoxRecord:
    """Nothing is billed any more; `never` says that nothing ever was."""
    spans = () if never else _closed(record.spans, now)
    return replace(record, phase=Phase.GONE, spans=spans, ended_at=now, why_ended=why)


def billing_again(record: BoxRecord, now: float) -> BoxRecord:
    """A start was asked for: it counts as billing from then on."""
    return record if record.bills else replace(record, spans=(*record.spans, (now, None)))


def reconciled(record: BoxRecord, listed: Iterable[Instance], now: float) -> BoxRecord:
    """The record after a look at what Brev lists."""
    found = _find(record, listed)
    if record.is_over:
        # Listed after all, later than anybody waits: it has been billing all the time.
        late = found is not None and not record.spans and found.type == record.offer.type
        if not late or now - (record.ended_at or now) > _LATE_SECONDS:
            return record
        record = begun(replace(record, phase=Phase.ASKED, ended_at=None, why_ended=""))
    if found is None:
        return _unlisted(record, now)
    deleting = record.phase is Phase.DELETING or found.status is BoxStatus.DELETING
    seen = replace(
        record,
        id=found.id or record.id,
        phase=Phase.DELETING if deleting else Phase.LISTED,
        type_listed=found.type or record.type_listed,
        status=found.status,
        word=found.word,
        seen_at=now,
        failed_at=None,
    )
    if found.status is BoxStatus.STOPPED:
        return replace(seen, spans=_closed(seen.spans, now), answered_at=None)
    # Started by somebody else since the last look: billed from that look on, at most.
    return billing_again(seen, record.seen_at or now)


def _find(record: BoxRecord, listed: Iterable[Instance]) -> Instance | None:
    by_name = None
    for instance in listed:
        if record.id and instance.id == record.id:
            return instance
        if instance.name == record.name:
            by_name = instance
    # A later box of the same name is not this one.
    return None if record.id and by_name is not None and by_name.id else by_name


def _unlisted(record: BoxRecord, now: float) -> BoxRecord:
    if record.phase is Phase.ASKED:
        since, limit = record.asked_at, UNLISTED_SECONDS
        if record.failed_at is not None:
            since, limit = record.failed_at, UNLISTED_AFTER_ERROR_SECONDS
        if now - since < limit:
            return record
        return ended(record, now, "Brev never listed it: no GPU instance was created", never=True)
    if record.phase is Phase.DELETING:
        return ended(record, now, "deleted")
    return replace(record, phase=Phase.LOST)


def _closed(
    spans: tuple[tuple[float, float | None], ...], now: float
) -> tuple[tuple[float, float | None], ...]:
    return tuple((begin, now if end is None else end) for begin, end in spans)


def agreed(record: BoxRecord) -> dict[str, Any]:
    """What was consented to, for the record of a run on this box."""
    return {
        "id": record.consent,
        "box": record.name,
        "type": record.offer.type,
        "price_per_hour": record.offer.hourly,
        "price_source": str(record.offer.source),
        "agreed_at": record.asked_at,
    }


# --- JSON ------------------------------------------------------------------------------------------


def to_json(record: BoxRecord) -> dict[str, Any]:
    """The record as its file holds it."""
    values = {one.name: getattr(record, one.name) for one in fields(record)}
    values["offer"] = {one.name: getattr(record.offer, one.name) for one in fields(record.offer)}
    return values


def from_json(value: Any) -> BoxRecord:
    """Read a record back. Raises ValueError, TypeError or KeyError if it is none."""
    if not isinstance(value, Mapping):
        raise TypeError("a box is no object")
    given = _known(value, BoxRecord)
    offer = _known(given["offer"], Offer)
    offer["source"] = PriceSource(offer["source"])
    for key in ("price_per_hour", "disk_gb", "seen_at"):
        offer[key] = float(offer[key])
    given["offer"] = Offer(**offer)
    given["phase"] = Phase(given["phase"])
    given["status"] = None if given.get("status") is None else BoxStatus(given["status"])
    given["asked_at"] = float(given["asked_at"])
    given["spans"] = tuple(
        (float(begin), None if end is None else float(end)) for begin, end in given.get("spans", ())
    )
    if not isinstance(given["name"], str) or not given["name"]:
        raise ValueError("a box without a name")
    return BoxRecord(**given)


def _known(value: Any, kind: type[BoxRecord | Offer]) -> dict[str, Any]:
    """The keys this version knows: a later one may have added some."""
    names = {one.name for one in fields(kind)}
    return {key: found for key, found in value.items() if key in names}
