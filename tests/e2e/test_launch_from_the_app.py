"""From Gate to a finished run and its result, all in the app: a real Docker engine, a recorded run played."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from clinasr_tui import typed_word
from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.launch.record import read_record
from clinasr_tui.remote import run_watch
from clinasr_tui.screens.smoke_dialog import SmokeDialog
from clinasr_tui.screens.train import TrainScreen
from clinasr_tui.screens.trust_dialog import TrustDialog
from clinasr_tui.screens.watch import WatchScreen
from clinasr_tui.widgets.line_list import LineList
from tests.support.driving import press, settle, text_of
from tests.support.sshd import Sshd

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tests.support.dockerd import Dockerd

pytestmark = [pytest.mark.dockerd, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]
SIZE = (80, 24)


@pytest.fixture
def workspace(tmp_path: Path, demo_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundled cycle with a split of a few rows, so that little has to be sent."""
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_EXIT", 0.2)
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_END", 0.2)
    monkeypatch.setattr(typed_word, "SETTLE_SECONDS", 0.05)
    root = tmp_path / "ws"
    shutil.copytree(demo_data / "cycle1", root / "cycle1", ignore=shutil.ignore_patterns("audio"))
    (root / "cycle1" / "audio").symlink_to(demo_data / "cycle1" / "audio")
    for name, rows in (("train", 6), ("validation", 2)):
        path = root / f"cycle1/{name}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:rows]))
    return root


