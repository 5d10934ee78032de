"""Drive the app headless: settle its workers, press keys, compare pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.worker import WorkerCancelled

from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from textual.pilot import Pilot

SIZES = {"80x24": (80, 24), "140x45": (140, 45)}
"""Terminal sizes every screen is pictured at."""


async def settle(pilot: Pilot[int]) -> None:
    """Wait until no worker computes and everything is drawn."""
    for _ in range(4):
        await pilot.pause()
        try:
            await pilot.app.workers.wait_for_complete(
                [worker for worker in pilot.app.workers if worker.group != "watch"]
            )
        except WorkerCancelled:
            continue
    await pilot.pause()


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Press keys one after the other, settling after each."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


@pytest.fixture
def app_on() -> Callable[[Path], ClinasrApp]:
    """Makes the app on a folder."""
    return lambda root: ClinasrApp(open_workspace(root))


@pytest.fixture
def cockpit(two_cycles: Path, app_on: Callable[[Path], ClinasrApp]) -> ClinasrApp:
    """The app on the bundled workspace with both cycles."""
    return app_on(two_cycles)


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Each of the two terminal sizes."""
    return SIZES[request.param]


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compare the app after some keys with its stored picture."""

    def compare(app: ClinasrApp, size: tuple[int, int], keys: Sequence[str] = ()) -> bool:
        async def before(pilot: Pilot[int]) -> None:
            await settle(pilot)
            await press(pilot, *keys)

        return snap_compare(app, terminal_size=size, run_before=before)

    return compare
