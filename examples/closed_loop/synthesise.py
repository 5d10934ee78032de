"""Make the three sets of a closed loop with espeak-ng: the clinical cycle, the general set, the base's own.

cycle1/         the manifest the cycle is about: every term in five sentences, voices and noises
general/        sentences of everyday words, held out: they measure forgetting
base/           what the small base model is trained on: random words, none of the drug names
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import sys
import tomllib
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speech import say, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HERE = Path(__file__).parent
VOICES = ("en-us+m3", "en-us+f2", "en-gb")
"""Of the clinical manifest."""
BASE_VOICES = (*VOICES, "en-us", "en-us+m7", "en-us+f4", "en-gb-x-rp", "en-us+m1", "en-us+f1")
NOISES = ("clean", "snr_15db", "snr_5db")
ROWS_A_TERM = 5
VALIDATION_ROWS = 300
"""Of the base's own set."""
OVERRIDE, FALL_THROUGH = "override", "magpie_g2p"
"""The manifest's vocabulary has no word of its own for "espeak-ng's rules": they are the fall-through."""
_SPEED, _PITCH = 165, 50
_WORD = re.compile(r"[a-z]{3,14}")


class Lexicon:
    """Terms, pronunciations, sentences and words."""

    def __init__(self, words: Path) -> None:
        with (HERE / "terms.csv").open(newline="", encoding="utf-8") as file:
            self.terms = {row["term"]: row["entity_category"] for row in csv.DictReader(file)}
        with (HERE / "pronunciation_overrides.csv").open(newline="", encoding="utf-8") as file:
            self.ipa = {row["term"]: row["ipa"] for row in csv.DictReader(file)}
        with (HERE / "sentences.toml").open("rb") as stream:
            sentences = tomllib.load(stream)
        self.function_words: list[str] = sentences.pop("function_words").split()
        self.sentences: dict[str, dict[str, list[str]]] = sentences
        drugs = {term for term, category in self.terms.items() if category == "drug"}
        found = words.read_text(encoding="utf-8").split()
        self.words = [word for word in found if _WORD.fullmatch(word) and word not in drugs]

    def clinical_rows(self, seed: int) -> list[dict[str, Any]]:
        """The cycle's manifest, without durations."""
        rng, rows = random.Random(seed), []
        for term, category in self.terms.items():
            contexts = self.sentences[category]
            ways = [(c, voice, noise) for c in contexts for voice in VOICES for noise in NOISES]
            for context, voice, noise in rng.sample(ways, ROWS_A_TERM):
                name = re.sub(r"[^a-z0-9]+", "_", f"{term}_{context}_{voice}_{noise}")
                rows.append(
                    {
                        "audio_filepath": f"audio/{name}.flac",
                        "text": rng.choice(contexts[context]).format(t=term),
                        "duration": None,
                        "term": term,
                        "entity_category": category,
                        "ipa_source": OVERRIDE if term in self.ipa else FALL_THROUGH,
                        "voice_id": voice,
                        "noise_level": noise,
                        "context_type": context,
                    }
                )
        return rows

    def general_text(self, rng: random.Random) -> str:
        """A sentence of everyday words."""
        count = rng.randint(4, 12)
        return " ".join(
            rng.choice(self.function_words if rng.random() < 0.45 else self.words) for _ in range(count)
        )

    def base_text(self, rng: random.Random) -> str:
        """General, or a clinical sentence about random words."""
        if rng.random() >= 0.35:
            return self.general_text(rng)
        contexts = self.sentences[rng.choice(list(self.sentences))]
        words = " ".join(rng.choice(self.words) for _ in range(rng.choice((1, 1, 2))))
        return rng.choice(contexts[rng.choice(list(contexts))]).format(t=words)

    def texts(
        self, draw: Callable[[random.Random], str], seed: int, count: int, without: set[str]
    ) -> list[str]:
        """So many different sentences, none of them in `without`."""
        rng = random.Random(seed)
        found: dict[str, None] = {}
        while len(found) < count:
            text = draw(rng)
            if text not in without:
                found[text] = None
        return list(found)


def say_clinical(folder: Path, ipa: dict[str, str], task: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """One row of the manifest with its audio."""
    number, row = task
    text = spoken(row["text"], row["term"], ipa.get(row["term"], ""))
    row["duration"] = say(
        text,
        folder / row["audio_filepath"],
        voice=row["voice_id"],
        speed=_SPEED,
        pitch=_PITCH,
        noise=row["noise_level"],
        seed=number,
    )
    return row


def say_plain(folder: Path, suffix: str, task: tuple[int, str]) -> dict[str, Any]:
    """One row without a term, in a voice and noise of its own."""
    number, text = task
    rng = random.Random(1_000_000 + number)
    name = f"audio/{number // 1000:03d}/{number}.{suffix}"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    voice, noise = rng.choice(BASE_VOICES), rng.choice(("clean", *NOISES))
    speed, pitch = rng.randint(140, 190), rng.randint(35, 65)
    seconds = say(text, path, voice=voice, speed=speed, pitch=pitch, noise=noise, seed=number)
    return {
        "audio_filepath": name,
        "text": text,
        "duration": seconds,
        "voice_id": voice,
        "noise_level": noise,
    }


def write_manifest(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line; the file appears whole."""
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    partial.replace(path)


def main() -> None:
    """Synthesise into WORKSPACE."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--words", type=Path, default=Path("/usr/share/dict/american-english"))
    parser.add_argument("--base-rows", type=int, default=60_000)
    parser.add_argument("--general-rows", type=int, default=200)
    args = parser.parse_args()
    if args.base_rows <= VALIDATION_ROWS:
        sys.exit(f"{args.base_rows} base rows are too few: {VALIDATION_ROWS} are held out of the training")
    lexicon = Lexicon(args.words)
    cycle, general, base = (args.workspace / name for name in ("cycle1", "general", "base"))
    for folder in (cycle, general, base):
        (folder / "audio").mkdir(parents=True, exist_ok=True)
    clinical = lexicon.clinical_rows(seed=42)
    held_out = lexicon.texts(lexicon.general_text, 7, args.general_rows, set())
    texts = lexicon.texts(lexicon.base_text, 1, args.base_rows, set(held_out))
    with Pool() as pool:
        rows = pool.map(partial(say_clinical, cycle, lexicon.ipa), list(enumerate(clinical)))
        write_manifest(cycle / "manifest.jsonl", rows)
        numbered = [(args.base_rows + number, text) for number, text in enumerate(held_out)]
        write_manifest(general / "manifest.jsonl", pool.map(partial(say_plain, general, "flac"), numbered))
        made = pool.map(partial(say_plain, base, "wav"), list(enumerate(texts)), chunksize=64)
    write_manifest(base / "validation.jsonl", made[:VALIDATION_ROWS])
    write_manifest(base / "train.jsonl", made[VALIDATION_ROWS:])
    hours = sum(row["duration"] for row in made) / 3600
    print(
        f"{len(rows)} clinical rows, {len(held_out)} general rows; for the base {len(made)} ({hours:.1f} h)"
    )


if __name__ == "__main__":
    main()
