"""What every screen shares: title and key lines, the session, and loading that cannot crash."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.containers import Vertical
from textual.screen import Screen

from clinasr_tui.actions import bindings_for
from clinasr_tui.errors import ClinasrError
from clinasr_tui.style_files import style_path
from clinasr_tui.widgets.key_line import app_keys, screen_keys
from clinasr_tui.widgets.problem_line import ProblemLine
from clinasr_tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from clinasr_tui.messages import FactsChanged, RunEnded, RunUpdated, WorkspaceChanged
    from clinasr_tui.session import Session


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
        """Title line, the subclass's body, a line for problems, two lines of keys."""
        yield TitleLine(self.session.workspace.name, self.title_text())
        with Vertical(id="body"):
            yield from self.compose_body()
        yield ProblemLine()
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
        self.query_one(ProblemLine).show("" if error is None else str(error))

    def retitle(self, text: str) -> None:
        """Change the screen's part of the title line."""
        self.query_one(TitleLine).rename(text)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """Come up with the newest state."""
        self.refresh_view()

    def on_workspace_changed(self, message: WorkspaceChanged) -> None:
        """Files changed."""
        self.refresh_view()

    def on_facts_changed(self, message: FactsChanged) -> None:
        """A background answer came; only the stepper minds."""

    def on_run_updated(self, message: RunUpdated) -> None:
        """A watched run has news."""

    def on_run_ended(self, message: RunEnded) -> None:
        """A watched run ended."""
