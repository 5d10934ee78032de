"""Watch: a fine-tuning run as it happens: progress, loss, newest sample, health, log."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical

from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.run_marks import is_smoke
from clinasr_tui.screens.chart_keys import ChartKeys
from clinasr_tui.screens.log_keys import LogKeys
from clinasr_tui.screens.missing import NO_RUN
from clinasr_tui.screens.run_keys import RunKeys
from clinasr_tui.screens.run_switcher import RunState, RunSwitcher
from clinasr_tui.session import EvalWish
from clinasr_tui.text import visible
from clinasr_tui.training.sample_history import manifest_terms
from clinasr_tui.training.snapshot import Outcome
from clinasr_tui.watched_run import Glance, glance, spent
from clinasr_tui.widgets.gpu_view import GpuView
from clinasr_tui.widgets.key_line import KeyLine
from clinasr_tui.widgets.log_view import LogView
from clinasr_tui.widgets.loss_chart import LossChart
from clinasr_tui.widgets.pace import Pace
from clinasr_tui.widgets.prompt import Prompt
from clinasr_tui.widgets.run_status import (
    COMPARE_NEXT,
    REEVALUATE_NEXT,
    ContactLine,
    HealthLines,
    StatusLine,
    contact_line,
    status_line,
)
from clinasr_tui.widgets.sample_view import SampleView

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.app import ComposeResult

    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.messages import RunEnded, RunUpdated
    from clinasr_tui.training.log_store import LogStore
    from clinasr_tui.training.snapshot import RunSnapshot, Series
    from clinasr_tui.watched_run import WatchedRun

_TICK_SECONDS = 1.0
_LINES_SECONDS, _MANY_SECONDS, _FLOOD_SECONDS = 0.03, 0.25, 0.6
"""Rest between two pictures of the log: after a few new lines, after many, after more than fit."""
_FEW = 4
_FIGURES_SECONDS = 0.9


class WatchScreen(ChartKeys, LogKeys, RunKeys):
    """One run of the workspace, the newest first; `[` and `]` change between runs."""

    SCREEN_ID = "watch"
    TITLE_TEXT = "Watch"
    AUTO_FOCUS = "LogView"

    def __init__(self) -> None:
        super().__init__()
        self._ref: RunRef | None = None
        self._terms_of: Path | None = None
        self._lines_shown = 0
        self._glances: dict[Path, Glance | None] = {}
        self._lines = Pace(self, _LINES_SECONDS, self._draw_lines)
        self._figures = Pace(self, _FIGURES_SECONDS, self._draw_figures)

    def compose_body(self) -> ComposeResult:
        """Status, chart beside sample, health, log."""
        with Vertical(id="run"):
            yield StatusLine(id="status")
            yield ContactLine(id="contact")
            yield ContactLine(id="work")
            with Horizontal(id="top"):
                yield LossChart(id="loss")
                yield SampleView(id="sample")
            yield GpuView(id="gpu")
            yield HealthLines(id="health")
            yield LogView(id="log")
            yield Prompt("look for a text in the log", id="search")

    def on_mount(self) -> None:
        """Time passes for ETA, stalls and the next attempt even when the run is silent."""
        self.set_interval(_TICK_SECONDS, self._tick)

    # --- what is shown -------------------------------------------------------------------------

    def refresh_view(self) -> None:
        """Choose the run (the one in view, else the newest) and show it."""
        runs = self.session.workspace.runs
        self._take_wish(runs)
        shown = None if self._ref is None else self._ref.folder
        self._ref = next((ref for ref in runs if ref.folder == shown), runs[-1] if runs else None)
        self.show_missing(NO_RUN if self._ref is None else None)
        if self._ref is None:
            return
        try:
            run = self.session.watch(self._ref)
        except ClinasrError as error:
            self.show_problem(error)
            return
        self.retitle(self._title(self._ref))
        self._show(run)
        self._look_up_terms(self._ref.cycle)

    def _take_wish(self, runs: Sequence[RunRef]) -> None:
        """Show the run that was just launched."""
        wish, self.session.run_wish = self.session.run_wish, None
        found = next((ref for ref in runs if ref.folder == wish), None)
        if found is not None:
            self._ref = found
            self._leave_run()

    def _title(self, ref: RunRef) -> str:
        runs = self.session.workspace.runs
        place = f" ({runs.index(ref) + 1} of {len(runs)})" if len(runs) > 1 and ref in runs else ""
        where = f" on {ref.host}" if ref.host else ""
        return f"Watch · {ref.name}{place}{where}"

    def _show(self, run: WatchedRun) -> None:
        """Hand the newest state to the widgets; each draws only what differs."""
        self._show_log(run)
        self._show_figures(run)

    def _show_log(self, run: WatchedRun) -> None:
        """What must not wait: new lines and the state of the connection.

        Lines that fly by faster than they are read are shown less often: a slow line carries them all.
        """
        log = self.query_one(LogView)
        new, self._lines_shown = len(run.log) - self._lines_shown, len(run.log)
        flood = _FLOOD_SECONDS if new > log.size.height else _MANY_SECONDS
        self._lines.seconds = _LINES_SECONDS if new <= _FEW else flood
        log.show(run.log)
        self._show_contact(run)
        self.show_run_work()

    def _show_figures(self, run: WatchedRun) -> None:
        """What reads as well, and costs a slow line less, when it changes once a second."""
        reader = run.watch.reader
        now = time.time()
        snapshot = reader.snapshot(None if run.ended else now)
        cost = spent(run.ref.info, reader.train_loss.newest_wall if snapshot.ended else now)
        line = status_line(snapshot, run.ref.name, cost, smoke=is_smoke(run.ref))
        self.query_one("#status", StatusLine).show(line)
        self.query_one(HealthLines).show(snapshot, self._after(run.ref))
        self.query_one(LossChart).follow(reader.train_loss, reader.val_wer, _last_step(snapshot))
        self.query_one(SampleView).show(reader.samples)
        self.query_one(GpuView).show(reader.gpu)
        self.query_one("#screen-keys", KeyLine).look()

    def _after(self, ref: RunRef) -> str:
        """What comes after a run that is well: the new model has to be heard before cycles are compared.

        A newer run is named instead: it may have begun without the operator, and out of view.
        """
        workspace = self.session.workspace
        newest = workspace.runs[-1] if workspace.runs else ref
        if newest.folder != ref.folder:
            return f"watch {visible(newest.name)} (R)"
        later = [one for one in workspace.cycles if one.number > ref.cycle and one.hypotheses]
        return COMPARE_NEXT if any(one.run in ("", ref.name) for one in later) else REEVALUATE_NEXT

    def _show_contact(self, run: WatchedRun) -> None:
        from clinasr_tui.remote.run_watch import Contact

        line = contact_line(
            run.ref.host or "this machine",
            connecting=run.contact is Contact.CONNECTING and not run.caught_up,
            lost=run.contact is Contact.LOST,
            paused=run.contact is Contact.PAUSED,
            retry_in=run.retry_in,
            error="" if run.error is None else str(run.error),
        )
        self.query_one(ContactLine).show(line)

    def to_evaluate(self) -> EvalWish | None:
        """The run in view: its cycle with its model."""
        return None if self._ref is None else EvalWish(self._ref.cycle, self._ref.name)

    def run_in_view(self) -> WatchedRun | None:
        """The run that is shown."""
        return self._run

    @property
    def _run(self) -> WatchedRun | None:
        return None if self._ref is None else self.session.watched(self._ref)

    def _followed(self) -> WatchedRun | None:
        """The run in view, if the screen is seen and the run may still change."""
        run = self._run
        return run if run is not None and self.is_current and not run.ended else None

    def _draw_lines(self) -> None:
        run = self._followed()
        if run is not None:
            self._show_log(run)

    def _draw_figures(self) -> None:
        run = self._followed()
        if run is not None:
            self._show_figures(run)

    def _tick(self) -> None:
        self._lines()
        self._figures()

    def on_run_updated(self, message: RunUpdated) -> None:
        """The run in view has news: draw them as soon as it is time."""
        run = self._run
        if run is not None and run.ref.name == message.run:
            self._tick()

    def on_run_ended(self, message: RunEnded) -> None:
        """Show the end."""
        run = self._run
        if run is not None and run.ref.name == message.run and self.is_current:
            self._show(run)
            self.query_one(LogView).retitle()

    # --- keys: run -----------------------------------------------------------------------------

    def action_run(self, step: int) -> None:
        """Watch the run before or the next one; those not in view go on being watched."""
        runs = self.session.workspace.runs
        folders = [ref.folder for ref in runs]
        if self._ref is None or self._ref.folder not in folders:
            return
        place = folders.index(self._ref.folder) + step
        if 0 <= place < len(runs):
            self._switch(runs[place])

    def action_retry(self) -> None:
        """Try the host again now, after an error that ended following."""
        run = self._run
        if run is None:
            return
        if run.error is None:
            self.notify("Nothing to retry: the run is being followed.", timeout=3)
            return
        self.show_problem(None)
        self.session.reconnect(run.ref)
        self._show(run)

    def action_alerts(self) -> None:
        """Every alert, or only the worst."""
        self.query_one(HealthLines).toggle()

    # --- keys: other runs ----------------------------------------------------------------------

    async def other_curves(self) -> Sequence[tuple[str, Series]]:
        """Loss curves of the workspace's other runs, newest first: followed ones live, others as on disk."""
        others = [ref for ref in reversed(self.session.workspace.runs) if ref != self._ref]
        await self._read_runs(others)
        found = []
        for ref in others:
            run, seen = self.session.watched(ref), self._glances.get(ref.folder)
            loss = run.watch.reader.train_loss if run is not None else seen.loss if seen is not None else None
            if loss is not None and len(loss):
                found.append((ref.name, loss))
        return found

    async def _read_runs(self, refs: Sequence[RunRef]) -> None:
        for ref in refs:
            if self.session.watched(ref) is None:
                self._glances[ref.folder] = await asyncio.to_thread(glance, ref)

    def action_switcher(self) -> None:
        """Every run and how it is."""
        runs = self.session.workspace.runs
        if not runs:
            return
        self.run_worker(self._read_runs(runs), name="read runs", group="read runs", exclusive=True)
        self.app.push_screen(RunSwitcher(self._states, self._ref), self._switch)

    def _states(self) -> list[RunState]:
        return [self._state(ref) for ref in self.session.workspace.runs]

    def _state(self, ref: RunRef) -> RunState:
        run = self.session.watched(ref)
        if run is None:
            seen = self._glances.get(ref.folder)
            reading = ref.folder not in self._glances
            return RunState(ref, None if seen is None else seen.snapshot, "not followed", reading)
        snapshot = run.watch.reader.snapshot(None if run.ended else time.time())
        return RunState(ref, snapshot, _contact(run))

    def _switch(self, ref: RunRef | None) -> None:
        if ref is not None and ref != self._ref:
            self._ref = ref
            self._leave_run()
            self.refresh_view()

    def _leave_run(self) -> None:
        """What belongs to the run that was in view is not carried over to another."""
        self.query_one(SampleView).newest()
        self.query_one(LossChart).overlay(())

    # --- keys: samples -------------------------------------------------------------------------

    def _look_up_terms(self, number: int) -> None:
        """Read the terms of the run's manifest once."""
        cycle = self.session.workspace.cycle(number)
        manifest = cycle.manifest if cycle is not None else None
        if manifest != self._terms_of:
            self._terms_of = manifest
            self.run_worker(self._use_terms(manifest), name="read terms", group="terms", exclusive=True)

    async def _use_terms(self, manifest: Path | None) -> None:
        await self.session.painted.wait()
        self.query_one(SampleView).use_terms(await asyncio.to_thread(manifest_terms, manifest))

    def action_term(self, direction: int) -> None:
        """Step through the samples of one term, then of the next."""
        self.query_one(SampleView).next_term(direction)

    def action_sample(self, direction: int) -> None:
        """Step through the sample predictions."""
        self.query_one(SampleView).step(direction)

    def log_place(self) -> tuple[LogStore, Path, str] | None:
        """The log of the run in view; copies of it are kept in the run's folder of the workspace."""
        run = self._run
        return None if run is None else (run.log, run.ref.folder, run.ref.name)

    def action_back(self) -> None:
        """Leave what the log shows, one thing after the other; then cursor and history."""
        if self.leave_log():
            return
        self.query_one(LossChart).clear_cursor()
        self.query_one(SampleView).newest()


def _last_step(snapshot: RunSnapshot) -> int | None:
    """The step a running run will end at, if it says so."""
    if snapshot.outcome is not Outcome.RUNNING or not snapshot.max_steps:
        return None
    return snapshot.max_steps - 1


def _contact(run: WatchedRun) -> str:
    """How a run is being followed, in a word or two."""
    if run.error is not None:
        return "✖ not followed: open it to see why"
    if run.ended:
        return "read to its end"
    if run.contact in {"lost", "paused"}:
        return "contact lost" if run.contact == "lost" else "paused: the disk is full"
    return "followed" if run.caught_up else "connecting"
