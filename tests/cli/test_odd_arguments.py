"""Arguments that mean nothing are one line and exit code 2, before anything is looked at."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.cli import main
from clinasr_tui.commands.output import typed
from clinasr_tui.commands.train_output import launched_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("option", ["--batch-size", "--out-cycle"])
@pytest.mark.parametrize("number", ["-1", "0", "1.5", "x", "9" * 5000])
def test_numbers_begin_at_one(
    two_cycles: Path, option: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(two_cycles.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["eval", str(two_cycles / "cycle1"), "--model", "a.nemo", f"{option}={number}"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "is no whole number of at least 1" in told
    assert len(told) < 200
    assert sorted(two_cycles.iterdir()) == before


@pytest.mark.parametrize("command", ["eval", "watch"])
def test_a_home_folder_nobody_has_is_a_wrong_path(
    two_cycles: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "~no-such-user-here/x.nemo"
    words = (
        ["watch", path, "--once"]
        if command == "watch"
        else ["eval", str(two_cycles / "cycle1"), "--model", path]
    )
    assert main(words) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert path in told


def test_a_command_to_paste_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "o'brien $(id)" / "cycle1"
    monkeypatch.chdir(tmp_path)
    assert shlex.split(typed(folder)) == ["o'brien $(id)/cycle1"]
    lines = launched_lines(str(folder), None, {})
    assert [shlex.split(line)[-1] for line in lines[:3]] == [str(folder)] * 3
