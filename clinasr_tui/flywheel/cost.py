"""What a GPU box costs: offers, prices with their source, a run, a night, a week (method, section 8)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

DEFAULT_NAME = "digital-health-clinical-asr-sft"
"""The published name of the instance."""
DEFAULT_DISK_GB = 200.0
"""Container (about 12 GB), two cycles of audio, base and tuned model."""
LEAST_VRAM_GB = 16.0
"""Less does not hold the model at batch 4; 24 is comfortable."""
RUN_MINUTES = (15, 30)
"""Published: a run of 3 epochs on 100 rows, from and to."""
NIGHT_HOURS = 24.0
"""A box forgotten in the evening is found the next evening: $36 at $1.50, as published."""
WEEK_HOURS = 168.0
_HOURS_A_MONTH = 730.0
_PUBLISHED_PASSES = 300
"""Rows times epochs of the run whose length is published."""
PUBLISHED_DISK_PRICE = 0.10
"""US dollars per GB and month of a stopped box."""
FRESH_SECONDS = 15 * 60.0
"""A price is asked for again before consent if it is older."""


class PriceSource(StrEnum):
    """Where a price is from."""

    LIVE = "live"
    """The provider's command line said so."""
    PUBLISHED = "published"
    """The method's text, because the provider's command line gives none."""


@dataclass(frozen=True, slots=True)
class Sku:
    """A kind of GPU box the method names, for example `l40s:1`."""

    id: str
    gpu: str
    """The GPU's name as offers spell it."""
    count: int
    vram_gb: float
    """Memory of one GPU."""
    what_for: str
    published_price: float | None = None
    """US dollars an hour where the method gives a figure."""


SKUS = (
    Sku("l40s:1", "L40S", 1, 48, "the default: batch 16", 1.50),
    Sku("a10g:1", "A10G", 1, 24, "cheap: batch 4"),
    Sku("a100:1", "A100", 1, 80, "for bases of 1.1 billion parameters"),
    Sku("a100:2", "A100", 2, 80, "two GPUs, distributed training"),
    Sku("h100:1", "H100", 1, 80, "fast; also for distributed training"),
)
DEFAULT_SKU = SKUS[0]


def sku(name: str) -> Sku | None:
    """The SKU of this name."""
    return next((one for one in SKUS if one.id == name.strip().lower()), None)


@dataclass(frozen=True, slots=True)
class Offer:
    """One type of box that can be had now, with its price. Money is in US dollars, sizes in GB."""

    type: str
    """The instance type as the provider names it: what is created, this one and no other."""
    gpu: str
    gpu_count: int
    vram_gb: float
    """Memory of one GPU."""
    disk_gb: float
    """The disk it is created with."""
    price_per_hour: float
    source: PriceSource
    seen_at: float
    """When the price was told, Unix seconds."""
    stoppable: bool | None = None
    """False: only deleting ends billing. None: not said, so not to be counted on."""
    disk_price: float | None = None
    """Per GB and month, where the disk is billed beside the hour."""
    cloud: str = ""
    boot_seconds: int | None = None
    capability: float | None = None
    """CUDA compute capability; under 8 there is no bf16."""
    vcpus: int | None = None
    ram_gb: float | None = None

    @property
    def hourly(self) -> float:
        """All that an hour costs while the box runs: the type and, where billed apart, its disk."""
        return self.price_per_hour + self.disk_hourly

    @property
    def disk_hourly(self) -> float:
        """What an hour of the disk costs where it is billed beside the type."""
        return self.disk_gb * (self.disk_price or 0.0) / _HOURS_A_MONTH

    @property
    def stopped_month(self) -> float:
        """What the disk of a stopped box costs a month."""
        price = PUBLISHED_DISK_PRICE if self.disk_price is None else self.disk_price
        return self.disk_gb * price

    def is_fresh(self, now: float) -> bool:
        """False if the price must be asked for again before anybody agrees to it."""
        return -FRESH_SECONDS <= now - self.seen_at <= FRESH_SECONDS

    def fits(self, wanted: Sku) -> bool:
        """True if this is a box of the wanted kind."""
        name = self.gpu.upper().replace(" ", "")
        rest = name.removeprefix(wanted.gpu)
        # "L40S" must not stand for "L40", but "A100-80GB" is an A100.
        alike = name.startswith(wanted.gpu) and (not rest or not rest[0].isalnum())
        return alike and self.gpu_count == wanted.count and self.vram_gb >= LEAST_VRAM_GB


