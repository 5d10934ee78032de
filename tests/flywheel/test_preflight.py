"""Pre-flight: clean on the demo, and every finding with its line, field, severity and remedy."""

from __future__ import annotations

import json
import math
import os
import struct
import wave
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.preflight import PreflightReport, Severity, check_manifest
from clinasr_tui.flywheel.preflight_rules import _RULES, rule_for

GOOD = {
    "audio_filepath": "a.wav",
    "text": "take cefazolin now",
    "duration": 1.5,
    "term": "cefazolin",
    "entity_category": "drug",
    "ipa_source": "override",
    "voice_id": "v",
    "noise_level": "clean",
    "context_type": "dictation",
}


def write_wav(path: Path, channels: int = 1, frames: int = 24000) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(16000)
        samples = (round(9000 * math.sin(n / 9)) for n in range(frames) for _ in range(channels))
        out.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in GOOD.items() if name not in names}


def check(tmp_path: Path, *lines: dict[str, object] | bytes, audio: bool = False) -> PreflightReport:
    path = tmp_path / "manifest.jsonl"
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(raw))
    return check_manifest(path, check_audio=audio)


def test_the_demo_is_clean(demo_data: Path) -> None:
    report = check_manifest(demo_data / "cycle1" / "manifest.jsonl")
    assert (report.rows, report.ok, report.problems, report.counts) == (250, True, (), {})


def test_a_broken_line_57_is_one_finding(demo_data: Path, tmp_path: Path) -> None:
    lines = (demo_data / "cycle1" / "manifest.jsonl").read_bytes().splitlines()
    lines[56] = lines[56][:40]
    report = check(tmp_path, *lines)
    assert (report.rows, report.ok, report.counts) == (250, False, {"bad_json": 1})
    (problem,) = report.problems
    assert (problem.id, problem.severity, problem.line) == ("bad_json", Severity.ERROR, 57)
    assert problem.message.endswith("the run stops before training. Fix or remove the line")


E, W = Severity.ERROR, Severity.WARNING


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (b"{", ("bad_json", E, "")),
        (b'{"text": "\xff"}', ("bad_json", E, "")),
        (b"[]", ("not_object", E, "")),
        (b'[{"text": "a"}, {}]', ("json_array", E, "")),
        (b'{"a": 1,\r' + json.dumps(GOOD)[1:].encode(), ("carriage_return", E, "")),
        (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), ("bom", E, "")),
        (without("audio_filepath"), ("missing_field", E, "audio_filepath")),
        (without("text"), ("missing_field", E, "text")),
        (without("duration"), ("missing_field", E, "duration")),
        ({**GOOD, "text": 5}, ("bad_field", E, "text")),
        ({**GOOD, "audio_filepath": ["a"]}, ("bad_field", E, "audio_filepath")),
        ({**GOOD, "duration": None}, ("null_duration", W, "duration")),
        ({**GOOD, "duration": "3"}, ("bad_duration", E, "duration")),
        ({**GOOD, "duration": True}, ("bad_duration", E, "duration")),
        ({**GOOD, "duration": -0.1}, ("bad_duration", E, "duration")),
        ({**GOOD, "duration": float("inf")}, ("bad_duration", E, "duration")),
        ({**GOOD, "duration": 20.001}, ("too_long", W, "duration")),
        ({**GOOD, "duration": 0.0999}, ("too_short", W, "duration")),
        ({**GOOD, "term": ""}, ("empty_term", W, "term")),
        ({**GOOD, "term": "..."}, ("empty_term", W, "term")),
        (without("term"), ("empty_term", W, "term")),
        ({**GOOD, "entity_category": "Drug"}, ("unknown_entity_category", W, "entity_category")),
        (without("entity_category"), ("unknown_entity_category", W, "entity_category")),
        ({**GOOD, "ipa_source": "espeak"}, ("unknown_ipa_source", W, "ipa_source")),
        ({**GOOD, "text": "take cefa zolin now"}, ("term_not_in_text", W, "term")),
        ({**GOOD, "text": "take cefazolins now"}, ("term_not_in_text", W, "term")),
        ({**GOOD, "text": "take \x07 cefazolin now"}, ("control_characters", W, "text")),
        ({**GOOD, "text": "take \ufeff cefazolin now"}, ("bom", W, "text")),
        ({**GOOD, "text": "take \ud800 cefazolin now"}, ("bad_unicode", E, "text")),
        (json.dumps(GOOD)[:-1].encode() + b', "term": "cefazolin"}', ("duplicate_key", W, "term")),
    ],
)
def test_every_finding(tmp_path: Path, row: dict[str, object] | bytes, found: tuple[str, str, str]) -> None:
    others = ({**GOOD, "audio_filepath": name} for name in ("b.wav", "c.wav"))
    report = check(tmp_path, *others, row)
    (problem,) = report.problems
    assert (problem.id, problem.severity, problem.field) == found
    assert problem.line == 3
    assert report.counts == {found[0]: 1}
    assert report.ok is (found[1] == "warning")
    rule = rule_for(problem.id, problem.field)
    assert problem.message.endswith(f": {rule.effect}. {rule.remedy}")
    assert problem.remedy == rule.remedy
    assert problem.message.isprintable()


