"""An evaluation's figures are of the model, the rows and the audio it was prepared with, whatever happens
beside it."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.commands import eval as eval_command
from clinasr_tui.errors import ChoiceError, InputError, RemoteError
from clinasr_tui.evaluation.evaluate import evaluate
from clinasr_tui.evaluation.prepare import prepare, untranscribed_in
from clinasr_tui.evaluation.transcription import CONTACT
from clinasr_tui.launch.plan import Backend
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.evaluating import (
    baseline_of,
    called,
    cycle,
    evaluated,
    mend,
    model,
    said_by,
    spoil,
    transcripts,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clinasr_tui.evaluation.choices import EvalChoices
    from clinasr_tui.evaluation.prepare import Evaluation
    from clinasr_tui.launch import control
    from clinasr_tui.launch.flow import Progress
    from tests.support.sshd import Sshd

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@contextmanager
def busy_gpu(root: Path) -> Iterator[None]:
    """Another run holds the machine's GPU."""
    root.mkdir(exist_ok=True)
    with (root / "gpu.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def queued(evaluation: Evaluation, ssh: SshSettings) -> None:
    """It is sent, waits for the GPU, and is left there."""
    steps: list[str] = []

    def tell(now: Progress) -> bool:
        steps.append(now.text)
        return True

    going = asyncio.create_task(
        evaluate(evaluation, lambda: open_host(evaluation.host, ssh), tell, leaves=lambda: True)
    )
    await until(lambda: any("another run" in text for text in steps), "it was not queued")
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going


def heard(folder: Path) -> set[str]:
    return {row["hyp"] for row in transcripts(folder / "offline_hyps.jsonl")}


def clips(cycle1: Path) -> list[str]:
    rows = (cycle1 / "manifest.jsonl").read_text().splitlines()
    return [Path(json.loads(row)["audio_filepath"]).name for row in rows]


# --- what lies on the machine --------------------------------------------------------------------


@pytest.mark.sshd
async def test_two_models_of_one_name_are_each_heard(
    cycle1: Path, choices: Callable[..., EvalChoices], tmp_path: Path, demo_data: Path, sshd: Sshd
) -> None:
    """`fetch` calls every model adapted_model.nemo, and the first waits while the second is sent."""
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    baseline_of(cycle1, demo_data)
    every = []
    for number, which in enumerate("AB", 2):
        (tmp_path / which).mkdir()
        file = model(tmp_path / which / "adapted_model.nemo", dict.fromkeys(clips(cycle1), f"by {which}"))
        asked = choices(file, host="lab", backend=Backend.LOCAL, cpu=False, out_cycle=number)
        every.append(prepare(cycle1, asked))
    with busy_gpu(tmp_path / "its root"):
        for evaluation in every:
            await queued(evaluation, ssh)
    for evaluation, which in zip(every, "AB", strict=True):
        done = await evaluated(evaluation, ssh=ssh)
        assert heard(done.folder) == {f"by {which}"}


@pytest.mark.sshd
async def test_a_general_sets_audio_never_takes_the_place_of_the_cycles(
    cycle1: Path, choices: Callable[..., EvalChoices], tmp_path: Path, demo_data: Path, sshd: Sshd
) -> None:
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    baseline_of(cycle1, demo_data)
    general = cycle(tmp_path / "general", demo_data, rows=4)
    for clip in (general / "audio").iterdir():
        clip.write_bytes(clip.read_bytes() + b"other speech")
    file = model(tmp_path / "a.nemo", dict.fromkeys(clips(cycle1), "x"))
    asked = {"host": "lab", "backend": Backend.LOCAL, "cpu": False}
    first = prepare(cycle1, choices(file, **asked))
    second = prepare(cycle1, choices(file, **asked, general=general / "manifest.jsonl", only_general=True))
    there = tmp_path / "its root/my-ws/cycle1/audio"
    with busy_gpu(tmp_path / "its root"):
        await queued(first, ssh)
        before = {clip.name: clip.read_bytes() for clip in there.iterdir()}
        await queued(second, ssh)
        assert {clip.name: clip.read_bytes() for clip in there.iterdir()} == before
    for evaluation in (first, second):
        await evaluated(evaluation, ssh=ssh)
    assert len(transcripts(cycle1 / "general_hyps.jsonl")) == 4


@pytest.mark.sshd
async def test_audio_that_cannot_be_read_here_costs_its_row_alone(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices], sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for one who is not root."""
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    refused = clips(cycle1)[3]
    real = Path.open

    def opened(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == refused:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "open", opened)
    done = await evaluated(prepare(cycle1, choices(base, host="lab", backend=Backend.LOCAL)), ssh=ssh)
    assert [(row.line, row.error) for row in done.untranscribed] == [
        (4, "it cannot be read here: Permission denied")
    ]
    assert len(transcripts(cycle1 / "per_sample.json")) == 11


async def test_a_run_that_still_trains_is_not_evaluated_on_the_cpu_beside_it(
    cycle1: Path,
    run: Path,
    choices: Callable[..., EvalChoices],
    demo_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its weights are rewritten after each validation. On a GPU the transcription waits for the run."""
    baseline_of(cycle1, demo_data)

    async def lives(handle: control.RunHandle, _host: object) -> bool:
        return handle.run == "sft1"

    monkeypatch.setattr("clinasr_tui.evaluation.transcription.is_alive", lives)
    with pytest.raises(ChoiceError, match=r"run sft1 still trains: its weights change.*without --cpu"):
        await evaluated(prepare(cycle1, choices(run="sft1", python="", root="")))
    assert not (cycle1.parent / "cycle2").exists()


# --- what changes here meanwhile -----------------------------------------------------------------


async def test_a_manifest_that_changes_meanwhile_is_not_taken_for_what_was_transcribed(
    cycle1: Path, tuned: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    manifest = cycle1 / "manifest.jsonl"
    before = manifest.read_bytes()

    def tell(now: Progress) -> bool:
        if now.step == "transcribing":
            manifest.write_bytes(before.replace(b'"text": "', b'"text": "well ', 1))
        return True

    done = await evaluated(prepare(cycle1, choices(tuned)), tell)
    assert (done.folder / "manifest.jsonl").read_bytes() == before
    assert any("was changed meanwhile" in note for note in done.notes)
    with pytest.raises(InputError, match="cycle2: this cycle is there already"):
        await evaluated(prepare(cycle1, choices(tuned)))
    fresh = await evaluated(prepare(cycle1, choices(tuned, out_cycle=3)))
    assert not fresh.was_there
    assert transcripts(fresh.folder / "offline_hyps.jsonl")[0]["ref"].startswith("well ")


async def test_a_manifest_that_changed_since_it_was_looked_at_is_not_begun_with(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices]
) -> None:
    evaluation = prepare(cycle1, choices(base))
    with (cycle1 / "manifest.jsonl").open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(InputError, match=r"the manifest was changed just now\. Start again"):
        await evaluated(evaluation)


async def test_a_general_set_that_cannot_be_read_is_said_before_anything_is_done(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path
) -> None:
    general = cycle1.parent / "general.jsonl"
    general.write_text('{"audio_filepath": "a.wav", "text": "x"}\nnot json\n')
    with pytest.raises(InputError, match=r"general\.jsonl:2"):
        await evaluated(prepare(cycle1, choices(slow, general=general)))
    assert called(tmp_path) == []


async def test_names_that_are_not_utf8_come_back_as_they_are(
    cycle1: Path, tmp_path: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    rows = [json.loads(line) for line in (cycle1 / "manifest.jsonl").read_text().splitlines()]
    odd = os.fsdecode(b"audio/caf\xe9.flac")
    (cycle1 / rows[0]["audio_filepath"]).rename(cycle1 / odd)
    rows[0]["audio_filepath"] = odd
    rows[1]["audio_filepath"] = "."
    (cycle1 / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = model(tmp_path / "m.nemo", said_by(demo_data, "cycle2/offline_hyps.jsonl"))
    done = await evaluated(prepare(cycle1, choices(file)))
    assert [(row.line, row.error) for row in done.untranscribed] == [(2, "it is no file")]
    assert transcripts(done.folder / "offline_hyps.jsonl")[0]["audio_filepath"] == odd
    assert (await evaluated(prepare(cycle1, choices(file)))).was_there


# --- once more -----------------------------------------------------------------------------------


async def test_again_is_an_attempt_of_its_own_that_is_found_and_retried_like_any(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path, demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    await evaluated(prepare(cycle1, choices(slow)))
    assert len(called(tmp_path)) == 12
    spoil(cycle1)
    done = await evaluated(prepare(cycle1, choices(slow, again=True, out_cycle=3)))
    assert len(called(tmp_path)) == 21, "every row anew, but for the three that are bad now"
    assert untranscribed_in(done.folder) == 3
    # Both cycles are known as made, whichever attempt gave them.
    assert (await evaluated(prepare(cycle1, choices(slow)))).folder.name == "cycle2"
    assert (await evaluated(prepare(cycle1, choices(slow, out_cycle=3)))).was_there
    mend(cycle1, demo_data)
    for given in ({}, {"again": True}):
        await evaluated(prepare(cycle1, choices(slow, out_cycle=3, retry=True, **given)))
        assert len(called(tmp_path)) == 24, "just the rows that had failed"
    assert untranscribed_in(done.folder) == 0


async def test_again_goes_on_once_it_has_begun(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path, demo_data: Path
) -> None:
    """What the desk holds is started again as it is, and the next start without the choice finds it."""
    baseline_of(cycle1, demo_data)
    await evaluated(prepare(cycle1, choices(slow)))
    evaluation = prepare(cycle1, choices(slow, again=True, out_cycle=3, batch_size=2))
    going = asyncio.create_task(evaluated(evaluation))
    await until(lambda: len(called(tmp_path)) >= 15, "it did not start over")
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    await evaluated(evaluation)
    assert len(called(tmp_path)) < 12 + 12 + 2 + 1, "no row was done twice, but for a batch that was cut off"


async def test_what_is_made_wants_a_number_of_its_own_to_be_made_again(
    cycle1: Path, base: Path, tuned: Path, choices: Callable[..., EvalChoices]
) -> None:
    await evaluated(prepare(cycle1, choices(base)))
    with pytest.raises(
        ChoiceError, match=r"cycle 1 is this evaluation already.*Done again it is another cycle.*2 is free"
    ):
        await evaluated(prepare(cycle1, choices(base, again=True)))
    await evaluated(prepare(cycle1, choices(tuned)))
    (cycle1.parent / "cycle7").mkdir()
    with pytest.raises(ChoiceError, match=r"cycle 2 is this evaluation already.*--out-cycle 8"):
        await evaluated(prepare(cycle1, choices(tuned, again=True)))


async def test_a_general_set_alone_is_retried_and_leaves_the_cycles_record(
    cycle1: Path, slow: Path, base: Path, choices: Callable[..., EvalChoices], tmp_path: Path, demo_data: Path
) -> None:
    await evaluated(prepare(cycle1, choices(base)))
    general = cycle(tmp_path / "general", demo_data, rows=6)
    spoil(general)
    asked = {"general": general / "manifest.jsonl", "only_general": True}
    done = await evaluated(prepare(cycle1, choices(slow, **asked)))
    assert [row.line for row in done.general_untranscribed] == [2, 4, 5]
    info = json.loads((cycle1 / "eval_info.json").read_text())
    assert (info["model"], info["general_model"]) == ("base", "slow")
    assert [row["line"] for row in info["general_untranscribed"]] == [2, 4, 5]
    with pytest.raises(ChoiceError, match=r"the general set is transcribed already.*--retry"):
        prepare(cycle1, choices(slow, **asked))
    mend(general, demo_data)
    calls = len(called(tmp_path))
    done = await evaluated(prepare(cycle1, choices(slow, **asked, retry=True)))
    assert (len(called(tmp_path)) - calls, done.general_untranscribed) == (3, ())
    assert len(transcripts(cycle1 / "general_hyps.jsonl")) == 6
    assert json.loads((cycle1 / "eval_info.json").read_text())["general_untranscribed"] == []


# --- the end of it ------------------------------------------------------------------------------


async def test_a_cycle_that_is_deleted_meanwhile_ends_the_work_and_says_so(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path
) -> None:
    going = asyncio.create_task(evaluated(prepare(cycle1, choices(slow, batch_size=1))))
    await until(lambda: len(called(tmp_path)) >= 2, "it never began")
    shutil.rmtree(cycle1)
    with pytest.raises(InputError, match=r"the cycle was deleted while it was evaluated.*told to end on"):
        await going
    folder = next(iter((tmp_path / "its root/my-ws/evals").glob("*")))
    assert (folder / "exit.json").exists(), "nothing goes on there"


async def test_work_that_cannot_be_told_to_end_is_told_as_going_on(
    cycle1: Path,
    slow: Path,
    choices: Callable[..., EvalChoices],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[Progress] = []

    async def no_contact(*_: object, **__: object) -> bool:
        raise RemoteError("connection refused")

    evaluation = prepare(cycle1, choices(slow, batch_size=1))
    going = asyncio.create_task(evaluated(evaluation, lambda now: steps.append(now) is None))
    await until(lambda: len(called(tmp_path)) >= 2, "it never began")
    with monkeypatch.context() as patch:
        patch.setattr("clinasr_tui.evaluation.transcription.cancel", no_contact)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
    assert steps[-1].step == CONTACT
    assert "could not be told to end (connection refused): it goes on there" in steps[-1].text
    assert "follows it again" in eval_command._interrupted(argparse.Namespace(again=False), steps[-1].step)
    await evaluated(evaluation)
