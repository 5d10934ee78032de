"""Following a folder of this machine: growth, truncation, replacement, resuming, the end."""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from clinasr_tui.errors import InputError
from clinasr_tui.remote import contact
from clinasr_tui.remote.run_watch import Contact, RunWatch
from clinasr_tui.training.snapshot import Outcome
from tests.support.following import Following, append, nemo

STANDARD_3_6 = {
    "contextlib", "fnmatch", "hashlib", "json", "os", "re", "select", "signal", "stat", "subprocess", "sys",
    "time",
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    append(folder / "console.log", nemo("first"))
    return folder


async def test_lines_come_as_they_are_written(run, tmp_path):
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as told:
        await told.caught_up()
        for number in range(5):
            append(run / "console.log", nemo(f"line {number}"))
            await told.until(
                lambda n=number: any(f"line {n}" in text for text in told.texts), f"line {number}"
            )
    assert [text.split("] ")[1] for text in told.texts] == ["first", *(f"line {n}" for n in range(5))]
    assert (tmp_path / "mirror" / "console.log").read_bytes() == (run / "console.log").read_bytes()


async def test_updates_are_coalesced(run):
    async with Following(RunWatch(str(run))) as told:
        await told.caught_up()
        for number in range(300):
            append(run / "console.log", nemo(f"line {number}"))
            await asyncio.sleep(0.003)
        await told.until(lambda: len(told.texts) == 301, "all lines")
    gaps = [after - before for before, after in zip(told.times, told.times[1:], strict=False)]
    busy = [gap for gap in gaps[3:] if gap < 0.09]
    assert not busy, f"updates {min(busy):.3f} s apart"


async def test_truncated_file_starts_over_and_old_lines_stay_readable(run, tmp_path):
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as told:
        await told.caught_up()
        (run / "console.log").write_bytes(nemo("new"))
        await told.until(lambda: any("new" in text for text in told.texts), "the new beginning")
        append(run / "console.log", nemo("and on"))
        await told.until(lambda: any("and on" in text for text in told.texts), "what follows it")
    assert [text.split("] ")[1] for text in told.texts] == ["first", "new", "and on"]
    assert "console.log was truncated" in told.notes
    assert (tmp_path / "mirror" / "console.log").read_bytes() == nemo("first")
    assert (tmp_path / "mirror" / "console.log~2").read_bytes() == nemo("new") + nemo("and on")


async def test_truncated_and_grown_past_the_old_end_is_noticed(run):
    async with Following(RunWatch(str(run))) as told:
        await told.caught_up()
        (run / "console.log").write_bytes(nemo("something quite different and longer") * 3)
        await told.until(lambda: len(told.texts) == 4, "all of the new file")
    assert all("different" in text for text in told.texts[1:])


async def test_rotated_file_is_read_to_its_end_first(run):
    async with Following(RunWatch(str(run))) as told:
        await told.caught_up()
        append(run / "console.log", nemo("last of the old"))
        (run / "console.log").replace(run / "console.log.1")
        append(run / "console.log.1", nemo("written after the rename"))
        append(run / "console.log", nemo("first of the new"))
        await told.until(lambda: any("of the new" in text for text in told.texts), "the new file")
    kinds = [text.split("] ")[1] for text in told.texts]
    assert kinds == ["first", "last of the old", "written after the rename", "first of the new"]
    assert "console.log was replaced" in told.notes


async def test_new_files_are_found_three_folders_down_and_no_deeper(run, tmp_path):
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as told:
        await told.caught_up()
        append(run / "a/b/c/events.out.tfevents.1.vm.2.0", b"x" * 20)
        append(run / "a/b/c/d/events.out.tfevents.3.vm.4.0", b"y" * 20)
        found = tmp_path / "mirror/a/b/c/events.out.tfevents.1.vm.2.0"
        await told.until(lambda: found.exists() and found.stat().st_size == 20, "the event file")
        await asyncio.sleep(0.3)
    assert not (tmp_path / "mirror/a/b/c/d").exists()


async def test_a_pipe_in_the_folder_does_not_block(run):
    os.mkfifo(run / "rc")
    async with Following(RunWatch(str(run))) as told:
        await told.caught_up()
        append(run / "console.log", nemo("still here"))
        await told.until(lambda: len(told.texts) == 2, "the next line")


async def test_history_first_then_only_the_bytes_after_it(run, tmp_path):
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as told:
        await told.caught_up()
        (run / "console.log").write_bytes(nemo("second life"))
        await told.until(lambda: len(told.texts) == 2, "the second life")
    append(run / "console.log", nemo("while away"))
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as again:
        await again.caught_up()
        history = [update for update in again.updates if update.contact is Contact.CONNECTING]
        assert sum(len(update.lines) for update in history) == 2
        assert [text.split("] ")[1] for text in again.texts] == ["first", "second life", "while away"]
    assert (tmp_path / "mirror" / "console.log~2").read_bytes() == (run / "console.log").read_bytes()


async def test_file_replaced_while_away_starts_over(run, tmp_path):
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async for _ in watch.updates(once=True):
        pass
    (run / "console.log").write_bytes(nemo("another run of the same folder") * 4)
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as told:
        await told.caught_up()
    assert [text.split("] ")[1] for text in told.texts][:2] == ["first", "another run of the same folder"]
    assert len(told.texts) == 5
    assert "replaced" in told.notes


async def test_another_runs_mirror_is_put_aside(run, tmp_path):
    other = tmp_path / "other"
    append(other / "console.log", nemo("the other run"))
    for folder in (other, run):
        async for _ in RunWatch(str(folder), mirror=tmp_path / "mirror").updates(once=True):
            pass
    assert (tmp_path / "mirror" / "console.log").read_bytes() == nemo("first")
    assert (tmp_path / "mirror" / "earlier~1" / "console.log").read_bytes() == nemo("the other run")


async def test_two_watchers_of_one_mirror_do_not_mix_their_bytes(run, tmp_path):
    async with (
        Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as one,
        Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as two,
    ):
        await one.caught_up()
        await two.caught_up()
        append(run / "console.log", nemo("for both"))
        await one.until(lambda: len(one.texts) == 2, "the line, here")
        await two.until(lambda: len(two.texts) == 2, "the line, there")
    assert "another process follows" in two.notes
    assert (tmp_path / "mirror" / "console.log").read_bytes() == nemo("first") + nemo("for both")


async def test_following_ends_with_the_exit_record(run):
    async with Following(RunWatch(str(run))) as told:
        await told.caught_up()
        append(run / "console.log", b"`Trainer.fit` stopped: `max_epochs=3` reached.\n")
        append(run / "rc", b"0\n")
        await told.until(told.task.done, "the end", 5)
    assert told.contact is Contact.CLOSED
    assert told.watch.reader.snapshot().exit_code == 0
    assert any("Trainer.fit" in text for text in told.texts)


async def test_exit_record_never_overtakes_the_console(tmp_path):
    """Whatever was written before the exit record is read before it."""
    run = tmp_path / "run"
    run.mkdir()
    watch = RunWatch(str(run))
    seen = []
    async with Following(watch) as told:
        await told.caught_up()
        original = watch.reader.feed
        watch.reader.feed = lambda file, data, at=None: (
            seen.append((file, len(data))),
            original(file, data, at=at),
        )[1]
        append(run / "console.log", nemo("x" * 90) * 120_000)  # more than one share
        append(run / "exit.json", b'{"exit_code": 1}')
        await told.until(told.task.done, "the end", 15)
    assert seen[-1] == ("exit.json", 16)
    assert sum(size for file, size in seen if file == "console.log") == len(nemo("x" * 90)) * 120_000


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("hot", Outcome.DIVERGED), ("kill9", Outcome.FAILED), ("stockdefault", Outcome.FINISHED)],
)
async def test_recorded_folder_is_read_once_and_not_written_to(recordings, name, outcome):
    def state():
        return {p: p.stat().st_mtime_ns for p in [recordings / name, *(recordings / name).rglob("*")]}

    before = state()
    watch = RunWatch(str(recordings / name))
    async for update in watch.updates(once=True):
        last = update
    assert last.contact is Contact.CLOSED
    assert last.caught_up
    assert watch.reader.snapshot().outcome is outcome
    assert state() == before


