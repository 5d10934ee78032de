"""Evaluations made for real: detached processes, a real sshd, a real Docker engine; a stand-in for NeMo."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.evaluation.begun import begun
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.evaluate import Evaluated, evaluate
from clinasr_tui.evaluation.prepare import Evaluation, prepare, untranscribed_in
from clinasr_tui.launch.plan import Backend
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.evaluating import cycle, model, python_with_stand_in, said_by, transcripts

if TYPE_CHECKING:
    from clinasr_tui.launch.flow import Progress
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture
def python(tmp_path: Path) -> str:
    return str(python_with_stand_in(tmp_path))


@pytest.fixture
def cycle1(tmp_path: Path, demo_data: Path) -> Path:
    """Twelve real rows without transcripts."""
    return cycle(tmp_path / "my ws/cycle1", demo_data)


@pytest.fixture
def base(tmp_path: Path, demo_data: Path) -> Path:
    return model(tmp_path / "base.nemo", said_by(demo_data, "cycle1/per_sample.json"))


@pytest.fixture
def tuned(tmp_path: Path, demo_data: Path) -> Path:
    return model(tmp_path / "sft.nemo", said_by(demo_data, "cycle2/offline_hyps.jsonl"))


@pytest.fixture
def slow(tmp_path: Path, demo_data: Path) -> Path:
    """Takes its time over each row and notes it."""
    texts = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    return model(tmp_path / "slow.nemo", texts, seconds=0.15, calls=str(tmp_path / "calls"))


@pytest.fixture
def choices(tmp_path: Path, python: str) -> Callable[..., EvalChoices]:
    def made(model: Path | str = "", **given: Any) -> EvalChoices:
        asked: dict[str, Any] = {"root": str(tmp_path / "its root"), "python": python, "cpu": True, **given}
        return EvalChoices(model=str(model), **asked)

    return made


async def evaluated(
    evaluation: Evaluation,
    tell: Callable[[Progress], bool] = lambda _: True,
    ssh: SshSettings | None = None,
) -> Evaluated:
    return await evaluate(evaluation, lambda: open_host(evaluation.host, ssh or SshSettings()), tell)


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def baseline_of(folder: Path, demo_data: Path) -> None:
    """Give the cycle the transcripts of the demo's base model."""
    texts = said_by(demo_data, "cycle1/per_sample.json")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        row |= {"ref": row.pop("text"), "hyp": texts[Path(row["audio_filepath"]).name]}
    (folder / "per_sample.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


async def test_a_base_gives_the_cycle_its_transcripts(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    steps: list[Progress] = []
    done = await evaluated(prepare(cycle1, choices(base)), lambda now: steps.append(now) is None)
    rows = transcripts(cycle1 / "per_sample.json")
    golden = {row["audio_filepath"]: row for row in transcripts(demo_data / "cycle1/per_sample.json")}
    assert rows == [golden[row["audio_filepath"]] for row in rows]
    assert (done.folder, done.number, done.untranscribed, done.was_there) == (cycle1, 1, (), False)
    assert len((cycle1 / "results.csv").read_text().splitlines()) == 13
    assert "12" in (cycle1 / "leaderboard_cycle1.md").read_text()
    info = json.loads((cycle1 / "eval_info.json").read_text())
    assert (info["model"], info["versions"]["nemo"], info["rows"]) == ("base", "none: a stand-in", 12)
    assert "trained_on_cycle" not in info
    told = [now for now in steps if now.fraction is not None and now.step == "transcribing"]
    assert told[-1].fraction == 1.0
    assert "12 of 12 rows, on cpu" in told[-1].text


async def test_a_tuned_model_makes_the_next_cycle_and_pairs_with_the_one_before(
    cycle1: Path, tuned: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    from clinasr_tui.flywheel.preflight import check_manifest
    from clinasr_tui.flywheel.review import comparison_of, scored_cycle
    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import open_cycle

    baseline_of(cycle1, demo_data)
    before = names(cycle1)
    done = await evaluated(prepare(cycle1, choices(tuned)))
    cycle2 = cycle1.parent / "cycle2"
    assert done.folder == cycle2
    assert names(cycle2) == [
        "audio",
        "eval_info.json",
        "leaderboard_cycle2.md",
        "manifest.jsonl",
        "offline_hyps.jsonl",
        "results.csv",
    ]
    assert names(cycle1) == sorted([*before, "evals"])
    assert (cycle2 / "manifest.jsonl").read_bytes() == (cycle1 / "manifest.jsonl").read_bytes()
    assert check_manifest(cycle2 / "manifest.jsonl").ok
    a, b = (scored_cycle(open_cycle(folder)) for folder in (cycle1, cycle2))
    assert (a.warnings, b.warnings) == ((), ())
    result = comparison_of(a.rows, b.rows, None, Settings())
    assert len(result.pairs) == 12
    assert result.every.headline["ker"].b < result.every.headline["ker"].a


async def test_a_baseline_asked_for_again_makes_no_further_cycle(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices]
) -> None:
    await evaluated(prepare(cycle1, choices(base)))
    again = await evaluated(prepare(cycle1, choices(base)))
    assert (again.folder, again.was_there) == (cycle1, True)
    assert names(cycle1.parent) == ["cycle1"]


async def test_the_same_call_again_does_nothing_and_another_model_is_refused(
    cycle1: Path, tuned: Path, base: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    await evaluated(prepare(cycle1, choices(tuned)))
    written = (cycle1.parent / "cycle2/eval_info.json").stat().st_mtime_ns
    assert (await evaluated(prepare(cycle1, choices(tuned)))).was_there
    assert (cycle1.parent / "cycle2/eval_info.json").stat().st_mtime_ns == written
    with pytest.raises(
        InputError, match=r"cycle2: this cycle is there already. Write another one: as cycle 3"
    ):
        await evaluated(prepare(cycle1, choices(base)))
    assert (await evaluated(prepare(cycle1, choices(base, out_cycle=3)))).folder.name == "cycle3"


async def test_a_cycle_that_came_meanwhile_is_not_written_over(
    cycle1: Path, tuned: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    other = cycle1.parent / "cycle2/offline_hyps.jsonl"

    def tell(now: Progress) -> bool:
        if now.step == "scoring":
            other.parent.mkdir()
            other.write_text("another's")
        return True

    evaluation = prepare(cycle1, choices(tuned))
    with pytest.raises(InputError, match=r"cycle2: this cycle is there already"):
        await evaluated(evaluation, tell)
    assert names(other.parent) == ["offline_hyps.jsonl"]
    assert other.read_text() == "another's"
    moved = await evaluated(prepare(cycle1, choices(tuned, out_cycle=3)))
    assert (moved.folder.name, moved.was_there) == ("cycle3", False)


def test_what_is_sent_does_not_depend_on_the_cycle_it_becomes(
    cycle1: Path, tuned: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    two, three = (prepare(cycle1, choices(tuned, host="lab", out_cycle=number)) for number in (2, 3))
    assert two.plan(two.manifest) == three.plan(three.manifest)


def spoil(folder: Path) -> list[int]:
    """Make rows 2, 4 and 5 of a cycle such that nothing can be heard in them."""
    audio = [
        json.loads(line)["audio_filepath"] for line in (folder / "manifest.jsonl").read_text().splitlines()
    ]
    (folder / audio[1]).unlink()
    (folder / audio[3]).write_bytes(b"")
    with wave.open(str(folder / audio[4]), "wb") as stream:
        stream.setnchannels(2)
        stream.setsampwidth(2)
        stream.setframerate(16000)
        stream.writeframes(b"\0" * 6400)
    return [2, 4, 5]


def expect_spoiled(done: Evaluated, folder: Path, lines: list[int]) -> None:
    assert [row.line for row in done.untranscribed] == lines
    assert [row.error for row in done.untranscribed] == [
        "No such file or directory",
        "the file is empty",
        "it has 2 channels, not one",
    ]
    rows = transcripts(folder)
    assert len(rows) == 9
    assert not any("error" in row for row in rows)
    info = json.loads((folder.parent / "eval_info.json").read_text())
    assert [row["line"] for row in info["untranscribed"]] == lines


async def test_rows_without_a_hypothesis_are_named_and_in_no_figure(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices]
) -> None:
    lines = spoil(cycle1)
    done = await evaluated(prepare(cycle1, choices(base)))
    expect_spoiled(done, cycle1 / "per_sample.json", lines)
    assert len((cycle1 / "results.csv").read_text().splitlines()) == 10


def mend(folder: Path, demo_data: Path) -> None:
    """Put the sound back that `spoil` took."""
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        audio = json.loads(line)["audio_filepath"]
        (folder / audio).write_bytes((demo_data / "cycle1" / audio).read_bytes())


@pytest.mark.parametrize("tuned_model", [False, True], ids=["the baseline", "cycle 2"])
async def test_a_retry_transcribes_just_the_rows_that_failed(
    cycle1: Path,
    base: Path,
    slow: Path,
    choices: Callable[..., EvalChoices],
    demo_data: Path,
    tmp_path: Path,
    tuned_model: bool,
) -> None:
    spoil(cycle1)
    if tuned_model:
        baseline_of(cycle1, demo_data)
    first = await evaluated(prepare(cycle1, choices(slow, batch_size=4)))
    assert first.folder.name == ("cycle2" if tuned_model else "cycle1")
    assert len(called(tmp_path)) == 9
    same = await evaluated(prepare(cycle1, choices(slow, batch_size=4)))
    assert (same.was_there, untranscribed_in(first.folder)) == (True, 3)
    mend(cycle1, demo_data)
    done = await evaluated(prepare(cycle1, choices(slow, batch_size=4, retry=True)))
    assert (done.folder, done.number, done.untranscribed) == (first.folder, first.number, ())
    assert len(called(tmp_path)) == 12
    name = "offline_hyps.jsonl" if tuned_model else "per_sample.json"
    manifest = (cycle1 / "manifest.jsonl").read_text().splitlines()
    assert [row["audio_filepath"] for row in transcripts(done.folder / name)] == [
        json.loads(line)["audio_filepath"] for line in manifest
    ]
    assert len((done.folder / "results.csv").read_text().splitlines()) == 13
    assert untranscribed_in(done.folder) == 0
    assert names(cycle1.parent) == (["cycle1", "cycle2"] if tuned_model else ["cycle1"])
    again = await evaluated(prepare(cycle1, choices(slow, batch_size=4, retry=True)))
    assert (again.untranscribed, len(called(tmp_path))) == ((), 12)


async def test_a_retry_of_rows_that_stay_bad_says_so_again(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices]
) -> None:
    lines = spoil(cycle1)
    await evaluated(prepare(cycle1, choices(base)))
    done = await evaluated(prepare(cycle1, choices(base, retry=True)))
    expect_spoiled(done, cycle1 / "per_sample.json", lines)


async def test_what_does_not_fit_into_memory_is_halved(
    cycle1: Path, tmp_path: Path, choices: Callable[..., EvalChoices]
) -> None:
    tight = model(tmp_path / "tight.nemo", {}, fits=2)
    notes: list[str] = []
    done = await evaluated(
        prepare(cycle1, choices(tight, batch_size=8)), lambda now: notes.append(now.text) is None
    )
    assert done.untranscribed == ()
    log = (done.folder / "evals").glob("*/mirror/stdout.log")
    assert "going on with 2 rows at a time" in next(log).read_text()


async def test_no_row_at_all_writes_nothing(
    cycle1: Path, tmp_path: Path, choices: Callable[..., EvalChoices]
) -> None:
    deaf = model(tmp_path / "deaf.nemo", {}, fits=0)
    with pytest.raises(RemoteError, match=r"not one row fits into memory, free some .*CUDA out of memory"):
        await evaluated(prepare(cycle1, choices(deaf)))
    assert names(cycle1) == ["audio", "evals", "manifest.jsonl"]


async def test_a_general_set_is_transcribed_too(
    cycle1: Path, base: Path, tuned: Path, choices: Callable[..., EvalChoices], demo_data: Path
) -> None:
    general = cycle(cycle1.parent / "general", demo_data, rows=4) / "manifest.jsonl"
    baseline_of(cycle1, demo_data)
    done = await evaluated(prepare(cycle1, choices(tuned, general=general)))
    assert len(transcripts(done.folder / "general_hyps.jsonl")) == 4
    await evaluated(prepare(cycle1, choices(base, general=general, only_general=True)))
    rows = transcripts(cycle1 / "general_hyps.jsonl")
    assert [row["audio_filepath"] for row in rows] == [
        json.loads(line)["audio_filepath"] for line in general.read_text().splitlines()
    ]
    with pytest.raises(InputError, match="transcribed already"):
        prepare(cycle1, choices(base, general=general, only_general=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "no-such.nemo"}, "no-such.nemo: no such model"),
        ({"model": "model.ckpt/x/y"}, "neither a .nemo file nor a pretrained"),
        ({}, r"no model is named. Name a .nemo file, a pretrained model or a run"),
        ({"run": "sft9"}, "there is no run sft9 in this workspace. Known: none"),
        ({"model": "a/b", "only_general": True}, "no general set is named"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(cycle1: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prepare(cycle1, EvalChoices(**given))


def test_a_runs_model_before_any_baseline_is_refused(cycle1: Path, base: Path) -> None:
    folder = cycle1 / "models/sft1"
    folder.mkdir(parents=True)
    (folder / "training_run_info.json").write_text('{"run": "sft1", "run_dir": "/runs/sft1"}')
    with pytest.raises(InputError, match="no transcripts of a base model yet"):
        prepare(cycle1, EvalChoices(model=str(base), run="sft1"))
    own = prepare(cycle1, EvalChoices(model=str(base), run="sft1", out_cycle=1))
    assert (own.folder, own.baseline, own.model.trained_on) == (cycle1, False, 1)


@pytest.fixture
def run(cycle1: Path, tmp_path: Path, demo_data: Path, python: str) -> Path:
    """A run of the cycle whose folder, on this machine, holds two checkpoints and the last weights."""
    root = tmp_path / "its root"
    run_dir = root / "my-ws/runs/sft1"
    checkpoints = run_dir / "run/checkpoints"
    checkpoints.mkdir(parents=True)
    last = said_by(demo_data, "cycle1/per_sample.json")
    best = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    model(checkpoints / "sft1.nemo", last)
    for name, texts in (("0.0353-epoch=1", best), ("0.0833-epoch=2", last), ("0.01-epoch=3-last", last)):
        (checkpoints / f"sft1--val_wer={name}.ckpt").write_text(json.dumps({"state_dict": texts}))
    folder = cycle1 / "models/sft1"
    folder.mkdir(parents=True)
    record = {"run": "sft1", "run_dir": str(run_dir), "root": str(root), "backend": "local", "host": None}
    record |= {"python": python, "image": None}
    (folder / "training_run_info.json").write_text(json.dumps(record))
    return folder


async def test_a_runs_last_and_best_weights_are_evaluated_where_they_lie(
    cycle1: Path, run: Path, demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    asked = EvalChoices(run="sft1", cpu=True)
    last = await evaluated(prepare(cycle1, asked))
    best = await evaluated(prepare(cycle1, replace(asked, best=True, out_cycle=3)))
    for done, label, which in (
        (last, "sft1", "cycle1/per_sample.json"),
        (best, "sft1-best", "cycle2/offline_hyps.jsonl"),
    ):
        texts = said_by(demo_data, which)
        rows = transcripts(done.folder / "offline_hyps.jsonl")
        assert [row["hyp"] for row in rows] == [texts[Path(row["audio_filepath"]).name] for row in rows]
        info = json.loads((done.folder / "eval_info.json").read_text())
        assert (info["model"], info["run"], info["trained_on_cycle"]) == (label, "sft1", 1)
    made = Path(json.loads((run / "training_run_info.json").read_text())["run_dir"]) / "best/sft1-best.nemo"
    assert names(made.parent) == ["sft1-best.nemo"]


def test_the_best_checkpoint_is_a_runs(cycle1: Path, base: Path) -> None:
    with pytest.raises(InputError, match="the best checkpoint is a run's"):
        prepare(cycle1, EvalChoices(model=str(base), best=True))


async def test_a_python_without_nemo_is_said_before_anything_is_sent(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices], tmp_path: Path
) -> None:
    with pytest.raises(RemoteError, match="has no NeMo"):
        await evaluated(prepare(cycle1, choices(base, python="/usr/bin/python3")))
    assert not (tmp_path / "its root").exists()


async def until(holds: Callable[[], object], what: str) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail(what)


def called(tmp_path: Path) -> list[str]:
    calls = tmp_path / "calls"
    return calls.read_text().split() if calls.exists() else []


def started(command: list[object]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


async def test_after_a_kill_of_everything_it_goes_on_and_repeats_no_row(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path, python: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "clinasr_tui",
        "eval",
        cycle1,
        "--model",
        slow,
        "--cpu",
        "--batch-size",
        "2",
    ]
    command += ["--root", tmp_path / "its root", "--python", python]
    client = started(command)
    out = tmp_path / "its root/my-ws/evals"
    await until(lambda: [*out.glob("*/offline_hyps.jsonl")] and len(called(tmp_path)) >= 5, "it never began")
    client.kill()
    client.communicate()
    folder = next(iter(out.glob("*")))
    for name in ("pid.json", "child.json"):
        os.kill(json.loads((folder / name).read_text())["pid"], signal.SIGKILL)
    done_before = transcripts(folder / "offline_hyps.jsonl")
    count = len(called(tmp_path))
    assert 0 < len(done_before) < 12
    await evaluated(prepare(cycle1, choices(slow, batch_size=2)))
    again = called(tmp_path)[count:]
    assert len(again) == 12 - len(done_before)
    assert not {Path(row["audio_filepath"]).name for row in done_before} & set(again)
    assert len(transcripts(cycle1 / "per_sample.json")) == 12


async def test_a_killed_client_finds_the_work_that_went_on(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path
) -> None:
    evaluation = prepare(cycle1, choices(slow, batch_size=2))
    first = asyncio.create_task(evaluated(evaluation))
    await until(lambda: len(called(tmp_path)) >= 3, "it never began")
    # As a kill would: nobody is told to end the work.
    from clinasr_tui.evaluation import transcription

    original, transcription.cancel = transcription.cancel, _nothing  # type: ignore[assignment]
    try:
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    finally:
        transcription.cancel = original
    await evaluated(evaluation)
    assert sorted(called(tmp_path)) == sorted(path.name for path in (cycle1 / "audio").iterdir())


async def _nothing(*_: object, **__: object) -> bool:
    return False


async def test_cancelling_ends_the_work_and_keeps_its_rows(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path
) -> None:
    evaluation = prepare(cycle1, choices(slow, batch_size=2))
    first = asyncio.create_task(evaluated(evaluation))
    await until(lambda: len(called(tmp_path)) >= 3, "it never began")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    folder = next(iter((tmp_path / "its root/my-ws/evals").glob("*")))
    assert json.loads((folder / "exit.json").read_text())["asked"] == "SIGTERM"
    kept = len(transcripts(folder / "offline_hyps.jsonl"))
    count = len(called(tmp_path))
    # Whoever comes back, in another process too, finds what was chosen and goes on with it.
    asked = begun(cycle1)
    assert asked == evaluation.choices
    await evaluated(prepare(cycle1, asked))
    assert len(called(tmp_path)) - count == 12 - kept
    assert begun(cycle1) is None


async def test_leaving_lets_the_work_go_on_and_coming_back_follows_it(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path
) -> None:
    evaluation = prepare(cycle1, choices(slow, batch_size=2))
    here = lambda: open_host(None, SshSettings())  # noqa: E731
    first = asyncio.create_task(evaluate(evaluation, here, lambda _: True, leaves=lambda: True))
    await until(lambda: len(called(tmp_path)) >= 3, "it never began")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    there = len(called(tmp_path))
    await until(lambda: len(called(tmp_path)) > there, "it did not go on")
    await evaluated(prepare(cycle1, begun(cycle1) or EvalChoices()))
    assert len(called(tmp_path)) == 12


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"backend": "moon", "batch_size": -1, "model": 3, "x": 1}']
)
def test_what_was_chosen_cannot_be_read(cycle1: Path, content: str) -> None:
    (cycle1 / "evals").mkdir()
    (cycle1 / "evals/begun.json").write_text(content)
    assert begun(cycle1) in (None, EvalChoices())


@pytest.mark.sshd
async def test_over_ssh_a_lost_connection_loses_nothing(
    cycle1: Path, slow: Path, choices: Callable[..., EvalChoices], tmp_path: Path, sshd: Sshd
) -> None:
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    told: list[str] = []
    lost = []

    def tell(now: Progress) -> bool:
        told.append(now.text)
        if len(called(tmp_path)) >= 3 and not lost:
            lost.append(sshd.kill_sessions())
        return True

    evaluation = prepare(cycle1, choices(slow, host="lab", backend=Backend.LOCAL, batch_size=2))
    done = await evaluated(evaluation, tell, ssh)
    assert lost[0] > 0
    assert any("contact lost" in text and "it goes on there" in text for text in told)
    assert len(transcripts(done.folder / "per_sample.json")) == 12
    assert len(called(tmp_path)) == 12


@pytest.mark.sshd
@pytest.mark.dockerd
async def test_in_a_container_over_ssh(
    cycle1: Path, base: Path, tmp_path: Path, sshd: Sshd, dockerd: Dockerd
) -> None:
    ssh = SshSettings(config=sshd.config, known_hosts=sshd.known_hosts)
    lines = spoil(cycle1)
    root = tmp_path / "its root"
    evaluation = prepare(
        cycle1, EvalChoices(model=str(base), host="lab", root=str(root), cpu=True, socket=str(dockerd.socket))
    )
    assert evaluation.backend is Backend.DOCKER
    done = await evaluated(evaluation, ssh=ssh)
    expect_spoiled(done, cycle1 / "per_sample.json", lines)
    assert {path.stat().st_uid for path in root.rglob("*")} == {os.getuid()}
    record = json.loads(next((cycle1 / "evals").glob("*/evaluation.json")).read_text())
    assert record["image_digest"].startswith("sha256:")
    for name in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", name)


@pytest.mark.dockerd
async def test_a_runs_best_weights_in_a_container(
    cycle1: Path, run: Path, dockerd: Dockerd, demo_data: Path
) -> None:
    baseline_of(cycle1, demo_data)
    asked = EvalChoices(run="sft1", best=True, cpu=True, backend=Backend.DOCKER, socket=str(dockerd.socket))
    done = await evaluated(prepare(cycle1, asked))
    texts = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    rows = transcripts(done.folder / "offline_hyps.jsonl")
    assert [row["hyp"] for row in rows] == [texts[Path(row["audio_filepath"]).name] for row in rows]
    for name in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", name)


@pytest.mark.dockerd
async def test_a_container_killed_midway_is_said_and_goes_on(
    cycle1: Path, tmp_path: Path, dockerd: Dockerd, demo_data: Path
) -> None:
    texts = said_by(demo_data, "cycle2/offline_hyps.jsonl")
    slow = model(tmp_path / "slow.nemo", texts, seconds=0.1)
    given = EvalChoices(
        model=str(slow),
        root=str(tmp_path / "its root"),
        cpu=True,
        backend=Backend.DOCKER,
        socket=str(dockerd.socket),
        batch_size=2,
    )
    killed: list[str] = []

    def tell(now: Progress) -> bool:
        if now.fraction and now.step == "transcribing" and not killed:
            killed.extend(dockerd.docker("ps", "-q").split())
            dockerd.docker("kill", *killed)
        return True

    evaluation = prepare(cycle1, given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clinasr_tui.evaluation.follow.QUIET_SECONDS", 1.0)
        with pytest.raises(RemoteError, match=r"killed.*The next start goes on with the next row"):
            await evaluated(evaluation, tell)
    done = await evaluated(evaluation)
    assert len(transcripts(done.folder / "per_sample.json")) == 12
    for name in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", name)


@pytest.fixture
def command(tmp_path: Path, python: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "clinasr_tui", "eval", *map(str, arguments)]
        argv += ["--root", str(tmp_path / "its root"), "--python", python, "--cpu"]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    return run


def test_the_command_says_it_all_in_one_go(
    cycle1: Path,
    base: Path,
    tuned: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    first = command(cycle1, "--model", base, "--json")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert (document["schema"], document["rows"], document["cycle"]) == ("clinasr.eval/1", 12, 1)
    assert document["comparison"] is None
    second = command(cycle1, "--model", tuned)
    assert second.returncode == 0, second.stderr
    for part in ("KER by term, worst first", "cycle2\nKEEP: ", "all rows (12)", "terms fixed"):
        assert part in second.stdout
    assert "transcribing …" in second.stderr
    refused = command(cycle1, "--model", "no-such.nemo")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1


def test_the_command_retries_just_the_rows_that_failed(
    cycle1: Path,
    slow: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
    demo_data: Path,
    tmp_path: Path,
) -> None:
    spoil(cycle1)
    first = command(cycle1, "--model", slow)
    assert first.returncode == 0, first.stderr
    assert "the same command with --retry transcribes just these" in first.stderr
    again = command(cycle1, "--model", slow)
    assert "3 of its rows have no transcript: --retry transcribes just those" in again.stderr
    mend(cycle1, demo_data)
    done = command(cycle1, "--model", slow, "--retry", "--json")
    document = json.loads(done.stdout)
    assert (document["rows"], document["untranscribed"], document["cycle"]) == (12, [], 1)
    assert len(called(tmp_path)) == 12
