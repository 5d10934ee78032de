"""The app's store: watched runs reach the stepper, keys are asked for, errors stay one line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.errors import HostKeyError, RemoteError
from clinasr_tui.remote.run_watch import Contact, RunWatch, WatchUpdate
from clinasr_tui.screens.trust_dialog import TrustDialog
from clinasr_tui.training.snapshot import RunSnapshot
from clinasr_tui.watched_run import duration_text, progress_text
from clinasr_tui.widgets.stepper import Stepper
from tests.support.driving import lines_of, press, settle, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.app import ClinasrApp


@pytest.fixture
def with_run(two_cycles: Path, recordings: Path) -> Path:
    """Cycle 1 with the recorded run on this machine; cycle 2 not there yet."""
    shutil.rmtree(two_cycles / "cycle2")
    folder = two_cycles / "cycle1" / "models" / "sft3"
    folder.mkdir(parents=True)
    shutil.copytree(recordings / "sft3", folder / "here")
    (folder / "training_run_info.json").write_text(json.dumps({"run": "sft3", "run_dir": "here"}))
    return two_cycles


async def ended(pilot) -> None:
    """Wait until every watched run has ended."""
    app = pilot.app
    runs = app.session.workspace.runs
    for _ in range(400):
        watched = [app.session.watched(ref) for ref in runs]
        if all(run is not None and (run.ended or run.error) for run in watched):
            break
        await pilot.pause(0.02)
    await settle(pilot)


async def test_a_watched_run_reaches_the_stepper(with_run, app_on):
    app: ClinasrApp = app_on(with_run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        ref = app.session.workspace.runs[0]
        assert app.session.watched(ref) is None
        run = app.session.watch(ref)
        assert app.session.watch(ref) is run
        await ended(pilot)
        assert run.ended
        assert run.caught_up
        assert run.error is None
        assert len(run.log) > 100
        assert app.session.facts.run_outcome == "finished"
        steps = lines_of(app.screen.query_one(Stepper))
        assert "sft3 has finished" in steps[5]
        assert "re-eval" in text_of(app.screen, "#next")


async def test_an_unknown_key_is_asked_for_and_trusting_connects_again(with_run, app_on, monkeypatch):
    asked, trusted = [], []

    async def updates(self, *, once=False):
        if not trusted:
            asked.append(self)
            raise HostKeyError(
                "the key is not known",
                where="box",
                remedy="Compare it",
                host="127.0.0.1",
                port=22,
                fingerprint="SHA256:new",
                public_key="ssh-ed25519 AAAA",
            )
        yield WatchUpdate(Contact.CONNECTED, note="connected", caught_up=True)

    monkeypatch.setattr(RunWatch, "updates", updates)
    app: ClinasrApp = app_on(with_run)
    monkeypatch.setattr(app.session, "trust", trusted.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        run = app.session.watch(app.session.workspace.runs[0])
        await ended(pilot)
        assert isinstance(app.screen, TrustDialog)
        await press(pilot, "escape")
        assert isinstance(run.error, HostKeyError)
        assert "Compare it" in str(run.error)
        app.session.reconnect(run.ref)
        await ended(pilot)
        await press(pilot, "t")
        await ended(pilot)
        assert run.error is None
        assert run.ended
        assert len(asked) == 2
        assert [run.log.text(i) for i in range(len(run.log))] == ["connected"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            RemoteError("refused the connection", where="box", remedy="Is it on?"),
            "box: refused the connection. Is it on?",
        ),
        (ZeroDivisionError("oops"), "watching sft3 failed: ZeroDivisionError: oops"),
    ],
)
async def test_a_watch_that_fails_is_a_line_in_its_log(with_run, app_on, monkeypatch, error, shown):
    async def updates(self, *, once=False):
        raise error
        yield WatchUpdate(Contact.CONNECTED)

    monkeypatch.setattr(RunWatch, "updates", updates)
    app: ClinasrApp = app_on(with_run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        run = app.session.watch(app.session.workspace.runs[0])
        await ended(pilot)
        assert str(run.error) == shown
        assert run.log.text(len(run.log) - 1) == shown
        assert app.is_running


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (40, "40 s"), (89, "89 s"), (200, "3 min"), (7500, "2 h 5 min")]
)
def test_lengths_of_time_are_short(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"phase": "training", "epoch": 1, "max_epochs": 3, "eta_seconds": 40.0},
            "epoch 2/3, about 40 s left",
        ),
        ({"phase": "loading"}, "loading"),
        ({"phase": "finished", "epoch": 2}, ""),
    ],
)
def test_progress_counts_epochs_from_one(fields, text):
    assert progress_text(RunSnapshot(name="r", outcome="running", **fields)) == text


async def test_results_of_files_that_changed_are_let_go(two_cycles, app_on):
    app: ClinasrApp = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        before = len(app.session._results)
        path = two_cycles / "cycle2" / "offline_hyps.jsonl"
        for rows in (249, 248, 247):
            path.write_text("\n".join(path.read_text().splitlines()[:rows]))
            await app.session.rescan()
            await settle(pilot)
        assert len(app.session._results) <= before
        cycle = app.session.workspace.cycle(2)
        assert cycle is not None
        assert (await app.session.figures(cycle)).rows == 247
