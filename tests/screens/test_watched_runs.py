"""Several runs: glanced at without following, switched between, drawn behind, called for, paid for."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from textual.widgets import Static

from clinasr_tui import watched_run
from clinasr_tui.flywheel.workspace import RunRef
from clinasr_tui.messages import RunNotice
from clinasr_tui.remote import run_watch
from clinasr_tui.screens.run_switcher import RunSwitcher
from clinasr_tui.training.snapshot import Alert, Level, Outcome, Phase, RunSnapshot
from clinasr_tui.watched_run import glance, news, spent
from clinasr_tui.widgets.gpu_view import GpuView
from clinasr_tui.widgets.loss_chart import LossChart
from clinasr_tui.widgets.run_status import state_text
from clinasr_tui.widgets.sample_view import SampleView
from tests.support.driving import ended, press, settle, text_of

NARROW = (80, 24)
RUNNING = RunSnapshot("sft3", Phase.TRAINING, Outcome.RUNNING, epoch=1, max_epochs=3)


@pytest.fixture(autouse=True)
def _judge_soon(monkeypatch):
    """A recording does not grow: its end need not be waited for."""
    for name in ("_QUIET_AFTER_EXIT", "_QUIET_AFTER_END", "_JUDGE_EVERY"):
        monkeypatch.setattr(run_watch, name, 0.05)


@pytest.fixture
def runs(two_cycles, recordings):
    """Lays recorded runs out in a workspace, oldest first; gives its root."""

    def make(*names, info=None):
        for place, name in enumerate(names):
            folder = two_cycles / "cycle1" / "models" / name
            shutil.copytree(recordings / name, folder)
            record = folder / "training_run_info.json"
            record.write_text(json.dumps({"max_epochs": 3, **(info or {})}))
            os.utime(record, (place, place))
        return two_cycles

    return make


async def watching(pilot):
    """Go to Watch and wait until the newest run has been read to its end."""
    await settle(pilot)
    await pilot.press("5")
    async with asyncio.timeout(20):
        while not (pilot.app.screen._run and pilot.app.screen._run.ended):
            await pilot.pause(0.02)
    await settle(pilot)
    return pilot.app.screen


def ref_of(folder, **more):
    return RunRef(folder.name, 1, folder, ".", None, more)


# --- without following ---------------------------------------------------------------------------


def test_a_glance_tells_a_run_from_its_files_and_reads_them_once(runs, monkeypatch):
    folder = runs("hot") / "cycle1" / "models" / "hot"
    found = glance(ref_of(folder))
    assert (found.snapshot.outcome, len(found.loss)) == (Outcome.DIVERGED, 54)
    assert glance(ref_of(folder)) is found
    (folder / "exit.json").write_text('{"exit_code": 0}')
    assert glance(ref_of(folder)) is not found


def test_a_run_elsewhere_is_told_from_its_mirror(runs):
    folder = runs("hot") / "cycle1" / "models" / "hot"
    away = RunRef("hot", 1, folder, "/runs/hot", "gpu-box", {})
    assert glance(away) is None
    mirror = folder / "mirror"
    mirror.mkdir()
    for events in folder.rglob("events.out.tfevents.*"):
        shutil.copy(events, mirror)
    assert len(glance(away).loss) == 54


# --- the switcher --------------------------------------------------------------------------------


async def test_the_switcher_shows_every_run_and_enter_watches_one(runs, app_on):
    app = app_on(runs("stockdefault", "hot", "sft3"))
    async with app.run_test(size=NARROW) as pilot:
        screen = await watching(pilot)
        await pilot.press("R")
        await settle(pilot)
        switcher = app.screen
        assert isinstance(switcher, RunSwitcher)
        switcher._update()
        lines = [line.plain.rstrip() for line in switcher._shown]
        assert lines[0] == "stockdefault   cycle 1 ✔ finished · ▲ no_loss_points · not followed"
        assert "✖ diverged" in lines[1]
        assert "✖ nan_loss" in lines[1]
        assert lines[2].endswith("✔ finished · val WER .037 · read to its end")
        assert set(app.session._runs) == {screen._ref.folder}
        await pilot.press("up", "enter")
        await settle(pilot)
        assert text_of(app.screen, "#status").startswith("hot")
        await pilot.press("R", "escape")
        await settle(pilot)
        assert app.screen is screen
        assert text_of(screen, "#status").startswith("hot")


@pytest.mark.parametrize("keys", [("R",), ("o", "shift+up", "shift+left", "t")], ids=["switcher", "near"])
def test_picture_of_several_runs(runs, app_on, size, snap_compare, keys):
    async def before(pilot):
        await watching(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        if isinstance(pilot.app.screen, RunSwitcher):
            pilot.app.screen._update()
            await pilot.pause()

    app = app_on(runs("stockdefault", "hot", "sft3"))
    assert snap_compare(app, terminal_size=size, run_before=before)


def test_a_state_in_few_words():
    assert state_text(replace(RUNNING, eta_seconds=9.0)).plain == "epoch 2/3 · ETA 0:09"
    sleeping = replace(RUNNING, phase=Phase.SLEEPING, epoch=None)
    assert state_text(sleeping).plain == "sleeping"
    alert = Alert("stalled", Level.WARNING, "Nothing new.", "")
    assert state_text(replace(RUNNING, health=(alert,))).plain == "epoch 2/3 · ▲ stalled"


# --- behind the curve in view --------------------------------------------------------------------


async def test_other_runs_are_drawn_behind_and_taken_away(runs, app_on):
    app = app_on(runs("stockdefault", "hot", "sft3"))
    async with app.run_test(size=NARROW) as pilot:
        screen = await watching(pilot)
        chart = screen.query_one(LossChart)
        await pilot.press("o")
        await settle(pilot)
        assert chart.overlaid == ("hot", "stockdefault")
        assert "a hot" in chart.render_line(1).text
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert chart.overlaid == ()
        await pilot.press("right_square_bracket", "o", "o")
        await settle(pilot)
        assert len(chart.overlaid) in {0, 2}


async def test_the_keys_of_zoom_and_terms(runs, app_on):
    app = app_on(runs("sft3"))
    async with app.run_test(size=NARROW) as pilot:
        screen = await watching(pilot)
        chart, samples = screen.query_one(LossChart), screen.query_one(SampleView)
        await pilot.press("shift+up", "shift+up", "shift+left")
        low, high = chart.window.bounds((0, 149))
        assert 0 < low < high < 149
        await pilot.press("shift+right", "shift+right", "shift+right", "shift+down")
        assert chart.window.bounds((0, 149))[1] == 149
        await pilot.press("0")
        assert chart.window.span is None
        await pilot.press("t")
        assert samples.group == "hospitalist"
        assert "heard as" in samples.render().plain
        await pilot.press("T", "escape")
        assert samples.group is None


async def test_gpu_figures_take_room_only_where_there_are_any(runs, app_on, recordings):
    root = runs("sft3")
    app = app_on(root)
    async with app.run_test(size=NARROW) as pilot:
        assert not (await watching(pilot)).query_one(GpuView).display
    shutil.copy(recordings / "nvidia-smi.csv", root / "cycle1" / "models" / "sft3" / "nvidia-smi.csv")
    app = app_on(root)
    async with app.run_test(size=NARROW) as pilot:
        view = (await watching(pilot)).query_one(GpuView)
        assert view.display
        assert "GB" in view.render().plain


# --- called for ----------------------------------------------------------------------------------


def watched(**changes):
    return SimpleNamespace(**{"told": None, "caught_up": True, **changes})


def test_trouble_is_news_once_and_only_if_it_came_while_running():
    trouble = Alert("nan_loss", Level.ERROR, "The loss is NaN.", "")
    late = Alert("stalled", Level.WARNING, "Nothing new for 9 min.", "")
    quiet = Alert("rows_dropped", Level.WARNING, "One row was dropped.", "")
    run = watched(caught_up=False)
    assert news(run, replace(RUNNING, health=(trouble,))) == []
    run.caught_up = True
    assert news(run, replace(RUNNING, health=(trouble,))) == []
    assert news(run, replace(RUNNING, health=(trouble, late, quiet))) == ["Nothing new for 9 min."]
    assert news(run, replace(RUNNING, health=(trouble, late, quiet))) == []
    over = replace(RUNNING, outcome=Outcome.DIVERGED, health=(trouble,))
    assert news(run, over) == ["the run is over: diverged"]
    assert news(run, over) == []


def test_a_run_that_was_over_when_it_was_opened_is_no_news():
    assert news(watched(), replace(RUNNING, outcome=Outcome.FINISHED)) == []


async def test_the_operator_is_called_as_they_chose(runs, app_on, monkeypatch):
    monkeypatch.setenv("TMUX", "")
    monkeypatch.setenv("TERM", "xterm")
    root = runs("sft3")
    app = app_on(root)
    async with app.run_test(size=NARROW) as pilot:
        await watching(pilot)
        written = []
        monkeypatch.setattr(app._driver, "write", written.append)
        app.post_message(RunNotice("sft3", "the run is over: finished"))
        await pilot.pause()
        assert "\a" in written
        written.clear()
        await pilot.press("b")
        assert app.notices == "desktop"
        app.post_message(RunNotice("sft3", "the run is over: finished"))
        await pilot.pause()
        assert any(text.startswith("\x1b]9;clinasr-tui sft3: the run is over") for text in written)
        written.clear()
        await pilot.press("b")
        app.post_message(RunNotice("sft3", "the run is over: finished"))
        await pilot.pause()
        assert not any("\a" in text for text in written)


async def test_a_silent_run_is_looked_at_now_and_then(monkeypatch):
    monkeypatch.setattr(watched_run, "_LOOK_SECONDS", 0.01)
    stalled = replace(RUNNING, health=(Alert("stalled", Level.WARNING, "Nothing new.", ""),))
    shown = iter([RUNNING, stalled, stalled])
    reader = SimpleNamespace(snapshot=lambda now: next(shown, stalled))
    ref = SimpleNamespace(name="sft3", info={}, host=None)
    run = watched(ref=ref, watch=SimpleNamespace(reader=reader), ssh=None, readonly=False)
    posted, came = [], asyncio.Event()

    def post(message):
        posted.append(message)
        came.set()

    task = asyncio.create_task(watched_run._look_now_and_then(run, SimpleNamespace(post=post)))
    async with asyncio.timeout(5):
        await came.wait()
    task.cancel()
    assert [(one.run, one.text) for one in posted] == [("sft3", "Nothing new.")]


async def test_a_finished_run_that_nobody_heard_yet_is_to_be_transcribed(runs, app_on):
    root = runs("sft3")
    shutil.rmtree(root / "cycle2")
    app = app_on(root)
    async with app.run_test(size=NARROW) as pilot:
        screen = await watching(pilot)
        line = text_of(screen, "#health")
        assert "finished; next: evaluate the new model (E)" in " ".join(line.split())


async def test_a_run_that_begins_by_itself_is_named_and_the_next_step_leads_to_it(runs, app_on, recordings):
    root = runs("sft3")
    app = app_on(root)
    async with app.run_test(size=NARROW) as pilot:
        screen = await watching(pilot)
        assert "next: compare the cycles (7)" in " ".join(text_of(screen, "#health").split())
        assert app.session.facts.run_outcome == "finished"
        shutil.copytree(recordings / "kill9", root / "cycle1" / "models" / "longer")
        (root / "cycle1" / "models" / "longer" / "training_run_info.json").write_text('{"max_epochs": 12}')
        await app.session.rescan()
        await settle(pilot)
        assert "next: watch longer (R)" in " ".join(text_of(screen, "#health").split())
        assert "Watch · sft3 (1 of 2)" in text_of(screen, "TitleLine")
        assert app.session.facts.run_outcome is None
        await press(pilot, "1")
        assert "press 5 to watch the run longer" in text_of(app.screen, "#next")
        await pilot.press("n")
        await ended(pilot)
        assert "Watch · longer (2 of 2)" in text_of(app.screen, "TitleLine")


# --- paid for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "until", "dollars"),
    [
        ({"price_per_hour": 1.08, "launched_at": 1000.0}, 1100.0, 0.03),
        ({"consent": {"price_per_hour": 2}, "launched_at": 1000}, 4600, 2.0),
        ({"price_per_hour": 1.08, "launched_at": 1000.0, "ended_at": 1100.0}, 9999.0, 0.03),
        ({"price_per_hour": 1.08}, 1100.0, None),
        ({"launched_at": 1000.0}, 1100.0, None),
        ({"price_per_hour": "1", "launched_at": 1000.0}, 1100.0, None),
        ({"price_per_hour": True, "launched_at": 1000.0}, 1100.0, None),
        ({"price_per_hour": 1.0, "launched_at": 1000.0}, 900.0, None),
        ({"price_per_hour": 1.0, "launched_at": 1000.0}, float("-inf"), None),
        ({"consent": None, "launched_at": 1000.0}, 1100.0, None),
    ],
)
def test_the_cost_so_far(info, until, dollars):
    assert spent(info, until) == (None if dollars is None else pytest.approx(dollars))


async def test_the_status_line_tells_the_cost(runs, app_on):
    app = app_on(runs("sft3", info={"price_per_hour": 1.08, "launched_at": 1795366933.5}))
    async with app.run_test(size=NARROW) as pilot:
        assert text_of(await watching(pilot), "#status") == (
            "sft3 · ✔ finished · $0.03 · step 150/150 · val WER .037 (best .035)"
        )


def footer(screen):
    return screen.query_one("#screen-keys").render().plain


async def test_the_key_line_offers_what_the_run_in_view_allows(app_with):
    app = app_with("hot", "sft3")
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await pilot.press("5")
        await ended(pilot)
        screen = app.screen
        assert screen._run.ref.name == "sft3"
        line = footer(screen)
        assert "R runs" in line
        for key in ("a alerts", "K end run", "F fetch", "U resume", "r retry"):
            assert key not in line, "it is well, over, and was not launched from here"
        await pilot.press("left_square_bracket")
        await ended(pilot)
        assert footer(screen).startswith("a alerts"), "this one has some"
        await press(pilot, "question_mark")
        assert "End the run" in str(app.screen.query_one("#help-text", Static).content), "help names all"