@dataclass(frozen=True, slots=True)
class Costs:
    """What an offer will have cost, US dollars."""

    hour: float
    run: tuple[float, float]
    """A run of the published length, from and to."""
    night: float
    week: float
    stopped_month: float | None
    """None if the type cannot be stopped: then it is deleted, which leaves nothing to pay."""


def costs(offer: Offer) -> Costs:
    """The figures an operator must see before a box is made."""
    hour = offer.hourly
    low, high = (minutes / 60 * hour for minutes in RUN_MINUTES)
    stopped = offer.stopped_month if offer.stoppable else None
    return Costs(hour, (low, high), NIGHT_HOURS * hour, WEEK_HOURS * hour, stopped)


def published_offer(wanted: Sku, now: float, *, disk_gb: float = DEFAULT_DISK_GB) -> Offer | None:
    """The method's own figures as an offer, for a command line that tells no prices; None without one."""
    if wanted.published_price is None:
        return None
    return Offer(
        type=wanted.id,
        gpu=wanted.gpu,
        gpu_count=wanted.count,
        vram_gb=wanted.vram_gb,
        disk_gb=disk_gb,
        price_per_hour=wanted.published_price,
        source=PriceSource.PUBLISHED,
        seen_at=now,
    )


def run_minutes(rows: int, epochs: int) -> tuple[float, float]:
    """How long a run may take, from and to: the published length at its 100 rows and 3 epochs, longer for
    more of both. It holds for an L40S; a shorter run is no shorter, as loading and saving stay."""
    share = max(1.0, rows * epochs / _PUBLISHED_PASSES)
    return (RUN_MINUTES[0] * share, RUN_MINUTES[1] * share)


def money(amount: float) -> str:
    """Dollars as short as they stay true: $0.27, $1.06, $36, $178."""
    return f"${amount:.2f}" if amount < 9.995 else f"${amount:,.0f}"


def price_words(offer: Offer) -> str:
    """The hourly price with its source: "$1.06 per hour (live offer massedcompute_L40S, 17:02)"."""
    at = time.strftime("%H:%M", time.localtime(offer.seen_at))
    if offer.source is PriceSource.LIVE:
        source = f"live offer {offer.type}, {at}"
    else:
        source = "published, NOT live: no price was told; yours may differ"
    return f"{money(offer.price_per_hour)} per hour ({source})"


def cost_lines(offer: Offer, name: str) -> list[str]:
    """What must be read before consent, a line each: box, price, run, forgotten, what ends billing."""
    total = costs(offer)
    gpu = f"{offer.gpu} {offer.vram_gb:g} GB" + (f" × {offer.gpu_count}" if offer.gpu_count > 1 else "")
    lines = [f"{name} · {gpu} · {offer.disk_gb:g} GB disk", price_words(offer)]
    if offer.disk_price:
        disk = f"{money(offer.disk_hourly)} per hour for the disk"
        lines.append(f"+ {disk} = {money(total.hour)} per hour in all")
    first, last = (money(amount) for amount in total.run)
    lines += [
        f"a run of 100 rows ≈ {RUN_MINUTES[0]}–{RUN_MINUTES[1]} min ≈ {first}–{last} (published length)",
        f"forgotten: a night {money(total.night)} (24 h) · a week {money(total.week)}",
        ending_words(offer),
    ]
    return lines


def ending_words(offer: Offer) -> str:
    """What ends billing for this type, and what is still paid afterwards."""
    if offer.stoppable:
        told = "" if offer.disk_price else ", published"
        return f"stop keeps the disk: {money(offer.stopped_month)} a month{told} · delete: nothing"
    if offer.stoppable is None:
        return "⚠ not said whether this type can be stopped · delete: nothing"
    return "⚠ this type cannot be stopped, only deleted · delete: nothing"
