"""Keys of Watch that reach beyond watching: end the run, resume it, bring its result here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.flywheel.run_marks import is_launched, lacks_checkpoint, was_fetched
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.confirm_dialog import ConfirmDialog
from clinasr_tui.text import visible
from clinasr_tui.training.snapshot import Outcome
from clinasr_tui.widgets.run_status import ContactLine

if TYPE_CHECKING:
    from clinasr_tui.actions import Action
    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.launch_desk import RunWork
    from clinasr_tui.messages import LaunchChanged
    from clinasr_tui.watched_run import WatchedRun

_ONLY_WATCHED = "this run was not launched from here: it can only be watched. End it where it was started"
_END = (
    "It is sent SIGTERM: NeMo finishes the step, saves its -last checkpoint and ends with exit code 0. If it "
    "takes longer than 5 minutes, it is killed. Key U resumes it from that checkpoint, in the same folder. "
    "A rented box bills on until you stop or delete it (4)."
)


_OFFERED: dict[str, Callable[[WatchedRun, int], bool]] = {
    "alerts": lambda run, _: bool(run.watch.reader.snapshot().health),
    "retry": lambda run, _: run.error is not None,
    "end_run": lambda run, _: is_launched(run.ref) and not run.ended,
    "fetch": lambda run, _: is_launched(run.ref) and run.ended,
    "resume": lambda run, _: is_launched(run.ref) and run.ended,
    **dict.fromkeys(("switcher", "overlay", "run(1)", "run(-1)"), lambda _, runs: runs > 1),
}
"""When a key means something for a run, among how many."""


class RunKeys(CockpitScreen):
    """What can be done with the run in view. Subclasses implement `run_in_view` and compose `#work`."""

    def run_in_view(self) -> WatchedRun | None:
        """The run that is watched."""
        raise NotImplementedError

    def offers(self, action: Action) -> bool:
        """What can be done with the run as it is: one that goes on is ended, one that is over fetched."""
        condition = _OFFERED.get(action.id)
        run = self.run_in_view() if condition is not None else None
        return condition is None or (run is not None and condition(run, len(self.session.workspace.runs)))

    def action_end_run(self) -> None:
        """End the run, after asking."""
        run = self._mine()
        if run is None:
            return
        if run.ended:
            self.show_problem("the run is over already: F brings its result here, U resumes it")
            return
        self.show_problem(None)

        def answered(sure: bool | None) -> None:
            if sure:
                self.session.launches.end(run.ref)

        self.app.push_screen(ConfirmDialog(f"End {run.ref.name}?", _END, "End it"), answered)

    def action_resume(self) -> None:
        """Set up the run's next start in Train."""
        run = self._mine()
        if run is not None and run.watch.reader.snapshot(time.time()).outcome is Outcome.RUNNING:
            self.show_problem("the run goes on: K ends it first")
        elif run is not None:
            self.show_problem(None)
            self.session.resume_wish = run.ref
            self.app.switch_mode("train")

    def action_fetch(self) -> None:
        """Bring the run's result here; again, stop bringing it."""
        run = self._mine()
        if run is None or self.session.launches.stop_fetching(run.ref):
            return
        self.show_problem(None)
        self.session.launches.fetch(run.ref)

    def _mine(self) -> WatchedRun | None:
        """The run in view, if it was launched from here; else says that it was not."""
        run = self.run_in_view()
        if run is not None and not is_launched(run.ref):
            self.show_problem(_ONLY_WATCHED)
            return None
        return run

    def on_launch_changed(self, message: LaunchChanged) -> None:
        """Ending or fetching goes on."""
        self.show_run_work()

    def show_run_work(self) -> None:
        """What is being done with the run in view, or what could be next."""
        run = self.run_in_view()
        if run is None:
            return
        work = self.session.launches.works.get(run.ref.folder)
        line = _work_line(work) if work is not None else self._offer(run)
        self.query_one("#work", ContactLine).show(line)

    def _offer(self, run: WatchedRun) -> Content:
        if not is_launched(run.ref) or not run.ended:
            return Content("")
        fetch, resume = ("F", "bold $accent"), ("U", "bold $accent")
        if lacks_checkpoint(run.ref.info):
            where = f"on {visible(run.ref.host)}" if run.ref.host else "in the run's own folder"
            there = (f"▲ its checkpoint is only {where}  ", "$warning")
            return Content.assemble(there, fetch, " brings it  ", resume, " resumes")
        if not was_fetched(run.ref):
            again = ("E", "bold $accent")
            does = (
                " evaluates it there  " if run.watch.reader.snapshot().outcome is Outcome.FINISHED else "  "
            )
            first = (again, does) if does.strip() else ()
            return Content.assemble(
                *first, fetch, " brings model and logs here, checked  ", resume, " resumes"
            )
        return Content.assemble(
            ("✔ ", "bold $good"), "its result is here and checked", self._deletable(run.ref)
        )

    def _deletable(self, ref: RunRef) -> str:
        """Whether the machine could go without loss."""
        from clinasr_tui.launch.result import not_fetched

        if ref.host is None:
            return ""
        waiting = not_fetched(self.session.workspace.runs, ref.host)
        if waiting:
            names = ", ".join(one.run for one in waiting)
            return f"; {visible(ref.host)} still has others that are not: {visible(names)}"
        return f": {visible(ref.host)} can be deleted without loss of any run's result (4)"


def _work_line(work: RunWork) -> Content:
    if work.error is not None:
        return Content.assemble(("✖ ", "bold $bad"), (visible(str(work.error)), "$bad"))
    mark = ("● ", "bold $accent") if work.going else ("✔ ", "bold $good")
    return Content.assemble(mark, visible(work.text))
