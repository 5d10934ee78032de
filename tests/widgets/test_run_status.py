"""Status line, health and contact of a run, as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.training.snapshot import Alert, Level, Outcome, Phase, RunSnapshot
from clinasr_tui.widgets.run_status import (
    HealthLines,
    clock,
    contact_line,
    healthy_line,
    progress_bar,
    status_line,
)

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

RUNNING = RunSnapshot(
    "sft3",
    Phase.TRAINING,
    Outcome.RUNNING,
    epoch=1,
    max_epochs=3,
    step=111,
    max_steps=150,
    points=112,
    seconds_per_step=0.238,
    eta_seconds=9.0,
    train_files=200,
    filtered_files=0,
)
NAN = Alert("nan_loss", Level.ERROR, "The loss is NaN since step 1.", "Stop it.", 1)
FEW = Alert("no_loss_points", Level.WARNING, "5 loss points for 54 steps.", "Set 1.")


@pytest.mark.parametrize(("seconds", "text"), [(9, "0:09"), (750, "12:30"), (3723, "1:02:03"), (-1, "0:00")])
def test_times_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("fraction", "bar"), [(0, "▕    ▏"), (0.5, "▕██  ▏"), (0.53, "▕██▏ ▏"), (1, "▕████▏"), (7, "▕████▏")]
)
def test_the_bar_fills_in_eighths(fraction: float, bar: str) -> None:
    assert progress_bar(fraction, 4) == bar


def test_a_training_run_says_epoch_step_rate_and_eta() -> None:
    assert status_line(RUNNING, "sft3").plain == (
        "sft3 · epoch 2/3 · ▕████████████    ▏ step 112/150 · 4.2 it/s · ETA 0:09"
    )


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase.SLEEPING, "60 s or more"),
        (Phase.LOADING, "loading"),
        (Phase.WAITING, "waiting"),
        (Phase.SAVING, "saving"),
    ],
)
def test_other_phases_are_named(phase: Phase, words: str) -> None:
    assert words in status_line(RunSnapshot("r", phase, Outcome.RUNNING), "r").plain


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.FINISHED, "✔ finished · epoch 2/3 · step 112/150 · exit code 0 · val WER .037 (best .035)"),
        (Outcome.DIVERGED, "✖ diverged · epoch 2/3 · step 112/150 · exit code 0"),
        (Outcome.FAILED, "✖ failed · "),
        (Outcome.INTERRUPTED, "✖ interrupted · "),
    ],
)
def test_the_end_is_said(outcome: Outcome, words: str) -> None:
    ended = RunSnapshot(
        "sft3", Phase.FINISHED, outcome, epoch=1, max_epochs=3, step=111, max_steps=150, exit_code=0,
        val_wer=((99, 0.0347), (149, 0.0371)),
    )  # fmt: skip
    assert words in status_line(ended, "sft3").plain


def test_a_name_from_a_file_cannot_colour_the_line() -> None:
    assert "␛[31m" in status_line(RUNNING, "\x1b[31mred").plain


def test_health_counts_files_and_points_to_the_comparison() -> None:
    assert healthy_line(RUNNING).plain == "✔ healthy · 200 files, none dropped"
    done = RunSnapshot("r", Phase.FINISHED, Outcome.FINISHED, train_files=200, filtered_files=3)
    assert (
        healthy_line(done).plain
        == "✔ healthy · 200 files, 3 dropped · finished; next: compare the cycles (7)"
    )
    assert "nothing to judge" in healthy_line(RunSnapshot("r", Phase.WAITING, Outcome.RUNNING)).plain


async def test_trouble_is_loud_and_every_alert_can_be_listed(bench: Callable[[Widget], App[None]]) -> None:
    view = HealthLines()
    async with bench(view).run_test(size=(70, 20)) as pilot:
        view.show(RUNNING)
        assert not view.classes & {"-error", "-warning"}
        view.show(RunSnapshot("r", Phase.TRAINING, Outcome.RUNNING, health=(NAN, FEW)))
        await pilot.pause()
        assert view.has_class("-error")
        assert view.render().plain.splitlines() == [
            "✖ The loss is NaN since step 1.",
            "→ Stop it.",
            "  and 1 more: no_loss_points (a: list)",
        ]
        assert view.size.height == 3
        view.toggle()
        await pilot.pause()
        assert view.render().plain.splitlines()[2:] == ["▲ 5 loss points for 54 steps.", "→ Set 1."]
        view.show(RunSnapshot("r", Phase.TRAINING, Outcome.RUNNING, health=(FEW,)))
        assert view.classes & {"-error", "-warning"} == {"-warning"}


def test_contact_says_what_happens_to_the_run_and_when_it_tries_again() -> None:
    lost = contact_line("gpu-box", connecting=False, lost=True, retry_in=4.2, error="")
    assert lost.plain == "▲ contact lost (gpu-box); the run itself goes on; retry in 4 s"
    refused = contact_line("gpu", connecting=False, lost=False, retry_in=None, error="gpu: refused")
    assert refused.plain == "✖ gpu: refused  r: try again"
    assert (
        contact_line("gpu", connecting=True, lost=False, retry_in=None, error="").plain
        == "connecting to gpu …"
    )
    assert not contact_line("gpu", connecting=False, lost=False, retry_in=None, error="")


def test_the_cost_is_told_while_a_run_goes_on_and_fits_in_eighty_cells() -> None:
    going = RunSnapshot(
        "sft3", Phase.TRAINING, Outcome.RUNNING, epoch=1, max_epochs=3, step=111, max_steps=150,
        seconds_per_step=0.24, eta_seconds=9.0,
    )  # fmt: skip
    line = status_line(going, "sft3", 0.034)
    assert line.plain.endswith("step 112/150 · 4.2 it/s · ETA 0:09 · $0.03 so far")
    assert line.cell_length <= 78
    assert "$" not in status_line(going, "sft3").plain


def test_a_full_disk_says_that_following_waits() -> None:
    line = contact_line("gpu", connecting=False, lost=False, retry_in=None, error="", paused=True)
    assert line.plain == "▲ following waits: this machine's disk is full; the run itself goes on"


def test_a_job_that_waits_says_why_and_nothing_is_judged():
    line = "waiting in Slurm's queue: Resources (the nodes it asks for are busy), job 7"
    waits = RunSnapshot("sft3", Phase.QUEUED, Outcome.RUNNING, headline=line)
    assert status_line(waits, "sft3").plain == f"sft3 · {line}"
    assert healthy_line(waits).plain == "nothing to judge yet"
