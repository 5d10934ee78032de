"""Transcribing row by row: checks before, batches at once, halving, going on after a kill.

The model here is a stand-in that knows each file's text; tests/nemo has the real one.
"""

from __future__ import annotations

import io
import json
import os
import struct
import wave
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from clinasr_tui.nemo_side import transcribe
from clinasr_tui.nemo_side.audio_check import AudioFault, seconds_of
from clinasr_tui.nemo_side.transcribe import Job, Transcriber, done_rows


class StandIn(Transcriber):
    """Says each file's name; cannot hold more than `fits` rows and stumbles over `bad` ones."""

    fits = 100
    bad: tuple[str, ...] = ()
    calls: list[int]

    def __init__(self, spec: dict[str, Any]) -> None:
        self.device = "cpu"
        self.torch: Any = None
        self.batch_size = int(spec.get("batch_size") or 4)
        type(self).calls = []

    def texts(self, paths: list[str]) -> list[str]:
        """What a model would say."""
        self.calls.append(len(paths))
        if len(paths) > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if any(Path(path).stem in self.bad for path in paths):
            raise ValueError("stumbled\nover it")
        return [Path(path).stem for path in paths]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    kind = type("StandIn", (StandIn,), {})
    monkeypatch.setattr(transcribe, "Transcriber", kind)
    monkeypatch.setattr(transcribe, "versions", lambda _: {"nemo": "none: a stand-in"})
    return kind


