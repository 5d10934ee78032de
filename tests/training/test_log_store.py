"""The log store: positions in, safe text out, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.log_store import MAX_CHARACTERS, NOT_READABLE, LogStore
from clinasr_tui.training.run_reader import LogLine, RunReader
from clinasr_tui.training.snapshot import Level


@pytest.fixture
def sft3(recordings):
    """The store filled from the recorded run, read in small slices."""
    folder = recordings / "sft3"
    reader, store = RunReader(), LogStore(lambda file: folder / file)
    data = (folder / "console.log").read_bytes()
    for start in range(0, len(data), 5000):
        store.append(reader.feed("console.log", data[start : start + 5000]))
    store.append(reader.close())
    return store


def lines_in(path, *texts):
    """Write lines to a file and describe them."""
    lines, data = [], b""
    for text in texts:
        raw = text if isinstance(text, bytes) else text.encode()
        lines.append(LogLine(path.name, len(data), len(raw), Level.INFO))
        data += raw + b"\n"
    path.write_bytes(data)
    return lines


def store_of(tmp_path, *texts, **options):
    store = LogStore(lambda file: tmp_path / file, **options)
    store.append(lines_in(tmp_path / "console.log", *texts))
    return store


def test_real_lines_read_back(sft3):
    texts = [sft3.text(index) for index in range(len(sft3))]
    assert texts[0] == "+ cd /opt/NeMo/workspace/examples/asr"
    assert "17:03:05 I Dataset loaded with 200 files totalling 0.19 hours" in texts
    assert any(text.startswith("Epoch 0, global step 50: 'val_wer' reached 0.08333") for text in texts)
    assert not any("\x1b" in text or "it/s" in text or "\u241b" in text for text in texts)
    assert any(
        text.endswith(
            "Warning: Grid size 4 will likely result in GPU under-utilization due to low occupancy."
        )
        for text in texts
    )
    # Reading backwards gives the same.
    assert [sft3.text(index) for index in reversed(range(len(sft3)))] == texts[::-1]


def test_counts_levels_and_filters(sft3):
    total = len(sft3)
    assert sum(sft3.count(level) for level in Level) == total
    assert sft3.count(Level.ERROR) == 0
    warnings = sft3.indices({Level.WARNING})
    assert len(warnings) == sft3.count(Level.WARNING) == 43
    assert all(sft3.level(index) is Level.WARNING for index in warnings)
    everything = sft3.indices(frozenset(Level), total - 3)
    assert list(everything) == [total - 3, total - 2, total - 1]
    assert list(sft3.indices({Level.WARNING}, warnings[3], warnings[5])) == list(warnings[3:5])


def test_counts_stay_right_while_lines_come_and_go(tmp_path):
    store = LogStore(lambda file: tmp_path / file, limit=50)
    for number in range(120):
        store.note("n", Level.ERROR if number % 7 == 0 else Level.INFO)
        assert store.count(Level.ERROR) == sum(
            store.level(index) is Level.ERROR for index in range(len(store))
        )
    assert store.dropped > 0


def test_lines_read_together_are_the_lines_read_one_by_one(sft3):
    sft3.note("a note\x07 of ours")
    total = len(sft3)
    texts = [sft3.text(index) for index in range(total)]
    assert sft3.frozen().joined(0, total).split("\n") == texts
    assert sft3.joined(total - 7, total).split("\n") == texts[-7:]
    assert sft3.joined(5, 5) == ""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b"")), min_size=1)
)
def test_any_bytes_read_together_as_one_by_one(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("log")
    store = store_of(path, *texts, "y" * (MAX_CHARACTERS + 5), "[NeMo I 2026-01-02 17:03:05 a:1] tail  ")
    alone = store.frozen()
    assert store.joined(0, len(store)).split("\n") == [alone.text(index) for index in range(len(alone))]
    assert alone.text(len(alone) - 1) == "17:03:05 I tail"


def test_lines_read_together_say_what_is_lost(tmp_path):
    store = store_of(tmp_path, "one", "two")
    (tmp_path / "console.log").unlink()
    assert store.joined(0, 2) == f"{NOT_READABLE}\n{NOT_READABLE}"
    assert list(store.raw_lines([1])) == [NOT_READABLE.encode() + b"\n"]


def test_a_frozen_copy_stays_as_it_was(tmp_path):
    store = store_of(tmp_path, "one", "\x1b[2Jtwo", limit=10)
    copy = store.frozen()
    for number in range(20):
        store.note(str(number))
    assert (len(copy), copy.dropped) == (2, 0)
    assert list(copy.raw_lines(range(2))) == [b"one\n", b"\x1b[2Jtwo\n"]
    assert copy.text(1) == "␛[2Jtwo"


def test_notes_stand_between_the_lines(tmp_path):
    store = store_of(tmp_path, "first")
    store.note("contact lost\x07", Level.WARNING)
    assert [store.text(0), store.text(1)] == ["first", "contact lost␇"]
    assert (store.level(1), store.file(0), store.file(1)) == (Level.WARNING, "console.log", "")
    assert (store.is_note(0), store.is_note(1)) == (False, True)
    assert (store.raw(0), store.raw(1)) == (b"first", b"contact lost\x07")


def test_untrusted_text_is_made_visible(tmp_path):
    store = store_of(
        tmp_path, "\x1b[1mbold\x1b[0m \x1b[A", "\x1b]0;title\x07\x1b[2J", b"\xff\xfe\tx", "a\u202eb"
    )
    assert [store.text(index) for index in range(4)] == [
        "bold",
        "␛]0;title␇␛[2J",
        "\ufffd\ufffd  x",
        "a\\u202eb",
    ]


def test_long_line_is_cut(tmp_path):
    store = store_of(tmp_path, "y" * 250_000, "z")
    text = store.text(0)
    assert text == "y" * MAX_CHARACTERS + "… (+240000 characters)"
    assert store.text(1) == "z"


def test_grows_with_the_file(tmp_path):
    path = tmp_path / "console.log"
    store = LogStore(lambda file: tmp_path / file)
    first = lines_in(path, "one")
    store.append(first)
    assert store.text(0) == "one"
    with path.open("ab") as file:
        file.write(b"two\n")
    store.append([LogLine("console.log", 4, 3, Level.INFO)])
    assert store.text(1) == "two"


def test_lost_mirror_is_said(tmp_path):
    store = store_of(tmp_path, "one", "two")
    (tmp_path / "console.log").unlink()
    assert store.text(0) == NOT_READABLE
    assert store.raw(1) is None
    short = LogStore(lambda file: tmp_path / file)
    (tmp_path / "short.log").write_bytes(b"ab")
    short.append([LogLine("short.log", 0, 10, Level.INFO)])
    assert short.text(0) == NOT_READABLE


def test_bounded(tmp_path):
    store = store_of(tmp_path, *(f"line {number}" for number in range(95)), limit=100)
    assert (len(store), store.dropped) == (95, 0)
    assert store.text(94) == "line 94"
    for number in range(6):
        store.note(f"note {number}")
    assert store.dropped == 11
    assert len(store) == 90
    assert (store.text(0), store.text(83), store.text(89)) == ("line 11", "line 94", "note 5")


def test_several_files(tmp_path):
    store = LogStore(lambda file: tmp_path / file)
    out = lines_in(tmp_path / "stdout.log", "out 1", "out 2")
    err = lines_in(tmp_path / "stderr.log", "err 1")
    store.append([out[0], err[0], out[1]])
    assert [store.text(index) for index in range(3)] == ["out 1", "err 1", "out 2"]
