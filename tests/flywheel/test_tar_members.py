"""Archives as the standard library's reader sees them, whatever wrote them; damaged ones end in one error."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel import tar_members as module
from clinasr_tui.flywheel.files import HarmError
from clinasr_tui.flywheel.tar_members import Member, tar_members, tar_source

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
FOLDER = Path(__file__).parents[1] / "data/nemo"


def members(archive: bytes) -> list[Member]:
    return list(tar_members(tar_source(io.BytesIO(archive))))


def packed(entries: list[tuple[str, bytes, bytes]], form: int, mtime: float = 0) -> bytes:
    """An archive of (name, type, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, content in entries:
            one = tarfile.TarInfo(name)
            one.type, one.size, one.mtime, one.linkname = kind, len(content), mtime, "x" * len(name)
            tar.addfile(one, io.BytesIO(content))
    return out.getvalue()


ENTRIES = st.lists(
    st.tuples(
        st.text("abé/.", min_size=1, max_size=9).map(lambda part: part * 20) | st.just("./model_config.yaml"),
        st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE]),
        st.binary(max_size=20).map(lambda part: part * 60),
    ),
    max_size=5,
)


@given(ENTRIES, st.sampled_from(FORMATS[1:]), st.sampled_from([0, 1.5]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_members_are_those_of_the_standard_library(
    entries: list[tuple[str, bytes, bytes]], form: int, mtime: float, zipped: bool
) -> None:
    archive = packed(entries, form, mtime if form == tarfile.PAX_FORMAT else 0)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        expected = [(one.name, one.size, one.isreg()) for one in tar]
    assert members(gzip.compress(archive, 1) if zipped else archive) == expected


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [2_400_000_000, 20 << 30])
def test_the_size_of_the_largest_is_told_without_reading_it(form: int, size: int) -> None:
    if form == tarfile.USTAR_FORMAT and size > 8 << 30:
        size = (8 << 30) - 1  # as much as eleven octal digits hold
    one = tarfile.TarInfo("./model_weights.ckpt")
    one.size = size
    source = tar_source(io.BytesIO(one.tobuf(form)))
    assert next(tar_members(source)) == ("./model_weights.ckpt", size, True)


@pytest.mark.parametrize("name", ["base.nemo", "sft3.nemo"])
def test_what_nemo_saved_is_walked_to_its_end(name: str) -> None:
    with tarfile.open(FOLDER / name) as tar, (FOLDER / name).open("rb") as stream:
        expected = [(one.name, one.size, one.isreg()) for one in tar]
        assert list(tar_members(tar_source(stream))) == expected


def test_content_may_be_read_before_the_next_member() -> None:
    archive = packed([("a", tarfile.REGTYPE, b"1" * 700), ("b", tarfile.REGTYPE, b"2")], FORMATS[2], 1.5)
    for content in (archive, gzip.compress(archive)):
        source = tar_source(io.BytesIO(content))
        read = [(one.name, source.read(one.size)) for one in tar_members(source)]
        assert read == [("a", b"1" * 700), ("b", b"2")]


def test_weights_that_come_first_are_unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights hardly compress, so no ratio is against them; zeros are, from a size on."""
    monkeypatch.setattr(module, "ALWAYS_INFLATED", 1 << 20)
    weights = bytes(range(256)) + zlib.compress(bytes(range(256)) * 99) * 10_000
    entries = [("w", tarfile.REGTYPE, weights), ("./model_config.yaml", tarfile.REGTYPE, b"x: 1")]
    assert [one.name for one in members(gzip.compress(packed(entries, FORMATS[0]), 0))] == [
        "w",
        "./model_config.yaml",
    ]
    entries[0] = ("w", tarfile.REGTYPE, bytes(2 << 20))
    with pytest.raises(HarmError, match="20 times its size"):
        members(gzip.compress(packed(entries, FORMATS[0])))


def test_no_ratio_lets_more_than_the_largest_model_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_INFLATED", 1 << 20)
    with pytest.raises(HarmError, match="unfolds to more than"):
        members(gzip.compress(packed([("w", tarfile.REGTYPE, bytes(2 << 20))], FORMATS[0]), 0))


def test_headers_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EXTENDED", 2000)
    archive = packed([("n" * 300, tarfile.REGTYPE, b"")] * 9, tarfile.GNU_FORMAT)
    with pytest.raises(HarmError, match="headers"):
        members(archive)


def test_a_sparse_file_of_any_kind_is_refused() -> None:
    one = tarfile.TarInfo("a")
    one.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    with pytest.raises(HarmError, match="sparse"):
        members(one.tobuf(tarfile.PAX_FORMAT))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_damage_ends_in_one_of_its_errors(data: st.DataObject) -> None:
    entries = [("a" * 200, tarfile.REGTYPE, b"1" * 700), ("b", tarfile.SYMTYPE, b"")]
    archive = bytearray(packed(entries, data.draw(st.sampled_from(FORMATS[1:])), 1))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, 3000))
        piece = data.draw(st.binary(min_size=1, max_size=12))
        archive[place : place + len(piece)] = piece
        begins = place // 512 * 512
        if data.draw(st.booleans()) and len(archive) >= begins + 512:  # a header that says it is whole
            archive[begins + 148 : begins + 156] = b" " * 8
            archive[begins + 148 : begins + 156] = b"%06o\0 " % sum(archive[begins : begins + 512])
    try:
        found = members(bytes(archive[: data.draw(st.integers(0, len(archive)))]))
    except (tarfile.TarError, EOFError, HarmError):
        return
    assert all(one.size >= 0 for one in found)
