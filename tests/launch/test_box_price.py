"""A run on a rented box carries the price that was agreed to, so that what it cost can be told."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clinasr_tui.box.record import BoxRecord, begun, ended
from clinasr_tui.box.state import BoxBook
from clinasr_tui.flywheel.cost import DEFAULT_SKU, published_offer
from clinasr_tui.launch.flow import Prepared
from clinasr_tui.launch.machine import Machine
from clinasr_tui.launch.packing import Packed, Side
from clinasr_tui.launch.record import launch_record
from clinasr_tui.launch.runs import rented
from clinasr_tui.launch.send import Sent
from clinasr_tui.watched_run import spent
from tests.support.launching import plan_of

if TYPE_CHECKING:
    from pathlib import Path


def box(name: str) -> BoxRecord:
    """A box that bills the published price."""
    offer = published_offer(DEFAULT_SKU, time.time())
    assert offer is not None
    return begun(BoxRecord(name, replace(offer, price_per_hour=1.5), "consent-1", time.time()))


def record_on(host: str | None, tmp_path: Path) -> dict[str, Any]:
    side = Side("train.jsonl", 8, 20.0, "0" * 64)
    machine = Machine("lab", (), "none", "", "ok", 1, 1, str(tmp_path), 1, 1, "3.11", 0, 0)
    prepared = Prepared(plan_of("sft1", tmp_path), machine, Packed((), side, side), "sha256:0", Sent())
    return launch_record(prepared, host=host, gate={}, box=rented(host))


def test_a_run_on_a_rented_box_says_what_it_costs(tmp_path: Path) -> None:
    BoxBook().put(box("lab"))
    record = record_on("lab", tmp_path)
    assert record["consent"]["id"] == "consent-1"
    assert record["consent"]["price_source"] == "published"
    assert spent(record, record["launched_at"] + 7200) == 3.0


def test_a_host_of_ones_own_or_a_box_that_is_gone_costs_nothing_here(tmp_path: Path) -> None:
    BoxBook().put(ended(box("gone"), time.time(), "deleted"))
    for host in (None, "own", "gone"):
        assert record_on(host, tmp_path)["consent"] is None
