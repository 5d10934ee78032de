"""Recorded runs looked at again and again while they happen: no false alarm on the way, an ETA that holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinasr_tui.demo.replay import schedule
from clinasr_tui.training.run_reader import RunReader
from clinasr_tui.training.snapshot import Level, Outcome

BEGAN = 1000.0


def moments(recording, apart):
    """Seconds since the beginning and the snapshot then, about `apart` seconds apart; the end comes last."""
    reader, data, fed, next_look = RunReader("r"), {}, {}, 0.0
    pieces = schedule(recording)
    # What carries no time stamps is placed at the first event; an exit record comes last.
    pieces = sorted(pieces, key=lambda piece: piece.file == "rc")
    for piece in pieces:
        if piece.at >= next_look:
            yield piece.at, reader.snapshot(BEGAN + piece.at)
            next_look = piece.at + apart
        whole = data.setdefault(piece.file, (recording / piece.file).read_bytes())
        reader.feed(piece.file, whole[fed.get(piece.file, 0) : piece.end], at=BEGAN + piece.at)
        fed[piece.file] = piece.end
    last = max(piece.at for piece in pieces)
    yield last, reader.snapshot(BEGAN + last)


@pytest.fixture
def recording(recordings):
    return recordings / "sft3"


def test_the_healthy_run_never_alarms_on_its_way(recording):
    seen = list(moments(recording, 0.3))
    assert len(seen) > 100
    assert {alert.id for _, snapshot in seen for alert in snapshot.health} == set()
    assert {snapshot.outcome for _, snapshot in seen[1:-1]} <= {Outcome.RUNNING, Outcome.FINISHED}
    assert seen[-1][1].outcome is Outcome.FINISHED


def test_the_time_left_is_about_right_after_the_first_seconds(recording):
    seen = list(moments(recording, 0.5))
    end = seen[-1][0]
    known = [(end - at, snapshot.eta_seconds) for at, snapshot in seen if (snapshot.step or 0) >= 20]
    known = [(left, eta) for left, eta in known if eta is not None]
    assert len(known) > 40
    for left, eta in known:
        assert abs(eta - left) <= 0.25 * left + 3, (left, eta)


@pytest.mark.parametrize(
    ("name", "first"), [("hot", {"nan_loss"}), ("oom", {"oom"}), ("missing", {"missing_audio"})]
)
def test_trouble_is_named_as_soon_as_it_is_there(recordings: Path, name, first):
    seen = [snapshot for _, snapshot in moments(recordings / name, 0.2)]
    errors = [[alert.id for alert in one.health if alert.severity is Level.ERROR] for one in seen]
    began = next(number for number, found in enumerate(errors) if found)
    assert set(errors[began]) <= first | {"unk_collapse"}
    assert errors[-1][0] in first
    if name == "hot":
        assert seen[began].outcome is Outcome.RUNNING
        assert seen[began].points <= 5
