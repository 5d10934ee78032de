"""What the method says of a base, by its name."""

from __future__ import annotations

import pytest

from clinasr_tui.flywheel.bases import DEFAULT_BASE, Standing, another_base, base_standing


@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("nvidia/parakeet-tdt-0.6b-v2", Standing.VERIFIED),
        (" NVIDIA/Parakeet-TDT-0.6B-v2 ", Standing.VERIFIED),
        ("parakeet-tdt-0.6b-v2", Standing.VERIFIED),
        ("/models/parakeet-tdt-0.6b-v2.nemo", Standing.VERIFIED),
        ("someone/parakeet-tdt-0.6b-v2", Standing.UNVERIFIED),
        ("nvidia/stt_en_conformer_ctc_large", Standing.LEGACY),
        ("nvidia/parakeet-tdt-1.1b", Standing.UNVERIFIED),
        ("nvidia/parakeet-ctc-0.6b-v2", Standing.UNVERIFIED),
        ("nvidia/nemotron-speech-streaming-en-0.6b", Standing.REFUSED),
        ("NVIDIA/Nemotron-Speech-Streaming-EN-0.6B", Standing.REFUSED),
        ("nvidia/nemotron-asr-streaming-1b", Standing.REFUSED),
        ("nvidia/streaming-nemotron-1b", Standing.REFUSED),
        ("someone/nemotron_speech_streaming_en_0.6b", Standing.REFUSED),
        ("models/nemotron-speech-streaming-en-0.6b.nemo", Standing.REFUSED),
        ("nvidia/stt_en_fastconformer_hybrid_large_streaming_multi", Standing.UNVERIFIED),
        ("openai/whisper-large-v3", Standing.UNVERIFIED),
        ("", Standing.UNVERIFIED),
    ],
)
def test_standing(name: str, standing: Standing) -> None:
    found = base_standing(name)
    assert found.standing is standing
    assert found.name == name.strip()
    assert found.allowed is (standing is not Standing.REFUSED)
    assert found.reason.endswith(".")


def test_a_refused_base_names_the_one_to_take() -> None:
    found = base_standing("nvidia/nemotron-speech-streaming-en-0.6b")
    assert found.substitute == DEFAULT_BASE
    assert "all-UNK" in found.reason
    assert "do not retry" in found.reason


@pytest.mark.parametrize(
    "name",
    [
        "nvidia/stt_de_conformer_ctc_large",
        "nvidia/stt_it_fastconformer_hybrid_large_pc",
        "x/parakeet-ctc-es-1b",
    ],
)
def test_another_language_needs_another_recipe(name: str) -> None:
    assert "a re-validated recipe" in base_standing(name).reason


@pytest.mark.parametrize(
    "name", ["nvidia/parakeet-tdt-1.1b", "nvidia/stt_en_conformer_ctc_small", "x/en-de-conformer"]
)
def test_english_names_are_only_not_verified(name: str) -> None:
    reason = base_standing(name).reason
    assert reason.startswith("Not verified here")
    assert "English" not in reason


def test_a_streaming_base_of_another_family_says_so() -> None:
    assert "streaming" in base_standing("nvidia/stt_en_fastconformer_hybrid_large_streaming_multi").reason


@pytest.mark.parametrize(
    ("model", "base", "other"),
    [
        ("nvidia/nemotron-speech-streaming-en-0.6b", DEFAULT_BASE, True),
        ("stt_en_conformer_ctc_large", DEFAULT_BASE, True),
        ("Parakeet-TDT-0.6b-v2", DEFAULT_BASE, False),
        ("base", DEFAULT_BASE, False),
        ("", DEFAULT_BASE, False),
        ("nvidia/parakeet-tdt-0.6b-v2 + sft3", DEFAULT_BASE, False),
    ],
)
def test_a_baseline_of_another_model_than_the_base(model: str, base: str, other: bool) -> None:
    assert another_base(model, base) is other
