"""Audio headers and outlines of the demo's real files, and every way a file can be unusable."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.audio import AudioError, probe, waveform
from clinasr_tui.flywheel.manifest import audio_path, read_manifest


def write_wav(path: Path, samples: list[int], channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"".join(value.to_bytes(2, "little", signed=True) for value in samples))
    return path


def test_headers_agree_with_the_demo_manifest(demo_data: Path) -> None:
    manifest = demo_data / "cycle1" / "manifest.jsonl"
    for row in read_manifest(manifest)[::50]:
        info = probe(audio_path(manifest, row.audio_filepath))
        assert (info.sample_rate, info.channels, info.format) == (16000, 1, "FLAC PCM_16")
        assert info.seconds == pytest.approx(row.duration, abs=1e-4)
        assert info.frames == round(info.seconds * 16000)


def test_waveform_keeps_the_extremes(demo_data: Path) -> None:
    import soundfile

    manifest = demo_data / "cycle1" / "manifest.jsonl"
    path = audio_path(manifest, read_manifest(manifest)[0].audio_filepath)
    samples, _ = soundfile.read(path, dtype="float32")
    for columns in (1, 7, 80):
        peaks = waveform(path, columns)
        assert len(peaks) == columns
        assert min(low for low, _ in peaks) == samples.min()
        assert max(high for _, high in peaks) == samples.max()
        assert all(low <= high for low, high in peaks)


def test_waveform_of_known_samples(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", [0, 16384, -16384, 8192])
    assert waveform(path, 2) == [(0.0, 0.5), (-0.5, 0.25)]
    assert waveform(path, 8)[2:] == [
        (0.0, 0.0),
        (0.5, 0.5),
        (0.5, 0.5),
        (-0.5, -0.5),
        (-0.5, -0.5),
        (0.25, 0.25),
    ]
    assert waveform(path, 0) == []


def test_all_channels_count(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", [0, 16384, 0, -8192], channels=2)
    assert probe(path).channels == 2
    assert waveform(path, 1) == [(-0.25, 0.5)]


@pytest.mark.parametrize(
    ("name", "audio_id"),
    [
        ("absent.wav", "missing_audio"),
        ("file.wav/below", "missing_audio"),
        ("zero.wav", "empty_audio"),
        ("no-frames.wav", "empty_audio"),
        ("junk.wav", "unreadable_audio"),
        ("folder", "unreadable_audio"),
        ("nul\0.wav", "unreadable_audio"),
        ("x" * 300, "unreadable_audio"),
    ],
)
def test_unusable_audio(tmp_path: Path, name: str, audio_id: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero.wav").touch()
    (tmp_path / "file.wav").write_bytes(b"x")
    (tmp_path / "junk.wav").write_bytes(b"RIFF and then nothing of the kind")
    write_wav(tmp_path / "no-frames.wav", [])
    for look in (probe, lambda path: waveform(path, 10)):
        with pytest.raises(AudioError) as caught:
            look(tmp_path / name)
        assert caught.value.id == audio_id
        assert isinstance(caught.value, InputError)
        assert "\n" not in str(caught.value)


def test_a_file_cut_short_still_draws(tmp_path: Path, demo_data: Path) -> None:
    whole = next((demo_data / "cycle1" / "audio").glob("*.flac")).read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole[: len(whole) // 2])
    try:
        assert len(waveform(cut, 40)) == 40
    except AudioError as error:
        assert error.id == "unreadable_audio"  # noqa: PT017  (which of the two depends on libsndfile)