def wav(path: Path, *, channels: int = 1, frames: int = 1600, rate: int = 16000) -> Path:
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(channels)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(b"\0\0" * channels * frames)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Ten rows; the audio of the third is missing, of the fifth stereo, of the sixth empty."""
    rows = []
    for number in range(10):
        name = f"clip{number}.wav"
        if number == 4:
            wav(tmp_path / name, channels=2)
        elif number == 5:
            (tmp_path / name).write_bytes(b"")
        elif number != 2:
            wav(tmp_path / name)
        rows.append({"audio_filepath": name, "text": f"ref {number}", "term": "ä", "extra": 1})
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def clips(folder: Path, count: int) -> Path:
    """A manifest of so many rows whose audio is all right."""
    rows = [{"audio_filepath": f"clip{number}.wav", "text": ""} for number in range(count)]
    for row in rows:
        wav(folder / row["audio_filepath"])
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def transcribed(manifest: Path, **spec: object) -> list[dict[str, Any]]:
    out = manifest.with_name("hyps.jsonl")
    Job({"model": "none", "manifest": str(manifest), "out": str(out), **spec}).run()
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_each_row_has_a_text_or_an_error(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = transcribed(manifest)
    assert [row["audio_filepath"] for row in rows] == [f"clip{number}.wav" for number in range(10)]
    assert [row.get("error", "") for row in rows] == [
        "",
        "",
        "No such file or directory",
        "",
        "it has 2 channels, not one",
        "the file is empty",
        *[""] * 4,
    ]
    assert [row["hyp"] for row in rows if "error" not in row] == [f"clip{n}" for n in (0, 1, 3, 6, 7, 8, 9)]
    assert rows[0] == {"audio_filepath": "clip0.wav", "ref": "ref 0", "hyp": "clip0", "term": "ä"}
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["row"] for line in told if line["t"] == "row_error"] == [3, 5, 6]
    assert [line["done"] for line in told if line["t"] == "progress"] == [4, 8, 10]
    assert told[-1]["audio_seconds"] == 0.7


def test_a_batch_that_does_not_fit_is_halved(
    manifest: Path, stand_in: type[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.fits = 2
    rows = transcribed(manifest, batch_size=10)
    assert sum("error" not in row for row in rows) == 7
    assert stand_in.calls == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert "going on with 3 rows at a time" in capsys.readouterr().out


def test_a_row_that_never_fits_is_an_error(
    manifest: Path, stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = stand_in.texts

    def texts(self: StandIn, paths: list[str]) -> list[str]:
        if any(Path(path).stem == "clip6" for path in paths):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return heard(self, paths)

    monkeypatch.setattr(stand_in, "texts", texts)
    rows = transcribed(manifest)
    assert "out of memory" in rows[6]["error"]
    assert sum("error" not in row for row in rows) == 6


def test_one_row_that_never_fits_does_not_slow_the_others(
    tmp_path: Path, stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, sizes = stand_in.texts, []

    def texts(self: StandIn, paths: list[str]) -> list[str]:
        sizes.append(len(paths))
        if any(Path(path).stem == "clip5" for path in paths):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return heard(self, paths)

    monkeypatch.setattr(stand_in, "texts", texts)
    path = clips(tmp_path, 64)
    done = transcribed(path, batch_size=16)
    assert [row["audio_filepath"] for row in done if "error" in row] == ["clip5.wav"]
    assert sizes == [16, 8, 4, 4, 2, 1, 1, 1, 1, 8, 16, 16, 16]


@pytest.mark.parametrize("fits", [1, 3, 5, 8, 10])
def test_what_is_known_to_fit_is_not_halved_further(
    tmp_path: Path, stand_in: type[StandIn], fits: int
) -> None:
    stand_in.fits = fits
    path = clips(tmp_path, 40)
    assert [row["hyp"] for row in transcribed(path, batch_size=16)] == [f"clip{n}" for n in range(40)]
    assert sum(size > fits for size in stand_in.calls) <= 4, "each size is tried once"


def test_where_no_row_fits_it_ends_and_says_so(manifest: Path, stand_in: type[StandIn]) -> None:
    stand_in.fits = 0
    with pytest.raises(transcribe.NoRoomError, match=r"not one row fits into memory.*CUDA out of memory"):
        transcribed(manifest)
    assert stand_in.calls == [3, 1, 1, 1]


def test_a_model_that_ran_out_of_memory_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """NeMo 2.7.3 on a GPU: graphs half made fail every later call with "no attribute 'replay'"."""
    made: list[str] = []

    class Model:
        spoilt = False

        def transcribe(self, paths: list[str], **_: object) -> list[str]:
            if self.spoilt:
                raise AttributeError("'NoneType' object has no attribute 'replay'")
            if len(paths) > 2:
                self.spoilt = True
                raise RuntimeError("CUDA out of memory. Tried to allocate 12.00 MiB")
            return list(paths)

    def load(model: str, _device: str) -> Model:
        made.append(model)
        return Model()

    monkeypatch.setattr(transcribe, "load", load)
    one = Transcriber.__new__(Transcriber)
    one.torch = SimpleNamespace(inference_mode=nullcontext, cuda=None)
    one.device, one.batch_size, one.source = "cpu", 4, "a.nemo"
    one.model = load("a.nemo", "cpu")
    assert one.batch(["a", "b", "c", "d"]) == [("a", ""), ("b", ""), ("c", ""), ("d", "")]
    assert made == ["a.nemo"] * 2
    assert one.batch_size == 2


class OneDropped:
    """As NeMo: of several files one that breaks off is left out without a word."""

    def transcribe(self, paths: list[str], **_: object) -> list[str]:
        """The names of the files that could be read."""
        heard = [Path(path).stem for path in paths if Path(path).stem != "clip6"]
        if not heard:
            raise ValueError("max() arg is an empty sequence")
        return heard


def test_a_file_the_model_drops_moves_no_text_to_another_row(
    manifest: Path, stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = SimpleNamespace(inference_mode=nullcontext)

    def texts(self: StandIn, paths: list[str]) -> list[str]:
        self.torch, self.model = torch, OneDropped()
        return Transcriber.texts(self, paths)

    monkeypatch.setattr(stand_in, "texts", texts)
    rows = transcribed(manifest, batch_size=10)
    assert [row["hyp"] for row in rows if "error" not in row] == [f"clip{n}" for n in (0, 1, 3, 7, 8, 9)]
    assert "error" in rows[6]


def test_a_path_that_is_no_files_is_that_rows_error_alone(manifest: Path) -> None:
    os.mkfifo(manifest.with_name("pipe.wav"))
    odd = ("nul\0.wav", "pipe.wav", ".")
    lines = [json.dumps({"audio_filepath": name, "text": "x"}) for name in odd]
    manifest.write_text(manifest.read_text() + "\n".join(lines) + "\n")
    rows = transcribed(manifest)
    assert [row["error"] for row in rows[10:]] == [
        "its path cannot be a file's",
        "it is no file",
        "it is no file",
    ]
    assert rows[9]["hyp"] == "clip9"


def test_a_row_the_model_stumbles_over_does_not_lose_the_others(
    manifest: Path, stand_in: type[StandIn]
) -> None:
    stand_in.bad = ("clip7",)
    rows = transcribed(manifest)
    assert rows[7]["error"] == "ValueError: stumbled over it"
    assert rows[6]["hyp"] == "clip6"
    assert rows[8]["hyp"] == "clip8"


@pytest.mark.parametrize("cut", [0, 1, 150, 250, 10_000])
def test_after_a_kill_it_goes_on_and_repeats_nothing(
    manifest: Path, stand_in: type[StandIn], cut: int
) -> None:
    whole = transcribed(manifest)
    out = manifest.with_name("hyps.jsonl")
    content = out.read_bytes()
    out.write_bytes(content[:cut])
    there = content[:cut].count(b"\n")
    stand_in.calls = []
    assert transcribed(manifest) == whole
    assert sum(stand_in.calls) == sum("error" not in row for row in whole[there:])


def mend(manifest: Path) -> None:
    """Give the three bad rows sound."""
    for number in (2, 4, 5):
        wav(manifest.with_name(f"clip{number}.wav"))


def test_a_retry_does_only_the_rows_that_failed(
    manifest: Path, stand_in: type[StandIn], capsys: pytest.CaptureFixture[str]
) -> None:
    transcribed(manifest)
    mend(manifest)
    capsys.readouterr()
    rows = transcribed(manifest, retry=True)
    assert [row["hyp"] for row in rows] == [f"clip{number}" for number in range(10)]
    assert not any("error" in row for row in rows)
    assert sum(stand_in.calls) == 3
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (told[0]["resumed"], told[-1]["done"], told[-1]["total"]) == (7, 10, 10)
    assert not manifest.with_name("hyps.jsonl.kept").exists()
    stand_in.calls = []
    assert transcribed(manifest, retry=True) == rows
    assert stand_in.calls == []


@pytest.mark.parametrize("again", [False, True], ids=["as it was", "asked again"])
@pytest.mark.parametrize("cut", [0, 1, 100, 250, 400, 10_000])
def test_a_retry_that_is_killed_loses_no_row(
    manifest: Path, stand_in: type[StandIn], cut: int, again: bool
) -> None:
    transcribed(manifest)
    out = manifest.with_name("hyps.jsonl")
    before = out.read_bytes()
    mend(manifest)
    whole = transcribed(manifest, retry=True)
    # As a kill leaves it: the rows of before aside, the first of the new ones written.
    manifest.with_name("hyps.jsonl.kept").write_bytes(before)
    out.write_bytes(out.read_bytes()[:cut])
    stand_in.calls = []
    assert transcribed(manifest, retry=again) == whole
    assert sum(stand_in.calls) <= 3
    assert not manifest.with_name("hyps.jsonl.kept").exists()


def test_transcripts_of_another_manifest_are_not_added_to(manifest: Path) -> None:
    transcribed(manifest)
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(reversed(lines)))
    with pytest.raises(ValueError, match=r"hyps.jsonl:1 is of another manifest"):
        transcribed(manifest)


def test_a_line_without_an_end_is_not_counted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text('{"audio_filepath": "a"}\n{"audio_fi')
    assert done_rows(str(out), [{"audio_filepath": "a"}]) == [b'{"audio_filepath": "a"}\n']
    assert out.read_text() == '{"audio_filepath": "a"}\n'


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize(("kind", "rate"), [("FLAC", 16000), ("WAV", 44100), ("OGG", 16000)])
def test_lengths_are_the_librarys(tmp_path: Path, kind: str, rate: int, subtype: str) -> None:
    path = tmp_path / f"clip.{kind.lower()}"
    soundfile.write(path, [0.0] * rate * 2, rate, format=kind, subtype=None if kind == "OGG" else subtype)
    assert seconds_of(str(path)) == pytest.approx(2.0)


def test_real_clips_are_measured(demo_data: Path) -> None:
    for path in sorted((demo_data / "cycle1/audio").iterdir())[:20]:
        assert seconds_of(str(path)) == pytest.approx(soundfile.info(path).duration, abs=1e-6)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(content)) + content for name, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"RIFF\0\0\0\0WAVE", "without samples"),
        (riff((b"fmt ", b"\1\0")), "damaged WAV"),
        (riff((b"data", b"\0" * 10)), "without samples"),
        (b"fLaC", "damaged FLAC"),
        (b"fLaC" + bytes(30), "damaged FLAC"),
        (b"some text", "unreadable"),
    ],
)
def test_files_that_would_cost_the_whole_batch_are_found(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFault, match=said):
        seconds_of(str(path))


def test_a_stereo_flac_is_found(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    buffer = io.BytesIO()
    soundfile.write(buffer, [[0.0, 0.0]] * 100, 16000, format="FLAC")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(AudioFault, match="2 channels"):
        seconds_of(str(path))
