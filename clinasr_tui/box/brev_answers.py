"""What Brev's CLI answers, read strictly: a surprise is an error, never a guess about money."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clinasr_tui.errors import RemoteError
from clinasr_tui.flywheel.cost import Offer, PriceSource
from clinasr_tui.text import visible

_REMEDY = "Update the brev command line, or this program if it is older"


class BoxStatus(StrEnum):
    """What Brev says of a box, in the words that matter for billing."""

    RUNNING = "running"
    STOPPED = "stopped"
    STOPPING = "stopping"
    DELETING = "deleting"
    FAILED = "failed"
    PENDING = "pending"
    """Starting, or a word this program does not know."""

    @property
    def bills(self) -> bool:
        """False only for a stopped box: whatever else is listed must be expected to bill."""
        return self is not BoxStatus.STOPPED


_WORDS = {
    "RUNNING": BoxStatus.RUNNING,
    # Shown instead of RUNNING while a health check fails: it bills.
    "UNHEALTHY": BoxStatus.RUNNING,
    "STOPPED": BoxStatus.STOPPED,
    "STOPPING": BoxStatus.STOPPING,
    "DELETING": BoxStatus.DELETING,
    "FAILURE": BoxStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the account as `brev ls` lists it."""

    name: str
    id: str
    status: BoxStatus
    word: str
    """The status as Brev spelled it."""
    type: str
    gpu: str


def read_instances(text: str) -> tuple[Instance, ...]:
    """`{"workspaces": [...]}`; null stands for none. Raises RemoteError for anything else."""
    document = _json(text, "ls")
    if not isinstance(document, dict) or "workspaces" not in document:
        raise _unexpected("ls", text)
    listed = document["workspaces"]
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise _unexpected("ls", text)
    return tuple(_instance(one, text) for one in listed)


def _instance(entry: Any, text: str) -> Instance:
    if not isinstance(entry, dict):
        raise _unexpected("ls", text)
    name, word = entry.get("name"), entry.get("status")
    if not isinstance(name, str) or not name or not isinstance(word, str):
        raise _unexpected("ls", text)

    def said(key: str) -> str:
        value = entry.get(key)
        return visible(value) if isinstance(value, str) else ""

    status = _WORDS.get(word.upper(), BoxStatus.PENDING)
    return Instance(visible(name), said("id"), status, visible(word), said("instance_type"), said("gpu"))


def read_offers(text: str, disk_gb: float, now: float) -> tuple[Offer, ...]:
    """Offers in the order told, those without a type or a price left out: nobody can agree to them.

    Raises RemoteError if the answer is no list of offers.
    """
    document = _json(text, "search")
    if document is None:
        return ()
    if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
        raise _unexpected("search", text)
    return tuple(offer for one in document if (offer := _offer(one, disk_gb, now)) is not None)


def _offer(entry: dict[str, Any], disk_gb: float, now: float) -> Offer | None:
    kind, gpu = entry.get("type"), entry.get("gpu_name")
    price, vram = _number(entry, "price_per_hour"), _number(entry, "vram_per_gpu_gb")
    count = _number(entry, "gpu_count")
    if not isinstance(kind, str) or not isinstance(gpu, str) or not price or not vram or not count:
        return None
    if not kind.strip() or visible(kind) != kind:
        return None
    disk = _disk(entry, disk_gb)
    if disk is None:
        return None
    stoppable, cloud = entry.get("stoppable"), entry.get("cloud")
    boot, vcpus = _number(entry, "boot_time_seconds"), _number(entry, "vcpus")
    return Offer(
        type=kind,
        gpu=visible(gpu),
        gpu_count=int(count),
        vram_gb=vram,
        disk_gb=disk,
        price_per_hour=price,
        source=PriceSource.LIVE,
        seen_at=now,
        stoppable=stoppable if isinstance(stoppable, bool) else None,
        disk_price=_number(entry, "disk_price_per_gb_mo"),
        cloud=visible(cloud) if isinstance(cloud, str) else "",
        boot_seconds=None if boot is None else int(boot),
        capability=_number(entry, "capability"),
        vcpus=None if vcpus is None else int(vcpus),
        ram_gb=_number(entry, "ram_gb"),
    )


def _disk(entry: dict[str, Any], wanted: float) -> float | None:
    """The disk the box would have: the wanted one where the type allows it, its fixed one where it is larger.

    None if the type's disk is too small.
    """
    least = _number(entry, "disk_min_gb") or 0.0
    most = _number(entry, "disk_max_gb")
    if most is not None and most < wanted:
        return None
    return max(wanted, least)


def _number(entry: dict[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _json(text: str, command: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _unexpected(command, text) from None


def _unexpected(command: str, text: str) -> RemoteError:
    shown = visible(" ".join(text.split()))[:60] or "nothing"
    return RemoteError(
        f"answered something else than documented: {shown}", where=f"brev {command}", remedy=_REMEDY
    )
