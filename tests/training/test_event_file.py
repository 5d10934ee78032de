"""The event-file reader against real files, hand-made records and damage."""

from __future__ import annotations

import math
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training import crc32c as fast
from clinasr_tui.training import event_file, snapshot
from clinasr_tui.training.event_file import EventFileReader
from clinasr_tui.training.scalars import Columns, Scalar, Scalars
from clinasr_tui.training.snapshot import Series
from tests.support.event_records import crc32c, event, field, record, scalar, summary, varint

NAN = float("nan")


def read(data, *, slices=()):
    """The reader and every point: tag by tag, in file order within a tag."""
    reader, found, last = EventFileReader(), Scalars(), 0
    for cut in [*sorted(slices), len(data)]:
        for point in reader.feed(data[last:cut]).points():
            found.column(point.tag).append(*point[1:])
        last = cut
    return reader, list(found.points())


@pytest.fixture(params=["one by one", "in bulk"], autouse=True)
def way(request, monkeypatch):
    """Every test reads small pieces both ways."""
    if request.param == "in bulk":
        monkeypatch.setattr(event_file, "BULK_AFTER", 0)
        monkeypatch.setattr(event_file, "BULK_LEAST", 1)
        monkeypatch.setattr(event_file, "BULK_FIRST", 1)
    return request.param


