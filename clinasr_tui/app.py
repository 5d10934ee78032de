"""The Textual app: one session, screens by number key, messages handed to the screen that is shown."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App

from clinasr_tui.actions import SCREENS, bindings_for, changing
from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.settings import NOTICES
from clinasr_tui.flywheel.workspace import open_workspace
from clinasr_tui.messages import Problem
from clinasr_tui.notices import in_tmux, notice
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.session import Session
from clinasr_tui.style_files import style_path
from clinasr_tui.terminal_diff import frugal
from clinasr_tui.text import visible
from clinasr_tui.theme import DARK, THEMES, other

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from textual.actions import ActionParseResult
    from textual.binding import BindingType
    from textual.command import Provider
    from textual.dom import DOMNode
    from textual.driver import Driver
    from textual.message import Message
    from textual.screen import Screen

    from clinasr_tui.errors import HostKeyError
    from clinasr_tui.flywheel.workspace import Workspace
    from clinasr_tui.messages import (
        BoxChanged,
        BoxKeyUnknown,
        EvalChanged,
        EvalEnded,
        FactsChanged,
        HostKeyUnknown,
        LaunchChanged,
        LaunchKeyUnknown,
        RunEnded,
        RunLaunched,
        RunNotice,
        RunUpdated,
        WorkChanged,
        WorkspaceChanged,
    )

SCREEN_CLASSES = {
    "cycles": "clinasr_tui.screens.cycles:CyclesScreen",
    "manifest": "clinasr_tui.screens.manifest:ManifestScreen",
    "gate": "clinasr_tui.screens.gate:GateScreen",
    "box": "clinasr_tui.screens.box:BoxScreen",
    "watch": "clinasr_tui.screens.watch:WatchScreen",
    "leaderboard": "clinasr_tui.screens.leaderboard:LeaderboardScreen",
    "compare": "clinasr_tui.screens.compare:CompareScreen",
    "deploy": "clinasr_tui.screens.deploy:DeployScreen",
    "train": "clinasr_tui.screens.train:TrainScreen",
    "evaluate": "clinasr_tui.screens.evaluate:EvaluateScreen",
}
"""`module:class` of each screen, imported when it is first shown so that start-up stays light."""

READONLY = "--readonly: nothing is launched, ended, rented or written"
LEAVING = "An evaluation goes on"
LEAVES = (
    "Stay here",
    "Leave, it goes on by itself there: E follows it when you are back",
    "End it and leave: what is transcribed is kept, E goes on with it",
)
RESCAN_SECONDS = 2.0
BOX_SECONDS = 30.0
"""How often the meter of a rented box is drawn anew."""
PAINT_SECONDS = 0.02
"""What the terminal gets to write the first picture before workers import and compute."""


def _maker(target: str) -> Callable[[], Screen[Any]]:
    def make() -> Screen[Any]:
        module, _, name = target.partition(":")
        screen: Screen[Any] = getattr(import_module(module), name)()
        return screen

    return make


def _palette() -> type[Provider]:
    from clinasr_tui.palette import ActionProvider

    return ActionProvider


class ClinasrApp(App[int]):
    """The cockpit on one workspace."""

    TITLE = "clinasr-tui"
    CSS_PATH = style_path("app")
    COMMANDS: ClassVar[set[Callable[[], type[Provider]]]] = {_palette}  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = list(bindings_for(""))
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        name: _maker(SCREEN_CLASSES[name]) for name in SCREENS
    }
    DEFAULT_MODE = "cycles"

    def __init__(self, workspace: Workspace, *, readonly: bool = False) -> None:
        super().__init__()
        self.animation_level = "none"
        self.notices = workspace.settings.notify
        """How the operator is called: one of the settings' `NOTICES`."""
        self.session = Session(workspace, self.post_message, self._start_worker, readonly=readonly)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK

    def get_driver_class(self) -> type[Driver]:
        """A driver that sends the terminal only what changes: the operator's line may be slow."""
        driver = super().get_driver_class()
        return driver if sys.platform == "win32" else frugal(driver)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our styles' own variables, for a theme that does not know them."""
        return dict(THEMES[0].variables)

    def _start_worker(self, work: Coroutine[Any, Any, None], name: str, group: str) -> object:
        return self.run_worker(work, name=name, group=group, exit_on_error=False)

    def on_mount(self) -> None:
        """Begin looking after the workspace once the first screen is painted."""
        self.set_interval(RESCAN_SECONDS, self._rescan)
        self.call_after_refresh(self.set_timer, PAINT_SECONDS, self._painted)

    def on_unmount(self) -> None:
        """Leave no process at work behind; an evaluation on its machine is not one."""
        self.session.evaluations.leave()
        self.session.stop_all()

    def _painted(self) -> None:
        if not gc.isenabled():
            # What the start has made stays: leaving it out makes every later collection short.
            gc.freeze()
            gc.enable()
        self.session.painted.set()
        self._review()
        if self.session.readonly:
            self.session.boxes.read()
        else:
            self.session.boxes.begin()
        self.set_interval(BOX_SECONDS, self._tick_boxes)

    def _tick_boxes(self) -> None:
        """Let the meter run, and ask Brev now and then, while there is a box."""
        if not self.session.readonly:
            self.session.boxes.tick()

    def _rescan(self) -> None:
        self.run_worker(self.session.rescan(), name="rescan", group="rescan", exclusive=True)

    def _review(self) -> None:
        self.run_worker(self.session.review(), name="review", group="review", exclusive=True)

    # --- messages to the screens that are shown ------------------------------------------------

    def _hand_on(self, message: Message) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, CockpitScreen):
                screen.post_message(replace(message))  # type: ignore[type-var]

    def on_workspace_changed(self, message: WorkspaceChanged) -> None:
        """Show what is new and answer the stepper's questions again."""
        self._review()
        self._hand_on(message)

    def on_facts_changed(self, message: FactsChanged) -> None:
        """Hand on."""
        self._hand_on(message)

    def on_work_changed(self, message: WorkChanged) -> None:
        """Hand on."""
        self._hand_on(message)

    def on_run_updated(self, message: RunUpdated) -> None:
        """Hand on."""
        self._hand_on(message)

    def on_run_ended(self, message: RunEnded) -> None:
        """Hand on and look for what the run left behind."""
        self._hand_on(message)
        self._rescan()
        self.session.stop_box_after(message.run)

    def on_box_changed(self, message: BoxChanged) -> None:
        """Hand on, and tell the stepper."""
        self.session.set_facts(**self.session.boxes.facts())
        self._hand_on(message)

    def on_eval_changed(self, message: EvalChanged) -> None:
        """Hand on, and tell the stepper."""
        self.session.set_facts(**self.session.evaluations.facts())
        self._hand_on(message)

    def on_eval_ended(self, message: EvalEnded) -> None:
        """Look for the new cycle, then call the operator with what it shows."""
        self._start_worker(self._take_evaluated(), "take what was evaluated", "evaluated")

    async def _take_evaluated(self) -> None:
        from clinasr_tui.widgets.eval_view import ended_text

        await self.session.take_evaluated()
        held = self.session.evaluations.evaluating
        if held is not None and not (held.going or held.cancelled):
            self._call("evaluate", held.evaluation.model.label, ended_text(held))

    def on_run_notice(self, message: RunNotice) -> None:
        """Call the operator."""
        self._call("watch", message.run, message.text)

    def _call(self, mode: str, name: str, text: str) -> None:
        """Call the operator as they chose to be called; on another screen than `mode` also by a line here."""
        if self.current_mode != mode:
            self.notify(visible(text), title=visible(name), markup=False, timeout=12)
        sequences = notice(self.notices, f"{self.TITLE} {name}", text, tmux=in_tmux())
        if sequences and self._driver is not None:
            self._driver.write(sequences)

    def on_problem(self, message: Problem) -> None:
        """Show the line on the screen that is shown."""
        for screen in self.screen_stack:
            if isinstance(screen, CockpitScreen):
                screen.show_problem(message.text)

    def on_host_key_unknown(self, message: HostKeyUnknown) -> None:
        """Ask the operator; nothing connects before the answer. A changed key is only shown."""
        self._ask_trust(message.error, lambda: self.session.reconnect(message.run))

    def on_box_key_unknown(self, message: BoxKeyUnknown) -> None:
        """A new box answers for the first time: the same question."""
        self._ask_trust(message.error, lambda: self.session.boxes.wait_for(message.name))

    def on_launch_changed(self, message: LaunchChanged) -> None:
        """Hand on."""
        self._hand_on(message)

    def on_launch_key_unknown(self, message: LaunchKeyUnknown) -> None:
        """A machine to launch on answers for the first time: the same question."""
        self._ask_trust(message.error, message.again)

    async def on_run_launched(self, message: RunLaunched) -> None:
        """Follow the new run, and show it to whoever waited for it."""
        await self.session.take_launched(message.folder)
        if message.anew:
            what = f"{visible(message.run)} had left no checkpoint: it has started anew"
            self.notify(what, severity="warning", markup=False, timeout=10)
        if self.current_mode == "train":
            self.switch_mode("watch")
        else:
            self.notify(f"{visible(message.run)} is started: 5 watches it", markup=False, timeout=6)

    def _ask_trust(self, error: HostKeyError, connect: Callable[[], None]) -> None:
        from clinasr_tui.screens.trust_dialog import ChangedKeyDialog, TrustDialog

        if error.changed:
            self.push_screen(ChangedKeyDialog(error))
            return

        def answered(trusted: bool | None) -> None:
            if not trusted:
                return
            try:
                self.session.trust(error)
            except ClinasrError as problem:
                self.post_message(Problem(str(problem)))
                return
            connect()

        self.push_screen(TrustDialog(error), answered)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do it, unless it changes something and the app was opened to look only."""
        name = action.partition("(")[0] if isinstance(action, str) else action[1]
        here = getattr(self.screen, "SCREEN_ID", "")
        if self.session.readonly and name.rpartition(".")[2] in changing(here):
            self.notify(READONLY, severity="warning", timeout=4)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    # --- actions -------------------------------------------------------------------------------

    def action_show(self, screen: str) -> None:
        """Go to a screen; it keeps its place when left. Asked for again, it shows its first level."""
        here = self.screen
        if screen == "evaluate" and isinstance(here, CockpitScreen):
            self.session.eval_wish = here.to_evaluate()
        if screen == self.current_mode:
            while len(self.screen_stack) > 1:
                self.pop_screen()
        else:
            self.switch_mode(screen)

    async def action_quit(self) -> None:
        """Leave; while an evaluation goes on, ask what is to become of it."""
        held = self.session.evaluations.evaluating
        if held is None or not held.going:
            self.exit()
            return
        from clinasr_tui.screens.pick_dialog import PickDialog

        def answered(place: int | None) -> None:
            if place:
                leave = self._leave_evaluation(goes_on=place == 1)
                self._start_worker(leave, "leave the evaluation", "leave")

        # Whoever is not reached cannot be told to end.
        self.push_screen(PickDialog(LEAVING, LEAVES[:2] if held.out_of_contact else LEAVES), answered)

    async def _leave_evaluation(self, *, goes_on: bool) -> None:
        """Exit, with the evaluation left to itself or ended."""
        desk = self.session.evaluations
        if goes_on:
            desk.leave()
        else:
            self.notify("It is told to end; what is transcribed is kept.", timeout=30)
        desk.cancel()
        await desk.wait()
        self.exit()

    def action_toggle_theme(self) -> None:
        """Change between dark and light."""
        self.theme = other(self.theme)

    def action_notices(self) -> None:
        """Be called at the end of a run and in trouble by nothing, by the bell, or on the desktop."""
        self.notices = NOTICES[(NOTICES.index(self.notices) + 1) % len(NOTICES)]
        self.notify(f"When a run ends or gets into trouble: {self.notices}", timeout=4)

    def action_command_palette(self) -> None:
        """Find an action by its name."""
        from clinasr_tui.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_help(self) -> None:
        """Show the keys of this screen."""
        from clinasr_tui.screens.help import HelpScreen

        screen = self.screen
        if isinstance(screen, CockpitScreen):
            self.push_screen(HelpScreen(screen.SCREEN_ID, screen.title_text()))


def run_app(root: Path, *, readonly: bool = False) -> int:
    """Open the app on a folder and return the exit code. Raises InputError if it is no workspace."""
    app = ClinasrApp(open_workspace(root), readonly=readonly)
    return app.run() or app.return_code or 0
