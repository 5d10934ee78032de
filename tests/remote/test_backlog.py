"""Mirrored first, read when there is time: every byte once, in order, whatever is broken off."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.remote import backlog as backlog_module
from clinasr_tui.remote import contact
from clinasr_tui.remote.mirror import Mirror
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training.log_lines import LogLines
from tests.support.event_records import scalar
from tests.support.following import Following


class Heard:
    """Stands for a reader: keeps what it is fed, file by file."""

    def __init__(self):
        self.fed = []

    def feed(self, file, data, *, at=None):
        self.fed.append((file, data, at))
        return LogLines()

    def bytes_of(self, path):
        return b"".join(data for file, data, _ in self.fed if file == path)


pieces = st.tuples(st.sampled_from(["console.log", "stderr.log"]), st.binary(min_size=1, max_size=30))


@given(st.lists(st.one_of(pieces, st.none()), max_size=30))
@settings(max_examples=60, deadline=None)
def test_what_is_added_is_fed_once_in_order(steps):
    """None is a pause, in which a slice is read."""
    mirror, heard, written = Mirror(None, "x"), Heard(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog_module, "SLICE", 7)
        for number, one in enumerate(steps):
            if one is None:
                if mirror.backlog:
                    mirror.backlog.read(mirror.read, heard)
                continue
            path, data = one
            mirror.begin(path, "1:1")
            start = mirror.size(path)
            mirror.append(path, data)
            mirror.backlog.add(path, mirror.name(path), start, start + len(data), float(number))
            written[path] = written.get(path, b"") + data
        while mirror.backlog:
            mirror.backlog.read(mirror.read, heard)
    assert {path: heard.bytes_of(path) for path in written} == written
    assert all(len(data) <= 7 for _, data, _ in heard.fed)
    mirror.close()


def test_bytes_gone_from_the_mirror_are_one_clear_line():
    mirror, heard = Mirror(None, "x"), Heard()
    mirror.begin("console.log", "1:1")
    mirror.append("console.log", b"text\n")
    mirror.backlog.add("console.log", "console.log", 0, 5, 1.0)
    (mirror.folder / "console.log").write_bytes(b"")
    with pytest.raises(InputError, match=r"bytes that were written are gone.*Leave the mirror"):
        mirror.backlog.read(mirror.read, heard)
    (mirror.folder / "console.log").unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        mirror.backlog.read(mirror.read, heard)
    assert mirror.backlog
    mirror.close()


def line(number):
    return f"[NeMo I 2026-11-22 17:03:20 nemo_logging:393] line {number} {'x' * 300}\n".encode()


@pytest.fixture
def burst(tmp_path):
    """A run folder with 20 MB in it."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "console.log").write_bytes(b"".join(map(line, range(60_000))))
    return run


async def test_mirrored_before_it_is_read_and_read_to_the_end(burst, tmp_path, monkeypatch):
    monkeypatch.setattr(contact, "_READ_EVERY", 60.0)
    monkeypatch.setattr(contact, "_PAUSE", 1.0)
    size, behind = (burst / "console.log").stat().st_size, []
    watch = RunWatch(str(burst), mirror=tmp_path / "mirror")
    original = watch.reader.feed

    def feed(file, data, *, at=None):
        behind.append((tmp_path / "mirror" / "console.log").stat().st_size)
        return original(file, data, at=at)

    monkeypatch.setattr(watch.reader, "feed", feed)
    lines = [one async for update in watch.updates(once=True) for one in update.lines]
    assert behind[len(behind) // 2] == size
    assert [one.offset for one in lines] == sorted({one.offset for one in lines})
    assert len(lines) == 60_000
    assert sum(one.length + 1 for one in lines) == size


async def test_broken_off_in_a_burst_it_goes_on_where_it_was(burst, tmp_path, monkeypatch):
    monkeypatch.setattr(contact, "_READ_EVERY", 0.0)
    watch = RunWatch(str(burst), mirror=tmp_path / "mirror")
    lines = []
    updates = watch.updates()
    async for update in updates:
        lines += update.lines
        if lines:
            break
    await updates.aclose()
    assert 0 < len(lines) < 60_000
    async with Following(watch) as told:
        await told.caught_up()
        lines += [one for update in told.updates for one in update.lines]
    assert [one.offset for one in lines] == sorted({one.offset for one in lines})
    assert len(lines) == 60_000


async def test_truncated_while_behind_both_lives_are_read(burst, tmp_path):
    watch = RunWatch(str(burst), mirror=tmp_path / "mirror")
    async with Following(watch) as told:
        await told.until((tmp_path / "mirror" / "console.log").exists, "the first bytes")
        (burst / "console.log").write_bytes(line("new"))
        await told.until(
            lambda: any(u.lines and "~2" in u.lines[-1].file for u in told.updates), "the new life"
        )
    first = (tmp_path / "mirror" / "console.log").read_bytes()
    lines = [one for update in told.updates for one in update.lines]
    old = [one for one in lines if one.file == "console.log"]
    assert len(old) in (first.count(b"\n"), first.count(b"\n") + 1)
    assert [one.file for one in lines[len(old) :]] == ["console.log~2"]


async def test_damage_in_an_event_file_is_told_once(tmp_path):
    records = [scalar("train_loss", step, 100.0 + step, 0.5) for step in range(60)]
    broken = bytearray(records[30])
    broken[9] ^= 1
    run = tmp_path / "run"
    run.mkdir()
    (run / "events.out.tfevents.1.vm.2.0").write_bytes(b"".join([*records[:30], broken, *records[31:]]))
    (run / "rc").write_text("0\n")
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    notes = [update.note async for update in watch.updates(once=True) if update.note]
    assert len(notes) == 1
    assert "events.out.tfevents.1.vm.2.0 is damaged: 1 record or stretch was skipped" in notes[0]
    assert len(watch.reader.train_loss) == 59
