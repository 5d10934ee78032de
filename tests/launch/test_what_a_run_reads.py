"""A run that waits reads what it was launched with, whatever is launched or evaluated meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.flywheel.workspace import open_cycle
from clinasr_tui.launch.control import RunHandle, cancel
from clinasr_tui.launch.flow import Launched, launch
from clinasr_tui.launch.packing import marked, pack
from clinasr_tui.launch.places import Places
from clinasr_tui.launch.record import read_record
from clinasr_tui.launch.runs import launch_run
from clinasr_tui.launch.send import Item, send
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.launching import ended, folder_of, until

if TYPE_CHECKING:
    from clinasr_tui.launch.plan import Plan

pytestmark = pytest.mark.usefixtures("no_process_stays")
GATE = {"verdict": "pass", "route": "finetune", "reasons": [], "override": None}


async def started(plan: Plan, split: tuple[Path, Path]) -> Launched:
    async with open_host(None, SshSettings()) as host:
        return await launch(plan, split, host, lambda _: True, lambda _: None)


def read_by(plan: Plan) -> list[tuple[str, str]]:
    """What a run will read: the text and the audio's checksum of each row, by its own command."""
    argv = json.loads((folder_of(plan) / "launch.json").read_text())["argv"]
    paths = [word.partition("=")[2].strip("'") for word in argv if "manifest_filepath" in word]
    rows = [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]
    return [(row["text"], sha256(Path(row["audio_filepath"]))) for row in rows]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_queued_run_reads_what_it_was_launched_with(
    plan: Callable[[str], Plan], split: tuple[Path, Path]
) -> None:
    first, queued, later = plan("wait-1"), plan("sft3-queued"), plan("sft3-new")
    await started(first, split)
    await until((folder_of(first) / "run").exists, "it never began")
    await started(queued, split)
    console = folder_of(queued) / "stdout.log"
    await until(lambda: console.exists() and "queued" in console.read_text(), "it did not wait")
    before = read_by(queued)
    assert len(before) == 8

    rows = split[0].read_text().splitlines(keepends=True)[:3]
    split[0].write_text("".join(rows).replace('"text": "', '"text": "other '))
    changed, kept = (split[0].parent / json.loads(row)["audio_filepath"] for row in rows[:2])
    changed.write_bytes(kept.read_bytes())
    sent = (await started(later, split)).prepared.sent

    assert read_by(queued) == before
    assert read_by(later) != before
    assert sha256(changed) in [audio for _, audio in read_by(later)]
    # Wrapper, what it is told, two manifests, and the one clip that is another now.
    assert (sent.files, sent.there) == (5, 4)
    async with open_host(None, SshSettings()) as host:
        await cancel(RunHandle("wait-1", str(folder_of(first)), None), host)
    await ended(queued)
    await ended(later)


async def test_audio_that_is_there_under_another_name_is_not_sent_again(
    split: tuple[Path, Path], tmp_path: Path
) -> None:
    """As an evaluation sends it, before and after a run."""
    root, places = tmp_path / "root", Places(str(tmp_path / "root"), "demo", 1, "a")
    packed = pack(*split, places)
    audio = [item for item in packed.items if isinstance(item.source, Path)]
    plain = [
        Item(place, item.source, partial(marked, place))
        for item in audio
        if isinstance(item.source, Path)
        for place in [f"demo/cycle1/{item.source.relative_to(split[0].parent)}"]
    ]
    async with open_host(None, SshSettings()) as host:
        assert (await send(host, str(root), plain[:4])).files == 4
        assert (await send(host, str(root), audio)).files == len(audio) - 4
        assert (await send(host, str(root), plain)).files == 0
        # A name that gets another content leaves the other one alone.
        assert (await send(host, str(root), [Item(plain[0].path, b"other")])).files == 1
    assert (root / plain[0].path).read_bytes() == b"other"
    for item in audio:
        assert isinstance(item.source, Path)
        assert (root / item.path).read_bytes() == item.source.read_bytes()
    assert not list(root.rglob("*.part"))


@pytest.mark.parametrize("name", ["x", "ä" * 120 + ".flac", ".hidden", "a.b.wav", "s" * 250 + ".wav"])
def test_a_marked_name_fits_and_is_another_for_another_content(name: str) -> None:
    one, two = marked(f"ws/cycle1/{name}", "a" * 64), marked(f"ws/cycle1/{name}", "b" * 64)
    assert one != two
    folder, _, last = one.rpartition("/")
    assert folder == "ws/cycle1"
    assert len(os.fsencode(last + "." + "a" * 12 + ".part")) <= 255
    assert Path(last).suffix == Path(name).suffix


async def test_a_resumed_runs_record_keeps_what_it_was_started_with(
    plan: Callable[[str], Plan], split: tuple[Path, Path]
) -> None:
    cycle, one = open_cycle(split[0].parent), plan("sft3")
    async with open_host(None, SshSettings()) as host:
        await launch_run(one, cycle, host, lambda _: True, host_name=None, gate=GATE)
        await ended(one)
        first = read_record(cycle.folder / "models/sft3")["data"]
        split[0].write_text("".join(split[0].read_text().splitlines(keepends=True)[:3]))
        again = replace(one, resume=True)
        await launch_run(again, cycle, host, lambda _: True, host_name=None, gate=GATE)
        await ended(one)
    record = read_record(cycle.folder / "models/sft3")
    assert (first["train_rows"], record["data"]["train_rows"]) == (6, 3)
    assert [start["data"] for start in record["earlier"]] == [first]
