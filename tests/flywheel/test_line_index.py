"""Line offsets against a plain reading of the whole file, in any slicing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel import line_index
from clinasr_tui.flywheel.line_index import LineIndex


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index") / "lines"


def plain_lines(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def test_the_demo_manifest(demo_data: Path) -> None:
    path = demo_data / "cycle1" / "manifest.jsonl"
    index = LineIndex(path)
    assert (len(index), index.complete) == (0, False)
    index.build()
    expected = plain_lines(path.read_bytes())
    assert index.complete
    assert [index.line(number) for number in range(len(index))] == expected
    index.close()


@settings(max_examples=60, deadline=None)
@given(
    content=st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"bcd", b"\n\n"]), max_size=40).map(b"".join),
    step=st.integers(1, 9),
    block=st.integers(1, 7),
)
def test_any_content_in_any_slicing(content: bytes, step: int, block: int) -> None:
    expected = plain_lines(content)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_index, "_BLOCK", block)
        path = Path(folder, "lines")
        path.write_bytes(content)
        index = LineIndex(path)
        while index.extend(step):
            assert len(index) <= len(expected)
        assert [index.line(number) for number in range(len(index))] == [
            line.removesuffix(b"\r") for line in expected
        ]
        blocks = list(index.blocks())
        assert b"".join(data for _, data in blocks) == content
        assert all(plain_lines(data)[0] == expected[first] for first, data in blocks)
        index.close()


def test_a_slice_is_bounded_however_long_the_line(scratch: Path) -> None:
    scratch.write_bytes(b"x" * 3_000_000 + b"\nend")
    index = LineIndex(scratch)
    assert index.extend(1 << 20)
    assert len(index) == 0
    index.build()
    assert (len(index), index.line(1)) == (2, b"end")
    index.close()


def test_blocks_of_a_part(scratch: Path) -> None:
    scratch.write_bytes(b"a\nb\nc\nd\n")
    index = LineIndex(scratch)
    index.build()
    assert list(index.blocks(1, 3)) == [(1, b"b\nc\n")]
    index.close()


def test_progress_can_stop_it(scratch: Path) -> None:
    scratch.write_bytes(b"line\n" * 4_000_000)
    told: list[float] = []
    index = LineIndex(scratch)
    index.build(lambda fraction: told.append(fraction) is not None)
    assert len(told) == 1
    assert 0 < told[0] < 1
    assert not index.complete
    index.close()


def test_a_file_cut_short_gives_short_lines(scratch: Path) -> None:
    scratch.write_bytes(b"one\ntwo\n")
    index = LineIndex(scratch)
    index.build()
    scratch.write_bytes(b"on")
    assert (index.line(0), index.line(1)) == (b"on", b"")
    late = LineIndex(scratch)
    scratch.write_bytes(b"")
    late.build()
    assert (len(late), late.complete) == (0, True)
    index.close()
    late.close()


def test_beyond_the_end_and_no_file(scratch: Path, tmp_path: Path) -> None:
    scratch.write_bytes(b"")
    index = LineIndex(scratch)
    index.build()
    assert (len(index), index.complete) == (0, True)
    for number in (0, -1):
        with pytest.raises(IndexError):
            index.line(number)
    index.close()
    with pytest.raises(InputError, match="no such manifest"):
        LineIndex(tmp_path / "absent")
    with pytest.raises(InputError, match="is a folder"):
        LineIndex(tmp_path)