def in_both_ways(data, **options):
    """What reading one by one and in bulk find, each as text (NaN is equal to itself) with all counts."""
    told = []
    for after in (1 << 40, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(event_file, "BULK_AFTER", after)
            patch.setattr(event_file, "BULK_LEAST", 1)
            patch.setattr(event_file, "BULK_FIRST", 1)
            reader, found = read(data, **options)
        told.append((str(found), reader.damaged, reader.first_wall, reader.last_wall))
    return told


def real_event_files(recordings):
    return sorted(recordings.glob("*/run/events*"))


def test_crc_check_value():
    assert fast.crc32c(b"123456789") == 0xE3069283
    assert fast.crc32c(b"") == 0


@given(st.binary(max_size=70))
@settings(max_examples=60)
def test_crc_agrees_with_bitwise_one(data):
    assert fast.crc32c(data) == crc32c(data)


def test_sft3_scalars(recordings):
    data = next(recordings.glob("sft3/run/events*")).read_bytes()
    reader, found = read(data)
    assert reader.damaged == 0
    loss = [one for one in found if one.tag == "train_loss"]
    assert [one.step for one in loss] == list(range(150))
    assert loss[0].value == 0.6487443447113037
    assert loss[-1] == Scalar("train_loss", 149, 1795367031.1054714, 0.11969482153654099)
    wer = [(one.step, round(one.value, 5)) for one in found if one.tag == "val_wer"]
    assert wer == [(49, 0.08333), (99, 0.03472), (149, 0.03704)]
    assert reader.first_wall == pytest.approx(1795366986.385)
    counts = {tag: sum(one.tag == tag for one in found) for tag in ("hp_metric", "epoch", "learning_rate")}
    assert counts == {"hp_metric": 1, "epoch": 153, "learning_rate": 150}


def test_nan_is_kept(recordings):
    data = next(recordings.glob("hot/run/events*")).read_bytes()
    loss = [one.value for one in read(data)[1] if one.tag == "train_loss"]
    assert len(loss) == 54
    assert math.isfinite(loss[0])
    assert all(math.isnan(value) for value in loss[1:])


def test_byte_by_byte_is_the_same(recordings):
    for path in real_event_files(recordings):
        data = path.read_bytes()
        whole = read(data)[1]
        pieces = read(data, slices=range(0, len(data), 977))[1]
        assert len(whole) > 0
        assert [str(one) for one in pieces] == [str(one) for one in whole]
    small = next(recordings.glob("oom/run/events*")).read_bytes()
    assert read(small, slices=range(len(small)))[1] == read(small)[1]


def test_unfinished_record_waits():
    data = scalar("train_loss", 0, 1.0, 2.0) + scalar("train_loss", 1, 2.0, 3.0)
    reader = EventFileReader()
    assert [one.step for one in reader.feed(data[:-1]).points()] == [0]
    assert reader.damaged == 0
    assert [one.step for one in reader.feed(data[-1:]).points()] == [1]


def test_bad_payload_checksum_loses_that_record_only():
    records = [scalar("train_loss", step, float(step + 1), 1.0) for step in range(5)]
    broken = bytearray(records[2])
    broken[20] ^= 1
    reader, found = read(b"".join([*records[:2], bytes(broken), *records[3:]]))
    assert [one.step for one in found] == [0, 1, 3, 4]
    assert reader.damaged == 1


def test_bad_header_is_searched_past():
    records = [scalar("train_loss", step, float(step + 1), 1.0) for step in range(4)]
    broken = b"\xff" * 8 + records[1][8:]
    reader, found = read(records[0] + broken + records[2] + records[3])
    assert [one.step for one in found] == [0, 2, 3]
    assert reader.damaged == 1


def test_hole_of_zeros_and_junk_are_skipped():
    hole = bytes(100_000)
    reader, found = read(scalar("a", 1, 1.0, 1.0) + hole + b"junk" + scalar("a", 2, 2.0, 2.0))
    assert [one.step for one in found] == [1, 2]
    assert reader.damaged == 1


def test_cut_off_record_does_not_swallow_the_next():
    records = [scalar("train_loss", step, float(step + 1), 1.0) for step in range(4)]
    reader, found = read(records[0] + records[1][:-9] + records[2] + records[3])
    assert [one.step for one in found] == [0, 2, 3]
    assert reader.damaged == 1


def test_absurd_length_with_right_checksum_is_not_waited_for():
    header = struct.pack("<Q", 1 << 40)
    from tests.support.event_records import masked

    reader, found = read(header + masked(header) + scalar("a", 3, 1.0, 1.0))
    assert [one.step for one in found] == [3]
    assert reader.damaged == 1


def test_malformed_protobuf_is_counted_not_raised():
    bad = record(b"\x09" + struct.pack("<d", 1.0) + b"\x2a\x7f\x0a")
    endless = record(b"\xff" * 12)
    reader, found = read(bad + endless + scalar("a", 1, 1.0, 1.0))
    assert reader.damaged == 2
    assert [one.step for one in found] == [1]


def test_tensor_valued_scalars():
    single = b"\x08\x01" + field(5, struct.pack("<f", 0.25))
    double = b"\x08\x02" + field(4, struct.pack("<d", 0.125))
    several = b"\x08\x01" + field(5, struct.pack("<ff", 1, 2))
    values = [
        field(1, field(1, name) + field(8, one))
        for name, one in ((b"single", single), (b"double", double), (b"several", several))
    ]
    found = read(record(event(7, 1.0, *values)))[1]
    assert found == [Scalar("single", 7, 1.0, 0.25), Scalar("double", 7, 1.0, 0.125)]


def test_several_values_in_one_event():
    found = read(record(event(1, 1.0, summary("a", 1.0), summary("b", 2.0))))[1]
    assert [(one.tag, one.value) for one in found] == [("a", 1.0), ("b", 2.0)]


def test_same_tag_after_a_long_one_and_in_other_shapes():
    long = "x" * 300
    extra = event(2, 2.0, summary("a", 2.0)) + varint(9 << 3) + b"\x01"
    data = scalar(long, 1, 1.0, 1.0) + scalar("a", 1, 1.0, 1.0) + record(extra) + scalar("a", 3, 3.0, 3.0)
    reader, found = read(data)
    assert [(one.tag, one.step) for one in found] == [(long, 1), ("a", 1), ("a", 2), ("a", 3)]
    assert reader.damaged == 0


steps = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300)
scalars = st.tuples(
    st.sampled_from(["train_loss", "val_wer", "x", "ÄÖ"]),
    steps,
    st.floats(min_value=1, max_value=2e9),
    st.floats(width=32),
)


@given(st.lists(scalars, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_any_scalars_in_any_slices(wanted, data):
    raw = b"".join(scalar(*one) for one in wanted)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8))
    reader, found = read(raw, slices=cuts)
    by_tag = {}
    for one in wanted:
        by_tag.setdefault(one[0], []).append(one)
    assert [str(tuple(one)) for one in found] == [str(one) for ones in by_tag.values() for one in ones]
    assert reader.damaged == 0


@given(st.lists(scalars, min_size=1, max_size=6), st.data())
@settings(max_examples=80, deadline=None)
def test_damage_never_raises_and_slices_do_not_matter(wanted, data):
    raw = bytearray(b"".join(scalar(*one) for one in wanted))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[place] ^= data.draw(st.integers(1, 255))
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=8))
    whole, first = read(bytes(raw))
    sliced, second = read(bytes(raw), slices=cuts)
    assert [str(one) for one in first] == [str(one) for one in second]
    assert whole.damaged == sliced.damaged
    assert {str(tuple(one)) for one in first} <= {str(one) for one in wanted}


