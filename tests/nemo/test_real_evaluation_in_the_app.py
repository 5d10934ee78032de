"""The real library on a real model, from the app: a few rows, the known transcripts, cycle 2."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest
from textual.widgets import Input

from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.widgets.line_list import LineList
from tests.support.driving import press, settle, text_of
from tests.support.evaluating import cycle, said_by

MODELS = Path(__file__).resolve().parents[1] / "data/nemo"
PYTHON = os.environ.get("CLINASR_NEMO_PYTHON") or (sys.executable if importlib.util.find_spec("nemo") else "")
ROWS = 6

pytestmark = [
    pytest.mark.nemo,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.skipif(not PYTHON, reason="no Python with NeMo is known (CLINASR_NEMO_PYTHON, extra nemo)"),
]


async def test_a_tuned_model_gives_the_known_transcripts(tmp_path: Path, closed_loop: Path) -> None:
    folder = cycle(tmp_path / "ws/cycle1", closed_loop, ROWS)
    shutil.copy(closed_loop / "cycle1/per_sample.json", folder)
    (folder / "models/sft3").mkdir(parents=True)
    shutil.copy(MODELS / "sft3.nemo", folder / "models/sft3/adapted_model.nemo")
    app = ClinasrApp(open_workspace(folder.parent))
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "E")
        fields = app.screen.query_one("#fields", LineList)
        for name, value in (("python", PYTHON), ("root", str(tmp_path / "root"))):
            fields.move_to(name)
            await press(pilot, "enter")
            app.screen.query_one("#ask", Input).value = value
            await press(pilot, "enter")
        fields.move_to("cpu")
        await press(pilot, "right")
        await press(pilot, "s")
        shown = " ".join(text_of(app.screen, "#work-text").split())
        assert "cycle 2 is made, by adapted_model" in shown
        await press(pilot, "7")
        assert app.current_mode == "compare"
    heard = said_by(folder.parent, "cycle2/offline_hyps.jsonl")
    known = said_by(closed_loop, "cycle2/offline_hyps.jsonl")
    assert len(heard) == ROWS
    assert heard == {name: known[name] for name in heard}
