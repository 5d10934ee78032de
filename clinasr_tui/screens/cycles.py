"""Cycles, the home screen: every cycle with its figures, the flywheel as steps, the next thing to do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.actions import actions_for, key_names
from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.run_marks import smoke_mark
from clinasr_tui.flywheel.stepper import Step, current_round, next_step, steps
from clinasr_tui.flywheel.workspace import REEVAL_FILE, Cycle
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.session import EvalWish, StoppedError
from clinasr_tui.text import visible
from clinasr_tui.widgets.columns import Column, ColumnHead, cells
from clinasr_tui.widgets.figures import (
    NONE,
    Line,
    change_style,
    interval_text,
    note,
    percent_text,
    score_text,
)
from clinasr_tui.widgets.ker_bars import group_lines
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.stepper import Stepper

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.messages import FactsChanged, RunEnded, RunUpdated
    from clinasr_tui.session import CycleFigures, CycleJob

_WIDE = 100
"""From this width on, the change carries its interval."""
_HIGH = 34
"""From this height on there is room for the categories."""
_VERDICTS = {
    "keep": "keep",
    "grow": "grow",
    "worse": "worse",
    "unchanged": "same",
}


@dataclass(slots=True)
class _Row:
    """What is known of one cycle so far."""

    cycle: Cycle
    figures: CycleFigures | None = None
    change: Comparison | None = None
    """Against the cycle before."""
    error: ClinasrError | None = None
    rows: int = 0
    """Of its manifest, where it has no figures; 0 if they are not counted."""


class CyclesScreen(CockpitScreen):
    """Home."""

    SCREEN_ID = "cycles"
    TITLE_TEXT = "Cycles"

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[int, _Row] = {}

    def compose_body(self) -> ComposeResult:
        """The table of cycles, the steps, the next line."""
        with Vertical(classes="panel", id="cycles-panel") as panel:
            panel.border_title = "Cycles"
            yield ColumnHead()
            yield LineList(id="cycles")
        with Vertical(classes="panel", id="steps-panel") as panel:
            panel.border_title = "The flywheel"
            yield Stepper(id="steps")
        yield Static(id="next")
        with Vertical(classes="panel", id="groups-panel"):
            yield LineList(cursor=False, id="groups")

    def refresh_view(self) -> None:
        """Draw what is known, then compute the rest in the background."""
        old = self._rows
        self._rows = {}
        for cycle in self.session.workspace.cycles:
            row = old.get(cycle.number)
            self._rows[cycle.number] = row if row is not None and row.cycle == cycle else _Row(cycle)
        self._draw()
        self.load(self._figures)

    def on_mount(self) -> None:
        """Begin on the cycles."""
        self.query_one("#cycles", LineList).focus()

    def on_resize(self) -> None:
        """The columns depend on the width."""
        self._draw()

    def on_facts_changed(self, message: FactsChanged) -> None:
        """A step changed its state."""
        self._draw()

    def on_run_updated(self, message: RunUpdated) -> None:
        """Progress of a watched run."""
        self._draw_steps()

    def on_run_ended(self, message: RunEnded) -> None:
        """The next thing to do is another."""
        self._draw_steps()

    # --- results -------------------------------------------------------------------------------

    async def _figures(self) -> None:
        warnings = list(self.session.workspace.warnings)
        self.show_problem(None)
        self.show_warnings(warnings)
        before: Cycle | None = None
        for row in list(self._rows.values()):
            cycle = row.cycle
            if cycle.hypotheses is None and cycle.leaderboard is None:
                await self._count(row)
                continue
            try:
                row.figures = await self.session.figures(cycle)
                self._draw()
                if before is not None:
                    row.change = await self.session.comparison(before, cycle)
                    self._draw()
                row.error = None
                found = await self.session.warnings(cycle)
                warnings += [f"cycle {cycle.number}: {line}" for line in found]
                self.show_warnings(warnings)
            except ClinasrError as error:
                row.error = error
                self.show_problem(error)
                self._draw()
                if isinstance(error, StoppedError):
                    return  # the next cycle would only start more
            before = cycle

    async def _count(self, row: _Row) -> None:
        """The rows of a cycle that has no figures yet; what is wrong with them the stepper says."""
        if row.cycle.manifest is not None:
            with suppress(ClinasrError):
                row.rows = (await self.session.preflight(row.cycle)).rows
                self._draw()

    def waits_for(self, job: CycleJob) -> bool:
        """Everything: figures and steps are made of it."""
        return True

    # --- drawing -------------------------------------------------------------------------------

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        wide = self.size.width >= _WIDE
        self.query_one(ColumnHead).show(_columns(wide=wide))
        lines: list[Line] = []
        for row in self._rows.values():
            smoke = smoke_mark(self.session.workspace, row.cycle.number)
            lines.append(_line(row, self._state(row), smoke, wide=wide))
            below = _below(row, wide=wide)
            if below is not None:
                lines.append(below)
        lines = lines or [note("No cycle yet: build one (stage build).")]
        self.query_one("#cycles", LineList).show(lines)
        self.query_one("#cycles-panel").styles.height = min(len(lines) + 3, max(5, self.size.height * 2 // 5))
        self._draw_steps()
        self._draw_groups()

    def _draw_groups(self) -> None:
        """On a high screen: the newest change by category."""
        panel = self.query_one("#groups-panel")
        changed = [row for row in self._rows.values() if row.change is not None]
        panel.display = bool(changed) and self.size.height >= _HIGH
        if changed and changed[-1].change is not None:
            change, number = changed[-1].change, changed[-1].cycle.number
            panel.border_title = f"KER ★ by entity_category   ○ before → ● cycle {number}, better lies right"
            self.query_one("#groups", LineList).show(
                group_lines(change.every, change.priority, ("entity_category",))[1:]
            )

    def _state(self, row: _Row) -> Content:
        cycle, turn = row.cycle, current_round(self.session.workspace)
        if isinstance(row.error, StoppedError):
            return Content.styled("■ stopped", "$accent")
        if row.error:
            return Content.styled("✖ unreadable", "$bad")
        going = self._going(cycle)
        if going:
            return Content.styled(f"● {going}", "$accent")
        if cycle.hypotheses is None and cycle.leaderboard is None:
            return Content.styled("○ transcribe", "$quiet")
        reevaluates = cycle == turn.reeval or (cycle.hypotheses and cycle.hypotheses.name == REEVAL_FILE)
        if row.change is not None and reevaluates:
            return _decided(row.change)
        return Content("scored" if cycle.hypotheses else "figures only")

    def _going(self, cycle: Cycle) -> str:
        """What goes on with a cycle; "" if nothing does."""
        held = self.session.evaluations.evaluating
        if held is not None and held.going and held.evaluation.cycle.number == cycle.number:
            return "evaluating"
        trains = self.session.facts.run_outcome == "running"
        return "training" if trains and cycle == current_round(self.session.workspace).base else ""

    def _steps(self) -> tuple[Step, ...]:
        return steps(self.session.workspace, self.session.facts)

    def _draw_steps(self) -> None:
        if not self.is_mounted:
            return
        found = self._steps()
        goal = next_step(found)
        self.query_one(Stepper).show_steps(found, goal.id if goal else "")
        self.query_one("#next", Static).update(_next_line(goal))

    # --- actions -------------------------------------------------------------------------------

    def action_select(self) -> None:
        """Open the cycle's leaderboard, or the screen of the step."""
        if self.focused is not None and self.focused.id == "steps":
            key = self.query_one(Stepper).cursor_key
            self._go(next((step for step in self._steps() if step.id == key), None))
            return
        key = self.query_one("#cycles", LineList).cursor_key
        if key:
            self.session.cycle_in_view = int(key)
            self.app.switch_mode("leaderboard")

    def to_evaluate(self) -> EvalWish | None:
        """The cycle under the cursor; from the steps the one whose turn it is, with its newest run."""
        if self.focused is not None and self.focused.id == "steps":
            return self._due()
        key = self.query_one("#cycles", LineList).cursor_key
        return EvalWish(int(key)) if key else None

    def _due(self) -> EvalWish | None:
        turn = current_round(self.session.workspace)
        if turn.base is None:
            return None
        return EvalWish(
            turn.base.number, turn.run.name if turn.run is not None and turn.base.hypotheses else ""
        )

    def action_next_step(self) -> None:
        """Go where the next thing is done."""
        self._go(next_step(self._steps()))

    def _go(self, step: Step | None) -> None:
        if step is None:
            return
        if _key_of(step.screen):
            if step.screen == "evaluate":
                self.session.eval_wish = self._due()
            turn = current_round(self.session.workspace)
            if step.screen == "watch" and turn.run is not None:
                self.session.run_wish = turn.run.folder
            self.app.switch_mode(step.screen)
        else:
            self.notify(step.detail or "This step is done outside of this program.", markup=False, timeout=6)


