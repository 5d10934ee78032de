"""Deploy: what a tuned model is, the commands that make a NIM of it, what to mind and to check."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.deploy_script import deploy_commands, offline_cycle, write_script
from clinasr_tui.flywheel.deployment import deployment
from clinasr_tui.flywheel.nemo_file import read_nemo
from clinasr_tui.flywheel.offline_figures import heard_in
from clinasr_tui.flywheel.stepper import StepState, current_round, steps
from clinasr_tui.flywheel.tuned_models import tuned_models
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.missing import no_model
from clinasr_tui.session import SCORING, SERVING
from clinasr_tui.text import typed_path, visible
from clinasr_tui.widgets.deploy_view import (
    Handover,
    detail_content,
    entry_lines,
    model_content,
    more_content,
)
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.widgets import Input

    from clinasr_tui.flywheel.deployment import Deployment
    from clinasr_tui.flywheel.tuned_models import TunedModel
    from clinasr_tui.messages import FactsChanged
    from clinasr_tui.session import CycleJob

_WIDE, _HIGH = 120, 38
"""From this size on, each command says what it does; what to mind and to check is always in sight."""
_LIST_WIDTHS = {False: 19, True: 56}
"""Of the list of commands, as the style sheet has them."""
_WIDEST = 120
_QUESTIONS = {
    "model": "A .nemo file of this machine",
    "container": "Container id by the support matrix; empty: the default",
    "write": "Folder to write deploy.sh into",
    "check": "HOST:PORT of a running NIM",
}
_HINT = ("  Enter does it, Esc leaves", "$quiet")


class DeployScreen(CockpitScreen):
    """The newest tuned model, or one that was named."""

    SCREEN_ID = "deploy"
    TITLE_TEXT = "Deploy"
    AUTO_FOCUS = "#entries"

    def __init__(self) -> None:
        super().__init__()
        self._models: tuple[TunedModel, ...] = ()
        self._place = 0
        self._named: Path | None = None
        """A model the operator named; it goes before those found."""
        self._container_id = ""
        self._address = "localhost:9000"
        self._view = Handover()

    def compose_body(self) -> ComposeResult:
        """The model above, the commands, what the one under the cursor is in full."""
        with Vertical(classes="panel", id="model-panel") as panel:
            panel.border_title = "Model"
            yield Static(id="model")
        with Horizontal(id="panes"):
            with Vertical(classes="panel", id="entries-panel") as panel:
                panel.border_title = "Handing over"
                yield LineList(id="entries")
            with VerticalScroll(classes="panel", id="detail-panel"):
                yield Static(id="detail")
        with VerticalScroll(classes="panel", id="more-panel") as panel:
            panel.border_title = "Mind, and check afterwards"
            yield Static(id="more")
        yield Static(id="question")
        yield Prompt("", id="prompt")

    def on_resize(self) -> None:
        """Lines are wrapped to the width."""
        self.set_class(self.size.height >= _HIGH, "-high")
        self.set_class(self.size.width >= _WIDE, "-wide")
        self._draw()

    def refresh_view(self) -> None:
        """Look for models again and read the one in view."""
        self.load(self._read)

    def on_facts_changed(self, message: FactsChanged) -> None:
        """The decision may be another."""
        self._draw()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another command in full."""
        event.stop()
        self._draw_detail()

    # --- the model -----------------------------------------------------------------------------

    async def _read(self) -> None:
        self.show_problem(None)
        workspace = self.session.workspace
        reeval = current_round(workspace).reeval
        run = workspace.run_of(reeval.number) if reeval else None
        self._models = await asyncio.to_thread(tuned_models, workspace, run)
        self._place = min(self._place, max(0, len(self._models) - 1))
        path = self._path
        view = Handover(health=self._view.health)
        heard = reeval
        if path is not None:
            view.name, view.origin = self._shown(path), self._origin()
            view.offline = await asyncio.to_thread(offline_cycle, path, workspace)
            heard = await asyncio.to_thread(heard_in, workspace, path, reeval)
        if heard is not None and heard.serving is not None:
            view.serves = f"{heard.folder.name}/{heard.serving.name}"
        try:
            if path is not None:
                view.plan = await asyncio.to_thread(_plan, path, self._container_id)
                view.commands = deploy_commands(view.plan, compare_with=view.offline)
        finally:
            self._view = view
            self._draw()
        if heard is not None and view.serves:
            view.serving = await self.session.served(heard)
            self._draw()

    def waits_for(self, job: CycleJob) -> bool:
        """What serving changed, and the scores it is made of."""
        return bool(self._view.serves) and job.kind in (SCORING, SERVING)

    @property
    def _path(self) -> Path | None:
        """The model in view."""
        if self._named is not None:
            return self._named
        return self._models[self._place].path if self._models else None

    # --- actions -------------------------------------------------------------------------------

    def action_select(self) -> None:
        """The same as copying."""
        self.action_copy()

    def action_copy(self) -> None:
        """Put the command under the cursor on the clipboard of the operator's terminal."""
        text = self._view.text_of(self.query_one("#entries", LineList).cursor_key)
        if not text:
            self.notify("There is nothing to copy.", timeout=3)
            return
        self.app.copy_to_clipboard(text)
        self.notify("Copied, if your terminal allows it (OSC 52).", timeout=3)

    def action_model(self, step: int) -> None:
        """Another one of the models found."""
        self._named = None
        if self._models:
            self._place = min(max(self._place + step, 0), len(self._models) - 1)
        self.refresh_view()

    def action_write(self) -> None:
        """Ask where to write all of it as a script."""
        self.action_ask("write")

    def action_ask(self, question: str) -> None:
        """Ask for a path, a folder, a container id or an address."""
        path, plan = self._path, self._view.plan
        if question in ("write", "container") and (plan is None or plan.refused):
            self.show_problem("there is no model that can be handed over: o names another")
            return
        answers = {
            "model": str(path or ""),
            "container": plan.container_id if plan else "",
            "write": str(path.parent) if path else "",
            "check": self._address,
        }
        self.query_one("#question", Static).update(Content.assemble(_QUESTIONS[question], _HINT))
        self.query_one("#question").display = True
        self.query_one(Prompt).ask(question, "", answers[question])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do it; the line stays open where it cannot be done."""
        prompt, answer = self.query_one(Prompt), event.value.strip()
        work = partial(self._answered, prompt.question, answer)
        guarded: Callable[[], Awaitable[None]] = partial(self._guarded, work)
        self.run_worker(guarded, name="answer", group="answer", exclusive=True)

    async def _answered(self, question: str, answer: str) -> None:
        prompt = self.query_one(Prompt)
        try:
            if question == "model":
                await self._name_model(answer)
            elif question == "container":
                await self._choose_container(answer)
            elif question == "write":
                await self._write(answer)
            else:
                await self._ask_health(answer)
        except ClinasrError as error:
            prompt.say(error.what)
            if question == "check":
                self.show_problem(error)
            return
        self._leave_prompt()
        if question in ("model", "container"):
            await self._read()

    async def _name_model(self, answer: str) -> None:
        path = _path_of(answer)
        await asyncio.to_thread(_plan, path, self._container_id)
        self._named = path

    async def _choose_container(self, answer: str) -> None:
        assert self._view.plan is not None
        deployment(self._view.plan.model, answer)
        self._container_id = answer

    async def _write(self, answer: str) -> None:
        plan = self._view.plan
        if plan is None:
            return
        write = partial(write_script, plan, _path_of(answer or "."), compare_with=self._view.offline)
        path = await asyncio.to_thread(write)
        self.notify(
            f"Written: {visible(str(path))}. Export NGC_API_KEY, then run it where it will serve.",
            markup=False,
            timeout=8,
        )

    async def _ask_health(self, answer: str) -> None:
        from clinasr_tui.remote.nim_health import nim_health

        self._view.health = None
        found = await asyncio.to_thread(nim_health, answer)
        self._address = found.address
        self._view.health = found
        self.show_problem(None)
        self._draw()

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """Back to the commands."""
        self.show_problem(None)
        self._leave_prompt()

    def _leave_prompt(self) -> None:
        self.query_one(Prompt).close()
        self.query_one("#question").display = False
        self.query_one("#entries").focus()

    # --- drawing -------------------------------------------------------------------------------

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        view, width = self._view, self._width
        view.blocked = self._blocked()
        against = self._against() if self.session.facts.verdict else ""
        self.show_missing(no_model(against) if view.is_empty else None)
        self.query_one("#model", Static).update(model_content(view, width))
        lines = entry_lines(view, all_in_sight=self.has_class("-high"))
        self.query_one("#entries", LineList).show(lines)
        self.query_one("#panes").display = bool(lines)
        more = self.query_one("#more-panel")
        more.display = self.has_class("-high") and bool(lines)
        self.query_one("#more", Static).update(more_content(view, width))
        self._draw_detail()

    def _draw_detail(self) -> None:
        key = self.query_one("#entries", LineList).cursor_key
        panel = self.query_one("#detail-panel")
        panel.border_title = self._view.title_of(key)
        room = self.size.width - _LIST_WIDTHS[self.has_class("-wide")] - 5
        self.query_one("#detail", Static).update(detail_content(self._view, key, max(20, room)))
        panel.scroll_home(animate=False)

    @property
    def _width(self) -> int:
        return min(max(30, self.size.width - 7), _WIDEST)

    def _shown(self, path: Path) -> str:
        """A path as short as it can be: from the workspace on, where it lies in it."""
        root = self.session.workspace.root.absolute()
        whole = path.absolute()
        return str(whole.relative_to(root)) if whole.is_relative_to(root) else str(path)

    def _origin(self) -> str:
        """Where the model in view comes from."""
        if self._named is not None:
            return "named by you"
        model = self._models[self._place]
        which = f"{self._place + 1} of {len(self._models)}, " if len(self._models) > 1 else ""
        weights = "the run's best checkpoint" if model.best else "the run's last weights"
        tuned = f", tuned from {model.base}" if model.base else ""
        return f"{which}{'' if model.fetched else 'not fetched: '}{weights}{tuned}"

    def _blocked(self) -> str:
        """What speaks against handing over the model in view; "" if nothing does."""
        reason = self._against()
        against = [reason] if reason else []
        if self.session.facts.model_here is False and self._models and self._named is None:
            against.append("it is not the model that was decided on: F on Watch fetches that one")
        return "; ".join(against)

    def _against(self) -> str:
        """Why the stepper would not deploy now, or what the honest verdict has against it; "" for nothing.

        Whether a model is here is seen on this very screen.
        """
        facts = replace(self.session.facts, model_here=None)
        step = steps(self.session.workspace, facts)[-1]
        if step.state is StepState.BLOCKED:
            return step.detail
        return f"the honest verdict is {facts.honest}: press 7 for why" if facts.differs else ""


def _path_of(text: str) -> Path:
    return typed_path(text)


def _plan(path: Path, container_id: str) -> Deployment:
    return deployment(read_nemo(path), container_id)
