"""Transcripts in both forms, and filling them from a manifest."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.hypotheses import Hypotheses, read_hypotheses
from clinasr_tui.flywheel.manifest import parse_row
from clinasr_tui.flywheel.manifest_fill import fill_from_manifest
from clinasr_tui.flywheel.vocabulary import CLINICAL_FIELDS

ROWS = [
    {"audio_filepath": "a.wav", "ref": "take cefazolin", "hyp": "take cefa zolin", "term": "cefazolin"},
    {"audio_filepath": "b.wav", "ref": "hold it", "hyp": "", "term": None, "noise_level": "clean"},
]


def write(path: Path, rows: list[object], form: str) -> Path:
    if form == "array":
        path.write_text(json.dumps(rows, indent=1))
    elif form == "bom":
        path.write_text("\ufeff" + json.dumps(rows))
    else:
        path.write_text("\n\n".join(json.dumps(row) for row in rows))
    return path


def test_reads_the_demo(demo_data: Path) -> None:
    found = read_hypotheses(demo_data / "cycle1" / "per_sample.json")
    assert len(found) == 250
    row = found.row(0)
    assert row.line == 1
    assert row.hypothesis == "the patient was started on intravenous ciferlin every eight hours"
    assert row.reference == "the patient was started on intravenous cefazolin every eight hours"
    assert (row.term, row.entity_category, row.context_type) == ("cefazolin", "drug", "dictation")


@pytest.mark.parametrize(("form", "lines"), [("jsonl", [1, 3]), ("array", [1, 2]), ("bom", [1, 2])])
def test_all_forms_read_the_same(tmp_path: Path, form: str, lines: list[int]) -> None:
    found = read_hypotheses(write(tmp_path / "hyps", list(ROWS), form))
    assert found.line == lines
    assert found.column("hypothesis") == ["take cefa zolin", ""]
    assert found.term == ["cefazolin", ""]
    assert found.noise_level == ["", "clean"]
    assert found.voice_id == ["", ""]


@pytest.mark.parametrize(
    ("form", "place"), [("jsonl", ":3: hyp is missing"), ("array", ":element 2: hyp is missing")]
)
def test_a_row_without_hypothesis_is_named(tmp_path: Path, form: str, place: str) -> None:
    path = write(tmp_path / "hyps", [ROWS[0], {"ref": "x"}], form)
    with pytest.raises(InputError) as caught:
        read_hypotheses(path)
    assert str(caught.value) == f"{path}{place}. Fix or remove the line"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"ref": "a", "hyp": null}', ":1: hyp is null"),
        (b'{"ref": 1, "hyp": "a"}', ":1: ref is a number"),
        (b'{"ref": "a", "hyp": "a"}\n{"ref": ', ":2: not valid JSON"),
        (
            b'[\n{"ref": "a", "hyp": "a"},\n{"ref" "a"}]',
            ":3: not valid JSON (Expecting ':' delimiter at column",
        ),
        (b'[{"ref": "a", "hyp": "a"}, 5]', ":element 2: not a JSON object"),
        (b"[\xff]", ": not usable as UTF-8 JSON"),
        (b"[" * 100_000, ": not usable as UTF-8 JSON"),
        (b"[]", ": there are no transcripts"),
        (b"\n \n", ": there are no transcripts"),
    ],
)
def test_unusable_files_are_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "hyps"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_hypotheses(path)
    assert str(caught.value).startswith(f"{path}{says}")


def test_select_copies_rows_in_the_order_asked(tmp_path: Path) -> None:
    found = read_hypotheses(write(tmp_path / "hyps", list(ROWS), "array"))
    chosen = found.select([1, 0, 1])
    assert chosen.line == [2, 1, 2]
    assert [chosen.row(index) for index in range(3)] == [found.row(1), found.row(0), found.row(1)]
    chosen.term[0] = "other"
    assert found.term[1] == ""
    with pytest.raises(KeyError):
        found.column("line")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
row_dicts = st.fixed_dictionaries(
    {"ref": texts, "hyp": texts},
    optional={name: texts | st.none() for name in ("audio_filepath", *CLINICAL_FIELDS)},
)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(row_dicts, min_size=1, max_size=6), array=st.booleans())
def test_columns_hold_what_was_written(rows: list[dict[str, str | None]], array: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read_hypotheses(write(Path(folder, "hyps"), list(rows), "array" if array else "jsonl"))
    assert found.reference == [row["ref"] for row in rows]
    assert found.hypothesis == [row["hyp"] for row in rows]
    for name in ("audio_filepath", *CLINICAL_FIELDS):
        assert found.column(name) == [row.get(name) or "" for row in rows]


def test_batches_join_without_loss(tmp_path: Path) -> None:
    rows = [{"ref": f"r{number}", "hyp": "h", "term": f"t{number % 3}"} for number in range(9000)]
    found = read_hypotheses(write(tmp_path / "hyps", list(rows), "jsonl"))
    assert found.reference == [row["ref"] for row in rows]
    assert found.term[8999] == "t2"
    assert found.term[2] is found.term[8999]


def manifest_row(number: int, **fields: object):
    known = {
        "audio_filepath": "a.wav",
        "text": "hold it",
        "duration": 1,
        "term": "it",
        "noise_level": "clean",
    }
    return parse_row(json.dumps({**known, **fields}).encode(), path=Path("m"), line=number)


def hypotheses(*rows: tuple[str, str, str]) -> Hypotheses:
    found = Hypotheses(None)
    for number, (audio, reference, term) in enumerate(rows, 1):
        found.line.append(number)
        for name in ("hypothesis", *CLINICAL_FIELDS[1:]):
            found.column(name).append("")
        found.audio_filepath.append(audio)
        found.reference.append(reference)
        found.term.append(term)
    return found


def test_fills_only_what_is_empty() -> None:
    found = hypotheses(("a.wav", "", ""), ("a.wav", "hold it", "mine"))
    assert fill_from_manifest(found, [manifest_row(1)]) == []
    assert found.term == ["it", "mine"]
    assert found.reference == ["hold it", "hold it"]
    assert found.noise_level == ["clean", "clean"]


def test_fills_by_unique_file_name_and_says_so() -> None:
    found = hypotheses(("/data/a.wav", "hold it", ""), ("/data/b.wav", "hold it", ""))
    manifest = [
        manifest_row(1),
        manifest_row(2, audio_filepath="x/b.wav"),
        manifest_row(3, audio_filepath="y/b.wav"),
    ]
    assert fill_from_manifest(found, manifest) == [
        "1 row not in the manifest: their clinical fields stay as they are",
        "1 row matched by file name only",
        "2 manifest rows have no transcript: the figures are without them",
    ]
    assert found.term == ["it", ""]


def test_says_which_rows_disagree_with_the_manifest() -> None:
    found = hypotheses(("a.wav", "another text", ""), ("a.wav", "hold it", ""))
    warnings = fill_from_manifest(found, [manifest_row(1), manifest_row(2, term="hold")])
    assert warnings == [
        "2 rows whose audio stands more than once in the manifest: filled from its first row",
        "1 row whose reference differs from the manifest's text: the transcript file's is scored",
    ]
    assert found.term == ["it", "it"]


def test_manifest_rows_without_a_transcript_are_counted() -> None:
    found = hypotheses(("a.wav", "hold it", "it"), ("a.wav", "hold it", "it"), ("c.wav", "hold it", "it"))
    rows = [manifest_row(number, audio_filepath=f"{name}.wav") for number, name in enumerate("abc", 1)]
    assert fill_from_manifest(found, rows) == ["1 manifest row has no transcript: the figures are without it"]
    assert fill_from_manifest(found, [rows[0], rows[0], rows[2]])[1:] == []
    assert fill_from_manifest(hypotheses(("a.wav", "hold it", "it")), rows) == [
        "2 manifest rows have no transcript: the figures are without them"
    ]
