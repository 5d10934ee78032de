"""The log store: positions in, safe text out, bounded."""

from __future__ import annotations

import re

import pytest

from clinasr_tui.training.log_store import MAX_CHARACTERS, NOT_READABLE, LogStore
from clinasr_tui.training.run_reader import LogLine, RunReader
from clinasr_tui.training.snapshot import Level


@pytest.fixture
def sft3(demo_data):
    """The store filled from the recorded run, read in small slices."""
    folder = demo_data / "recording"
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
    without = sft3.indices(hide=re.compile("WER (reference|predicted)"))
    assert len(without) == total - 2 * 162
    assert list(sft3.indices(start=total - 3)) == [total - 3, total - 2, total - 1]


def test_find_goes_both_ways(sft3):
    pattern = re.compile("Trainer.fit")
    at = sft3.find(pattern, 0)
    assert "`Trainer.fit` stopped" in sft3.text(at)
    assert sft3.find(pattern, at + 1) is None
    assert sft3.find(pattern, len(sft3) - 1, backwards=True) == at
    assert sft3.find(pattern, at - 1, backwards=True) is None
    assert sft3.next_at_level(Level.ERROR, 0) is None


def test_next_error_counts_worse_levels(tmp_path):
    store = store_of(tmp_path, "a")
    store.note("careful", Level.WARNING)
    store.note("broken", Level.ERROR)
    assert store.next_at_level(Level.WARNING, 0) == 1
    assert store.next_at_level(Level.ERROR, 0) == 2
    assert store.next_at_level(Level.WARNING, 2) == 2
    assert store.next_at_level(Level.ERROR, 1, backwards=True) is None


def test_notes_stand_between_the_lines(tmp_path):
    store = store_of(tmp_path, "first")
    store.note("contact lost\x07", Level.WARNING)
    assert [store.text(0), store.text(1)] == ["first", "contact lost␇"]
    assert (store.level(1), store.file(0), store.file(1)) == (Level.WARNING, "console.log", "")
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
