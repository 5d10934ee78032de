"""`check` as an operator runs it: documents, corrected copies, progress on a terminal, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import tty
from pathlib import Path

import pytest

from clinasr_tui.cli import main
from clinasr_tui.flywheel import preflight_findings
from clinasr_tui.flywheel.parallel import processes


@pytest.fixture
def run(capsys):
    """Run `check`; returns (exit code, standard output, standard error)."""

    def call(*argv):
        try:
            code = main(["check", *map(str, argv)])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def moved(demo_data, tmp_path):
    """The demo's manifest as another machine would have written it: its audio is not there."""
    lines = (demo_data / "cycle1" / "manifest.jsonl").read_text().splitlines(keepends=True)
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(line.replace('"audio/', '"/home/other/cycle1/audio/') for line in lines))
    return path


def one_line(err):
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def test_every_problem_says_what_nemo_would_do_and_what_to_do(run, moved):
    code, out, _ = run(moved, "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["errors"], found["warnings"], found["truncated"]) == (250, 0, False)
    assert found["counts"] == {"missing_audio": 250}
    problem = found["problems"][0]
    assert list(problem) == ["id", "severity", "line", "field", "message", "remedy"]
    assert "crashes the run when drawn" in problem["message"]
    assert "end of epoch 0 with nothing saved" in problem["message"]
    assert "--fix-paths FROM=TO" in problem["remedy"]
    code, out, _ = run(moved)
    assert code == 1
    assert out.startswith(f"{moved}:1: error: no such audio file")
    assert out.endswith(
        "250 rows, 250 errors, 0 warnings: not clean: mend the errors before any money is spent\n"
    )


def test_paths_are_fixed_in_a_copy_that_is_then_checked(run, moved, demo_data, tmp_path):
    before, out_file = moved.read_bytes(), tmp_path / "here" / "fixed.jsonl"
    change = f"/home/other/cycle1={demo_data / 'cycle1'}"
    code, out, err = run(moved, "--fix-paths", change, "--out", out_file, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["rows"], found["ok"], found["problems"]) == (250, True, [])
    assert found["rewritten"] == {
        "file": str(out_file),
        "rows": 250,
        "paths_changed": 250,
        "made_absolute": 0,
        "durations_filled": 0,
        "warnings": [],
    }
    assert one_line(err) == f"{out_file}: 250 rows, 250 audio paths changed\n"
    assert moved.read_bytes() == before
    assert out_file.read_bytes() == before.replace(b"/home/other/cycle1", str(demo_data / "cycle1").encode())


def test_a_copy_that_is_not_clean_says_no(run, moved, tmp_path):
    part_of_a_name = "/home/other/cycle1/audio/cefazolin=/x"
    code, _, err = run(moved, "--fix-paths", part_of_a_name, "--out", tmp_path / "fixed.jsonl")
    assert code == 2
    assert "no audio path is in /home/other/cycle1/audio/cefazolin" in one_line(err)
    code, out, _ = run(moved, "--fix-paths", "/home/other=/nowhere", "--out", tmp_path / "fixed.jsonl")
    assert code == 1
    assert f"{tmp_path}/fixed.jsonl:1: error: no such audio file: /nowhere/cycle1/audio/" in out
    code, _, _ = run(
        moved, "--fix-paths", "/home/other=/new", "--out", tmp_path / "for-the-box.jsonl", "--no-audio"
    )
    assert code == 0


def test_both_corrections_at_once(run, moved, demo_data, tmp_path):
    rows = [json.loads(line) for line in moved.read_text().splitlines()]
    expected = [row["duration"] for row in rows]
    for number, row in enumerate(rows):
        row["duration"] = [None, "1", 999, row["duration"]][number % 4]
    moved.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(moved, "--no-audio")[0] == 1
    out_file = tmp_path / "fixed.jsonl"
    code, out, err = run(
        moved, "--fix-paths", f"/home/other/cycle1={demo_data / 'cycle1'}",
        "--fill-durations", "--out", out_file,
    )  # fmt: skip
    assert (code, out) == (0, "250 rows, 0 errors, 0 warnings: clean\n")
    assert one_line(err) == f"{out_file}: 250 rows, 250 audio paths changed, 188 durations filled in\n"
    found = [json.loads(line)["duration"] for line in out_file.read_text().splitlines()]
    assert found == pytest.approx(expected, abs=1e-4)


def test_what_could_not_be_corrected_is_said(run, moved, tmp_path):
    moved.write_bytes(moved.read_bytes() + b"no row\n")
    out_file = tmp_path / "fixed.jsonl"
    options = ["--fix-paths", "/home=/h", "--fix-paths", "/data=/d", "--fill-durations", "--out", out_file]
    code, _, err = run(moved, *options)
    assert code == 1
    assert err.splitlines() == [
        f"{out_file}: 251 rows, 250 audio paths changed",
        "warning: no audio path is in /data",
        "warning: 250 durations stay as they are: the audio cannot be read",
        "warning: 1 lines are no rows and are copied as they are",
    ]
    assert out_file.read_bytes().endswith(b"\nno row\n")


def test_the_manifest_and_other_files_are_never_written_over(run, moved, tmp_path):
    before = moved.read_bytes()
    code, out, err = run(moved, "--fix-paths", "/home=/h", "--out", moved, "--force")
    assert (code, out) == (2, "")
    assert "never changed in place" in one_line(err)
    shutil.copy(moved, tmp_path / "other.jsonl")
    code, _, err = run(moved, "--fix-paths", "/home=/h", "--out", tmp_path / "other.jsonl")
    assert code == 2
    assert "--force" in one_line(err)
    assert moved.read_bytes() == (tmp_path / "other.jsonl").read_bytes() == before
    assert run(moved, "--fix-paths", "/home=/h", "--out", tmp_path / "other.jsonl", "--force")[0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl", "other.jsonl"]


@pytest.mark.parametrize(
    "options",
    [
        ["--fix-paths", "/a=/b"],
        ["--fill-durations"],
        ["--out", "{tmp}/out.jsonl"],
        ["--fix-paths", "/a", "--out", "{tmp}/out.jsonl"],
        ["--fix-paths", "=/a", "--out", "{tmp}/out.jsonl"],
        ["--fix-paths", "/no such folder=/a", "--out", "{tmp}/out.jsonl"],
        ["--fill-durations", "--no-audio", "--out", "{tmp}/out.jsonl"],
        ["--fill-durations", "--out", "{tmp}"],
        ["--fill-durations", "--out", "{tmp}/manifest.jsonl/below"],
    ],
)
def test_bad_usage_is_one_line_and_leaves_nothing(run, moved, tmp_path, options):
    code, out, err = run(moved, *(option.format(tmp=tmp_path) for option in options))
    assert (code, out) == (2, "")
    one_line(err)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]


def test_of_very_many_findings_some_are_listed_and_all_counted(run, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight_findings, "MAX_KEPT", 20)
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"{}\n" * 100)
    code, out, _ = run(path, "--no-audio", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["truncated"]
    assert len(found["problems"]) == 18
    assert sum(found["counts"].values()) == found["errors"] + found["warnings"] == 600
    _, out, _ = run(path, "--no-audio")
    *_, cut, verdict = out.splitlines()
    assert cut.startswith("only 18 of 600 findings are listed, the first of each kind: missing_field 300, ")
    assert verdict.startswith("100 rows, 300 errors, 300 warnings: not clean")


def on_a_terminal(path: Path, until: bytes) -> tuple[subprocess.Popen[bytes], int, bytes]:
    """Start `check` with standard error on a terminal and read it until `until` is seen."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    argv = [sys.executable, "-m", "clinasr_tui.cli", "check", str(path), "--no-audio", "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    return process, ours, read_until(ours, until)


def read_until(terminal: int, until: bytes | None) -> bytes:
    """What is written to a terminal, up to `until` or to the end."""
    seen = b""
    while until is None or until not in seen:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            break
        if not more:
            break
        seen += more
    return seen


def children_of(process: int) -> set[int]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == process:
                found.add(int(status.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("rows", [1_000_000, 3_000_000], ids=["one process", "several"])
def test_ctrl_c_ends_it_at_once_and_leaves_a_clean_line(tmp_path, rows):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"{}\n" * rows)
    process, terminal, seen = on_a_terminal(path, b" left")
    assert b"\rpre-flight " in seen
    assert re.search(rb"%, \d+:\d\d left$", seen)
    children = children_of(process.pid)
    assert bool(children) is (rows > 2_000_000 and processes() > 1)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = read_until(terminal, None)
    assert process.wait(10) == 130
    assert time.monotonic() - begun < 5
    os.close(terminal)
    assert b"Traceback" not in seen + rest
    assert rest.endswith(b" \r")
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_nothing_is_shown_where_nobody_looks(moved):
    argv = [sys.executable, "-m", "clinasr_tui.cli", "check", str(moved), "--no-audio"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
