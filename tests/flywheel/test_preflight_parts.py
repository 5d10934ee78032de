"""Pre-flight in parts gives what one pass gives; of very many findings all are counted, some listed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel import preflight, preflight_findings
from clinasr_tui.flywheel.preflight import PreflightReport, Severity, check_manifest
from clinasr_tui.flywheel.preflight_findings import Findings, fair_share


def row(number: int, **fields: object) -> bytes:
    good: dict[str, object] = {
        "audio_filepath": f"{number}.wav",
        "text": "take cefazolin now",
        "duration": 1.5,
        "term": "cefazolin",
        "entity_category": "drug",
        "ipa_source": "override",
    }
    return json.dumps({**good, **fields}).encode()


def in_turn(function: Any, tasks: list[tuple[Any, ...]], *, progress: Any, work: str) -> list[Any]:
    return [function(*task, progress=progress) for task in tasks]


def check_in_parts(path: Path, parts: int) -> PreflightReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "_BYTES_PER_PROCESS", 1)
        patch.setattr(preflight, "processes", lambda: parts)
        patch.setattr(preflight, "run_parts", in_turn)
        return check_manifest(path, check_audio=False)


LINES = [
    row(1),
    row(1, text=""),
    row(2, term="other"),
    b"\xef\xbb\xbf" + row(3),
    row(4, duration=None, ipa_source="x"),
    b"",
    b" \r",
    b"{",
    b"[1]",
    b"\0",
]


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.sampled_from(LINES), max_size=14),
    end=st.sampled_from([b"", b"\n", b"\r\n\n"]),
    parts=st.integers(2, 6),
)
def test_parts_find_what_one_pass_finds(lines: list[bytes], end: bytes, parts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.jsonl")
        path.write_bytes(b"\n".join(lines) + end)
        assert check_in_parts(path, parts) == check_in_parts(path, 1)


def test_processes_find_what_one_pass_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join(LINES[number % 7 if number % 97 else 7] for number in range(3000)))
    expected = check_manifest(path)
    assert expected.counts["bad_json"] == 31
    monkeypatch.setattr(preflight, "_BYTES_PER_PROCESS_WITH_AUDIO", 10_000)
    monkeypatch.setattr(preflight, "processes", lambda: 3)
    told: list[float] = []
    assert check_manifest(path, progress=lambda fraction: told.append(fraction) is None) == expected
    assert told == sorted(told)
    with pytest.raises(InterruptedError, match="pre-flight was cancelled"):
        check_manifest(path, progress=lambda _: False)


@pytest.mark.parametrize("parts", [1, 3])
def test_all_findings_are_counted_and_the_first_of_each_kind_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(preflight_findings, "MAX_KEPT", 60)
    rows = [row(number, entity_category="", ipa_source="") for number in range(200)]
    rows += [row(number, text="") for number in range(200, 205)]
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join([*rows, b"{"]))
    report = check_in_parts(path, parts)
    assert report.counts == {
        "unknown_entity_category": 200,
        "unknown_ipa_source": 200,
        "empty_text": 5,
        "term_not_in_text": 5,
        "bad_json": 1,
    }
    assert report.truncated
    assert (report.errors, report.warnings, report.ok) == (6, 405, False)
    listed = [(problem.id, problem.line) for problem in report.problems]
    assert [line for name, line in listed if name == "unknown_ipa_source"] == list(range(1, 25))
    assert [line for name, line in listed if name == "empty_text"] == [201, 202, 203, 204, 205]
    assert ("bad_json", 206) in listed
    assert len(listed) == 59


@pytest.mark.parametrize("rows", [10, 90])
def test_repeated_audio_is_found_with_and_without_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(preflight, "_ROWS_WITHOUT_NUMPY", 50)
    path = tmp_path / "m.jsonl"
    places = [number * number % 7 for number in range(rows)]
    path.write_bytes(b"\n".join(map(row, places)))
    report = check_in_parts(path, 3)
    assert [(problem.line, problem.message.split(":")[0]) for problem in report.problems] == [
        (line, f"the same audio as line {places.index(place) + 1}")
        for line, place in enumerate(places, 1)
        if places.index(place) + 1 != line
    ]


@settings(max_examples=80, deadline=None)
@given(counts=st.lists(st.integers(0, 30), max_size=6), total=st.integers(0, 60))
def test_a_fair_share_fills_what_there_is_room_for(counts: list[int], total: int) -> None:
    share = fair_share(counts, total)
    assert sum(min(count, share) for count in counts) <= total
    assert sum(counts) <= total or sum(min(count, share + 1) for count in counts) > total


@settings(max_examples=60, deadline=None)
@given(kinds=st.lists(st.sampled_from(["bad_json", "empty_text", "bom", "too_long"]), max_size=80))
def test_what_is_kept_is_bounded_and_first(kinds: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight_findings, "MAX_KEPT", 10)
        findings = Findings()
        for line, kind in enumerate(kinds, 1):
            findings.add(kind, "", line, "x")
            assert sum(map(len, findings.kept.values())) < 20
        kept = list(findings.in_line_order())
    assert findings.counts.total() == len(kinds)
    assert len(kept) <= 10
    assert len(kept) == len(kinds) or len(kept) > 10 - 4
    assert kept == sorted(kept)
    for kind in set(kinds):
        lines = [line for line, name in enumerate(kinds, 1) if name == kind]
        mine = [finding.line for finding in kept if finding.id == kind]
        assert mine == lines[: len(mine)]


def test_a_report_made_by_hand_counts_what_it_lists() -> None:
    assert PreflightReport(1, (), {}).ok
    hidden = PreflightReport(1, (), {"bad_json": 1}, {Severity.ERROR: 1})
    assert (hidden.errors, hidden.warnings, hidden.ok, hidden.truncated) == (1, 0, False, True)