def test_limits_themselves_are_inside(tmp_path: Path) -> None:
    rows = [{**GOOD, "audio_filepath": f"{seconds}.wav", "duration": seconds} for seconds in (20, 0.1)]
    assert check(tmp_path, *rows).problems == ()


def test_punctuation_and_case_do_not_hide_a_term(tmp_path: Path) -> None:
    row = {**GOOD, "text": "Give (Cefazolin), 5 mg/kg.", "term": "CEFAZOLIN 5 mg/kg"}
    assert check(tmp_path, row).problems == ()


def test_a_text_with_colons_is_no_duplicate_key(tmp_path: Path) -> None:
    row = {**GOOD, "audio_filepath": "a:b.wav", "text": "cefazolin: 1:2:3"}
    assert check(tmp_path, row).problems == ()


@pytest.mark.parametrize("text", ["cefazolin: 1:2", "cefazolin \\u003a 1", 'cefazolin \\" : ', "cefazolin"])
def test_a_duplicate_key_is_found_whatever_the_text(tmp_path: Path, text: str) -> None:
    raw = json.dumps(GOOD).replace("take cefazolin now", text)[:-1] + ', "text" :"cefazolin"}'
    assert check(tmp_path, raw.encode()).counts == {"duplicate_key": 1}
    nested = json.dumps(GOOD).replace("take cefazolin now", text)[:-1] + ', "x": {"y": 1, "y": {}}}'
    (problem,) = check(tmp_path, nested.encode()).problems
    assert (problem.id, problem.field) == ("duplicate_key", "y")


def test_several_findings_of_one_row(tmp_path: Path) -> None:
    row = {**without("duration", "term"), "text": "", "entity_category": "x"}
    report = check(tmp_path, row)
    assert set(report.counts) == {"missing_field", "empty_text", "unknown_entity_category", "empty_term"}
    assert report.errors == 2


def test_a_bom_on_line_1_stops_the_run_but_the_row_is_still_checked(tmp_path: Path) -> None:
    report = check(tmp_path, b"\xef\xbb\xbf" + json.dumps({**GOOD, "term": ""}).encode())
    assert report.counts == {"bom": 1, "empty_term": 1}


def test_no_rows(tmp_path: Path) -> None:
    report = check(tmp_path, b"", b"  ", audio=True)
    assert (report.rows, report.ok, report.counts) == (0, False, {"no_rows": 1})


