"""Files that are not as they should be: one line on standard error, the right exit code, no wrong figure."""

from __future__ import annotations

import json

import pytest

from clinasr_tui.cli import main
from tests.support.cycles import put_cycle, put_reeval, terms

ROWS = terms("drug", 21, 50) + terms("lab", 8, 80)

CASES = {
    "cut off": (lambda raw: raw[:-60], "per_sample.json:130: not valid JSON"),
    "NUL bytes": (lambda raw: raw.replace(b"please", b"pl\0ase", 1), ":1: not valid JSON (NUL bytes"),
    "a key twice": (lambda raw: raw.replace(b'"v1"', b'"v1", "hyp": "x"', 1), ":1: hyp stands twice"),
    "a number": (
        lambda raw: raw.replace(b'"hyp": "', b'"hyp": 5, "x": "', 1),
        ":1: hyp is a number, not text",
    ),
    "UTF-16": (lambda raw: raw.decode().encode("utf-16"), ":1: not UTF-8"),
    "two on a line": (lambda raw: raw.replace(b"}\n{", b"}{", 1), ":1: not valid JSON (Extra data"),
    "nothing": (lambda raw: b"\n", "there are no transcripts"),
}


@pytest.fixture
def ward(tmp_path):
    """Two cycles without anything wrong."""
    root = tmp_path / "ward"
    put_cycle(root, 1, ROWS, audio=True)
    put_reeval(root, 2, ROWS, [number >= 5 for number in range(len(ROWS))])
    return root


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["score", "gate", "compare"])
def test_transcripts_that_cannot_be_read_end_in_one_line(ward, capsys, command, case):
    change, says = CASES[case]
    path = ward / "cycle1" / "per_sample.json"
    path.write_bytes(change(path.read_bytes()))
    cycles = [str(ward / f"cycle{number}") for number in ((1, 2) if command == "compare" else (1,))]
    before = sorted(ward.rglob("*"))
    assert main([command, *cycles, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
    assert sorted(ward.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw.replace(b"audio/", b"elsewhere/x_"), "130 rows not in the manifest"),
        (lambda raw: raw.replace(b'"ref": "please', b'"ref": "PLEASE', 4), "4 rows whose reference differs"),
        (lambda raw: raw.replace(b"\n", b"\r\n"), ""),
        (lambda raw: b"\xef\xbb\xbf" + raw, ""),
        (lambda raw: json.dumps([json.loads(line) for line in raw.splitlines()]).encode(), ""),
    ],
)
def test_what_does_not_fit_is_counted_and_the_figures_stay(ward, capsys, change, says):
    path = ward / "cycle1" / "per_sample.json"
    path.write_bytes(change(path.read_bytes()))
    assert main(["score", str(ward / "cycle1"), "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["metrics"]["ker"] == 29 / 130
    assert document["ker_rows"] == 130
    assert says in err
    assert bool(err) is bool(says)


def test_the_gate_takes_the_leaderboards_intervals(ward, capsys):
    main(["score", str(ward / "cycle1"), "--json"])
    board = json.loads(capsys.readouterr().out)
    main(["gate", str(ward / "cycle1"), "--json"])
    gate = json.loads(capsys.readouterr().out)
    drug = board["by"]["entity_category"]["drug"]
    assert gate["figures"]["drug"] == {"ker": drug["ker"], "n": drug["n"], "ci95": drug["ci95"]}
    assert drug["ci95"] is not None
