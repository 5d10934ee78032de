"""What a box costs: the published figures, live ones with their source, what ends billing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.cost import (
    DEFAULT_SKU,
    SKUS,
    Offer,
    PriceSource,
    cost_lines,
    costs,
    ending_words,
    money,
    price_words,
    published_offer,
    sku,
)

LIVE = Offer("massedcompute_L40S", "L40S", 1, 48, 200, 1.06, PriceSource.LIVE, 0.0, stoppable=True)


def test_the_published_figures_come_out_of_the_published_price():
    offer = published_offer(DEFAULT_SKU, 0.0)
    assert offer is not None
    found = costs(replace(offer, stoppable=True))
    assert found.hour == 1.50
    assert [round(amount, 3) for amount in found.run] == [0.375, 0.75]
    assert found.night == 36.0
    assert found.week == 252.0
    assert found.stopped_month == pytest.approx(20.0)


def test_the_sketched_dialog_comes_out_of_a_live_offer():
    lines = cost_lines(replace(LIVE, stoppable=False), "digital-health-clinical-asr-sft")
    text = "\n".join(lines)
    assert lines[0] == "digital-health-clinical-asr-sft · L40S 48 GB · 200 GB disk"
    for figure in (
        "$1.06 per hour (live offer massedcompute_L40S, ",
        "$0.27–$0.53",
        "a night $25",
        "a week $178",
    ):
        assert figure in text
    assert "cannot be stopped" in lines[-1]


def test_a_published_price_is_never_taken_for_a_live_one():
    offer = published_offer(DEFAULT_SKU, 0.0)
    assert offer is not None
    assert "NOT live" in price_words(offer)
    assert "NOT live" not in price_words(LIVE)


def test_a_kind_without_a_published_price_has_no_published_offer():
    assert [one.id for one in SKUS if published_offer(one, 0.0) is not None] == ["l40s:1"]


def test_a_disk_billed_apart_is_in_every_figure():
    offer = replace(LIVE, disk_price=0.073)
    assert offer.disk_hourly == pytest.approx(0.02)
    assert costs(offer).night == pytest.approx(24 * 1.08)
    assert costs(offer).stopped_month == pytest.approx(14.6)
    assert any("$0.02 per hour for the disk = $1.08" in line for line in cost_lines(offer, "box"))


def test_what_ends_billing_is_said_for_each_standing():
    assert "stop keeps the disk: $20 a month, published" in ending_words(LIVE)
    assert "cannot be stopped" in ending_words(replace(LIVE, stoppable=False))
    assert "not said" in ending_words(replace(LIVE, stoppable=None))
    assert costs(replace(LIVE, stoppable=None)).stopped_month is None


@pytest.mark.parametrize(
    ("gpu", "count", "wanted", "fits"),
    [
        ("L40S", 1, "l40s:1", True),
        ("L40", 1, "l40s:1", False),
        ("L40S", 2, "l40s:1", False),
        ("A100-80GB", 1, "a100:1", True),
        ("A100", 2, "a100:2", True),
        ("A1000", 1, "a100:1", False),
        ("A10", 1, "a10g:1", False),
    ],
)
def test_an_offer_fits_only_its_own_kind(gpu, count, wanted, fits):
    kind = sku(wanted)
    assert kind is not None
    assert replace(LIVE, gpu=gpu, gpu_count=count).fits(kind) is fits


def test_too_little_memory_fits_nothing():
    assert not replace(LIVE, vram_gb=12).fits(DEFAULT_SKU)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.265, "$0.27"), (1.06, "$1.06"), (9.99, "$9.99"), (9.996, "$10"), (1234.5, "$1,234")],
)
def test_money_is_short_and_true(amount, shown):
    assert money(amount) == shown


def test_an_old_price_is_asked_for_again():
    assert LIVE.is_fresh(60.0)
    assert not LIVE.is_fresh(16 * 60.0)
    assert not LIVE.is_fresh(-3600.0), "a clock that was set back tells nothing"


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 50), st.floats(0, 2000), st.floats(0, 0.5))
def test_longer_always_costs_more(price, disk, disk_price):
    offer = replace(LIVE, price_per_hour=price, disk_gb=disk, disk_price=disk_price)
    found = costs(offer)
    assert 0 < found.run[0] < found.run[1] < found.night < found.week
    assert found.hour >= price
