"""Watch: recorded runs followed as any run is, trouble loud, contact said, every key."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.messages import RunUpdated
from clinasr_tui.remote import run_watch
from clinasr_tui.remote.run_watch import Contact
from clinasr_tui.widgets.log_view import LogView
from clinasr_tui.widgets.loss_chart import LossChart
from clinasr_tui.widgets.prompt import Prompt
from clinasr_tui.widgets.run_status import HealthLines
from clinasr_tui.widgets.sample_view import SampleView
from tests.support.driving import settle, text_of

NARROW = (80, 24)


@pytest.fixture(autouse=True)
def _judge_soon(monkeypatch):
    """A recording does not grow: its end need not be waited for."""
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_EXIT", 0.05)
    monkeypatch.setattr(run_watch, "_QUIET_AFTER_END", 0.05)
    monkeypatch.setattr(run_watch, "_JUDGE_EVERY", 0.05)


@pytest.fixture
def app_with(two_cycles, demo_data, recordings, app_on):
    """Makes the app on a workspace with recorded runs on this machine, oldest first."""

    def make(*names):
        for place, name in enumerate(names):
            source = demo_data / "recording" if name == "sft3" else recordings / name
            folder = two_cycles / "cycle1" / "models" / name
            shutil.copytree(source, folder)
            info = folder / "training_run_info.json"
            info.write_text('{"max_epochs": 3}')
            os.utime(info, (place, place))
        return app_on(two_cycles)

    return make


async def watched(pilot, *keys):
    """Go to Watch and wait until the newest run has been read to its end."""
    await settle(pilot)
    await pilot.press("5")
    await ended(pilot)
    await pilot.press(*keys)
    await settle(pilot)
    return pilot.app.screen


async def ended(pilot):
    async with asyncio.timeout(20):
        while not any(run.ended for run in pilot.app.session._runs.values() if run is pilot.app.screen._run):
            await pilot.pause(0.02)
    await settle(pilot)


def drawn(screen, selector):
    """What a widget that draws by lines shows."""
    widget = screen.query_one(selector)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def picture_of(app, size, snap_compare, *keys):
    async def before(pilot):
        await watched(pilot, *keys)

    return snap_compare(app, terminal_size=size, run_before=before)


def test_picture_of_a_finished_run(app_with, size, snap_compare):
    assert picture_of(app_with("sft3"), size, snap_compare)


def test_picture_of_a_diverged_run(app_with, size, snap_compare):
    assert picture_of(app_with("hot"), size, snap_compare)


def test_picture_without_a_run(cockpit, snap_compare):
    async def before(pilot):
        await settle(pilot)
        await pilot.press("5")
        await settle(pilot)

    assert snap_compare(cockpit, terminal_size=NARROW, run_before=before)


async def test_a_finished_run_says_what_comes_next(app_with):
    app = app_with("sft3")
    async with app.run_test(size=(140, 45)) as pilot:
        screen = await watched(pilot)
        assert text_of(screen, "#status") == (
            "sft3 · ✔ finished · epoch 3/3 · step 150/150 · val WER .037 (best .035)"
        )
        assert "✔ healthy · 200 files, none dropped · finished; next: compare" in text_of(screen, "#health")
        chart = drawn(screen, "#loss")
        for mark in ("◆ .083", "◆ .035", ".037 ◆"):
            assert mark in chart
        assert str(screen.query_one(LossChart).border_subtitle).startswith("step 149 · loss 0.12")
        assert "✔ as the reference" in screen.query_one(SampleView).render().plain
        assert "Trainer.fit` stopped" in drawn(screen, "#log")
        assert not screen.query_one("#contact").display


async def test_a_diverged_run_is_the_loudest_thing_with_its_remedy(app_with):
    app = app_with("hot")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        assert text_of(screen, "#status").startswith("hot · ✖ diverged")
        health = screen.query_one(HealthLines)
        assert health.has_class("-error")
        text = health.render().plain
        assert "since step 1 (53 of 54 points" in text
        assert "→ Do not use this model" in text
        assert "and 1 more: unk_collapse" in text
        assert "✖ NaN since step 1" in drawn(screen, "#loss")
        await pilot.press("a")
        assert "sample predictions are nothing but ⁇" in health.render().plain
        await pilot.press("a")
        assert "and 1 more" in health.render().plain


async def test_the_keys_of_chart_and_samples(app_with):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot, "l", "minus", "left")
        chart = screen.query_one(LossChart)
        assert str(chart.border_title) == "train loss (linear) ── smoothed 0.8"
        assert chart.cursor == 149
        await pilot.press("left", "plus", "l")
        assert str(chart.border_title) == "train loss (log) ── smoothed 0.9"
        assert 146 <= chart.cursor <= 148
        assert f"{chart.cursor} · loss" in str(chart.border_subtitle)
        await pilot.press("comma", "comma")
        samples = screen.query_one(SampleView)
        assert str(samples.border_title) == "sample 160 of 162 · step 149"
        await pilot.press("full_stop", "escape")
        assert (samples.back, chart.cursor) == (0, None)


async def test_the_keys_of_the_log(app_with):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        log = screen.query_one(LogView)
        assert log.has_focus
        assert str(log.border_title) == "log ── following"
        await pilot.press("slash")
        screen.query_one(Prompt).value = "VAL_WER' reached"
        await pilot.press("enter")
        await settle(pilot)
        assert log.has_focus
        found = log.here
        assert "val_wer' reached 0.03704" in log.lines.source.text(found)
        assert "val_wer' reached 0.03704" in drawn(screen, "#log")
        await pilot.press("N")
        await settle(pilot)
        assert log.here < found
        await pilot.press("n")
        await settle(pilot)
        assert log.here == found
        assert str(log.border_title).startswith("log ── paused at ")
        await pilot.press("f", "i")
        await settle(pilot)
        assert str(log.border_title) == "log ── following"
        assert str(log.border_subtitle).startswith("without info")
        assert {line.level for line in map(_Line(log), range(len(log.lines)))} == {"warning"}
        await pilot.press("i", "greater_than_sign", "E")
        await settle(pilot)
        assert "no line with an error" in str(log.border_subtitle)


class _Line:
    """Severity of a shown line."""

    def __init__(self, log):
        self.log = log

    def __call__(self, place):
        self.level = str(self.log.lines.source.level(self.log.lines.line(place)))
        return self


async def test_the_next_error_of_a_failed_run_is_found(app_with):
    app = app_with("oom")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot, "home", "E")
        log = screen.query_one(LogView)
        assert str(log.lines.source.level(log.here)) == "error"
        assert log.top <= log.here < log.top + log.size.height
        assert "✖ failed" in text_of(screen, "#status")


async def test_brackets_change_between_runs_and_each_keeps_being_watched(app_with):
    app = app_with("stockdefault", "hot")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        names = [ref.name for ref in app.session.workspace.runs]
        assert f"Watch · {names[-1]} (2 of 2)" in text_of(screen, "TitleLine")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await ended(pilot)
        assert f"Watch · {names[0]} (1 of 2)" in text_of(screen, "TitleLine")
        assert text_of(screen, "#status").startswith(names[0])
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert text_of(screen, "#status").startswith(names[1])
        assert len(app.session._runs) == 2


async def contact_says(pilot, text):
    async with asyncio.timeout(5):
        while text_of(pilot.app.screen, "#contact") != text:
            await pilot.pause(0.05)


async def test_contact_lost_counts_down_and_an_error_can_be_retried(app_with, monkeypatch):
    app = app_with("sft3")
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await watched(pilot)
        run = screen._run
        run.ended, run.contact, run.retry_in = False, Contact.LOST, 4.0
        app.post_message(RunUpdated("sft3"))
        await contact_says(pilot, "▲ contact lost (this machine); the run itself goes on; retry in 4 s")
        run.contact = Contact.CLOSED
        run.error = RemoteError("refused the connection", where="gpu-box", remedy="Is it up?")
        app.post_message(RunUpdated("sft3"))
        await contact_says(pilot, "✖ gpu-box: refused the connection. Is it up?  r: try again")
        again = []
        monkeypatch.setattr(app.session, "reconnect", again.append)
        await pilot.press("r")
        assert again == [run.ref]


async def test_without_a_run_every_key_is_harmless(cockpit):
    async with cockpit.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("5")
        await settle(pilot)
        screen = cockpit.screen
        assert "training_run_info.json" in text_of(screen, "#no-run")
        await pilot.press(*"afniwel,.[]rE", "left", "right", "escape", "slash", "escape", "up", "end")
        await settle(pilot)
        assert cockpit.screen is screen
