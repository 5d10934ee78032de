"""Names of hosts an operator can choose from, out of ssh configs as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinasr_tui.remote.host_names import host_names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def test_aliases_without_patterns_in_their_order(home: Path) -> None:
    (home / ".ssh/config").write_text(
        "# Host commented\n"
        "Host gpu2 gpu1 *.lab !bad\n  HostName 192.0.2.1\n"
        "host = \"box one\" 'b'\n"
        "Match host gpu3\n"
        "HostName gpu4\n"
        'Host "unclosed\n'
        "Host gpu1 last\n"
    )
    assert host_names() == ("gpu2", "gpu1", "box one", "b", "last")


def test_includes_are_followed_and_loops_end(home: Path) -> None:
    (home / ".brev").mkdir()
    (home / ".brev/ssh_config").write_text("Host rented\n")
    (home / ".ssh/more.conf").write_text("Host more\nInclude config\n")
    (home / ".ssh/config").write_text('Include "~/.brev/ssh_config"\nInclude *.conf nowhere/*\nHost own\n')
    assert host_names() == ("rented", "more", "own")


def test_another_file_and_none_at_all(home: Path) -> None:
    assert host_names() == ()
    (home / "mine").write_bytes(b"\xff\xfeHost odd\nHost fine\n")
    assert host_names(home / "mine") == ("fine",)
