"""The example that closes the loop: its words, its pronunciations, and the manifest the demo was made of."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

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
