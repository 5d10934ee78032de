"""What a file can do wrong: a clear error or a counted finding from every reader, never a wrong figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.hypotheses import read_hypotheses
from clinasr_tui.flywheel.manifest import read_manifest
from clinasr_tui.flywheel.manifest_table import BrokenRow, ManifestTable
from clinasr_tui.flywheel.preflight import check_manifest
from clinasr_tui.flywheel.rewrite import rewrite_manifest
from clinasr_tui.flywheel.scoring import score

MANIFEST = {
    "audio_filepath": "/a/0.wav",
    "text": "take cefazolin now",
    "duration": 1.5,
    "term": "cefazolin",
    "entity_category": "drug",
    "ipa_source": "override",
}
TRANSCRIPT = {
    "audio_filepath": "/a/0.wav",
    "ref": "take cefazolin now",
    "hyp": "take cefa zolin now",
    "term": "cefazolin",
    "entity_category": "drug",
}


def manifest_row(number: int, **fields: object) -> bytes:
    return json.dumps({**MANIFEST, "audio_filepath": f"/a/{number}.wav", **fields}).encode()


def transcript_row(number: int, **fields: object) -> bytes:
    return json.dumps({**TRANSCRIPT, "audio_filepath": f"/a/{number}.wav", **fields}).encode()


Row = Callable[..., bytes]


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


# What is wrong, made of a maker of rows; what pre-flight counts; what the readers say (None: nothing,
# then they have read that many rows).
CASES: dict[str, tuple[Callable[[Row], bytes], dict[str, int], str | None, int]] = {
    "last line cut": (lambda row: row(1) + b"\n" + row(2)[:-30], {"bad_json": 1}, ":2: not valid JSON", 0),
    "cut within a character": (
        lambda row: row(1) + b"\n" + row(2)[:-2] + "é".encode()[:1],
        {"bad_json": 1},
        ":2: not UTF-8 (byte 0xc3",
        0,
    ),
    "two rows on a line": (lambda row: row(1) + row(2), {"bad_json": 1}, ":1: not valid JSON (Extra data", 0),
    "a row over two lines": (
        lambda row: row(1) + b"\n" + row(2).replace(b", ", b",\n", 1) + b"\n",
        {"bad_json": 2},
        ":2: not valid JSON",
        0,
    ),
    "CRLF": (lambda row: row(1) + b"\r\n" + row(2) + b"\r\n", {}, None, 2),
    "BOM": (lambda row: b"\xef\xbb\xbf" + row(1) + b"\n" + row(2), {"bom": 1}, None, 2),
    "BOM later": (
        lambda row: row(1) + b"\n\xef\xbb\xbf" + row(2),
        {"bom": 1},
        ":2: a byte-order mark stands before the row",
        0,
    ),
    "UTF-16": (
        lambda row: row(1).decode().encode("utf-16"),
        {"bad_json": 1},
        ":1: not UTF-8 (byte 0xff at column 1)",
        0,
    ),
    "10 MB line": (
        lambda row: row(1, extra="x" * 10_000_000) + b"\n" + row(2, notes=["y"] * 100_000),
        {},
        None,
        2,
    ),
    "10 MB of garbage": (
        lambda row: row(1) + b"\n" + b"\xff" * 10_000_000,
        {"bad_json": 1},
        ":2: not UTF-8",
        0,
    ),
    "NUL bytes": (
        lambda row: row(1) + b"\n" + bytes(5000),
        {"bad_json": 1},
        ":2: not valid JSON (NUL bytes",
        0,
    ),
    "a NUL within": (
        lambda row: row(1).replace(b"take", b"ta\0ke"),
        {"bad_json": 1},
        ":1: not valid JSON (NUL bytes",
        0,
    ),
    "deep nesting": (
        lambda row: row(1) + b"\n" + row(2)[:-1] + b', "x": ' + deep(100_000) + b"}",
        {"bad_json": 1},
        ":2: not usable JSON (nested too deeply)",
        0,
    ),
    "some nesting": (lambda row: row(1)[:-1] + b', "x": ' + deep(60) + b"}", {}, None, 1),
    "a huge whole number": (
        lambda row: row(1) + b"\n" + row(2)[:-1] + b', "x": ' + b"9" * 5000 + b"}",
        {"bad_json": 1},
        ":2: not usable JSON",
        0,
    ),
    "a large number": (lambda row: row(1, x=10**400) + b"\n" + row(2)[:-1] + b', "x": 1e999}', {}, None, 2),
    "a JSON text": (lambda row: row(1) + b'\n"' + b"x" * 50 + b'"', {"not_object": 1}, ":2: a JSON text", 0),
    "null": (lambda row: row(1) + b"\nnull\n", {"not_object": 1}, ":2: a JSON null", 0),
    "a list of rows": (lambda row: row(1) + b"\n[" + row(2) + b"]", {"json_array": 1}, ":2: a JSON array", 0),
    "nothing": (lambda _: b" \n\r\n", {"no_rows": 1}, "", 0),
}


def said_by(reader: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


@pytest.mark.parametrize("name", CASES)
def test_pre_flight_counts_it(tmp_path: Path, name: str) -> None:
    make, counts, _, _ = CASES[name]
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(make(manifest_row))
    report = check_manifest(path, check_audio=False)
    assert report.counts == counts
    assert report.ok is (not counts)
    for problem in report.problems:
        assert len(problem.message) < 1000
        assert problem.message.isprintable()


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_reader_names_it(tmp_path: Path, name: str) -> None:
    make, _, says, rows = CASES[name]
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(make(manifest_row))
    if says is None:
        found = read_manifest(path)
        assert [row.audio_filepath for row in found] == [f"/a/{number}.wav" for number in range(1, rows + 1)]
        assert {row.text for row in found} == {MANIFEST["text"]}
    else:
        assert said_by(read_manifest, path).startswith(f"{path}{says}")


@pytest.mark.parametrize("name", CASES)
def test_the_manifest_table_shows_it(tmp_path: Path, name: str) -> None:
    make, _, says, _ = CASES[name]
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(make(manifest_row))
    table = ManifestTable(path)
    table.build()
    rows = [table.row(index) for index in range(len(table))]
    assert any(isinstance(row, BrokenRow) for row in rows) is (says is not None)
    survey = table.survey()
    assert survey.rows - survey.broken == sum(not isinstance(row, BrokenRow) for row in rows)
    table.close()


@pytest.mark.parametrize("name", CASES)
def test_the_transcript_reader_names_it(tmp_path: Path, name: str) -> None:
    make, _, says, rows = CASES[name]
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(make(transcript_row))
    if says is None:
        found = read_hypotheses(path)
        assert list(found.audio_filepath) == [f"/a/{number}.wav" for number in range(1, rows + 1)]
        assert set(found.hypothesis) == {TRANSCRIPT["hyp"]}
    else:
        assert said_by(read_hypotheses, path).startswith(f"{path}{says}")


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("cut", [0, 40])
def test_a_json_array_is_no_manifest_and_says_how_to_make_one(
    tmp_path: Path, indent: int | None, cut: int
) -> None:
    text = json.dumps([{**MANIFEST, "audio_filepath": f"{number}.wav"} for number in range(3)], indent=indent)
    path = tmp_path / "manifest.jsonl"
    path.write_text(text[: len(text) - cut])
    report = check_manifest(path)
    assert (report.rows, report.ok, report.counts) == (0, False, {"json_array": 1})
    message = said_by(read_manifest, path)
    assert message == (
        f"{path}:1: a JSON array begins here, where one object a line belongs. "
        "Write one object a line: jq -c '.[]' does it"
    )


def test_transcripts_as_an_array_are_read_and_a_cut_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "hyps.json"
    rows = [{**TRANSCRIPT, "audio_filepath": f"{number}.wav"} for number in range(3)]
    path.write_text(json.dumps(rows, indent=1))
    assert len(read_hypotheses(path)) == 3
    path.write_text(json.dumps(rows, indent=1)[:-30])
    assert "not valid JSON" in said_by(read_hypotheses, path)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"duration": "1.5"}, "bad_duration"),
        ({"text": 15}, "bad_field"),
        ({"audio_filepath": 15}, "bad_field"),
        ({"duration": 10**400}, "bad_duration"),
        ({"duration": {"seconds": 1}}, "bad_duration"),
    ],
)
def test_numbers_as_texts_and_texts_as_numbers(tmp_path: Path, fields: dict[str, object], count: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(manifest_row(1) + b"\n" + manifest_row(2, **fields))
    assert check_manifest(path, check_audio=False).counts == {count: 1}
    assert said_by(read_manifest, path).startswith(f"{path}:2: {next(iter(fields))} is ")
    (field,) = fields
    if field == "text":
        path.write_bytes(transcript_row(1) + b"\n" + transcript_row(2, hyp=15))
        assert said_by(read_hypotheses, path).startswith(f"{path}:2: hyp is a number, not text")


def test_a_key_that_stands_twice_is_counted_and_never_scored(tmp_path: Path) -> None:
    manifest, hyps = tmp_path / "manifest.jsonl", tmp_path / "hyps.jsonl"
    manifest.write_bytes(manifest_row(1) + b"\n" + manifest_row(2)[:-1] + b', "text": "other cefazolin"}')
    report = check_manifest(manifest, check_audio=False)
    assert report.counts == {"duplicate_key": 1}
    assert (report.problems[0].line, report.problems[0].field) == (2, "text")
    # NeMo takes the last one, and so does who reads what NeMo will train on.
    assert read_manifest(manifest)[1].text == "other cefazolin"
    hyps.write_bytes(transcript_row(1) + b"\n" + transcript_row(2)[:-1] + b', "hyp": "other"}')
    assert said_by(read_hypotheses, hyps).startswith(f"{hyps}:2: hyp stands twice")


def test_lone_surrogates_are_read_scored_and_counted(tmp_path: Path) -> None:
    manifest, hyps = tmp_path / "manifest.jsonl", tmp_path / "hyps.jsonl"
    lone = {"text": "take \ud800 cefazolin", "term": "cefazolin\udfff", "audio_filepath": "\ud83d.wav"}
    manifest.write_bytes(manifest_row(1, **lone) + b"\n" + manifest_row(2, **lone))
    report = check_manifest(manifest)
    assert report.counts["bad_unicode"] == 2
    assert report.counts["unreadable_audio"] == 2
    assert report.counts["duplicate_audio"] == 1
    assert all(problem.message.encode() for problem in report.problems)
    assert read_manifest(manifest)[0].text == lone["text"]
    hyps.write_bytes(transcript_row(1, ref="take \ud800 it", hyp="take \ud801 it"))
    scored = score(read_hypotheses(hyps))
    assert (scored.scores.row(0).wer, scored.scores.row(0).ser) == (0.0, 0)


def test_raw_surrogates_are_no_utf8(tmp_path: Path) -> None:
    raw = manifest_row(1).replace(b"take", b"\xed\xa0\x80")
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(raw)
    assert check_manifest(path, check_audio=False).counts == {"bad_json": 1}
    assert "not UTF-8 (byte 0xed" in said_by(read_manifest, path)


def test_nesting_of_any_depth_breaks_no_reader(tmp_path: Path) -> None:
    """Depths about the interpreter's limit: what parsing bears, writing it again may not."""
    path = tmp_path / "rows.jsonl"
    for levels in (*range(50, 80, 5), *range(850, 1010, 8), 5000):
        for field in ("entity_category", "text", "ref", "other"):
            nested = deep(levels)
            path.write_bytes(manifest_row(1, **{field: None}).replace(b"null", nested))
            check_manifest(path, check_audio=False)
            for row in (manifest_row, transcript_row):
                path.write_bytes(row(1, **{field: None}).replace(b"null", nested))
                for form in (b"%b", b"[%b]"):
                    path.write_bytes(form % path.read_bytes())
                    for reader in (read_manifest, read_hypotheses):
                        try:
                            reader(path)
                        except InputError as error:
                            assert "\n" not in str(error)  # noqa: PT017  (it may also be fine)


