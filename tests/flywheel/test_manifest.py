"""Reading manifests: the demo's, CRLF and BOM, and one clear line for everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.manifest import BOM, audio_path, parse_row, read_manifest

ROW = {"audio_filepath": "audio/a.wav", "text": "take cefazolin", "duration": 1.5, "term": "cefazolin"}


def line(**changes: object) -> bytes:
    return json.dumps({**ROW, **changes}).encode()


def error_of(raw: bytes, number: int = 2) -> str:
    with pytest.raises(InputError) as caught:
        parse_row(raw, path=Path("m.jsonl"), line=number)
    return str(caught.value)


def test_reads_the_demo(demo_data: Path) -> None:
    rows = read_manifest(demo_data / "cycle1" / "manifest.jsonl")
    assert len(rows) == 250
    assert [row.line for row in rows] == list(range(1, 251))
    first = rows[0]
    assert first.text == "the patient was started on intravenous cefazolin every eight hours"
    assert (first.duration, first.term, first.entity_category) == (3.9708, "cefazolin", "drug")
    assert (first.ipa_source, first.voice_id) == ("override", "en-gb")
    assert (first.noise_level, first.context_type) == ("snr_15db", "dictation")
    assert json.loads(first.raw) == first.fields


def test_broken_line_57_is_named(demo_data: Path, tmp_path: Path) -> None:
    lines = (demo_data / "cycle1" / "manifest.jsonl").read_bytes().splitlines()
    lines[56] = lines[56].replace(b'", "text"', b'" "text"')
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"\n".join(lines))
    column = lines[56].index(b' "text"') + 2
    with pytest.raises(InputError) as caught:
        read_manifest(path)
    assert str(caught.value) == (
        f"{path}:57: not valid JSON (Expecting ',' delimiter at column {column}). Fix or remove the line"
    )


def test_bom_crlf_blank_lines_and_a_last_line_without_end(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(BOM + line() + b"\r\n\r\n  \n" + line(text="two"))
    first, second = read_manifest(path)
    assert (first.line, second.line) == (1, 4)
    assert first.raw == line()
    assert (first.text, second.text) == ("take cefazolin", "two")


def test_null_and_absent_fields() -> None:
    row = parse_row(line(duration=None, term=None, voice_id=7), path=Path("m"), line=1)
    assert row.duration is None
    assert "duration" in row.fields
    assert (row.term, row.voice_id, row.noise_level) == ("", "7", "")


def test_unknown_fields_are_kept() -> None:
    row = parse_row(line(speaker={"id": [1, 2]}), path=Path("m"), line=1)
    assert row.fields["speaker"] == {"id": [1, 2]}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"[1, 2]", "m.jsonl:2: a JSON list, not an object. Fix or remove the line"),
        (b'"text"', "a JSON text, not an object"),
        (b"null", "a JSON null, not an object"),
        (b"{}", "audio_filepath is missing"),
        (line(audio_filepath=""), "audio_filepath is empty"),
        (line(audio_filepath=3), "audio_filepath is a number, not text"),
        (line(text=None), "text is null"),
        (line(text=["a"]), "text is a list, not text"),
        (line(duration=True), "duration is a true/false value, not a number of seconds"),
        (line(duration="1.5"), "duration is a text, not a number of seconds"),
        (line(duration=float("nan")), "duration is no length in seconds (nan)"),
        (line(duration=-1), "duration is no length in seconds (-1)"),
        (line(duration=10**400), "duration is no length in seconds (inf)"),
        (line()[:-1], "not valid JSON (Expecting ',' delimiter at column"),
        (line() + b"x", "not valid JSON (Extra data at column"),
        (b'{"text": "\xff"}', "not UTF-8 (byte 0xff at column 11)"),
        (BOM + line(), "a byte-order mark stands before the row"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not usable JSON"),
        (b'{"text": "a\tb"}', "Invalid control character"),
    ],
)
def test_every_fault_is_one_line_with_its_place(raw: bytes, says: str) -> None:
    message = error_of(raw)
    assert says in message
    assert message.startswith("m.jsonl:2: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "says"),
    [("absent.jsonl", "no such manifest"), ("folder", "is a folder"), ("empty.jsonl", "has no rows")],
)
def test_unusable_files(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.jsonl").write_bytes(b"\n \n")
    with pytest.raises(InputError, match=says):
        read_manifest(tmp_path / name)


def test_a_path_with_a_nul_is_an_input_error() -> None:
    with pytest.raises(InputError):
        read_manifest(Path("a\0b"))


def test_audio_is_found_as_nemo_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "cycle1" / "manifest.jsonl"
    assert audio_path(manifest, "audio/a.wav") == tmp_path / "cycle1" / "audio" / "a.wav"
    assert audio_path(manifest, "/data/a.wav") == Path("/data/a.wav")
    monkeypatch.setenv("HOME", "/home/op")
    assert audio_path(manifest, "~/a.wav") == Path("/home/op/a.wav")
    assert (
        audio_path(manifest, "~nobody-of-that-name/a.wav") == manifest.parent / "~nobody-of-that-name/a.wav"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    extra=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    ascii_only=st.booleans(),
)
def test_what_json_wrote_comes_back(text: str, extra: dict[str, object], ascii_only: bool) -> None:
    fields = {**extra, **ROW, "text": text}
    raw = json.dumps(fields, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    try:
        raw.decode()
    except UnicodeDecodeError:
        assert "not UTF-8" in error_of(raw)
        return
    row = parse_row(raw, path=Path("m"), line=2)
    assert row.text == text
    assert repr(dict(row.fields)) == repr(fields)
    assert row.raw == raw


@settings(max_examples=200, deadline=None)
@given(
    raw=st.binary(max_size=60)
    | st.builds(lambda text: text.encode(), st.text('{}[]":, \\u0aé1', max_size=40))
)
def test_arbitrary_bytes_never_raise_anything_else(raw: bytes) -> None:
    try:
        parse_row(raw, path=Path("m"), line=1)
    except InputError as error:
        assert str(error).startswith("m:1: ")  # noqa: PT017  (a row may also parse)