def _key_of(screen: str) -> str:
    """The number key of a screen; "" if there is none."""
    wanted = f"show('{screen}')"
    return next((key_names(action.key) for action in actions_for("") if action.id == wanted), "")


def _next_line(step: Step | None) -> Content:
    if step is None:
        return Content.styled("Nothing left to do.", "$quiet")
    parts: list[Content | str | tuple[str, str]] = [("Next ▸ ", "bold $accent"), (step.label, "bold"), "  "]
    parts.append(visible(step.detail))
    if _key_of(step.screen):
        parts += ["  ", ("n", "bold $accent"), (" goes there", "$quiet")]
    return Content.assemble(*parts)


def _columns(*, wide: bool) -> tuple[Column, ...]:
    return (
        Column("cycle", 5),
        Column("rows", 7, right=True),
        Column("model", 0),
        Column("KER ★", 6, right=True),
        Column("95 %", 9),
        Column("Δ KER", 6, right=True),
        *((Column("95 % of Δ", 13),) if wide else ()),
        Column("state", 14),
    )


def _line(row: _Row, state: Content, smoke: str, *, wide: bool) -> Line:
    cycle, figures = row.cycle, row.figures
    change = row.change.every.headline.get("ker") if row.change else None
    waiting = "…" if (cycle.hypotheses or cycle.leaderboard) and not row.error else NONE
    texts: list[Content | str] = [
        Content.styled(str(cycle.number), "bold"),
        str(figures.rows if figures else row.rows) if figures or row.rows else waiting,
        Content.assemble((f"{smoke} " if smoke else "", "bold $bad"), visible(cycle.model) or NONE),
        Content.styled(score_text(figures.ker), "bold") if figures else waiting,
        Content.styled(interval_text(figures.interval) if figures else waiting, "$quiet"),
        Content.styled(percent_text(change.relative), change_style(change.delta)) if change else NONE,
    ]
    if wide:
        texts.append(Content.styled(interval_text(change.ci95, signed=True) if change else "", "$quiet"))
    texts.append(state)
    return Line(str(cycle.number), lambda width: cells(_columns(wide=wide), texts, width))


