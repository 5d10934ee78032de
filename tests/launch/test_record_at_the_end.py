"""A run's record is completed when its end is seen, by the app's worker as by the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.flywheel.settings import Settings
from clinasr_tui.flywheel.workspace import RunRef
from clinasr_tui.launch.ending import complete_record
from clinasr_tui.launch.result import not_fetched
from clinasr_tui.training.run_reader import RunReader, read_run_folder
from clinasr_tui.watched_run import WatchedRun, follow

if TYPE_CHECKING:
    from textual.message import Message

EXIT = {
    "exit_code": 0,
    "signal": None,
    "asked": None,
    "oom": False,
    "started": 1795380000.0,
    "ended": 1795380100.5,
    "queued_seconds": 0.0,
    "versions": {"nemo_toolkit": "2.6.2", "torch": "2.11.0"},
}


class Owner:
    """The session's part: nothing is shown here."""

    def post(self, message: Message, /) -> object:
        return message

    def set_run_facts(self, ref: RunRef, outcome: str, progress: str) -> None:
        pass


def launched(folder: Path, run_dir: Path, **more: Any) -> RunRef:
    """A run's folder in a workspace with the record of a launch."""
    folder.mkdir(parents=True)
    info = {"run": "sft3", "run_dir": str(run_dir), "backend": "docker", "host": None, "state": "started"}
    info |= {"container": None, "versions": {"clinasr-tui": "0"}, **more}
    (folder / "training_run_info.json").write_text(json.dumps(info))
    return RunRef("sft3", 1, folder, str(run_dir), None, info)


@pytest.fixture
def finished(tmp_path: Path, recordings: Path) -> Path:
    """A run folder as a launch leaves it."""
    shutil.copytree(recordings / "sft3", tmp_path / "run")
    (tmp_path / "run/exit.json").write_text(json.dumps(EXIT))
    return tmp_path / "run"


async def test_the_app_completes_the_record_when_it_sees_the_end(finished: Path, tmp_path: Path) -> None:
    ref = launched(tmp_path / "ws/cycle1/models/sft3", finished)
    run = WatchedRun.of(ref, Settings())
    await follow(run, Owner())
    assert run.ended
    record = json.loads((ref.folder / "training_run_info.json").read_text())
    assert (record["state"], record["outcome"], record["ended_at"]) == ("ended", "finished", EXIT["ended"])
    assert record["versions"] == {"clinasr-tui": "0", "nemo_toolkit": "2.6.2", "torch": "2.11.0"}
    assert record["end"]["val_wer"][-1] == [149, pytest.approx(0.037, abs=1e-3)]
    assert record["exit"]["started"] == EXIT["started"]


def test_a_run_of_somebody_else_or_that_goes_on_is_left_as_it_is(finished: Path, tmp_path: Path) -> None:
    ref = launched(tmp_path / "a", finished)
    before = (ref.folder / "training_run_info.json").read_bytes()
    assert not complete_record(ref.folder, RunReader("x").snapshot(), finished / "exit.json")
    assert (ref.folder / "training_run_info.json").read_bytes() == before
    (tmp_path / "b").mkdir()
    theirs = tmp_path / "b/training_run_info.json"
    theirs.write_text('{"run": "x", "run_dir": "."}')
    assert not complete_record(theirs.parent, read_run_folder(finished).snapshot(), finished / "exit.json")
    assert theirs.read_text() == '{"run": "x", "run_dir": "."}'


def test_an_end_that_nothing_tells_is_unknown(finished: Path, tmp_path: Path) -> None:
    ref = launched(tmp_path / "a", finished)
    (finished / "exit.json").unlink()
    console = finished / "console.log"
    console.write_bytes(console.read_bytes()[: console.stat().st_size // 2])
    snapshot = read_run_folder(finished).snapshot()
    assert complete_record(ref.folder, snapshot, finished / "exit.json", over=True)
    record = json.loads((ref.folder / "training_run_info.json").read_text())
    assert (record["state"], record["outcome"], record["exit_code"]) == ("ended", "unknown", None)


def test_a_machine_may_go_only_when_every_runs_result_is_here(tmp_path: Path) -> None:
    def ref(name: str, host: str | None, **info: Any) -> RunRef:
        return RunRef(name, 1, tmp_path, "/r", host, info)

    runs = [
        ref("here", "lab", backend="docker", result={"complete": True}),
        ref("there", "lab", backend="docker", state="ended"),
        ref("cut-off", "lab", backend="docker", result={"complete": False}),
        ref("never", "lab", backend="docker", state="not started"),
        ref("unclear", "lab", backend="docker", state="start unclear"),
        ref("other", "elsewhere", backend="docker"),
        ref("foreign", "lab"),
    ]
    waiting = not_fetched(runs, "lab")
    assert [one.run for one in waiting] == ["there", "cut-off", "unclear"]
    assert str(waiting[1]) == "cut-off (its checkpoint is only there: --checkpoints)"
    assert not_fetched(runs[:1], "lab") == []
