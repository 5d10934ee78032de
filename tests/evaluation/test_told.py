"""What a transcription tells, read as progress; its rows on their way there and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import RemoteError
from clinasr_tui.evaluation.plan import EvalPlaces
from clinasr_tui.evaluation.rows import PackedRows, pack_rows, unpack_rows
from clinasr_tui.evaluation.told import Reading, Told

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    {"t": "start", "total": 250, "resumed": 50, "batch_size": 8, "device": "cuda", "versions": {"nemo": "2"}},
    {"t": "note", "message": "out of memory: going on with 4 rows at a time"},
    {"t": "row_error", "row": 3, "audio": "a", "message": "no"},
    {"t": "progress", "done": 150, "total": 250, "resumed": 50, "errors": 1, "seconds": 10.0, "rtf": 0.02},
]


def told(lines: list[dict[str, Any]]) -> Told:
    found = Told()
    for line in lines:
        found.take(json.dumps(line).encode())
    return found


def test_fraction_time_left_and_real_time_factor() -> None:
    now = told(LINES)
    assert now.left == pytest.approx(10.0)
    assert now.progress.fraction == pytest.approx(0.6)
    assert now.progress.left == now.left
    assert now.progress.text == (
        "150 of 250 rows, on cuda, 50× real time, 1 without a transcript, "
        "out of memory: going on with 4 rows at a time"
    )
    assert now.versions == {"nemo": "2"}
    assert not now.ended


def test_before_the_first_row_nothing_is_known() -> None:
    assert (told([]).progress.text, told([]).progress.fraction) == ("loading the model", None)
    assert told(LINES[:1]).left is None
    queued = Told()
    queued.take(b"clinasr-tui: queued: another run uses this machine's GPUs")
    assert "waiting" in queued.progress.text


def test_what_comes_from_there_is_made_safe_to_show() -> None:
    assert "\x1b" not in told([{"t": "refused", "message": "\x1b[2J"}]).refused
    assert "\x1b" not in told([{**LINES[0], "device": "\x1b[2J"}]).progress.text


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers())
)
keys = st.sampled_from(
    ["total", "done", "resumed", "errors", "seconds", "rtf", "device", "versions", "message"]
)
kinds = st.sampled_from(["start", "progress", "end", "note", "refused", "x"]) | values
said = st.builds(lambda kind, rest: {"t": kind, **rest}, kinds, st.dictionaries(keys, values))


@settings(max_examples=150, deadline=None)
@given(st.lists(said.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=20), max_size=6))
def test_no_line_is_too_odd(lines: list[bytes]) -> None:
    found = Told()
    for line in lines:
        found.take(line)
        assert found.progress.text


class Log:
    """As much of a mirror as a reading asks."""

    def __init__(self) -> None:
        self.generations = [b""]

    def name(self, path: str) -> str:
        number = len(self.generations)
        return path if number == 1 else f"{path}~{number}"

    def size(self, _: str) -> int:
        return len(self.generations[-1])

    def read(self, _: str, start: int, length: int) -> bytes:
        return self.generations[-1][start : start + length]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 400), max_size=8))
def test_any_slicing_tells_the_same(cuts: list[int]) -> None:
    whole = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)
    log, reading = Log(), Reading()
    for cut in [*sorted(cuts), len(whole)]:
        log.generations[-1] = whole[: max(cut, log.size(""))]
        reading.take(log)  # type: ignore[arg-type]
    assert reading.told == told(LINES)
    log.generations.append(b"")
    reading.take(log)  # type: ignore[arg-type]
    assert reading.told == Told()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Audio beside the manifest, above it, missing and absolute."""
    folder = tmp_path / "cycle1"
    (folder / "audio").mkdir(parents=True)
    for path in (folder / "audio/a.wav", tmp_path / "b.wav", tmp_path / "d.wav"):
        path.write_bytes(b"RIFF")
    rows = ["audio/a.wav", "../b.wav", "audio/missing.wav", str(tmp_path / "d.wav"), "audio/a.wav"]
    lines = [json.dumps({"audio_filepath": audio, "text": "x", "extra": [1]}) for audio in rows]
    path = folder / "manifest.jsonl"
    path.write_text("\n\n".join(lines) + "\n")
    return path


PLACES = EvalPlaces("/root folder", "ws", 1, "base-1")


def returned(packed: PackedRows, path: Path, **changed: object) -> Path:
    rows = [{"audio_filepath": audio, "ref": "x", "hyp": "y"} for audio in packed.seen]
    rows[2] |= {"hyp": "", "error": "No such file or directory"}
    rows[1] |= changed
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_come_back_with_their_own_paths(manifest: Path, tmp_path: Path) -> None:
    packed = pack_rows(manifest, PLACES, in_place=False)
    assert packed.seen[0] == packed.seen[4] == "/clinasr/ws/cycle1/audio/a.wav"
    assert len({item.path for item in packed.audio}) == 3
    heard = unpack_rows(returned(packed, tmp_path / "out"), packed)
    assert [json.loads(row)["audio_filepath"] for row in heard.rows] == [
        packed.own[index] for index in (0, 1, 3, 4)
    ]
    assert [(row.line, row.audio_filepath) for row in heard.untranscribed] == [(5, "audio/missing.wav")]


def test_in_place_nothing_is_sent_and_paths_are_absolute(manifest: Path) -> None:
    packed = pack_rows(manifest, PLACES, in_place=True)
    assert packed.audio == ()
    assert packed.seen[0] == str(manifest.parent / "audio/a.wav")


@pytest.mark.parametrize("changed", [{"audio_filepath": "other.wav"}, {"hyp": None}, {"hyp": 3}])
def test_rows_of_something_else_are_refused(
    manifest: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    packed = pack_rows(manifest, PLACES, in_place=False)
    with pytest.raises(RemoteError, match=r"out:2: this is not the row that was sent"):
        unpack_rows(returned(packed, tmp_path / "out", **changed), packed)


def test_rows_that_are_lacking_are_counted(manifest: Path, tmp_path: Path) -> None:
    packed = pack_rows(manifest, PLACES, in_place=False)
    path = returned(packed, tmp_path / "out")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(RemoteError, match="3 of 5 rows came back"):
        unpack_rows(path, packed)
