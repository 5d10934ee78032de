"""The installed wheel is whole: styles and demo inside, models and tests outside."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel (no build isolation: the build backend is one of the dev requirements)."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [path] = out.glob("*.whl")
    return path


def test_the_wheel_carries_styles_and_demo_but_no_model(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for style in (ROOT / "styles").glob("*.tcss"):
        assert f"clinasr_tui/styles/{style.name}" in names
    assert sum(name.endswith(".flac") for name in names) == 250
    assert "clinasr_tui/demo/data/README.md" in names
    assert not [name for name in names if name.endswith(".nemo") or name.startswith("tests/")]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_app_opens_from_the_wheel(wheel, tmp_path, demo_data):
    """Installed outside the source tree, the app finds its styles and opens a workspace."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = f"""
import asyncio, pathlib, sys
sys.path.insert(0, {str(site)!r})
import clinasr_tui
assert pathlib.Path(clinasr_tui.__file__).is_relative_to({str(site)!r}), clinasr_tui.__file__
from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
async def main():
    app = ClinasrApp(open_workspace(pathlib.Path({str(demo_data)!r})))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        print("opened", app.screen.__class__.__name__)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "opened" in done.stdout
