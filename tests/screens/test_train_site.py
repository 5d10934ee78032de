"""Train and where a run's files are: a look is about one folder there, and a resumed run stays in its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.machine import Site
from clinasr_tui.launch.places import DEFAULT_ROOT
from tests.support.driving import press, settle, text_of

# The docker library leaves the socket of an engine that does not answer to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def app(two_cycles: Path) -> ClinasrApp:
    return ClinasrApp(open_workspace(two_cycles))


async def looked(pilot):
    """Train, with this machine looked at where runs go by default."""
    await settle(pilot)
    await press(pilot, "9", "m")
    return pilot.app.screen


async def test_this_machine_is_really_looked_at(app):
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await looked(pilot)
        assert app.session.launches.machines[Site(None, DEFAULT_ROOT, DOCKER_SOCKET)].cpus > 0
        assert "CPUs" in text_of(screen, "#facts")


async def test_another_folder_or_engine_there_is_looked_at_by_itself_and_taken(app, tmp_path):
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await looked(pilot)
        assert screen._draft.plan().places.root == str(Path.home() / "clinasr")
        screen._set("root", str(tmp_path / "bigdisk"))
        assert screen._draft.plan().places.root == str(tmp_path / "bigdisk")
        await settle(pilot)
        assert screen._draft.machine.folder == str(tmp_path / "bigdisk")
        screen._set("socket", "/nowhere.sock")
        await settle(pilot)
        assert "no Docker socket at /nowhere.sock" in text_of(screen, "#facts")
        screen._set("socket", None)
        screen._set("root", None)
        await settle(pilot)
        assert len(app.session.launches.machines) == 3
        assert screen._draft.plan().places.root == str(Path.home() / "clinasr")


async def test_a_machine_nobody_looked_at_is_not_connected_to_for_another_folder(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "9")
        pilot.app.screen._set("root", "/data")
        await settle(pilot)
        assert app.session.launches.machines == {}


async def test_a_resumed_run_stays_in_its_folder_although_another_was_looked_at(two_cycles, tmp_path):
    folder = two_cycles / "cycle1/models/sft1"
    folder.mkdir(parents=True)
    root = tmp_path / "data"
    run_dir = root / "there/runs/sft1"
    record = {"run": "sft1", "run_dir": str(run_dir), "root": str(root), "backend": "local", "host": None}
    (folder / "training_run_info.json").write_text(json.dumps(record))
    app = ClinasrApp(open_workspace(two_cycles))
    async with app.run_test(size=(80, 24)) as pilot:
        await looked(pilot)
        app.session.resume_wish = app.session.workspace.runs[-1]
        await press(pilot, "1", "9")
        screen = app.screen
        assert screen._draft.choices.resume
        assert screen._draft.plan().places.root == str(root)
        screen._set("root", "/elsewhere")
        assert "keeps name, machine and folder" in screen.query_one("#problem").text
        assert screen._draft.plan().places.root == str(root)
