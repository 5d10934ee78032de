"""An evaluation survives kills, lost connections and being left; over a real sshd and in a real container."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.evaluation.begun import begun
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.evaluate import evaluate
from clinasr_tui.evaluation.prepare import prepare
from clinasr_tui.launch.plan import Backend
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support.evaluating import (
    baseline_of,
    called,
    evaluated,
    expect_spoiled,
    model,
    said_by,
    spoil,
    transcripts,
    until,
)

if TYPE_CHECKING:
    from clinasr_tui.launch.flow import Progress
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


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