def test_audio_is_looked_at_where_nemo_looks(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    write_wav(tmp_path / "audio" / "good.wav")
    write_wav(tmp_path / "audio" / "stereo.wav", channels=2)
    write_wav(tmp_path / "audio" / "headers-only.wav", frames=0)
    (tmp_path / "audio" / "empty.wav").touch()
    (tmp_path / "audio" / "junk.wav").write_bytes(b"no audio at all" * 9)
    names = ["good", "stereo", "headers-only", "empty", "junk", "absent", "./good"]
    rows = [{**GOOD, "audio_filepath": f"audio/{name}.wav"} for name in names]
    rows.append({**GOOD, "audio_filepath": str(tmp_path / "audio" / "stereo.wav")})
    rows.append({**GOOD, "audio_filepath": "a\0b.wav"})
    report = check(tmp_path, *rows, audio=True)
    assert [(problem.line, problem.id) for problem in report.problems] == [
        (2, "not_mono"),
        (3, "empty_audio"),
        (4, "empty_audio"),
        (5, "unreadable_audio"),
        (6, "missing_audio"),
        (7, "duplicate_audio"),
        (8, "not_mono"),
        (8, "duplicate_audio"),
        (9, "unreadable_audio"),
    ]
    assert all(problem.field == "audio_filepath" for problem in report.problems)
    missing = next(problem for problem in report.problems if problem.id == "missing_audio")
    assert "crashes the run when drawn" in missing.message
    assert "end of epoch 0" in missing.message
    assert "the same audio as line 1" in report.problems[5].message


def test_durations_are_compared_with_the_audio(tmp_path: Path) -> None:
    for seconds in (1.5, 21.0):
        write_wav(tmp_path / f"{seconds}.wav", frames=round(seconds * 16000))
    said: list[object] = [1.5, 1.45, 1.549, 1.4, 1.6, None, None]
    rows = [
        {**GOOD, "audio_filepath": f"x/../{'./' * at}1.5.wav", "duration": s} for at, s in enumerate(said)
    ]
    rows[-1]["audio_filepath"] = "21.0.wav"
    report = check(tmp_path, *rows, audio=True)
    found = [(problem.line, problem.id, problem.field) for problem in report.problems]
    assert [each for each in found if each[1] != "duplicate_audio"] == [
        (4, "wrong_duration", "duration"),
        (5, "wrong_duration", "duration"),
        (6, "null_duration", "duration"),
        (7, "null_duration", "duration"),
        (7, "too_long", "audio_filepath"),
    ]
    messages = {
        problem.line: problem.message for problem in report.problems if problem.id != "duplicate_audio"
    }
    assert messages[4].startswith("duration says 1.40 s, the audio lasts 1.50 s: ")
    assert "--fill-durations" in messages[4]
    assert "may run out of memory" in messages[7]


def test_the_same_audio_is_told_without_looking_at_files(tmp_path: Path) -> None:
    names = ["a.wav", "b.wav", "./a.wav", str(tmp_path / "b.wav"), "audio/../a.wav", "c.wav"]
    report = check(tmp_path, *({**GOOD, "audio_filepath": name} for name in names))
    assert [(problem.line, problem.message[:28]) for problem in report.problems] == [
        (3, "the same audio as line 1: on"),
        (4, "the same audio as line 2: on"),
        (5, "the same audio as line 1: on"),
    ]
    assert (report.errors, report.warnings, report.truncated) == (0, 3, False)


def test_the_same_audio_is_told_from_a_relative_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "a.wav")
    row = {**GOOD, "audio_filepath": str(tmp_path / "a.wav")}
    assert check(Path(), GOOD, row, audio=True).counts == {"duplicate_audio": 1}


def test_a_json_array_is_one_finding_not_one_a_line(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "audio_filepath": "b.wav"}]
    for text in (json.dumps(rows), json.dumps(rows, indent=1), "\n\n" + json.dumps(rows, indent=1)[:-30]):
        report = check(tmp_path, text.encode())
        assert (report.rows, report.ok, report.counts) == (0, False, {"json_array": 1})
        assert report.problems[0].line == (3 if text.startswith("\n") else 1)
        assert "jq -c" in report.problems[0].remedy


def test_a_pipe_is_checked_too(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    write_wav(tmp_path / "a.wav")
    feed = Thread(target=lambda: pipe.write_text(json.dumps(GOOD) + "\n{"))
    feed.start()
    report = check_manifest(pipe)
    feed.join()
    assert (report.rows, report.counts) == (2, {"bad_json": 1})


def test_progress_grows_and_can_cancel(demo_data: Path) -> None:
    path = demo_data / "cycle1" / "manifest.jsonl"
    told: list[float] = []
    check_manifest(path, progress=lambda fraction: told.append(fraction) is None)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 3
    with pytest.raises(InterruptedError, match="pre-flight was cancelled"):
        check_manifest(path, progress=lambda fraction: fraction < 0.5)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such manifest"):
        check_manifest(tmp_path / "absent.jsonl")


def test_every_rule_says_what_happens_and_what_to_do() -> None:
    for key, rule in _RULES.items():
        assert rule.effect, key
        assert rule.remedy[0].isupper(), key


@settings(max_examples=120, deadline=None)
@given(
    lines=st.lists(
        st.binary(max_size=40) | st.sampled_from([b"{}", b"[1]", json.dumps(GOOD).encode()]), max_size=5
    )
)
def test_any_bytes_give_a_report(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    report = check(tmp_path_factory.getbasetemp(), *lines)
    assert sum(report.counts.values()) == len(report.problems)
    assert [problem.line for problem in report.problems] == sorted(
        problem.line for problem in report.problems
    )
