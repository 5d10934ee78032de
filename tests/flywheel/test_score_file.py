"""Large files of transcripts, read in parts: bit for bit what is read into memory; errors, cancelling."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel import score_file
from clinasr_tui.flywheel.columns import GONE, StoredColumn
from clinasr_tui.flywheel.hypotheses import COLUMNS, read_hypotheses
from clinasr_tui.flywheel.leaderboard import build_leaderboard, to_json
from clinasr_tui.flywheel.manifest import read_manifest
from clinasr_tui.flywheel.manifest_fill import fill_from_manifest
from clinasr_tui.flywheel.results import write_results
from clinasr_tui.flywheel.scoring import ScoredSet, score
from tests.support.children import Children, none_is_left
from tests.support.large_files import large
from tests.support.slow_scores import ADVERSARIAL, slow


def row(number: int, ref: str, hyp: str, term: str | None, **more: object) -> dict[str, object]:
    return {
        "audio_filepath": f"audio/{number}é.wav" if number % 5 == 0 else f"audio/{number}.wav",
        "ref": ref,
        "hyp": hyp,
        "term": term,
        "entity_category": ("drug", "lab", "", None)[number % 4],
        "ipa_source": f"source {number % 300}",
        **({"noise_level": "clean"} if number % 3 else {}),
        **more,
    }


def adversarial_rows(times: int) -> list[dict[str, object]]:
    texts = [texts for _ in range(times) for texts in ADVERSARIAL]
    return [row(number, *of, note=f"key: {number}") for number, of in enumerate(texts)]


def assert_same(stored: ScoredSet, plain: ScoredSet) -> None:
    """Scores bit for bit, every column, every line, and what is written of them."""
    for name in (field.name for field in fields(plain.scores)):
        one, two = getattr(stored.scores, name), getattr(plain.scores, name)
        assert (one.typecode, one.tobytes()) == (two.typecode, two.tobytes()), name
    assert list(stored.hypotheses.line) == list(plain.hypotheses.line)
    for name in COLUMNS:
        column, expected = stored.hypotheses.column(name), plain.hypotheses.column(name)
        assert list(column) == list(expected), name
        places = range(0, len(expected), max(1, len(expected) // 17))
        assert [column[place] for place in places] == [expected[place] for place in places], name
    assert to_json(build_leaderboard(stored)) == to_json(build_leaderboard(plain))


def in_memory(path: Path) -> ScoredSet:
    return score(read_hypotheses(path))


def lines(rows: list[dict[str, object]], end: str = "\n", *, ascii_only: bool = True) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=ascii_only) + end for each in rows).encode()


FORMS: dict[str, Callable[[list[dict[str, object]]], bytes]] = {
    "escaped": lines,
    "CRLF": lambda rows: lines(rows, "\r\n"),
    "BOM": lambda rows: b"\xef\xbb\xbf" + lines(rows),
    "blank lines": lambda rows: b"\n \n" + lines(rows, "\n\n\t\r\n"),
    "no end": lambda rows: lines(rows).rstrip(b"\n"),
    "UTF-8": lambda rows: lines([r for r in rows if "\ud800" not in str(r["ref"])], ascii_only=False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("parts", "block"), [(1, 300), (7, 1 << 15), (50, 700)])
def test_parts_are_what_is_read_into_memory(tmp_path: Path, form: str, parts: int, block: int) -> None:
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(FORMS[form](adversarial_rows(4)))
    with large(parts, block=block):
        stored = score_file.score_file(path)
    assert isinstance(stored.hypotheses.reference, StoredColumn)
    assert_same(stored, in_memory(path))


@pytest.mark.parametrize("form", ["escaped", "UTF-8"])
def test_processes_score_what_the_definitions_say(tmp_path: Path, form: str) -> None:
    path = tmp_path / "hyps.jsonl"
    rows = adversarial_rows(40)
    path.write_bytes(FORMS[form](rows))
    with large(3):
        stored = score_file.score_file(path)
    assert_same(stored, in_memory(path))
    texts = stored.hypotheses
    oracle = {of: slow(*of) for of in ADVERSARIAL}
    for index in range(len(stored)):
        of = (texts.reference[index], texts.hypothesis[index], texts.term[index])
        assert stored.scores.row(index) == oracle[of]


def test_a_file_over_the_size_is_read_in_parts_and_gives_the_same_files(tmp_path: Path) -> None:
    path = tmp_path / "hyps.jsonl"
    filling = "x" * 2000
    rows = [row(n, *ADVERSARIAL[n % len(ADVERSARIAL)], note=filling) for n in range(4200)]
    path.write_bytes(lines(rows))
    assert path.stat().st_size > score_file.LARGE_BYTES
    stored, plain = score_file.score_file(path), in_memory(path)
    assert isinstance(stored.hypotheses.reference, StoredColumn)
    assert_same(stored, plain)
    write_results(stored, tmp_path / "stored.csv")
    write_results(plain, tmp_path / "plain.csv")
    assert (tmp_path / "stored.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_the_same_file_gives_the_same_bytes_however_it_is_divided(tmp_path: Path) -> None:
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(lines(adversarial_rows(5)))
    documents = set()
    for parts in (1, 2, 5):
        with large(parts, block=1000 * parts):
            documents.add(json.dumps(to_json(build_leaderboard(score_file.score_file(path)))))
    assert documents == {json.dumps(to_json(build_leaderboard(in_memory(path))))}


def test_a_line_of_ten_megabytes_across_the_cuts(tmp_path: Path) -> None:
    path = tmp_path / "hyps.jsonl"
    long = row(1, "take cefazolin now", "take cefa zolin now", "cefazolin", note="y" * (10 << 20))
    path.write_bytes(lines([row(0, "a", "b", "a"), long, row(2, "c d", "c", "d")]))
    with large(4):
        stored = score_file.score_file(path)
    assert_same(stored, in_memory(path))
    assert stored.scores.ker.tolist() == [1, 1, 1]
    assert stored.hypotheses.hypothesis[2] == "c"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
    ["cefazolin", "x\u2028y", "\x85", "a:b", '"', "\\", "\n", "\x0b\x0c\x1c"]
)
some_rows = st.fixed_dictionaries(
    {"ref": texts, "hyp": texts},
    optional={"audio_filepath": texts, "term": texts | st.none() | st.integers(), "note": st.lists(texts)},
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(some_rows, min_size=1, max_size=12),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\n \n"]), min_size=12, max_size=12),
    ascii_only=st.booleans(),
    parts=st.integers(1, 9),
    block=st.integers(1, 400),
)
def test_any_division_of_any_rows(
    rows: list[dict[str, object]], ends: list[str], ascii_only: bool, parts: int, block: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hyps.jsonl")
        pairs = zip(rows, ends, strict=False)
        path.write_bytes(b"".join(lines([each], end, ascii_only=ascii_only) for each, end in pairs))
        with large(parts, block=block):
            stored = score_file.score_file(path)
        assert_same(stored, in_memory(path))


BROKEN = {
    "cut short": b'{"ref": "a", "hyp": ',
    "no hypothesis": b'{"ref": "a"}',
    "a number": b'{"ref": 1, "hyp": "a"}',
    "no object": b"[1]",
    "two rows": b'{"ref": "a", "hyp": "b"}{"ref": "a", "hyp": "b"}',
    "a key twice": b'{"ref": "a", "hyp": "b", "hyp": "c"}',
    "a nested text with a colon, a key twice": b'{"ref": "a:", "hyp": "b", "hyp": "c", "x": {"y": 1}}',
    "BOM": b'\xef\xbb\xbf{"ref": "a", "hyp": "b"}',
    "no UTF-8": b'{"ref": "\xff", "hyp": "b"}',
    "NUL": b'{"ref": "\0", "hyp": "b"}',
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("place", [1, 3, 151, 299])
def test_faults_have_their_line_in_every_part(tmp_path: Path, broken: str, place: int) -> None:
    path = tmp_path / "hyps.jsonl"
    good = lines([row(number, "a b", "a", "b") for number in range(300)]).splitlines(keepends=True)
    # Blank lines count, and what is broken twice is told of where it is first.
    good[place] = b"\n" + BROKEN[broken] + b"\n"
    good.append(BROKEN["no object"])
    path.write_bytes(b"".join(good))
    with pytest.raises(InputError) as expected:
        read_hypotheses(path)
    assert f"{path}:{place + 2}" in str(expected.value)
    with large(6, block=2000), pytest.raises(InputError) as found:
        score_file.score_file(path)
    assert str(found.value) == str(expected.value)


def test_a_fault_found_by_a_process(tmp_path: Path, children: Children) -> None:
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(lines([row(n, "a", "b", "c") for n in range(900)]) + b"\n" + BROKEN["a number"])
    with large(3), pytest.raises(InputError, match=r":902: ref is a number"):
        score_file.score_file(path)
    path.write_bytes(b" \n" * 50)
    with large(3), pytest.raises(InputError, match="there are no transcripts"):
        score_file.score_file(path)
    assert children
    assert none_is_left(children)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_cancelling_leaves_no_process_and_no_open_file(tmp_path: Path, children: Children) -> None:
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(lines(adversarial_rows(60)))
    before = open_files()
    told: list[float] = []

    def stop_soon(fraction: float) -> bool:
        told.append(fraction)
        return fraction < 0.2

    with large(2), pytest.raises(InterruptedError, match=r"scoring was cancelled at \d+%"):
        score_file.score_file(path, progress=stop_soon)
    assert told == sorted(told)
    assert 0.2 <= told[-1] < 1
    assert children
    assert none_is_left(children)
    assert open_files() == before


def test_progress_goes_up_to_one(tmp_path: Path) -> None:
    path, manifest = tmp_path / "hyps.jsonl", tmp_path / "manifest.jsonl"
    path.write_bytes(lines([row(n, "", f"hyp {n}", None) for n in range(500)]))
    manifest.write_bytes(lines([manifest_row(n) for n in range(500)]))
    told: list[float] = []
    with large(3):
        score_file.score_file(path, manifest, progress=lambda done: told.append(done) is None)
    assert told == sorted(told)
    assert told[-1] == 1.0
    with large(3), pytest.raises(InterruptedError):
        score_file.score_file(path, manifest, progress=lambda done: done < 0.95)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(lines(adversarial_rows(4)))

    def change(fraction: float) -> bool:
        with path.open("ab") as out:
            out.write(b"\n")
        return True

    with large(3, block=500), pytest.raises(InputError, match="it changed while it was being read"):
        score_file.score_file(path, progress=change)


def test_a_file_that_changes_after_it_was_scored(tmp_path: Path) -> None:
    path, other = tmp_path / "hyps.jsonl", tmp_path / "other.jsonl"
    for each in (path, other):
        each.write_bytes(lines([row(n, "take it", "take them", "it") for n in range(50)]))
    with large(2):
        written_over, replaced = score_file.score_file(path), score_file.score_file(other)
    path.write_bytes(lines([row(n, "xxxx xx", "xxxx xxxx", "it") for n in range(50)]))
    os.utime(path, ns=(1, 1))
    (tmp_path / "new").write_bytes(b"quite another file")
    (tmp_path / "new").replace(other)
    assert written_over.hypotheses.reference[7] == GONE
    with pytest.raises(InputError, match="was changed after it was scored"):
        list(written_over.hypotheses.hypothesis)
    # Its own columns are in memory, and a file that was replaced is read as it was.
    assert written_over.hypotheses.term[7] == "it"
    assert build_leaderboard(written_over).metrics["ker"] == 1.0
    assert replaced.hypotheses.reference[7] == "take it"
    assert len(list(replaced.hypotheses.hypothesis)) == 50


def manifest_row(number: int, **more: object) -> dict[str, object]:
    known: dict[str, object] = {"text": f"text {number} it", "duration": 1.0, "term": "it"}
    return {"audio_filepath": f"/data/audio/{number}.wav", **known, "entity_category": "drug", **more}


def test_a_manifest_fills_parts_as_it_fills_rows_in_memory(tmp_path: Path) -> None:
    path, manifest = tmp_path / "hyps.jsonl", tmp_path / "manifest.jsonl"
    heard = [row(n, "" if n % 7 else f"text {n}", f"text {n} it", None) for n in range(400)]
    heard += [row(1000 + n, "not there", "not here", "x") for n in range(3)]
    heard.append(heard[5])
    path.write_bytes(lines(heard))
    known = [manifest_row(n, term=f"it{'!' * (n % 4)}" if n % 9 else "") for n in range(399, 20, -1)]
    known += [manifest_row(30, text="another"), manifest_row(9000), manifest_row(9001)]
    manifest.write_bytes(lines(known))
    warnings: list[str] = []
    with large(4):
        stored = score_file.score_file(path, manifest, warn=warnings.append)
    plain = read_hypotheses(path)
    assert warnings == fill_from_manifest(plain, read_manifest(manifest))
    assert_same(stored, score(plain))
    assert warnings[-1].startswith("78 manifest rows have no transcript")  # "é", and two heard nowhere
    assert stored.hypotheses.reference[31] == "text 31 it"
    assert stored.scores.row(31).wer == 0
    # Without anybody to warn it is read all the same where something lacks.
    with large(4):
        assert_same(score_file.score_file(path, manifest), score(plain))


def test_transcripts_in_the_manifests_order_need_no_search(tmp_path: Path) -> None:
    path, manifest = tmp_path / "hyps.jsonl", tmp_path / "manifest.jsonl"
    same = [manifest_row(n) for n in range(200)]
    manifest.write_bytes(lines(same))
    path.write_bytes(
        lines([{"audio_filepath": m["audio_filepath"], "ref": m["text"], "hyp": m["text"]} for m in same])
    )
    warnings: list[str] = []
    with large(3):
        stored = score_file.score_file(path, manifest, warn=warnings.append)
    assert warnings == []
    assert set(stored.hypotheses.term) == {"it"}
    assert stored.scores.ker.tolist() == [0] * 200


def test_values_that_are_no_texts_are_told_apart_as_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "hyps.jsonl"
    values = [1, True, 1.0, "1", None, "", [1], {"a": None}, "x", 0, False]
    found = [
        {"ref": "a", "hyp": "b", "voice_id": one, "noise_level": two, "ipa_source": "y"}
        for one in values
        for two in values
    ]
    path.write_bytes(lines(found))
    for block in (1, 200, 1 << 15):
        with large(3, block=block):
            assert_same(score_file.score_file(path), in_memory(path))


def test_as_many_combinations_as_rows(tmp_path: Path) -> None:
    path = tmp_path / "hyps.jsonl"
    path.write_bytes(lines([row(n, "a", "b", f"t{n}", voice_id=f"v{n}") for n in range(70_000)]))
    with large(2):
        stored = score_file.score_file(path)
    assert list(stored.hypotheses.voice_id) == [f"v{n}" for n in range(70_000)]
    assert stored.hypotheses.term[69_999] == "t69999"
    assert stored.hypotheses.voice_id.codes.typecode == "I"
    assert stored.hypotheses.entity_category.codes.typecode == "B"
