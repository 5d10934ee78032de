"""The script that closes the loop, whole, on stand-ins: there is no voice, no NeMo and no GPU here.

The stand-ins are those of `tests/support/closed_loop.py`; the synthesis around the voice and every command of
clinasr-tui are the real ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.closed_loop import ClosedLoop, cut_off

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def loop(tmp_path: Path, demo_data: Path, recordings: Path) -> Iterator[ClosedLoop]:
    made = ClosedLoop(tmp_path / "here", demo_data, recordings)
    yield made
    made.end()


def record(loop: ClosedLoop, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (loop.workspace / "cycle1/models" / run / "training_run_info.json").read_text()
    )
    return found


def made(loop: ClosedLoop) -> dict[str, int]:
    """When each file was written, without those in which following a run keeps its place."""
    files = (path for path in loop.workspace.rglob("*") if path.is_file() and "mirror" not in path.parts)
    return {str(path): path.stat().st_mtime_ns for path in files}


def steps(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("==")]


@pytest.mark.timeout(300)
def test_the_loop_is_closed_whatever_cuts_it_off_and_nothing_is_made_twice(loop: ClosedLoop) -> None:
    # The script is cut off while the first run is half-way; the run lives, so the next start follows it.
    cut_off(loop.held("sft3"))
    script = loop.begin()
    assert script.stderr is not None
    assert any("the run sft3 is running already" in line for line in script.stderr)
    assert "earlier" not in record(loop, "sft3")

    # The machine loses its power; the next start goes on with the run and closes the loop. The stock script
    # saves a checkpoint at each validation, the stand-in leaves that to the test.
    checkpoints = loop.run_folder("sft3") / "run/checkpoints"
    (checkpoints / "sft3--val_wer=0.0833-epoch=1-last.ckpt").write_bytes(b"stand-in checkpoint")
    cut_off(script)
    loop.end_run("sft3")
    loop.let_go("sft3")
    closed = loop.run()
    assert closed.returncode == 0, closed.stderr
    assert "stand-in: resuming from" in (loop.run_folder("sft3") / "stdout.log").read_text()
    assert (len(record(loop, "sft3")["earlier"]), record(loop, "sft12").get("earlier")) == (1, None)
    assert "KEEP: Keep the model" in closed.stdout
    assert closed.stdout.splitlines()[-1].endswith(r"my\ \"closed\"\ loop")

    before = made(loop)
    again = loop.run()
    assert again.returncode == 0, again.stderr
    assert len(steps(again)) == 10
    assert all(step.endswith(" is there") for step in steps(again))
    assert made(loop) == before
    assert (loop.folder / "bases").read_text() == "trained\n"


def without_espeak(loop: ClosedLoop) -> dict[str, str]:
    """The machine's own programs but for the voice."""
    few = loop.folder / "few"
    few.mkdir()
    for name in ("bash", "dirname", "df", "du", "awk", "cut", "grep", "sh"):
        (few / name).symlink_to(shutil.which(name) or name)
    return {"PATH": str(few), "CLINASR": str(loop.bin / "clinasr-tui")}


def small_disk(loop: ClosedLoop) -> dict[str, str]:
    loop.program("df", "#!/bin/sh\necho Filesystem\necho /dev/none 9000000 7000000 2000000 78% /\n")
    return {}


def gpu_without_torch(loop: ClosedLoop) -> dict[str, str]:
    loop.program("nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA None (a stand-in says so)'\n")
    return {}


def python_without_soxr(loop: ClosedLoop) -> dict[str, str]:
    (loop.folder / "lib/soxr.py").unlink()
    return {}


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (without_espeak, "espeak-ng is not installed. sudo apt install espeak-ng"),
        ({"WORDS": "/nowhere/words"}, "there is no list of words in /nowhere/words. sudo apt install wameri"),
        ({"CLINASR": "nowhere"}, "nowhere is no command here. Install it (pip install . in its clone)"),
        (
            {"NEMO_ROOT": "/nowhere"},
            "/nowhere/examples/asr/speech_to_text_finetune.py is not there. Name the",
        ),
        (python_without_soxr, "No module named 'soxr'). pip install '.[nemo]' in the clone of clinasr-tui"),
        ({"PYTHON": "/nowhere/python"}, "/nowhere/python: No such file or directory). pip install '.[nemo]'"),
        (gpu_without_torch, "there is a GPU, but torch cannot use it. Ask "),
        (small_disk, " has 2 GB free, 3 GB are needed. Make room"),
        ({"BASE_ROWS": "300"}, "BASE_ROWS is 300. Give a number above 300"),
        ({"BASE_ROWS": "many"}, "BASE_ROWS is many. Give a number above 300"),
    ],
)
def test_what_is_missing_is_one_line_before_anything_is_made(
    loop: ClosedLoop, missing: dict[str, str] | Callable[[ClosedLoop], dict[str, str]], says: str
) -> None:
    done = loop.run(**(missing(loop) if callable(missing) else missing))
    lines = [line for line in done.stderr.splitlines() if "no CUDA GPU" not in line]
    assert (done.returncode, len(lines), done.stdout) == (2, 1, "")
    assert lines[0].startswith("run.sh: ")
    assert says in lines[0]
    assert not loop.workspace.exists()


def test_a_gpu_that_is_not_to_be_used_is_no_trouble(loop: ClosedLoop) -> None:
    gpu_without_torch(loop)
    done = loop.run(CUDA_VISIBLE_DEVICES="", WORDS="/nowhere")
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [
        " there is no list of words in /nowhere. sudo apt install wamerican, or name another",
        " no CUDA GPU",
    ]