MARKS = [b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\0", b"\xff", b"\\ud800", b"null", b"1e999", b"-"]
SIGNS = [b"{", b"}", b"[", b"]", b'"', b",", b":", "\u2028".encode()]
ROWS = [
    manifest_row(1),
    manifest_row(2, term=None),
    transcript_row(1),
    transcript_row(2),
    b'{"ref": "a", "hyp": "", "ref": "b"}',
    b'{"audio_filepath": "a", "text": "b", "text": "c"}',
]
pieces = st.sampled_from([*MARKS, *SIGNS, *ROWS])


@settings(max_examples=150, deadline=None)
@given(content=st.lists(pieces | st.binary(max_size=4), max_size=8).map(b"".join))
def test_any_bytes_give_rows_or_one_line(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(content)
    report = check_manifest(path, check_audio=False)
    assert sum(report.counts.values()) == len(report.problems)
    for reader in (read_manifest, read_hypotheses):
        try:
            rows = reader(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017  (it may also be fine)
        else:
            assert len(rows) > 0
            if reader is read_manifest:
                assert len(rows) == report.rows
                assert not {"bad_json", "not_object", "json_array", "no_rows"} & set(report.counts)


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="needs a file that opens and fails to be read"
)
@pytest.mark.parametrize("reader", [check_manifest, read_manifest, read_hypotheses])
def test_a_disk_that_fails_is_one_line(reader: Callable[[Path], object]) -> None:
    assert "cannot be read (Input/output error)" in said_by(reader, Path("/proc/self/mem"))


def test_a_disk_that_fails_leaves_no_copy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mem: the manifest cannot be read \(Input/output error\)"):
        rewrite_manifest(Path("/proc/self/mem"), tmp_path / "out.jsonl", fill_durations=True)
    assert not list(tmp_path.iterdir())
