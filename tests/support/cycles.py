"""Cycles made for a test: rows whose term is heard or not, written as a workspace has them."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def terms(
    category: str, misses: int, count: int, *, each: int = 5, ipa: str = "override", noise: str = "clean"
) -> list[Row]:
    """`count` rows of a category, `each` a term; the first `misses` terms' worth of rows are not heard.

    Misses are spread over the terms like a real model's: a term it cannot spell is missed in every row.
    """
    made = []
    for number in range(count):
        term = f"{category}ol {'abcdefghijklmnopqrstuvwxyz'[number // each]}"
        row = f"{category}_{ipa}_{noise}_{number}"
        made.append(
            {
                "audio_filepath": f"audio/{row}.wav",
                "text": f"please give {term} now",
                "duration": 0.2,
                "term": term,
                "entity_category": category,
                "ipa_source": ipa,
                "voice_id": "v1",
                "noise_level": noise,
                "context_type": "dictation",
                "heard": number >= misses,
            }
        )
    return made


def hyps(rows: Iterable[Row], heard: Sequence[bool] | None = None) -> list[Row]:
    """Transcripts of rows; `heard` says anew which terms are."""
    made = []
    for number, row in enumerate(rows):
        hit = row["heard"] if heard is None else heard[number]
        word = row["term"] if hit else "something"
        kept = {key: value for key, value in row.items() if key not in ("text", "duration", "heard")}
        made.append({**kept, "ref": row["text"], "hyp": f"please give {word} now"})
    return made


def write(path: Path, rows: Iterable[Row]) -> Path:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def put_cycle(root: Path, number: int, rows: Sequence[Row], *, audio: bool = False) -> Path:
    """`cycle<N>` with a manifest, its transcripts and, if asked, a fifth of a second of silence a row."""
    folder = root / f"cycle{number}"
    manifest = [{key: value for key, value in row.items() if key != "heard"} for row in rows]
    write(folder / "manifest.jsonl", manifest)
    write(folder / "per_sample.json", hyps(rows))
    if audio:
        (folder / "audio").mkdir()
        for row in rows:
            with wave.open(str(folder / row["audio_filepath"]), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(16000)
                file.writeframes(bytes(2 * 3200))
    return folder


def put_reeval(root: Path, number: int, rows: Sequence[Row], heard: Sequence[bool], **info: object) -> Path:
    """`cycle<N>` with the re-evaluation of the rows and its eval_info.json."""
    folder = root / f"cycle{number}"
    write(folder / "offline_hyps.jsonl", hyps(rows, heard))
    if info:
        (folder / "eval_info.json").write_text(json.dumps(info))
    return folder


def general(path: Path, errors: Sequence[int], words: int = 10) -> Path:
    """A general set of sentences of so many words, of which so many are wrong in each."""
    return write(
        path,
        (
            {
                "audio_filepath": f"general/{number}.wav",
                "ref": " ".join(f"w{place}" for place in range(words)),
                "hyp": " ".join("x" if place < wrong else f"w{place}" for place in range(words)),
            }
            for number, wrong in enumerate(errors)
        ),
    )
