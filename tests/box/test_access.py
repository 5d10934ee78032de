"""A rented box is reached by Brev's own ssh entry, every other host by the workspace's ssh config."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinasr_tui.box.access import ssh_for
from clinasr_tui.box.record import BoxRecord, begun
from clinasr_tui.box.state import BoxBook
from clinasr_tui.flywheel.cost import Offer, PriceSource

OFFER = Offer("g6e.2xlarge", "L40S", 1, 48, 200, 2.0, PriceSource.LIVE, 1000.0, stoppable=True)
CONFIG, KNOWN = Path("ws/ssh_config"), Path("ws/known_hosts")


@pytest.fixture
def rented() -> None:
    """A box on record in this test's state folder."""
    BoxBook().put(begun(BoxRecord("my-box", OFFER, "consent", asked_at=1000.0)))


@pytest.mark.usefixtures("rented")
@pytest.mark.parametrize(
    ("host", "config"), [("my-box", None), ("gpu-box", CONFIG), (None, CONFIG)], ids=["box", "host", "here"]
)
def test_whose_ssh_config_counts(host: str | None, config: Path | None) -> None:
    found = ssh_for(host, CONFIG, KNOWN)
    assert (found.config, found.known_hosts) == (config, KNOWN)


def test_without_a_config_of_its_own_nothing_changes() -> None:
    assert ssh_for("any", None, KNOWN).config is None
