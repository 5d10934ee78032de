"""Watch: recorded runs followed as any run is, trouble loud, contact said, every key."""

from __future__ import annotations

import asyncio

from clinasr_tui.errors import RemoteError
from clinasr_tui.messages import RunUpdated
from clinasr_tui.remote.run_watch import Contact
from clinasr_tui.widgets.loss_chart import LossChart
from clinasr_tui.widgets.run_status import HealthLines
from clinasr_tui.widgets.sample_view import SampleView
from tests.support.driving import drawn, ended, missing, settle, text_of, watched

NARROW = (80, 24)


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
        assert "training_run_info.json" in missing(screen)
        await pilot.press(
            *"anNiwelxXzZvysW,.[]r",
            "space",
            "f",
            "escape",
            "left",
            "right",
            "escape",
            "slash",
            "escape",
            "up",
            "end",
        )
        await settle(pilot)
        assert cockpit.screen is screen
