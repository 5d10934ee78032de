"""Evaluations made for real: detached processes with a stand-in for NeMo, which says that it is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.prepare import prepare, untranscribed_in
from tests.support.evaluating import (
    baseline_of,
    called,
    cycle,
    evaluated,
    expect_spoiled,
    mend,
    model,
    names,
    said_by,
    spoil,
    transcripts,
)

if TYPE_CHECKING:
    from clinasr_tui.launch.flow import Progress

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


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
        InputError, match=r"cycle2: this cycle is there already. Write another one, 3 is free"
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
    assert two.plan(two.parts[0]) == three.plan(three.parts[0])


async def test_rows_without_a_hypothesis_are_named_and_in_no_figure(
    cycle1: Path, base: Path, choices: Callable[..., EvalChoices]
) -> None:
    lines = spoil(cycle1)
    done = await evaluated(prepare(cycle1, choices(base)))
    expect_spoiled(done, cycle1 / "per_sample.json", lines)
    assert len((cycle1 / "results.csv").read_text().splitlines()) == 10


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
