"""A host of first contact evaluates a cycle, from the form to Compare: a real sshd, a stand-in for NeMo."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.screens.compare import CompareScreen
from clinasr_tui.screens.trust_dialog import TrustDialog
from clinasr_tui.widgets.line_list import LineList
from tests.support.driving import press, settle, text_of
from tests.support.evaluating import cycle, model, python_with_stand_in, said_by, transcripts
from tests.support.sshd import Sshd

if TYPE_CHECKING:
    from textual.pilot import Pilot

pytestmark = [pytest.mark.sshd, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


async def until(holds: Callable[[], object], what: str, seconds: float = 40.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, what
        await asyncio.sleep(0.05)


async def choose(pilot: Pilot[int], name: str, value: str) -> None:
    """Type a setting's value."""
    pilot.app.screen.query_one("#fields", LineList).move_to(name)
    await press(pilot, "enter")
    pilot.app.screen.query_one("#ask", Input).value = value
    await press(pilot, "enter")


def work(app: ClinasrApp) -> str:
    return " ".join(text_of(app.screen, "#work-text").split())


@pytest.fixture
def workspace(tmp_path: Path, demo_data: Path) -> Path:
    """Twelve rows with the base's transcripts, and a tuned model that takes its time."""
    folder = cycle(tmp_path / "ws/cycle1", demo_data)
    texts = said_by(demo_data, "cycle1/per_sample.json")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    told = [{**row, "ref": row["text"], "hyp": texts[Path(row["audio_filepath"]).name]} for row in rows]
    (folder / "per_sample.json").write_text("".join(json.dumps(row) + "\n" for row in told))
    (folder / "models/sft").mkdir(parents=True)
    better = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    model(folder / "models/sft/adapted_model.nemo", better, seconds=0.2, calls=str(tmp_path / "calls"))
    return folder.parent


async def test_a_host_of_first_contact_evaluates_and_a_lost_connection_is_only_that(
    workspace: Path, tmp_path: Path
) -> None:
    with Sshd(tmp_path / "sshd") as server:
        (workspace / "clinasr.toml").write_text(
            f'[ssh]\nconfig = "{server.config}"\nknown_hosts = "{server.known_hosts}"\n'
        )
        server.known_hosts.unlink(missing_ok=True)
        app = ClinasrApp(open_workspace(workspace))
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            await press(pilot, "E")
            app.screen.query_one("#fields", LineList).move_to("place")
            await press(pilot, "right")
            app.screen.query_one("#fields", LineList).move_to("backend")
            await press(pilot, "right")
            await choose(pilot, "python", str(python_with_stand_in(tmp_path)))
            await choose(pilot, "root", str(tmp_path / "machine"))
            await choose(pilot, "batch_size", "2")
            assert "on lab · local" in " ".join(text_of(app.screen, "#facts").split())
            await pilot.press("s")
            await until(lambda: isinstance(app.screen, TrustDialog), "nobody was asked")
            assert not (tmp_path / "machine").exists()
            await settle(pilot)
            await pilot.press("t")
            await until(lambda: "of 12 rows" in work(app), "no row was told")
            server.kill_sessions()
            await until(lambda: "contact lost" in work(app), "the loss was not said")
            assert "it goes on there" in work(app)
            await until(lambda: "7 compare" in work(app), "it was not made")
            await settle(pilot)
            await press(pilot, "7")
            assert isinstance(app.screen, CompareScreen)
            assert "cycle 1 → cycle 2" in " ".join(text_of(app.screen, "#sides").split())
    assert len(transcripts(workspace / "cycle2/offline_hyps.jsonl")) == 12
    assert len((tmp_path / "calls").read_text().split()) == 12
