"""The example that closes the loop: its words, its pronunciations, and the manifest the demo was made of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest

from clinasr_tui.flywheel.vocabulary import ENTITY_CATEGORIES, IPA_SOURCES

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "closed_loop"
STRESS = re.compile("[ˈˌ]")


@pytest.fixture
def speech(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLE)
    import speech

    return speech


@pytest.fixture
def synthesise(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXAMPLE)
    import synthesise

    return synthesise


@pytest.fixture
def lexicon(synthesise: ModuleType, tmp_path: Path):
    words = tmp_path / "words"
    words.write_text("apple\nBoston\ncefazolin\nit's\npear\nplum\nox\n")
    return synthesise.Lexicon(words)


def test_the_demo_is_what_the_example_makes(lexicon, demo_data: Path) -> None:
    lines = (demo_data / "cycle1/manifest.jsonl").read_text().splitlines()
    recorded = [{**json.loads(line), "duration": None} for line in lines]
    assert lexicon.clinical_rows(seed=42) == recorded


def test_terms_and_sentences_are_in_the_methods_vocabulary(lexicon) -> None:
    assert set(lexicon.terms.values()) == set(lexicon.sentences) == set(ENTITY_CATEGORIES)
    assert set(lexicon.ipa) < set(lexicon.terms)
    assert {row["ipa_source"] for row in lexicon.clinical_rows(seed=1)} <= set(IPA_SOURCES)
    assert lexicon.words == ["apple", "pear", "plum"], "drug names are held out of the base's words"


def test_the_general_set_is_held_out(lexicon) -> None:
    held_out = lexicon.texts(lexicon.general_text, 7, 50, set())
    base = lexicon.texts(lexicon.base_text, 7, 200, set(held_out))
    assert len(set(base)) == 200
    assert not set(base) & set(held_out)
    assert not any(drug in text for text in base for drug in lexicon.terms if lexicon.terms[drug] == "drug")


def test_a_pronunciation_takes_the_terms_place(speech: ModuleType) -> None:
    assert speech.spoken("hold the losartan now", "losartan", "loʊˈsɑːɹtæn") == "hold the [[loU'sA@tan]] now"
    assert speech.spoken("hold the losartan now", "losartan", "") == "hold the losartan now"
    with pytest.raises(ValueError, match="'y' is no sign"):
        speech.phonemes("ˈmyːt")


def test_a_base_set_of_validation_rows_alone_is_refused(
    synthesise: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["synthesise.py", str(tmp_path / "ws"), "--base-rows", "300"])
    with pytest.raises(SystemExit, match="300 base rows are too few: 300 are held out"):
        synthesise.main()
    assert not (tmp_path / "ws").exists()


@pytest.fixture
def train_base(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script without what it trains with: these modules are empty, nothing can be trained."""
    names = ("lightning", "lightning.pytorch", "sentencepiece", "torch", "nemo", "nemo.collections")
    for name in (*names, "nemo.collections.asr", "nemo.collections.asr.models", "omegaconf"):
        monkeypatch.setitem(sys.modules, name, MagicMock(Callback=object))
    monkeypatch.syspath_prepend(EXAMPLE)
    import train_base

    monkeypatch.delitem(sys.modules, "train_base")
    return train_base


class _Model:
    """Stands in for a model: it is saved in two pieces, and may be cut off between them."""

    def __init__(self, *, cut_off: bool) -> None:
        self.cut_off = cut_off

    def save_to(self, path: str) -> None:
        with Path(path).open("wb") as stream:
            stream.write(b"half")
            if self.cut_off:
                raise OSError("no space left")
            stream.write(b" and half")


def test_a_base_cut_off_while_it_was_saved_does_not_count_as_made(
    train_base: ModuleType, tmp_path: Path
) -> None:
    out = tmp_path / "base.nemo"
    with pytest.raises(OSError, match="no space left"):
        train_base.save_whole(_Model(cut_off=True), out)
    assert not out.exists()
    train_base.save_whole(_Model(cut_off=False), out)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("base.nemo", b"half and half")]


def as_heard(ipa: str) -> str:
    """IPA without what espeak-ng writes otherwise: stress, flaps, r after a vowel, long vowels."""
    for theirs, ours in (("oːɹ", "ɔːɹ"), ("ɾ", "t"), ("ɑː", "ɑ"), ("ɚ", "əɹ"), ("ɹɹ", "ɹ")):
        ipa = ipa.replace(theirs, ours)
    return STRESS.sub("", ipa)


@pytest.mark.espeak
def test_espeak_says_what_was_written_down(speech: ModuleType, lexicon) -> None:
    for ipa in lexicon.ipa.values():
        command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", speech.phonemes(ipa)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert as_heard(" ".join(said.split())) == as_heard(ipa)


def test_the_script_is_sound_shell() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(EXAMPLE / "run.sh")], check=True)
    refused = subprocess.run([bash, str(EXAMPLE / "run.sh")], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "usage: NEMO_ROOT=DIR run.sh WORKSPACE" in refused.stderr
