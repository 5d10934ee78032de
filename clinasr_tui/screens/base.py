"""What every screen shares: title and key lines, the session, and loading that cannot crash."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from textual.containers import Vertical
from textual.screen import Screen

from clinasr_tui.actions import bindings_for
from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.progress import Job
from clinasr_tui.style_files import style_path
from clinasr_tui.widgets.empty_state import EmptyState, Missing
from clinasr_tui.widgets.key_line import app_keys, screen_keys
from clinasr_tui.widgets.problem_line import ProblemLine
from clinasr_tui.widgets.title_line import TitleLine
from clinasr_tui.widgets.work_line import WorkLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

    from clinasr_tui.actions import Action
    from clinasr_tui.flywheel.progress import Progress
    from clinasr_tui.messages import (
        BoxChanged,
        EvalChanged,
        FactsChanged,
        LaunchChanged,
        RunEnded,
        RunUpdated,
        WorkChanged,
        WorkspaceChanged,
    )
    from clinasr_tui.session import CycleJob, EvalWish, Session

T = TypeVar("T")
_PULSE_SECONDS = 0.1


class HasSession(Protocol):
    """The app as screens know it."""

    session: Session


class CockpitScreen(Screen[None]):
    """A screen of the cockpit.

    Subclasses set SCREEN_ID (the id in the action table, which gives the bindings and the key line),
    TITLE_TEXT and STYLE (the style sheet's name), and implement `compose_body` and `refresh_view`.
    """

    SCREEN_ID: ClassVar[str] = ""
    TITLE_TEXT: ClassVar[str] = ""

    _work_pulse: Timer | None = None
    _job: Job | None = None
    """What runs in a thread for this screen alone."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "BINDINGS" not in cls.__dict__:
            bindings: list[BindingType] = list(bindings_for(cls.SCREEN_ID))
            cls.BINDINGS = bindings
        if "CSS_PATH" not in cls.__dict__ and style_path(cls.SCREEN_ID).exists():
            cls.CSS_PATH = style_path(cls.SCREEN_ID)
        super().__init_subclass__(**kwargs)

    @property
    def session(self) -> Session:
        """The app's session."""
        return cast("HasSession", self.app).session

    def compose(self) -> ComposeResult:
        """Title line, the subclass's body, lines for long work and for problems, two lines of keys."""
        name = self.session.workspace.name + (" (read-only)" if self.session.readonly else "")
        yield TitleLine(name, self.title_text(), *self.session.boxes.headline())
        with Vertical(id="body"):
            yield EmptyState()
            yield from self.compose_body()
        yield WorkLine()
        yield ProblemLine(id="problem")
        yield ProblemLine(warning=True, id="warnings")
        yield screen_keys(self.SCREEN_ID)
        yield app_keys(self.home_id())

    def compose_body(self) -> ComposeResult:
        """The screen's own widgets, between title and keys; their container takes all the room."""
        raise NotImplementedError

    def refresh_view(self) -> None:
        """Show the newest state; called when the screen comes up and when the workspace changes."""
        raise NotImplementedError

    def title_text(self) -> str:
        """What the title line says of this screen; may name the cycle."""
        return self.TITLE_TEXT

    def home_id(self) -> str:
        """The number-key screen this one belongs to (itself, or the one it was opened from)."""
        return self.SCREEN_ID

    def offers(self, action: Action) -> bool:
        """False for a key that means nothing in the state that is shown: the key line leaves it out."""
        return True

    def load(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` in the screen's exclusive worker; an operator's error becomes the problem line."""
        guarded: Callable[[], Awaitable[None]] = partial(self._guarded, work)
        self.run_worker(guarded, name=f"load {self.SCREEN_ID}", group="load", exclusive=True)

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self.session.painted.wait()
        try:
            await work()
        except ClinasrError as error:
            self.show_problem(error)

    def show_problem(self, error: ClinasrError | str | None) -> None:
        """Show an error as one line with its remedy above the keys; None takes it away."""
        self.query_one("#problem", ProblemLine).show("" if error is None else str(error))

    def show_warnings(self, warnings: Sequence[str]) -> None:
        """Show the first of some warnings and how many more there are; none takes the line away."""
        self.query_one("#warnings", ProblemLine).show(first_and_count(warnings))

    def show_missing(self, missing: Missing | None) -> None:
        """Say in the body's place what is missing; None shows the body, ready for keys."""
        body = self.query_one("#body")
        was_missing = body.has_class("-missing")
        body.set_class(missing is not None, "-missing")
        if missing is not None:
            self.query_one(EmptyState).show(missing)
            if not was_missing:
                self.show_problem(None)
        elif was_missing and self.focused is None and self.AUTO_FOCUS:
            self.call_after_refresh(self.query_one(self.AUTO_FOCUS).focus)

    def retitle(self, text: str) -> None:
        """Change the screen's part of the title line."""
        self.query_one(TitleLine).rename(text)

    # --- long work -----------------------------------------------------------------------------

    def waits_for(self, job: CycleJob) -> bool:
        """True for work whose result this screen shows: its progress is shown and Esc stops it."""
        return False

    def awaited(self) -> list[Job]:
        """The work that goes on and that this screen waits for, its own first."""
        mine = [] if self._job is None else [self._job]
        return [*mine, *(job for job in self.session.jobs if self.waits_for(job))]

    async def in_thread(self, what: str, work: Callable[[Progress], T]) -> T:
        """Run `work(progress)` in a thread as this screen's own long work; newer work cancels it."""
        self.drop_work()
        mine = self._job = Job(what)
        self._follow_work()
        try:
            return await asyncio.to_thread(work, mine.progress)
        finally:
            mine.cancel()
            if mine is self._job:
                self.drop_work()
                self.show_work()

    def drop_work(self) -> None:
        """Cancel the screen's own work, if there is any."""
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def show_work(self) -> None:
        """Show how far the work is; called ten times a second while there is any, and once after."""
        if not self.is_running:
            return
        jobs = self.awaited()
        self.query_one(WorkLine).show(jobs)
        if not jobs and self._work_pulse is not None:
            self._work_pulse.stop()
            self._work_pulse = None

    def on_work_changed(self, message: WorkChanged) -> None:
        """Look at work ten times a second while there is any."""
        self._follow_work()

    def _follow_work(self) -> None:
        if self._work_pulse is None and self.awaited():
            self._work_pulse = self.set_interval(_PULSE_SECONDS, self.show_work)
        self.show_work()

    def action_stop(self) -> None:
        """Stop the work this screen waits for."""
        for job in self.awaited():
            if job.measured:
                job.cancel()
        self.show_work()

    def action_start_again(self) -> None:
        """Start stopped work again."""
        self.session.start_again()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Come up with the newest state."""
        self._show_billing()
        self._show_evaluating()
        self.refresh_view()
        self._follow_work()

    def on_workspace_changed(self, message: WorkspaceChanged) -> None:
        """Files changed."""
        self.refresh_view()

    def on_facts_changed(self, message: FactsChanged) -> None:
        """A background answer came; only the stepper minds."""

    def on_box_changed(self, message: BoxChanged) -> None:
        """A rented box has news: the title line says what it costs."""
        self._show_billing()

    def on_launch_changed(self, message: LaunchChanged) -> None:
        """A launch goes on; only Train and Watch mind."""

    def on_eval_changed(self, message: EvalChanged) -> None:
        """An evaluation goes on: the title line says how far it is."""
        self._show_evaluating()

    def to_evaluate(self) -> EvalWish | None:
        """What Evaluate shows when it is asked for from here; None leaves it to what is due."""
        return None

    def _show_evaluating(self) -> None:
        self.query_one(TitleLine).at_work(self.session.evaluations.headline)

    def _show_billing(self) -> None:
        self.query_one(TitleLine).billing(*self.session.boxes.headline())

    def on_run_updated(self, message: RunUpdated) -> None:
        """A watched run has news."""

    def on_run_ended(self, message: RunEnded) -> None:
        """A watched run ended."""


def first_and_count(lines: Sequence[str]) -> str:
    """The first of some lines, and how many more there are."""
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{lines[0]}{more}" if lines else ""
