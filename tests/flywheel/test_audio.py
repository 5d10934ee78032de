"""Audio headers and outlines of the demo's real files, and every way a file can be unusable."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.audio import AudioError, AudioInfo, probe, waveform
from clinasr_tui.flywheel.audio_header import _coded, read_header
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


def flac(path: Path, demo_data: Path, *, cut: int = 0, **stream_info: int) -> Path:
    """A demo file, cut short or with another word in its header (rate, channels, bits, total)."""
    content = bytearray(sorted((demo_data / "cycle1" / "audio").glob("*.flac"))[0].read_bytes())
    packed = int.from_bytes(content[18:26], "big")
    for name, value in stream_info.items():
        shift, width = {"total": (0, 36), "bits": (36, 5), "channels": (41, 3), "rate": (44, 20)}[name]
        packed = packed & ~(((1 << width) - 1) << shift) | value << shift
    content[18:26] = packed.to_bytes(8, "big")
    path.write_bytes(content[: len(content) - cut])
    return path


def test_plain_headers_need_no_library_and_say_the_same(demo_data: Path, tmp_path: Path) -> None:
    import soundfile

    paths = sorted((demo_data / "cycle1" / "audio").glob("*.flac"))[::10]
    for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        for channels in (1, 2):
            paths.append(tmp_path / f"{kind}{channels}.wav")
            soundfile.write(paths[-1], [[0.1] * channels] * 999, 8000, subtype=kind, format="WAV")
    for kind, frames in (("PCM_S8", 40000), ("PCM_16", 999), ("PCM_24", 700_000)):
        paths.append(tmp_path / f"{kind}.flac")
        soundfile.write(paths[-1], [[0.1, -0.1]] * frames, 44100, subtype=kind, format="FLAC")
    for path in paths:
        with soundfile.SoundFile(path) as sound:
            rate, frames, form = sound.samplerate, sound.frames, f"{sound.format} {sound.subtype}"
            expected = AudioInfo(frames / rate, rate, sound.channels, frames, form)
        assert read_header(path, path.stat().st_size) == expected
        assert probe(str(path)) == expected


def test_what_is_not_plain_is_left_to_the_library(tmp_path: Path, demo_data: Path) -> None:
    import soundfile

    whole = write_wav(tmp_path / "a.wav", [1] * 100).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:100])
    (tmp_path / "endless.wav").write_bytes(whole[:40] + b"\xff" * 4 + whole[44:])
    soundfile.write(tmp_path / "wide.wav", [0.0] * 50, 8000, format="WAVEX")
    soundfile.write(tmp_path / "a.ogg", [0.0] * 50, 8000)
    expected = {"cut.wav": 28, "endless.wav": 100, "wide.wav": 50, "a.ogg": 50}
    for name, frames in expected.items():
        path = tmp_path / name
        assert read_header(path, path.stat().st_size) is None
        assert probe(path).frames == frames


@pytest.mark.parametrize("cut", [20_000, 60_000, 86_500])
def test_flac_that_ends_early_is_unreadable_as_it_is_for_nemo(
    tmp_path: Path, demo_data: Path, cut: int
) -> None:
    import soundfile

    path = flac(tmp_path / "cut.flac", demo_data, cut=cut)
    with pytest.raises(AudioError, match="it ends before its header says") as caught:
        probe(path)
    assert caught.value.id == "unreadable_audio"
    with pytest.raises(soundfile.SoundFileError):
        soundfile.read(path)


def test_flac_without_a_length_is_unreadable(tmp_path: Path, demo_data: Path) -> None:
    with pytest.raises(AudioError, match="does not say how long") as caught:
        probe(flac(tmp_path / "endless.flac", demo_data, total=0))
    assert caught.value.id == "unreadable_audio"


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from([b"fLaC", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", b"RIFF", b""]),
    rest=st.binary(max_size=80),
    whole=st.booleans(),
    place=st.integers(0, 5000),
    other=st.binary(min_size=1, max_size=4),
)
def test_any_bytes_are_audio_or_an_audio_error(
    demo_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start: bytes,
    rest: bytes,
    whole: bool,
    place: int,
    other: bytes,
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.audio"
    if whole:
        content = bytearray(sorted((demo_data / "cycle1" / "audio").glob("*.flac"))[0].read_bytes()[:6000])
        content[place : place + len(other)] = other
        path.write_bytes(content)
    else:
        path.write_bytes(start + rest)
    try:
        info = probe(path)
    except AudioError as error:
        assert "\n" not in str(error)  # noqa: PT017  (it may also be audio)
    else:
        assert 0 < info.seconds < 1e9
        assert info.channels > 0


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 0x10FFFF).filter(lambda n: not 0xD800 <= n < 0xE000))
def test_frame_numbers_are_written_as_utf8(number: int) -> None:
    assert _coded(number) == chr(number).encode()


def test_a_file_cut_short_still_draws(tmp_path: Path, demo_data: Path) -> None:
    whole = next((demo_data / "cycle1" / "audio").glob("*.flac")).read_bytes()
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole[: len(whole) // 2])
    try:
        assert len(waveform(cut, 40)) == 40
    except AudioError as error:
        assert error.id == "unreadable_audio"  # noqa: PT017  (which of the two depends on libsndfile)