def _decided(change: Comparison) -> Content:
    """The published verdict, or the honest one where that is another; "stop" where no round is worth it."""
    judgement = change.judgement
    if judgement is not None and judgement.differs:
        return Content.styled(f"honest: {_VERDICTS[judgement.honest.verdict]}", "bold $bad")
    if judgement is not None and judgement.stop and change.verdict != "keep":
        return Content.styled("■ stop tuning", "bold $bad")
    return Content(f"decided: {_VERDICTS[change.verdict]}")


def _below(row: _Row, *, wide: bool) -> Line | None:
    """The held-out rows' own figures, under the cycle they belong to."""
    figures = row.figures
    if figures is None or figures.held_out_ker is None:
        return None
    part = row.change.held_out if row.change else None
    change = part.headline.get("ker") if part else None
    quiet = "$quiet"
    texts: list[Content | str] = [
        "",
        Content.styled(str(figures.held_out_rows), quiet),
        Content.styled("held-out rows", quiet),
        score_text(figures.held_out_ker),
        Content.styled(interval_text(figures.held_out_interval), quiet),
        Content.styled(percent_text(change.relative), change_style(change.delta)) if change else "",
    ]
    if wide:
        texts.append(Content.styled(interval_text(change.ci95, signed=True) if change else "", quiet))
    texts.append("")
    return Line("", lambda width: cells(_columns(wide=wide), texts, width))