async def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: the run folder does not exist"):
        async for _ in RunWatch(str(tmp_path / "nowhere")).updates(once=True):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        async for _ in RunWatch(str(tmp_path / "file")).updates():
            pass


async def test_unwritable_mirror_is_one_clear_line(run, tmp_path):
    (tmp_path / "mirror").write_text("a file stands in the way")
    with pytest.raises(InputError, match="cannot be mirrored"):
        async for _ in RunWatch(str(run), mirror=tmp_path / "mirror").updates(once=True):
            pass


async def test_leaving_ends_the_follower(run):
    def followers():
        marker = b"exec(sys.stdin.buffer.read("
        pids = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [pid for pid in pids if marker in _cmdline(pid) and _parent(pid) == os.getpid()]

    async with Following(RunWatch(str(run))) as told:
        await told.caught_up()
        assert len(followers()) == 1
    assert followers() == []


def _cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("part", contact._SCRIPT, ids=lambda part: part.__name__.rpartition(".")[2])
def test_the_follower_is_python_3_6(part):
    """It runs on the host's Python, which may be old; annotations are evaluated there."""
    source = Path(part.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= STANDARD_3_6
    evaluated = [
        note
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for note in [node.returns, *(argument.annotation for argument in node.args.args)]
        if note is not None
    ]
    assert not any(isinstance(note, ast.Subscript | ast.BinOp) for note in evaluated)


async def test_an_exit_record_that_was_moved_away_is_not_believed(run, tmp_path):
    """A resumed run has moved the record of its earlier start and has not said a word yet."""
    (run / "exit.json").write_text('{"exit_code": 0, "asked": "SIGTERM"}')
    watch = RunWatch(str(run), mirror=tmp_path / "mirror")
    async for _ in watch.updates():
        pass
    assert watch.reader.snapshot().outcome is Outcome.INTERRUPTED
    (run / "start_0").mkdir()
    for name in ("exit.json", "console.log"):
        (run / name).rename(run / "start_0" / name)
    (run / "console.log").touch()
    async with Following(RunWatch(str(run), mirror=tmp_path / "mirror")) as told:
        await told.caught_up()
        await asyncio.sleep(1.5)  # longer than an ended run is listened to
        assert told.contact is Contact.CONNECTED
        assert told.watch.reader.snapshot().outcome is not Outcome.INTERRUPTED
        (run / "exit.json").write_text('{"exit_code": 1}')
        await told.until(lambda: told.watch.reader.snapshot().exit_code == 1, "the new record")


async def test_a_mirror_in_the_runs_own_folder_is_not_followed(tmp_path, recordings):
    """A run that lies in the workspace has its mirror beside its files; so may a copy of one elsewhere."""
    run = tmp_path / "run"
    shutil.copytree(recordings / "hot", run)
    hour_ago = time.time() - 3600
    for path in run.rglob("*"):
        os.utime(path, (hour_ago, hour_ago))
    watch = RunWatch(str(run), mirror=run / "mirror")
    async with Following(watch) as told:
        await told.until(told.task.done, "the end")
    assert [path.name for path in (run / "mirror").rglob("*tfevents*")] == [
        path.name for path in (run / "run").glob("*tfevents*")
    ]
    assert watch.reader.snapshot().exit_code == 0
    shutil.copytree(run / "mirror", run / "kept/mirror")
    again = RunWatch(str(run), mirror=tmp_path / "elsewhere")
    async for _ in again.updates(once=True):
        pass
    assert again.reader.snapshot().points == watch.reader.snapshot().points
    assert not (tmp_path / "elsewhere/kept").exists()
