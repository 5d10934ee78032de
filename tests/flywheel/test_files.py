"""Writing: whole files or none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import write_atomically, write_together
from tests.support.small_disk import mounted


def test_writes_bytes_and_chunks(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "a", b"whole")
    write_atomically(tmp_path / "deep" / "b", (part for part in (b"in ", b"parts")))
    assert (tmp_path / "deep" / "a").read_bytes() == b"whole"
    assert (tmp_path / "deep" / "b").read_bytes() == b"in parts"
    assert len(list((tmp_path / "deep").iterdir())) == 2


def test_a_failure_midway_leaves_the_old_files_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old a")
    (tmp_path / "b").write_bytes(b"old b")

    def breaks() -> Iterator[bytes]:
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"b: cannot be written \(No space left on device\)"):
        write_together({tmp_path / "a": b"new a", tmp_path / "b": breaks()})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old a", "b": b"old b"}


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_can_only_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(InputError, match="Read-only file system"):
            write_atomically(disk / "a", b"x")
