"""The replay: the recorded bytes, at the pace of the time stamps in them."""

from __future__ import annotations

import asyncio
import re
import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.demo import replay as replay_module
from clinasr_tui.demo.layout import RECORDINGS
from clinasr_tui.demo.replay import replay, schedule
from clinasr_tui.training.event_file import EventFileReader

RECORDING = RECORDINGS / "sft3"


def recorded_files():
    return {
        str(path.relative_to(RECORDING)): path.read_bytes() for path in RECORDING.rglob("*") if path.is_file()
    }


def test_every_byte_is_scheduled_once_and_in_order():
    by_file = {}
    for piece in schedule(RECORDING):
        by_file.setdefault(piece.file, []).append(piece)
    assert {name: pieces[-1].end for name, pieces in by_file.items()} == {
        name: len(data) for name, data in recorded_files().items()
    }
    for pieces in by_file.values():
        assert all(one.end < two.end and one.at <= two.at for one, two in pairwise(pieces))


def test_the_console_comes_at_its_stamps():
    """At 00:56:50 everything stamped before it is there, and nothing stamped after it."""
    console = (RECORDING / "stdout.log").read_bytes()
    there = max(piece.end for piece in schedule(RECORDING) if piece.file == "stdout.log" and piece.at <= 16)
    first = console.index(b"2026-11-23 00:56:50")
    assert b"00:56:49" not in console[there:]
    assert console.rindex(b"\n", 0, first) < there
    assert b"00:56:51" not in console[:there]


def test_events_come_at_their_wall_times():
    name, data = next((name, data) for name, data in recorded_files().items() if "tfevents" in name)
    pieces = [piece for piece in schedule(RECORDING) if piece.file == name]
    points = list(EventFileReader().feed(data).points())
    walls = sorted({point.wall for point in points if point.tag == "train_loss"})
    begin = walls[0] - next(piece.at for piece in pieces if piece.at > 10)
    offsets = {round(piece.at + begin, 3) for piece in pieces}
    assert {round(wall, 3) for wall in walls} <= offsets
    assert len(walls) == 150


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.text("\r\n[NeMo I 2026-11-22 17:03:0123456789] x", max_size=300))
def test_any_console_is_cut_without_loss(text):
    data = text if isinstance(text, bytes) else text.encode()
    stamped = b"[NeMo I 2026-11-22 17:03:20 nemo_logging:393] x\n" + data
    ends = [end for _, end in replay_module._console_times(stamped)]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(stamped)


async def test_files_come_out_byte_for_byte_and_paced(tmp_path):
    begin = time.monotonic()
    playing = asyncio.create_task(replay(RECORDING, tmp_path, speed=60))
    await asyncio.sleep(30 / 60)
    half = (tmp_path / "stdout.log").read_bytes()
    await playing
    took = time.monotonic() - begin
    assert {
        str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    } == recorded_files()
    assert 55 / 60 < took < 55 / 60 + 1.5
    minute, second = re.findall(rb"\[NeMo . 2026-11-23 00:(\d\d):(\d\d) ", half)[-1]
    passed = int(minute) * 60 + int(second) - (56 * 60 + 34)
    assert 8 <= passed <= 45  # a busy machine begins late


def test_lines_without_a_stamp_come_with_what_they_tell_of():
    """A validation's line comes with its figure, the finish line after all figures, the exit record last."""
    pieces = schedule(RECORDING)
    told = (RECORDING / "stderr.log").read_bytes()
    events = next(name for name in recorded_files() if "tfevents" in name)
    figures = list(EventFileReader().feed(recorded_files()[events]).points())
    walls = [point.wall for point in figures if point.tag == "val_wer"]
    lines = [told.index(b"Epoch %d, global step" % epoch) for epoch in range(3)]
    came = [next(p.at for p in pieces if p.file == "stderr.log" and p.end > line) for line in lines]
    assert [round(b - a, 2) for a, b in pairwise(came)] == [round(b - a, 2) for a, b in pairwise(walls)]
    finish = next(
        p.at for p in pieces if p.file == "stderr.log" and p.end > told.index(b"`Trainer.fit` stopped")
    )
    assert finish >= max(p.at for p in pieces if p.file == events)
    assert [p.file for p in pieces][-1] == "exit.json"
    assert pieces[-1].at > finish
