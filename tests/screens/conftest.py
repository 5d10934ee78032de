"""Fixtures of the screen tests: the app on a workspace, both sizes, stored pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.remote import run_watch
from tests.support.driving import SIZES, press, settle
from tests.support.oracle import Figures, audio_of, figures

if TYPE_CHECKING:
    from textual.pilot import Pilot


@pytest.fixture
def app_on() -> Callable[[Path], ClinasrApp]:
    """Makes the app on a folder."""
    return lambda root: ClinasrApp(open_workspace(root))


@pytest.fixture
def loop_cycles(tmp_path: Path, closed_loop: Path) -> Path:
    """A workspace whose golden figures are known: the published table and the honest verdict both keep."""
    return shutil.copytree(closed_loop, tmp_path / "closed-loop", symlinks=True)


@pytest.fixture
def loop_cockpit(loop_cycles: Path, app_on: Callable[[Path], ClinasrApp]) -> ClinasrApp:
    """The app on the cycles whose golden figures are known."""
    return app_on(loop_cycles)


@pytest.fixture(scope="session")
def demo_figures(demo_data: Path) -> dict[int, Figures]:
    """Figures of the bundled cycles, worked out without the product."""
    names = {1: "cycle1/per_sample.json", 2: "cycle2/offline_hyps.jsonl"}
    return {number: figures(demo_data / name) for number, name in names.items()}


@pytest.fixture(scope="session")
def held_out(demo_data: Path) -> frozenset[str]:
    """Audio of the bundled validation rows."""
    return audio_of(demo_data / "cycle1" / "validation.jsonl")


@pytest.fixture
def cockpit(two_cycles: Path, app_on: Callable[[Path], ClinasrApp]) -> ClinasrApp:
    """The app on the bundled workspace with both cycles."""
    return app_on(two_cycles)


@pytest.fixture
def bare_folder(tmp_path: Path) -> Path:
    """A workspace whose manifest has one row and nothing else."""
    manifest = tmp_path / "bare" / "cycle1" / "manifest.jsonl"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"audio_filepath": "a.wav", "text": "take apixaban", "duration": 1.0}\n')
    return tmp_path / "bare"


@pytest.fixture
def bare(bare_folder: Path, app_on: Callable[[Path], ClinasrApp]) -> ClinasrApp:
    """The app where no figures have to be computed."""
    return app_on(bare_folder)


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


@pytest.fixture
def app_with(
    two_cycles: Path,
    recordings: Path,
    app_on: Callable[[Path], ClinasrApp],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., ClinasrApp]:
    """Makes the app on a workspace with recorded runs on this machine, oldest first.

    A recording does not grow: its end need not be waited for.
    """
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_EXIT", 0.05)
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_END", 0.05)
    monkeypatch.setattr(run_watch, "_JUDGE_EVERY", 0.05)

    def make(*names: str) -> ClinasrApp:
        for place, name in enumerate(names):
            source = recordings / name
            folder = two_cycles / "cycle1" / "models" / name
            shutil.copytree(source, folder)
            info = folder / "training_run_info.json"
            info.write_text('{"max_epochs": 3}')
            os.utime(info, (place, place))
        return app_on(two_cycles)

    return make
