"""A connection cut after any number of bytes, again and again: the same bytes and the same run."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clinasr_tui.remote import run_watch
from clinasr_tui.remote.local import LocalHost
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training.layout import kind_of
from clinasr_tui.training.run_reader import read_run_folder


class CutProcess:
    """A real follower whose connection breaks after `left` bytes of output."""

    def __init__(self, process, left):
        self._process, self._left = process, left

    async def read(self, n=1 << 18):
        data = (await self._process.read(min(n, self._left))) if self._left else b""
        self._left -= len(data)
        return data

    async def wait(self):
        return None, b""

    async def write(self, data):
        await self._process.write(data)

    async def close(self):
        await self._process.close()


def cutting(lengths):
    """Hosts whose connections break after so many bytes each; the last one holds."""
    remaining = iter(lengths)

    @asynccontextmanager
    async def host(name, ssh):
        async with LocalHost() as real:
            start = real.start

            async def cut_start(argv):
                process = await start(argv)
                left = next(remaining, None)
                return process if left is None else CutProcess(process, left)

            real.start = cut_start
            yield real

    return host


@pytest.fixture(scope="module")
def recording(recordings, tmp_path_factory):
    """The recorded run with an exit record, and what reading it at once gives."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    shutil.copytree(recordings / "sft3", folder)
    (folder / "rc").write_bytes(b"0\n")
    return folder, read_run_folder(folder).snapshot()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(run_watch, "_TICK", 0.0)
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_EXIT", 0.1)
    return monkeypatch


def assert_same_bytes(folder, mirror):
    """What is watched is here, byte for byte; nothing started over."""
    followed = [path.relative_to(folder) for path in folder.rglob("*") if kind_of(path.name)]
    assert len(followed) > 2
    for path in followed:
        assert (mirror / path).read_bytes() == (folder / path).read_bytes()
    assert not list(mirror.rglob("*~*"))


# The first cut comes after the greeting: before it the follower has not started.
CUTS = st.lists(st.integers(300, 80_000), min_size=1, max_size=4)


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(cuts=CUTS)
@example(cuts=[20, 21, 150, 151, 400])
async def test_a_connection_cut_anywhere_loses_and_doubles_nothing(recording, quick, cuts):
    folder, whole = recording
    quick.setattr(run_watch, "open_host", cutting(cuts))
    with tempfile.TemporaryDirectory() as temporary:
        mirror = Path(temporary)
        watch = RunWatch(str(folder), mirror=mirror)
        lines = []
        async for update in watch.updates():
            lines += update.lines
        assert_same_bytes(folder, mirror)
    places = [(line.file, line.offset) for line in lines]
    assert len(places) == len(set(places))
    now = watch.reader.snapshot()
    for name in ("outcome", "points", "step", "val_wer", "samples", "exit_code", "damaged", "health"):
        assert getattr(now, name) == getattr(whole, name), name
