"""Watch: a fine-tuning run as it happens: progress, loss, newest sample, health, log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError
from clinasr_tui.screens.log_keys import LogKeys
from clinasr_tui.widgets.log_view import LogView
from clinasr_tui.widgets.loss_chart import LossChart
from clinasr_tui.widgets.pace import Pace
from clinasr_tui.widgets.prompt import Prompt
from clinasr_tui.widgets.run_status import ContactLine, HealthLines, StatusLine, contact_line, status_line
from clinasr_tui.widgets.sample_view import SampleView

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.messages import RunEnded, RunUpdated
    from clinasr_tui.training.log_store import LogStore
    from clinasr_tui.watched_run import WatchedRun

_NO_RUN = (
    "No fine-tuning run in this workspace yet.\n\n"
    "A run appears here by itself once cycle<N>/models/<run>/training_run_info.json\n"
    "names its run folder and, if it is elsewhere, its host.\n\n"
    "Next: pass the gate (3), then start the run with the stock NeMo script."
)
_TICK_SECONDS = 1.0
_LINES_SECONDS = 0.25
_FIGURES_SECONDS = 0.9


class WatchScreen(LogKeys):
    """One run of the workspace, the newest first; `[` and `]` change between runs."""

    SCREEN_ID = "watch"
    TITLE_TEXT = "Watch"
    AUTO_FOCUS = "LogView"

    def __init__(self) -> None:
        super().__init__()
        self._ref: RunRef | None = None
        self._lines = Pace(self, _LINES_SECONDS, self._draw_lines)
        self._figures = Pace(self, _FIGURES_SECONDS, self._draw_figures)

    def compose_body(self) -> ComposeResult:
        """Status, chart beside sample, health, log; or what to do where there is no run."""
        yield Static(_NO_RUN, id="no-run", markup=False)
        with Vertical(id="run"):
            yield StatusLine(id="status")
            yield ContactLine(id="contact")
            with Horizontal(id="top"):
                yield LossChart(id="loss")
                yield SampleView(id="sample")
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
        if self._ref is None or self._ref.folder not in {ref.folder for ref in runs}:
            self._ref = runs[-1] if runs else None
        self.query_one("#no-run").display = self._ref is None
        self.query_one("#run").display = self._ref is not None
        if self._ref is None:
            return
        try:
            run = self.session.watch(self._ref)
        except ClinasrError as error:
            self.show_problem(error)
            return
        self.retitle(self._title(self._ref))
        self._show(run)

    def _title(self, ref: RunRef) -> str:
        runs = self.session.workspace.runs
        place = f" ({runs.index(ref) + 1} of {len(runs)})" if len(runs) > 1 and ref in runs else ""
        where = f" on {ref.host}" if ref.host else ""
        return f"Watch · {ref.name}{where}{place}"

    def _show(self, run: WatchedRun) -> None:
        """Hand the newest state to the widgets; each draws only what differs."""
        self._show_log(run)
        self._show_figures(run)

    def _show_log(self, run: WatchedRun) -> None:
        """What must not wait: new lines and the state of the connection."""
        self.query_one(LogView).show(run.log)
        self._show_contact(run)

    def _show_figures(self, run: WatchedRun) -> None:
        """What reads as well, and costs a slow line less, when it changes once a second."""
        reader = run.watch.reader
        snapshot = reader.snapshot(None if run.ended else time.time())
        self.query_one("#status", StatusLine).show(status_line(snapshot, run.ref.name))
        self.query_one(HealthLines).show(snapshot)
        self.query_one(LossChart).follow(reader.train_loss, reader.val_wer)
        self.query_one(SampleView).show(reader.samples)

    def _show_contact(self, run: WatchedRun) -> None:
        from clinasr_tui.remote.run_watch import Contact

        line = contact_line(
            run.ref.host or "this machine",
            connecting=run.contact is Contact.CONNECTING and not run.caught_up,
            lost=run.contact is Contact.LOST,
            retry_in=run.retry_in,
            error="" if run.error is None else str(run.error),
        )
        self.query_one(ContactLine).show(line)

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
            self._ref = runs[place]
            self.query_one(SampleView).newest()
            self.refresh_view()

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

    # --- keys: chart and samples ---------------------------------------------------------------

    def action_log_scale(self) -> None:
        """Logarithmic or linear."""
        self.query_one(LossChart).toggle_log()

    def action_smooth(self, direction: int) -> None:
        """More or less smoothing."""
        self.query_one(LossChart).smooth(direction)

    def action_cursor(self, direction: int) -> None:
        """Move the read-out."""
        self.query_one(LossChart).move_cursor(direction)

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
