"""Long work: its progress where it is waited for; Esc stops it, r starts it again, quitting ends it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from clinasr_tui.flywheel.progress import Job, left_text
from clinasr_tui.results import CycleJob
from clinasr_tui.widgets import work_line
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.work_line import WorkLine, work_content
from tests.support.cycles import hyps, terms, write
from tests.support.driving import lines_of, press, settle, text_of
from tests.support.oracle import percent

TIMES = 300
"""How often the rows are repeated: enough for processes of their own."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Show work from its first moment on."""
    monkeypatch.setattr(work_line, "_SILENT_SECONDS", 0.0)


@pytest.fixture
def slowly(monkeypatch):
    """Long enough for a hand that presses Esc; the value takes that away again."""

    def slow(job: CycleJob, fraction: float) -> bool:
        time.sleep(0.2)
        return Job.progress(job, fraction)

    with monkeypatch.context() as patch:
        patch.setattr(CycleJob, "progress", slow, raising=False)
        yield patch


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """One cycle of 39,000 transcripts (11 MB) and a manifest of as many rows."""
    folder = tmp_path / "large" / "cycle1"
    rows = terms("drug", 21, 50) + terms("lab", 8, 80)
    manifest = [{key: value for key, value in row.items() if key != "heard"} for row in rows]
    for name, made in (("manifest.jsonl", manifest), ("per_sample.json", hyps(rows))):
        path = write(folder / name, made)
        text = path.read_text()
        with path.open("w") as file:
            for number in range(TIMES):
                file.write(text.replace("audio/", f"audio/{number}_"))
    return folder.parent


def workers() -> list[int]:
    """Processes that this one has started and that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and int(parent) == os.getpid() and state != "Z":
            found.append(int(entry.name))
    return found


async def until(condition, what: str) -> None:
    """Wait until something is so, at most ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came: {what}")


async def working(pilot, kind: str):
    """Wait until work of a kind has really begun, and return it."""
    await until(lambda: [job for job in pilot.app.session.jobs if job.kind == kind], f"{kind} begins")
    (job,) = [job for job in pilot.app.session.jobs if job.kind == kind]
    await until(lambda: job.fraction > 0, f"{kind} gets on")
    return job


async def test_escape_stops_scoring_and_r_starts_it_again(large, app_on, slowly):
    before = set(workers())
    app = app_on(large)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("6")
        await working(pilot, "scoring")
        await until(lambda: app.screen.query_one(WorkLine).has_class("-shown"), "the line")
        assert "scoring of cycle 1" in text_of(app.screen, "WorkLine")
        assert "Esc stops" in text_of(app.screen, "WorkLine")
        await pilot.press("escape")
        await until(lambda: not [job for job in app.session.jobs if job.kind == "scoring"], "the end")
        await until(lambda: "was stopped at" in text_of(app.screen, "#problem"), "the word")
        assert text_of(app.screen, "#problem").endswith("r starts it again")
        await until(lambda: not app.screen.query_one(WorkLine).display, "an empty line")
        # Other screens say the same and start nothing.
        await pilot.press("1")
        await until(lambda: "was stopped at" in text_of(app.screen, "#problem"), "the word on Cycles")
        assert "■ stopped" in lines_of(app.screen.query_one("#cycles", LineList), 76)[0]
        await app.session.rescan()
        assert "scoring" not in [job.kind for job in app.session.jobs]
        app.session.stop_all()
        await until(lambda: not app.session.jobs, "the end of all")
        assert set(workers()) <= before
        slowly.undo()
        await press(pilot, "6", "r")
        assert f"n {TIMES * 130}" in text_of(app.screen, "#headline")
        assert not app.screen.query_one("#problem").display


async def test_escape_stops_preflight_and_r_starts_it_again(large, app_on, slowly):
    (large / "cycle1" / "per_sample.json").unlink()
    app = app_on(large)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await working(pilot, "pre-flight")
        await until(lambda: "pre-flight of cycle 1" in text_of(app.screen, "WorkLine"), "the line")
        await pilot.press("down", "down")
        assert app.screen.query_one("#rows").cursor == 2
        await pilot.press("escape")
        await until(lambda: "■ pre-flight stopped" in text_of(app.screen, "#summary"), "the word")
        await until(lambda: text_of(app.screen, "#problem").endswith("r starts it again"), "the way on")
        assert not app.session.jobs
        slowly.undo()
        await press(pilot, "r")
        assert f"✖ {TIMES * 130:,} errors" in text_of(app.screen, "#summary")
        assert app.screen.query_one("#rows").cursor == 2


async def test_a_screen_shows_only_what_it_waits_for(large, app_on, slowly):
    app = app_on(large)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        job = await working(pilot, "pre-flight")
        assert app.screen.awaited() == []
        await pilot.press("escape")
        assert not job.cancelled
        await pilot.press("1")
        assert job in app.screen.awaited()


async def test_quitting_ends_the_work(large, app_on, slowly):
    before = set(workers())
    app = app_on(large)
    async with app.run_test(size=(80, 24)) as pilot:
        await working(pilot, "scoring")
        await pilot.press("q")
    await until(lambda: set(workers()) <= before, "the end of the processes")
    assert app.return_code == 0


async def test_a_comparison_is_shown_while_it_lasts_and_runs_to_its_end(
    two_cycles, app_on, monkeypatch, demo_figures
):
    from clinasr_tui import results

    compare = results._compare

    def slow(*args):
        time.sleep(0.3)
        return compare(*args)

    monkeypatch.setattr(results, "_compare", slow)
    app = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        await until(lambda: "comparison of cycle 2" in text_of(app.screen, "WorkLine"), "the line")
        shown = text_of(app.screen, "WorkLine")
        await press(pilot, "escape")
        assert "Esc" not in shown
        assert percent(demo_figures[1].ker, demo_figures[2].ker) in " ".join(
            lines_of(app.screen.query_one("#headline", LineList))
        )
        assert not app.screen.query_one(WorkLine).display


async def test_work_on_a_file_that_changes_is_given_up(large, app_on, slowly):
    app = app_on(large)
    path = large / "cycle1" / "per_sample.json"
    async with app.run_test(size=(80, 24)) as pilot:
        job = await working(pilot, "scoring")
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:200]))
        await app.session.rescan()
        assert job.cancelled
        await settle(pilot)
        assert "200" in lines_of(app.screen.query_one("#cycles", LineList), 76)[0]
        assert not app.screen.query_one("#problem").display


@pytest.mark.parametrize(
    ("seconds", "fraction", "text"),
    [(1.0, 0.0, ""), (1.0, 0.5, "0:01"), (60.0, 0.5, "1:00"), (36.0, 0.01, "59:24"), (37.0, 0.01, "1:01:03")],
)
def test_the_time_left_goes_on_as_it_began(seconds, fraction, text):
    assert left_text(seconds, fraction) == text


def test_the_line_fits_and_its_bar_gives_way():
    job = Job("scoring of cycle 12")
    job.progress(0.5)
    job.progress(0.25)
    for width in (78, 138):
        line = work_content(job, 2, width)
        assert line.cell_length <= width
        assert "50%" in line.plain
        assert line.plain.endswith("and 2 more  Esc stops all")
    unmeasured = Job("comparison of cycle 2", measured=False)
    assert work_content(unmeasured, 1, 78).plain == "● comparison of cycle 2 0 s"
    job.cancel()
    assert not job.progress(0.6)
    assert work_content(job, 0, 78).plain == "■ scoring of cycle 12 is being stopped …"