async def until(holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for something that the run or the engine does."""
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, what
        # Not the pilot's pause: it waits for every widget of a screen that may be left meanwhile.
        await asyncio.sleep(0.05)


async def choose(pilot: Pilot[int], name: str, value: str) -> None:
    """Type a setting's value."""
    fields = pilot.app.screen.query_one("#fields", LineList)
    fields.move_to(name)
    await press(pilot, "enter")
    pilot.app.screen.query_one("#ask", Input).value = value
    await press(pilot, "enter")
    assert pilot.app.screen._draft.text(name) == value


async def set_up(pilot: Pilot[int], dockerd: Dockerd, machine: Path, run: str) -> None:
    """From Gate to a run on this machine without a GPU."""
    await settle(pilot)
    await press(pilot, "3", "t")
    assert isinstance(pilot.app.screen, TrainScreen)
    await choose(pilot, "root", str(machine))
    await choose(pilot, "socket", str(dockerd.socket))
    await choose(pilot, "run", run)
    fields = pilot.app.screen.query_one("#fields", LineList)
    fields.move_to("cpu")
    await press(pilot, "right", "m")


def outcome(pilot: Pilot[int]) -> str:
    run = pilot.app.screen._run if isinstance(pilot.app.screen, WatchScreen) else None
    return "" if run is None else str(run.watch.reader.snapshot().outcome) if run.ended else "running"


def points(pilot: Pilot[int]) -> int:
    run = pilot.app.screen._run
    return 0 if run is None else len(run.watch.reader.train_loss)


async def test_from_the_gate_to_a_finished_run(workspace: Path, tmp_path: Path, dockerd: Dockerd) -> None:
    app = ClinasrApp(open_workspace(workspace))
    async with app.run_test(size=SIZE) as pilot:
        await set_up(pilot, dockerd, tmp_path / "machine", "sft7")
        assert "Docker ok" in text_of(app.screen, "#facts")
        await pilot.press("l")
        await until(lambda: app.current_mode == "watch", "the run was not launched")
        await until(lambda: outcome(pilot) == "finished", "the run was not seen to finish")
        assert "sft7" in text_of(app.screen, "#status")
        await settle(pilot)
        await press(pilot, "F")
        await until(lambda: "here and checked" in text_of(app.screen, "#work"), "the result was not fetched")
    folder = workspace / "cycle1/models/sft7"
    record = read_record(folder)
    assert (folder / "adapted_model.nemo").read_bytes().startswith(b"stand-in model")
    assert (record["outcome"], record["cpu"], record["result"]["complete"]) == ("finished", True, True)
    assert record["gate"] == {**record["gate"], "verdict": "pass", "override": None}
    assert record["hyperparameters"]["precision"] == "32"


async def test_a_run_is_ended_and_resumed(workspace: Path, tmp_path: Path, dockerd: Dockerd) -> None:
    app = ClinasrApp(open_workspace(workspace))
    async with app.run_test(size=SIZE) as pilot:
        await set_up(pilot, dockerd, tmp_path / "machine", "wait-1")
        await pilot.press("l")
        await until(lambda: app.current_mode == "watch", "the run was not launched")
        await until(lambda: points(pilot) > 10, "no loss came")
        await pilot.press("U")
        assert "K ends it first" in app.screen.query_one("#problem").text
        await pilot.press("K", "y")
        await until(lambda: "saved:" in text_of(app.screen, "#work"), "it was not ended")
        assert "-last.ckpt" in text_of(app.screen, "#work")
        await until(lambda: outcome(pilot) == "interrupted", "its end was not seen")
        await settle(pilot)
        await press(pilot, "F")
        await until(
            lambda: "F again brings it" in text_of(app.screen, "#work"), "the checkpoint was forgotten"
        )
        brought = workspace / "cycle1/models/wait-1/checkpoints"
        assert not brought.exists()
        await press(pilot, "F")
        await until(lambda: list(brought.glob("*-last.ckpt")), "the checkpoint was not brought")
        await until(lambda: text_of(app.screen, "#work").startswith("✔ here and checked"), "it does not end")
        await pilot.press("U")
        await until(lambda: app.current_mode == "train", "Train did not come up")
        await settle(pilot)
        assert app.screen._draft.choices.resume
        assert "exp_manager.resume_if_exists=true" in app.screen._draft.plan().command
        await pilot.press("l")
        await until(lambda: app.current_mode == "watch", "the run was not resumed")
        await until(lambda: outcome(pilot) == "finished", "the resumed run was not seen to finish")
    record = read_record(workspace / "cycle1/models/wait-1")
    assert record["resumed"] is True
    assert len(record["earlier"]) == 1


async def test_a_blocked_gate_lets_only_the_typed_word_through(
    workspace: Path, tmp_path: Path, dockerd: Dockerd
) -> None:
    (workspace / "clinasr.toml").write_text("[gate]\nmin_rows = 1000\n")
    app = ClinasrApp(open_workspace(workspace))
    async with app.run_test(size=SIZE) as pilot:
        await set_up(pilot, dockerd, tmp_path / "machine", "sft8")
        await press(pilot, "l")
        assert isinstance(app.screen, SmokeDialog)
        await asyncio.sleep(0.1)
        for key in (*"smoke", "enter"):
            await pilot.press(key)
            await asyncio.sleep(0.03)
        await settle(pilot)
        assert "nothing was sent or started" in app.screen.query_one("#problem").text
        assert not (workspace / "cycle1/models").exists()
        await press(pilot, "l")
        await asyncio.sleep(0.1)
        for key in (*"SMOKE", "enter"):
            await pilot.press(key)
            await asyncio.sleep(0.03)
        await until(lambda: app.current_mode == "watch", "the smoke run was not launched")
        await until(lambda: outcome(pilot) == "finished", "the run was not seen to finish")
        assert "smoke run" in text_of(app.screen, "#status")
    info = json.loads((workspace / "cycle1/models/sft8/training_run_info.json").read_text())
    assert info["gate"]["override"] == "SMOKE"


@pytest.mark.sshd
async def test_a_machine_of_first_contact_is_looked_at_once_its_key_is_confirmed(
    workspace: Path, tmp_path: Path
) -> None:
    with Sshd(tmp_path / "sshd") as server:
        (workspace / "clinasr.toml").write_text(
            f'[ssh]\nconfig = "{server.config}"\nknown_hosts = "{server.known_hosts}"\n'
        )
        app = ClinasrApp(open_workspace(workspace))
        async with app.run_test(size=SIZE) as pilot:
            await settle(pilot)
            await press(pilot, "9")
            app.screen.query_one("#fields", LineList).move_to("host")
            await press(pilot, "right", "m")
            await until(lambda: isinstance(app.screen, TrustDialog), "nobody was asked")
            assert not app.session.launches.machines
            await settle(pilot)
            await press(pilot, "t")
            await until(lambda: app.session.launches.machines, "the machine was not looked at")
            await settle(pilot)
            assert "on lab · " in text_of(app.screen, "#facts")
            assert app.screen.query_one("#problem").text == ""
