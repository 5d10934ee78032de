"""The manifest table's model against a plain reading of the same rows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.manifest import ManifestRow, clinical_text, read_manifest
from clinasr_tui.flywheel.manifest_query import Clause
from clinasr_tui.flywheel.manifest_table import FACET_FIELDS, BrokenRow, ManifestTable, Query


@pytest.fixture
def demo_table(demo_data: Path) -> Iterator[ManifestTable]:
    table = ManifestTable(demo_data / "cycle1" / "manifest.jsonl")
    table.build()
    yield table
    table.close()


def table_of(folder: Path, *lines: object) -> ManifestTable:
    path = folder / "table.jsonl"
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(raw) + b"\n")
    table = ManifestTable(path)
    table.build()
    return table


def row(text: str = "t", **fields: object) -> dict[str, object]:
    return {"audio_filepath": "a.wav", "text": text, **fields}


def test_rows_are_the_manifests(demo_table: ManifestTable) -> None:
    rows = read_manifest(demo_table.path)
    assert [demo_table.row(index) for index in range(len(demo_table))] == rows
    assert demo_table.row(3) is demo_table.row(3)
    with pytest.raises(IndexError):
        demo_table.row(250)


def test_broken_and_blank_lines_are_rows_that_say_so(tmp_path: Path) -> None:
    table = table_of(tmp_path, row(), b'{"text": \xff}', b"", row(duration="x"))
    found = [table.row(index) for index in range(4)]
    assert isinstance(found[0], ManifestRow)
    assert found[1] == BrokenRow(2, "not UTF-8 (byte 0xff at column 10)", b'{"text": \xff}')
    assert found[2] == BrokenRow(3, "a blank line, which NeMo skips", b"")
    assert isinstance(found[3], BrokenRow)
    assert found[3].message.startswith("duration is a text")
    assert found[1].text == '{"text": \ufffd}'
    table.close()


def test_parses_the_filter_language() -> None:
    assert Query.parse("").clauses == ()
    assert Query.parse('drug noise_level:clean term:="Lumbar puncture" "a:b"').clauses == (
        Clause("", "drug", exact=False),
        Clause("noise_level", "clean", exact=False),
        Clause("term", "Lumbar puncture", exact=True),
        Clause("", "a:b", exact=False),
    )
    assert Query.parse("term: Van voice_id:=").clauses == (
        Clause("", "van", exact=False),
        Clause("voice_id", "", exact=True),
    )
    assert Query.parse("12:30").clauses == (Clause("", "12:30", exact=False),)


def test_filters_the_demo(demo_table: ManifestTable) -> None:
    rows = read_manifest(demo_table.path)

    def indices(text: str) -> list[int]:
        return list(demo_table.select(Query.parse(text)))

    assert indices("") == list(range(250))
    assert len(indices("entity_category:=drug")) == 90
    clean = [n for n, r in enumerate(rows) if r.noise_level == "clean" and r.term == "vancomycin"]
    assert indices("noise_level:clean term:VANCO") == clean
    assert clean
    assert indices("lumbar  puncture") == [n for n, r in enumerate(rows) if "lumbar" in r.text]
    assert indices("audio_filepath") == []
    assert indices("nonesuch:drug") == []
    assert demo_table.select(Query()).typecode == "L"


def test_escapes_case_and_non_ascii_are_found(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        b'{"audio_filepath": "a", "text": "\\u0041bc"}',
        '{"audio_filepath": "a", "text": "CAFÉ \u212aelvin"}'.encode(),
        b'{"audio_filepath": "a\\/b", "text": "x", "duration": 1e2}',
        b"broken abc line",
    )

    def indices(text: str) -> list[int]:
        return list(table.select(Query.parse(text)))

    assert indices("abc") == [0, 3]
    assert indices("text:abc") == [0]
    assert indices("café") == [1]
    assert indices("kelvin") == [1]
    assert indices("a/b") == [2]
    assert indices("duration:=100.0") == [2]
    assert indices("term:=") == [0, 1, 2]
    table.close()


words = st.text(st.sampled_from('abKé "\\:,=e1.\u212a'), max_size=5)
values = words | st.none() | st.floats(allow_nan=False) | st.integers(-99, 999) | st.lists(words, max_size=2)
dicts = st.dictionaries(st.sampled_from(["text", "term", "x"]), values, max_size=3)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(dicts, max_size=5), text=words | words.map("x:{}".format), ascii_only=st.booleans())
def test_filtering_equals_looking_at_every_row(
    rows: list[dict[str, object]], text: str, ascii_only: bool
) -> None:
    query = Query.parse(text)

    def holds(fields: dict[str, object]) -> bool:
        for field, value, exact in query.clauses:
            texts = [clinical_text(fields.get(field))] if field else map(clinical_text, fields.values())
            if exact and list(texts) != [value]:
                return False
            if not exact and not any(value in known.lower() for known in texts):
                return False
        return True

    with tempfile.TemporaryDirectory() as folder:
        lines = [json.dumps(fields, ensure_ascii=ascii_only).encode() for fields in rows]
        table = table_of(Path(folder), *lines)
        found = list(table.select(query))
        table.close()
    assert found == [index for index, fields in enumerate(rows) if holds(fields)]


def test_survey_of_the_demo(demo_table: ManifestTable) -> None:
    survey = demo_table.survey()
    assert (survey.rows, survey.broken, survey.without_duration) == (250, 0, 0)
    assert tuple(survey.facets) == FACET_FIELDS
    assert list(survey.facets["entity_category"].items())[:2] == [("drug", 90), ("procedure", 40)]
    assert survey.facets["ipa_source"] == {"override": 125, "magpie_g2p": 125}
    durations = [row.duration for row in read_manifest(demo_table.path)]
    assert list(survey.durations) == durations
    assert survey.hours == pytest.approx(sum(durations) / 3600)
    drugs = demo_table.select(Query.parse("entity_category:=drug"))
    assert demo_table.survey(drugs).rows == 90
    assert demo_table.facets(drugs)["entity_category"] == {"drug": 90}


def test_survey_counts_what_it_cannot_use(tmp_path: Path) -> None:
    table = table_of(tmp_path, row(duration=2), row(duration=None), row(duration="x"), b"{", b"")
    survey = table.survey()
    assert (survey.rows, survey.broken, survey.without_duration) == (4, 1, 2)
    assert list(survey.durations) == [2.0]
    assert survey.facets["voice_id"] == {"": 3}
    assert table.survey([0, 4, 3]).rows == 2
    table.close()


def test_sorting(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        row("b", duration=2),
        row("A", duration=10),
        b"broken",
        row("c", duration=None),
        row("a", duration=float("nan")),
        row("B", duration=-1.5),
    )
    everything = range(6)
    assert list(table.sort(everything, "duration")) == [5, 0, 1, 4, 2, 3]
    assert list(table.sort(everything, "duration", descending=True)) == [4, 1, 0, 5, 2, 3]
    assert list(table.sort(everything, "text")) == [1, 4, 0, 5, 3, 2]
    assert list(table.sort([3, 1, 2], "line")) == [1, 2, 3]
    assert list(table.sort([3, 1, 2], "line", descending=True)) == [3, 2, 1]
    assert list(table.sort([], "text")) == []
    table.close()


def test_long_work_can_be_cancelled(demo_table: ManifestTable) -> None:
    for work in (
        lambda progress: demo_table.select(Query(), progress),
        lambda progress: demo_table.survey(progress=progress),
        lambda progress: demo_table.sort(range(250), "text", progress=progress),
    ):
        with pytest.raises(InterruptedError, match="was cancelled"):
            work(lambda fraction: False)
