"""Train: a run set up with the reason for every setting, launched, and told as it is launched."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError, InputError
from clinasr_tui.launch.draft import THIS_MACHINE, Draft
from clinasr_tui.launch.flow import Step
from clinasr_tui.launch.plan import Backend
from clinasr_tui.launch.runs import BaseRefusedError, Choices, as_before, gate_note, host_of
from clinasr_tui.launch_desk import Order
from clinasr_tui.results import identity
from clinasr_tui.screens.choice import in_view, move, scored_cycles
from clinasr_tui.screens.missing import no_transcripts
from clinasr_tui.screens.smoke_dialog import SmokeDialog
from clinasr_tui.screens.train_form import TrainForm
from clinasr_tui.text import typed_path, visible
from clinasr_tui.widgets.draft_facts import facts
from clinasr_tui.widgets.draft_lines import LAUNCH, draft_lines, reason
from clinasr_tui.widgets.launch_steps import launch_end, launch_steps
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.launch.readiness import Readiness
    from clinasr_tui.messages import BoxChanged, LaunchChanged

_PULSE_SECONDS = 0.25
_HIGH = 36
"""From this height on the whole command is in sight."""


class TrainScreen(TrainForm):
    """A run of the cycle in view: what it will be, and its launch."""

    SCREEN_ID = "train"
    TITLE_TEXT = "Train"
    AUTO_FOCUS = "#fields"

    def __init__(self) -> None:
        super().__init__()
        self._ready: Readiness | None = None
        self._not_ready: ClinasrError | None = None
        self._judged: object = None
        """What `_ready` was found for: files and base."""
        self._trouble: ClinasrError | None = None
        """Why the machine could not be looked at, as it is told."""

    def compose_body(self) -> ComposeResult:
        """Facts above, settings beside their reasons, the command; in their place a launch that goes on."""
        yield Static(id="facts")
        with Horizontal(id="form"):
            with Vertical(classes="panel", id="fields-panel") as fields:
                fields.border_title = "Settings"
                yield LineList(id="fields")
            with VerticalScroll(classes="panel", id="why-panel") as why:
                why.border_title = "Why"
                yield Static(id="why")
        with VerticalScroll(classes="panel", id="command-panel") as command:
            command.border_title = "Command (y copies it)"
            yield Static(id="command")
        with VerticalScroll(classes="panel", id="launching"):
            yield Static(id="launch-text")
        yield Prompt("", id="ask")

    def on_mount(self) -> None:
        """A launch moves on while nobody presses a key."""
        self.set_interval(_PULSE_SECONDS, self._pulse)

    def home_id(self) -> str:
        """Its own place."""
        return self.SCREEN_ID

    # --- what is set up ------------------------------------------------------------------------

    def refresh_view(self) -> None:
        """Take up what Watch asked to resume; else the cycle in view."""
        wish, self.session.resume_wish = self.session.resume_wish, None
        if wish is not None:
            self.session.cycle_in_view = wish.cycle
            self._draft = None
        cycle = self._cycle()
        if cycle is None:
            self._draft = None
            self.show_missing(no_transcripts(self.SCREEN_ID))
            self._draw()
            return
        self.show_missing(None)
        if wish is not None:
            self._resume(cycle, wish.name)
        elif self._draft is None or self._draft.cycle.number != cycle.number:
            self._draft = self._fresh(cycle)
        else:
            self._draft = replace(self._draft, cycle=cycle)
        self._draw()
        self._judge()

    def _cycle(self) -> Cycle | None:
        return in_view(self.session, scored_cycles(self.session.workspace), newest=False)

    def _fresh(self, cycle: Cycle) -> Draft:
        """A new run, on the machine of the newest one or on the box that is there."""
        workspace = self.session.workspace
        boxes = [one.name for one in self.session.boxes.records if one.bills]
        before = [run.host for run in workspace.runs]
        host = boxes[-1] if boxes else before[-1] if before else None
        return self.completed(Draft(cycle, workspace.name, workspace.settings.base, Choices(), host))

    def _resume(self, cycle: Cycle, name: str) -> None:
        draft = self._fresh(cycle)
        try:
            wanted = Choices(run=name, resume=True)
            choices, host = as_before(cycle, wanted), host_of(cycle, wanted, None)
        except ClinasrError as error:
            self._draft = draft
            self.show_problem(error)
            return
        self._draft = self.completed(replace(draft, choices=choices, host=host))

    def _judge(self) -> None:
        """Gate, split and base, unless they are known for these very files."""
        draft = self._draft
        if draft is None:
            return
        cycle = draft.cycle
        files = (cycle.manifest, cycle.hypotheses, cycle.leaderboard, cycle.train, cycle.validation)
        base = typed_path(draft.base)
        question = (draft.base, identity(base), cycle.number, *map(identity, files))
        if question != self._judged:
            self._judged, self._ready, self._not_ready = question, None, None
            self._draw()
            self.load(partial(self._find_out, question))

    async def _find_out(self, question: object) -> None:
        from clinasr_tui.launch.readiness import readiness

        draft = self._draft
        assert draft is not None
        settings = self.session.workspace.settings
        work = partial(readiness, draft.cycle, settings, draft.choices)
        try:
            ready = await self.in_thread("pre-flight of the split", work)
        except InterruptedError:
            if question == self._judged:
                self._not_ready = InputError("pre-flight was stopped", remedy="r starts it again")
                self.show_problem(self._not_ready)
            return
        except ClinasrError as error:
            self._not_ready = error
            if isinstance(error, BaseRefusedError) and self._draft is not None:
                self._draft = replace(self._draft, judged=error.standing)
            self._draw()
            raise
        if question == self._judged and self._draft is not None:
            self._ready = ready
            self._draft = replace(self._draft, rows=ready.rows, judged=ready.gate.base)
            self.show_problem(None)
            self.show_warnings(ready.warnings)
            self._draw()

    def changed(self, name: str) -> None:
        """Draw it; another base is judged anew, and so is another site of a machine that was looked at."""
        self._draw()
        if name == "base":
            self._judge()
        if name in ("root", "socket") and self._draft is not None:
            self.desk.look_further(self._draft.site)

    # --- drawing -------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Lines are cut and wrapped to the width."""
        self._draw()

    def on_box_changed(self, message: BoxChanged) -> None:
        """A price may be known now."""
        super().on_box_changed(message)
        self._draw()

    def on_launch_changed(self, message: LaunchChanged) -> None:
        """A machine was looked at, or a launch goes on."""
        if self._draft is not None:
            self._draft = self.completed(self._draft)
            before, self._trouble = self._trouble, self.desk.troubles.get(self._draft.site)
            if self._trouble is not before:
                self.show_problem(self._trouble)
        self._draw()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another setting: why is it so?"""
        event.stop()
        self._draw_reason()

    def _pulse(self) -> None:
        if self.is_current and self.desk.launching is not None and self.desk.launching.going:
            self._draw_launch()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        launching, draft = self.desk.launching, self._draft
        self.query_one("#launching").display = launching is not None
        for part in ("#form", "#command-panel", "#facts"):
            self.query_one(part).display = launching is None and draft is not None
        if launching is not None:
            self._draw_launch()
            return
        if draft is None:
            return
        verb = f"resume {draft.text('run')}" if draft.choices.resume else "new run"
        self.retitle(f"Train · {verb}")
        price = self._price(draft.host)
        looking = draft.site in self.desk.looking
        width = max(20, self.size.width - 2)
        self.query_one("#facts", Static).update(
            facts(
                draft,
                self._ready,
                price,
                looking=looking,
                refused=self._not_ready is not None,
                width=width,
            )
        )
        self.query_one("#fields", LineList).show(draft_lines(draft))
        self.query_one("#command-panel").set_class(self.size.height >= _HIGH, "-high")
        self.query_one("#command", Static).update(self._command(draft))
        self._draw_reason()

    def _draw_reason(self) -> None:
        draft = self._draft
        if draft is None:
            return
        key = self.query_one("#fields", LineList).cursor_key
        if key == LAUNCH:
            self.query_one("#why", Static).update(_what_happens(draft))
            return
        self.query_one("#why", Static).update(reason(draft, key, draft.proposal.notes if draft.rows else ()))

    def _command(self, draft: Draft) -> Content:
        try:
            return Content(visible(shlex.join(draft.plan().command)))
        except ClinasrError as error:
            return Content.styled(f"✖ {visible(str(error))}", "bold $bad")

    def _draw_launch(self) -> None:
        launching = self.desk.launching
        if launching is None:
            return
        plan = launching.order.plan
        host = visible(launching.order.host or THIS_MACHINE)
        self.query_one("#launching").border_title = Content(f"Launching {plan.places.run} on {host}")
        width = max(30, self.size.width - 6)
        now = launching.steps[-1] if launching.steps else None
        steps = launch_steps(
            [str(step) for step in Step],
            [step.text for step in launching.steps],
            now.fraction if now else None,
            launching.left,
            going=launching.going,
            width=width,
        )
        if launching.going:
            below = Content.assemble(("Esc", "bold $accent"), " cancels: what is being started is undone")
        else:
            below = launch_end("" if launching.error is None else str(launching.error), width)
        smoke = Content("")
        if launching.order.gate.get("override"):
            smoke = Content.styled("SMOKE RUN under a blocked gate: the record says so\n\n", "bold $bad")
        self.query_one("#launch-text", Static).update(Content.assemble(smoke, steps, "\n\n", below))

    def _price(self, host: str | None) -> float | None:
        """Dollars an hour of the rented box behind a host."""
        found = (one for one in self.session.boxes.records if one.name == host and one.bills)
        return next((one.offer.hourly for one in found), None)

    # --- another run or cycle ------------------------------------------------------------------

    def action_new_run(self) -> None:
        """Set up a new run instead of resuming one; all that was set by hand is taken back."""
        cycle = self._cycle()
        if cycle is not None:
            rows = self._draft.rows if self._draft is not None else 0
            self._draft = replace(self._fresh(cycle), rows=rows)
            self.show_problem(None)
            self._draw()
            self._judge()

    def action_cycle(self, step: int) -> None:
        """Another cycle."""
        if move(self.session, self._cycle(), step):
            self.refresh_view()

    # --- machine and launch --------------------------------------------------------------------

    def action_look(self) -> None:
        """Ask the machine what it has, and propose for it."""
        if self._draft is not None:
            self.show_problem(None)
            self.desk.look(self._draft.site)

    def action_copy(self) -> None:
        """Put the command on the clipboard of the operator's terminal."""
        if self._draft is not None:
            try:
                self.app.copy_to_clipboard(shlex.join(self._draft.plan().command))
            except ClinasrError as error:
                self.show_problem(error)
            else:
                self.notify("Copied the command, if your terminal allows it (OSC 52).", timeout=3)

    def action_launch(self) -> None:
        """Launch it, if nothing speaks against it; a blocked gate asks for the typed word."""
        draft, ready = self._draft, self._ready
        if self.session.readonly:
            self.show_problem("opened with --readonly: nothing is launched")
            return
        if draft is None or self.desk.launching is not None:
            return
        refusal = self._not_ready or draft.refusal()
        if refusal is not None or ready is None:
            self.show_problem(refusal or "pre-flight of the split is not finished yet")
            return
        if ready.gate.passed:
            self._launch(draft, ready, "")
            return
        dialog = SmokeDialog(ready.gate, draft.text("run"))

        def answered(word: str | None) -> None:
            if word:
                self._launch(draft, ready, word)
            else:
                why = f" ({dialog.why})" if dialog.why else ""
                self.show_problem(f"cancelled{why}: nothing was sent or started")

        self.app.push_screen(dialog, answered)

    def _launch(self, draft: Draft, ready: Readiness, override: str) -> None:
        self.show_problem(None)
        try:
            order = Order(
                draft.cycle, draft.plan(), draft.host, gate_note(ready.gate, override), draft.text("socket")
            )
        except ClinasrError as error:
            self.show_problem(error)
            return
        self.desk.launch(order)

    def action_back(self) -> None:
        """Cancel a launch that goes on, leave one that is over, stop pre-flight."""
        launching = self.desk.launching
        if launching is None:
            self.action_stop()
        elif launching.going:
            self.desk.cancel()
        else:
            self.desk.leave()
            self.query_one("#fields").focus()

    def action_again(self) -> None:
        """Launch again what failed, or start pre-flight again."""
        if self.desk.launching is not None:
            self.desk.again()
            return
        self._judged = None
        self._judge()


def _what_happens(draft: Draft) -> Content:
    verb = "goes on from its -last checkpoint" if draft.choices.resume else "starts"
    image = "gets the image if it is not there, " if draft.backend is Backend.DOCKER else ""
    if draft.backend is Backend.SLURM:
        verb = f"waits its turn in Slurm's queue and {verb}"
    return Content.assemble(
        ("What Enter does\n", "bold"),
        f"Looks at {visible(draft.text('host'))}, {image}sends only what is "
        f"lacking, checks it there; then the run {verb}, detached: neither a lost connection nor closing "
        "this program hurts it.\n\n",
        ("Everything needed to repeat it stands in training_run_info.json of its folder here.", "$quiet"),
    )
