"""Cycles to be transcribed by a stand-in for NeMo, which says that it is none."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sys
import tarfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.evaluation.evaluate import Evaluated, evaluate
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host

if TYPE_CHECKING:
    from clinasr_tui.evaluation.prepare import Evaluation
    from clinasr_tui.launch.flow import Progress

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tests/support/stand_in_asr"
CONFIG = b"""\
target: nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel
nemo_version: none
sample_rate: 16000
validation_ds:
  manifest_filepath: null
"""


def python_with_stand_in(folder: Path) -> Path:
    """A Python that finds the stand-in where NeMo would be."""
    script = folder / "python-with-stand-in"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{STAND_IN}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


def model(path: Path, texts: dict[str, str], **said: Any) -> Path:
    """A .nemo that says these texts for these clips."""
    with tarfile.open(path, "w") as tar:
        for name, content in (
            ("model_config.yaml", CONFIG),
            ("stand_in.json", json.dumps({"texts": texts, **said}).encode()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def cycle(folder: Path, demo_data: Path, rows: int = 12) -> Path:
    """A cycle with the first rows of given data whose audio is there, their audio, and no transcripts."""
    folder.mkdir(parents=True)
    every = (demo_data / "cycle1/manifest.jsonl").read_bytes().splitlines(keepends=True)
    clips = [(line, json.loads(line)["audio_filepath"]) for line in every]
    there = [(line, audio) for line, audio in clips if (demo_data / "cycle1" / audio).exists()][:rows]
    (folder / "manifest.jsonl").write_bytes(b"".join(line for line, _ in there))
    (folder / "audio").mkdir()
    for _, audio in there:
        shutil.copy(demo_data / "cycle1" / audio, folder / audio)
    return folder


def transcripts(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of transcripts."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def said_by(demo_data: Path, which: str) -> dict[str, str]:
    """What a real model said of given data's clips: `cycle1/per_sample.json`, `cycle2/offline_hyps.jsonl`."""
    text = (demo_data / which).read_text()
    rows = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines())
    return {Path(row["audio_filepath"]).name: row["hyp"] for row in rows}


async def evaluated(
    evaluation: Evaluation,
    tell: Callable[[Progress], bool] = lambda _: True,
    ssh: SshSettings | None = None,
) -> Evaluated:
    """Make an evaluation."""
    return await evaluate(evaluation, lambda: open_host(evaluation.host, ssh or SshSettings()), tell)


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def baseline_of(folder: Path, demo_data: Path) -> None:
    """Give the cycle the transcripts of the demo's base model."""
    texts = said_by(demo_data, "cycle1/per_sample.json")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"ref": row.pop("text"), "hyp": texts[Path(row["audio_filepath"]).name]}
    (folder / "per_sample.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait for something; `what` is said if it never comes."""
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail(what)


def called(tmp_path: Path) -> list[str]:
    """Rows the slow model has transcribed, in their order."""
    calls = tmp_path / "calls"
    return calls.read_text().split() if calls.exists() else []


def spoil(folder: Path) -> list[int]:
    """Make rows 2, 4 and 5 of a cycle such that nothing can be heard in them."""
    audio = [
        json.loads(line)["audio_filepath"] for line in (folder / "manifest.jsonl").read_text().splitlines()
    ]
    (folder / audio[1]).unlink()
    (folder / audio[3]).write_bytes(b"")
    with wave.open(str(folder / audio[4]), "wb") as stream:
        stream.setnchannels(2)
        stream.setsampwidth(2)
        stream.setframerate(16000)
        stream.writeframes(b"\0" * 6400)
    return [2, 4, 5]


def expect_spoiled(done: Evaluated, folder: Path, lines: list[int]) -> None:
    """Those rows are named with the reason and are not among the transcripts."""
    assert [row.line for row in done.untranscribed] == lines
    assert [row.error for row in done.untranscribed] == [
        "No such file or directory",
        "the file is empty",
        "it has 2 channels, not one",
    ]
    rows = transcripts(folder)
    assert len(rows) == 9
    assert not any("error" in row for row in rows)
    info = json.loads((folder.parent / "eval_info.json").read_text())
    assert [row["line"] for row in info["untranscribed"]] == lines


def mend(folder: Path, demo_data: Path) -> None:
    """Put the sound back that `spoil` took."""
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        audio = json.loads(line)["audio_filepath"]
        (folder / audio).write_bytes((demo_data / "cycle1" / audio).read_bytes())