def log_of(steps, tags=("train_loss", "val_wer", "epoch"), start=0):
    """Records as a run writes them: many of few tags."""
    return [
        scalar(tag, step, 1000.0 + step, math.nan if step % 7 == 6 else step / 8)
        for step in range(start, start + steps)
        for tag in tags
    ]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_bulk_reads_as_one_by_one(data):
    """Few tags, steps of one to ten bytes, other records between them, damage and cuts anywhere."""
    start = data.draw(st.sampled_from([0, 120, 16_380, 2**62, -20]))
    records = log_of(data.draw(st.integers(1, 30)), start=start)
    other = record(event(3, 1.0, summary("epoch", 1.0), summary("val_wer", math.inf)))
    odd = record(b"\x09" + struct.pack("<d", math.nan) + b"\x2a\x7f\x0a")
    for extra in data.draw(
        st.lists(st.sampled_from([other, odd, scalar("ü", 1, math.inf, 1.0)]), max_size=3)
    ):
        records.insert(data.draw(st.integers(0, len(records))), extra)
    raw = bytearray(b"".join(records))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=3)):
        raw[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        gone = data.draw(st.integers(0, len(raw)))
        del raw[gone : gone + data.draw(st.integers(1, 100))]
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=6))
    plain, bulk = in_both_ways(bytes(raw))
    assert plain == bulk
    plain, bulk = in_both_ways(bytes(raw), slices=cuts)
    assert plain == bulk == in_both_ways(bytes(raw))[0]


def test_bulk_verifies_every_byte():
    """No single flipped bit of a record gives a wrong point."""
    records = log_of(12, tags=("train_loss",))
    whole = {str(one) for one in read(b"".join(records))[1]}
    for place in range(len(records[5])):
        broken = bytearray(records[5])
        broken[place] ^= 1 << place % 8
        raw = b"".join([*records[:5], broken, *records[6:]])
        reader, found = read(raw)
        assert {str(one) for one in found} < whole
        assert len(found) == 11
        assert reader.damaged == 1


def test_signalling_nan_is_a_nan():
    payload = event(1, 1.0, summary("a", 1.0))[:-4] + struct.pack("<I", 0x7FA00000)
    assert [math.isnan(one.value) for one in read(record(payload) * 20)[1]] == [True] * 20


def test_corrupt_length_checksum_loses_one_record_and_says_so():
    records = log_of(40, tags=("train_loss",))
    broken = bytearray(records[20])
    broken[9] ^= 0x40
    reader, found = read(b"".join([*records[:20], broken, *records[21:]]))
    assert [one.step for one in found] == [*range(20), *range(21, 40)]
    assert reader.damaged == 1


def test_numpy_is_not_loaded_for_a_small_run(recordings):
    program = """
import sys
from pathlib import Path
from clinasr_tui.training.run_reader import read_run_folder
assert len(read_run_folder(Path(sys.argv[1])).train_loss) > 0
assert "numpy" not in sys.modules
from clinasr_tui.training import event_file
event_file.BULK_AFTER = 0
assert len(read_run_folder(Path(sys.argv[1])).train_loss) > 0
assert "numpy" not in sys.modules
event_file.BULK_FIRST = 1
assert len(read_run_folder(Path(sys.argv[1])).train_loss) > 0
assert "numpy" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, recordings / "hot"], check=True)


columns = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([math.nan, 0.5, 1.0])),
    max_size=14,
)


@given(st.lists(columns, max_size=5))
@settings(max_examples=80, deadline=None)
def test_points_taken_together_are_as_points_taken_one_by_one(batches):
    """The later wall time wins; NaN, then the greater value, at the same one."""
    together, single = Series(), Series()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_MANY", 1)
        for batch in batches:
            taken = Columns()
            for step, wall, value in batch:
                taken.append(step, wall, value)
                single.add(step, value, wall)
            together.extend(taken)
    for name in ("steps", "walls", "values", "newest", "newest_wall"):
        assert str(getattr(together, name)) == str(getattr(single, name))
    assert (together.rewrites > 0) >= (single.rewrites > 0)
    assert (together.version > 0) == (single.version > 0)
