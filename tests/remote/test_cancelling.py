"""Ending to follow at any moment: no cancel is lost, or whoever waits for the end waits forever."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.remote.local import LocalHost
from clinasr_tui.remote.run_watch import RunWatch
from tests.support.children import Children, none_is_left

if TYPE_CHECKING:
    from clinasr_tui.remote.contact import RunContact

PACKAGE = Path(__file__).resolve().parents[2] / "clinasr_tui"


@pytest.mark.parametrize("ticks", range(6))
async def test_a_cancel_that_meets_news_is_not_lost(
    ticks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pump(self: RunWatch, contact: RunContact, once: bool) -> None:
        await asyncio.sleep(0.05)
        contact.inbox.news.set()
        for _ in range(ticks):
            await asyncio.sleep(0)
        following.cancel()
        await asyncio.sleep(60)

    async def follow() -> None:
        async with aclosing(RunWatch(str(tmp_path)).updates()) as updates:
            async for _ in updates:
                pass

    monkeypatch.setattr(RunWatch, "_pump", pump)
    following = asyncio.create_task(follow())
    await asyncio.wait({following}, timeout=5)
    assert following.cancelled()


@pytest.mark.parametrize("ticks", range(12))
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_a_start_cancelled_at_any_moment_leaves_no_child_behind(
    ticks: int, again: bool, children: Children
) -> None:
    async def started() -> None:
        starting = asyncio.create_task(LocalHost().start(["sleep", "60"]))
        for _ in range(ticks):
            await asyncio.sleep(0)
        starting.cancel()
        if again:
            await asyncio.sleep(0)
            starting.cancel()
        try:
            process = await starting
        except asyncio.CancelledError:
            return
        await process.kill()

    asyncio.run(started())
    assert none_is_left(children)


def test_nothing_waits_in_the_way_that_loses_a_cancel() -> None:
    """Python 3.11's `asyncio.wait_for` swallows a cancel where what it awaits has just been done."""
    assert [path.name for path in PACKAGE.rglob("*.py") if "asyncio.wait_for(" in path.read_text()] == []
