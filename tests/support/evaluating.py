"""Cycles to be transcribed by a stand-in for NeMo, which says that it is none."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

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
