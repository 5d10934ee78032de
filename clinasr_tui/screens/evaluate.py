"""Evaluate: a model transcribes a cycle where NeMo is; set up, told as it goes, and what it showed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ChoiceError, ClinasrError
from clinasr_tui.evaluation.draft import FIELDS, EvalDraft, Standing, assess, draft_of, parsed
from clinasr_tui.flywheel.stepper import current_round
from clinasr_tui.launch.draft import THIS_MACHINE
from clinasr_tui.screens.choice import neighbour
from clinasr_tui.screens.confirm_dialog import ConfirmDialog
from clinasr_tui.screens.missing import no_manifest
from clinasr_tui.screens.settings_form import Options, SettingsForm, host_lines
from clinasr_tui.widgets.draft_lines import LAUNCH
from clinasr_tui.widgets.eval_lines import eval_facts, eval_lines, eval_reason
from clinasr_tui.widgets.eval_view import going_view, over_view, title
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.eval_desk import EvalDesk
    from clinasr_tui.evaluation.prepare import Evaluation
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.messages import EvalChanged
    from clinasr_tui.session import EvalWish

_PULSE_SECONDS = 0.5
_END = (
    "The transcription is told to end on its machine. What is transcribed is kept: the next start, here or "
    "by clinasr-tui eval, goes on with the next row."
)
_LET_GO = (
    "Contact is lost: the transcription cannot be told to end, and goes on by itself there. The next start "
    "follows it again."
)
_OTHER = {"place": ("another host …", "name of a host of the ssh config")}
_OTHER["model"] = ("a .nemo file or pretrained name …", "a .nemo file of this machine, or a pretrained name")


class EvaluateScreen(SettingsForm[EvalDraft]):
    """An evaluation of a cycle: what it will be, how far it is, what it showed."""

    SCREEN_ID = "evaluate"
    TITLE_TEXT = "Evaluate"
    AUTO_FOCUS = "#fields"

    def __init__(self) -> None:
        super().__init__()
        self._error: ClinasrError | None = None
        """Why what is set up cannot be started."""
        self._looks = False

    def compose_body(self) -> ComposeResult:
        """Facts above, settings beside their reasons; in their place an evaluation that goes on or has
        ended.
        """
        yield Static(id="facts")
        with Horizontal(id="form"):
            with Vertical(classes="panel", id="fields-panel") as fields:
                fields.border_title = "Evaluation"
                yield LineList(id="fields")
            with VerticalScroll(classes="panel", id="why-panel") as why:
                why.border_title = "Why"
                yield Static(id="why")
        with VerticalScroll(classes="panel", id="work"):
            yield Static(id="work-text")
        yield Prompt("", id="ask")

    def on_mount(self) -> None:
        """Time passes while nothing is told."""
        self.set_interval(_PULSE_SECONDS, self._pulse)

    @property
    def desk(self) -> EvalDesk:
        """The app's store for evaluating."""
        return self.session.evaluations

    # --- what is set up ------------------------------------------------------------------------

    def refresh_view(self) -> None:
        """Take up what another screen asked for; else keep what is set up."""
        wish, self.session.eval_wish = self.session.eval_wish, None
        held = self.desk.evaluating
        if held is not None and not held.going and wish is not None and self._is_other(wish):
            self.desk.forget()
        draft, cycle = self._draft, self._cycle(wish)
        if cycle is None:
            self._draft = None
            self.show_missing(no_manifest(self.SCREEN_ID))
            self._draw()
            return
        self.show_missing(None)
        workspace = self.session.workspace
        if draft is None or draft.cycle.number != cycle.number or (wish is not None and self._is_other(wish)):
            self._draft = draft_of(workspace, cycle, wish.run if wish is not None else "")
        else:
            self._draft = replace(draft, workspace=workspace, cycle=cycle)
        self._draw()
        if not self.is_busy():
            self._assess()

    def _is_other(self, wish: EvalWish) -> bool:
        """True for a cycle or run that is not the one in view."""
        draft = self._draft
        return draft is None or draft.cycle.number != wish.cycle or wish.run not in ("", draft.choices.run)

    def _cycles(self) -> list[Cycle]:
        return [cycle for cycle in self.session.workspace.cycles if cycle.manifest is not None]

    def _cycle(self, wish: EvalWish | None) -> Cycle | None:
        cycles = self._cycles()
        base = current_round(self.session.workspace).base
        wanted = [wish.cycle if wish else None, self._draft.cycle.number if self._draft else None]
        wanted.append(base.number if base is not None else None)
        found = (cycle for number in wanted for cycle in cycles if cycle.number == number)
        return next(found, cycles[-1] if cycles else None)

    def _assess(self) -> None:
        """Find out what it would be, in a thread."""
        self._error, self._looks = None, True
        self._draw()
        self.load(self._find_out)

    async def _find_out(self) -> None:
        draft = self._draft
        if draft is None:
            return
        standing: Standing | None = None
        error: ClinasrError | None = None
        try:
            standing = await asyncio.to_thread(assess, draft)
        except ClinasrError as found:
            error = found
        except OSError as found:
            error = ClinasrError(f"it cannot be looked at: {found.strerror or found}")
        if self._draft is draft:
            self._looks, self._error = False, error
            if standing is not None:
                self._draft = replace(draft, standing=standing)
            self._show_error()
            self._draw()

    def _show_error(self) -> None:
        """Say why it cannot be started; the cursor goes from the start to the setting that decides it."""
        error, fields = self._error, self.query_one("#fields", LineList)
        choice = error.choice if isinstance(error, ChoiceError) else ""
        self.show_problem(error.in_form() if error is not None else None)
        if choice and fields.cursor_key == LAUNCH:
            fields.move_to(choice)

    def changed(self, name: str) -> None:
        """Another value: what would become of it?"""
        self._assess()

    def is_busy(self) -> bool:
        """An evaluation is told in the form's place."""
        return self.desk.evaluating is not None

    def options(self, draft: EvalDraft, name: str) -> Options:
        """Models, machines, and settings with a few values; the first two may be typed as well."""
        if name == "place":
            hosts = self.hosts(None if draft.text("place") == THIS_MACHINE else draft.text("place"))
            lines = host_lines([host for host in hosts if host != ""])
            return Options(lines, lines, *_OTHER[name])
        values = draft.values(name)
        lines = tuple(draft.shown(name, value) for value in values)
        return Options(values, lines, *_OTHER.get(name, ()))

    def label(self, name: str) -> str:
        """As the line says it."""
        return next((one.label for one in FIELDS if one.name == name), name)

    def parsed(self, name: str, text: str) -> Any:
        """As the draft reads it."""
        return parsed(name, text)

    # --- drawing -------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Lines are cut and wrapped to the width."""
        self._draw()

    def on_eval_changed(self, message: EvalChanged) -> None:
        """It goes on, or is over."""
        super().on_eval_changed(message)
        self._draw()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        """Another setting: why is it so?"""
        event.stop()
        self._draw_reason()

    def _pulse(self) -> None:
        if self.is_current and self.desk.going:
            self._draw_work()
            self._show_evaluating()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        held, draft = self.desk.evaluating, self._draft
        self.query_one("#work").display = held is not None
        for part in ("#form", "#facts"):
            self.query_one(part).display = held is None and draft is not None
        if held is not None:
            self._draw_work()
            return
        if draft is None:
            return
        self.retitle(f"Evaluate · cycle {draft.cycle.number}")
        width = max(20, self.size.width - 2)
        facts = eval_facts(draft, self._error, looking=self._looks, width=width)
        self.query_one("#facts", Static).update(facts)
        self.query_one("#fields", LineList).show(eval_lines(draft, self._error))
        self._draw_reason()

    def _draw_reason(self) -> None:
        if self._draft is not None:
            key = self.query_one("#fields", LineList).cursor_key
            self.query_one("#why", Static).update(eval_reason(self._draft, key, self._error))

    def _draw_work(self) -> None:
        held = self.desk.evaluating
        if held is None:
            return
        self.show_problem(None)
        self.retitle(f"Evaluate · cycle {held.evaluation.cycle.number}")
        self.query_one("#work").border_title = Content(title(held))
        width = max(30, self.size.width - 6)
        view = going_view(held, width) if held.going else over_view(held, width)
        self.query_one("#work-text", Static).update(view)

    # --- keys ----------------------------------------------------------------------------------

    def action_launch(self) -> None:
        """Start it, if nothing speaks against it."""
        draft = self._draft
        if self.session.readonly:
            self.show_problem("opened with --readonly: nothing is transcribed")
            return
        if draft is None or self.is_busy():
            return
        standing = draft.standing
        if self._error is not None:
            self._show_error()
            return
        if self._looks or standing is None:
            self.show_problem("model and rows are not looked at yet")
            return
        if standing.made and not standing.failed:
            self.show_problem(
                f"cycle {standing.evaluation.number} is this evaluation already: there is nothing to do "
                "(earlier rows: start over does it all again, as another cycle)"
            )
            return
        if standing.lacks_nemo:
            self.show_problem("this program's Python has no NeMo: name the one that has it (Enter)")
            self.query_one("#fields", LineList).move_to("python")
            return
        self.show_problem(None)
        self.desk.start(_retrying(standing.evaluation) if standing.failed else standing.evaluation)
        # What starts over now is gone on with from now on.
        self._draft = draft.having("again", None)

    def action_back(self) -> None:
        """End what goes on, after asking; leave what is over."""
        held = self.desk.evaluating
        if held is None:
            self.action_stop()
        elif not held.going:
            self.desk.forget()
            self._assess()
            self.query_one("#fields").focus()
        elif held.out_of_contact:
            self.app.push_screen(ConfirmDialog("Stop following?", _LET_GO, "Stop following"), self._end)
        elif not held.ending:
            self.app.push_screen(ConfirmDialog("End the evaluation?", _END, "End it"), self._end)

    def _end(self, sure: bool | None) -> None:
        if sure:
            self.desk.cancel()

    def action_again(self) -> None:
        """Go on with what was ended or has failed; of what is made, do the rows without a transcript."""
        held = self.desk.evaluating
        if held is None:
            self._assess()
            return
        done = held.done
        if held.going or (done is not None and not (done.untranscribed or done.general_untranscribed)):
            return
        self.desk.start(held.evaluation if held.cancelled else _retrying(held.evaluation))

    def action_cycle(self, step: int) -> None:
        """Another cycle."""
        draft = self._draft
        other = neighbour(self._cycles(), draft.cycle if draft is not None else None, step)
        if other is not None and not self.is_busy():
            self._draft = draft_of(self.session.workspace, other)
            self.show_problem(None)
            self._assess()


def _retrying(evaluation: Evaluation) -> Evaluation:
    """The same evaluation, its rows without a transcript done again."""
    return replace(evaluation, choices=replace(evaluation.choices, retry=True))
