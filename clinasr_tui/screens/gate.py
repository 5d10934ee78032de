"""Gate: may this cycle be fine-tuned, criterion by criterion, and where the way leads if not."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.choice import in_view, move, scored_cycles
from clinasr_tui.screens.missing import no_transcripts
from clinasr_tui.session import PREFLIGHT, SCORING
from clinasr_tui.text import visible
from clinasr_tui.widgets.big_text import big_text
from clinasr_tui.widgets.columns import Column, cells
from clinasr_tui.widgets.figures import interval_bar, label
from clinasr_tui.widgets.ker_bars import label_width

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.gate import Criterion, GateResult
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.session import CycleJob

_ROUTES = {
    "finetune": "Fine-tune this base on this manifest.",
    "build": "Do not fine-tune yet: back to build.",
    "expand": "Do not fine-tune yet: expand the terms (build), then measure again.",
    "harden": "Do not fine-tune: make the eval harder first.",
}
_NOT_YET = "Not yet: what is marked ✖ does not hold."
_WIDEST = 116
"""Wider, the eye loses the line between measured and threshold."""
_WIDEST_BAND = 60
_STANDINGS = {"verified": "✔", "legacy": "○", "unverified": "○", "refused": "✖"}


class GateScreen(CockpitScreen):
    """The stage-4 gate of one cycle."""

    SCREEN_ID = "gate"
    TITLE_TEXT = "Gate"
    AUTO_FOCUS = "#gate-scroll"

    def __init__(self) -> None:
        super().__init__()
        self._result: GateResult | None = None

    def compose_body(self) -> ComposeResult:
        """Verdict, criteria, the published result; all of it scrolls as one."""
        with VerticalScroll(id="gate-scroll"):
            with Vertical(classes="panel", id="verdict-panel"):
                with Horizontal(id="verdict"):
                    yield Static(id="big")
                    yield Static(id="route")
                yield Static(id="reasons")
            with Vertical(classes="panel", id="criteria-panel") as panel:
                panel.border_title = "Criteria: every one must hold"
                yield Static(id="criteria")
            yield Static(id="published")

    def refresh_view(self) -> None:
        """Show the cycle in view."""
        cycle = self._cycle()
        if cycle is None:
            self._result = None
            self._draw()
            self.show_missing(no_transcripts(self.SCREEN_ID))
            return
        self.show_missing(None)
        self.retitle(f"Gate · cycle {cycle.number}")
        self.load(partial(self._load, cycle))

    def on_resize(self) -> None:
        """The columns depend on the width."""
        self._draw()

    def action_cycle(self, step: int) -> None:
        """Another cycle."""
        if move(self.session, self._cycle(), step):
            self.refresh_view()

    def waits_for(self, job: CycleJob) -> bool:
        """Scoring and pre-flight of the cycle in view."""
        return job.kind in (SCORING, PREFLIGHT) and job.is_of(self._cycle())

    def _cycle(self) -> Cycle | None:
        return in_view(self.session, scored_cycles(self.session.workspace), newest=False)

    async def _load(self, cycle: Cycle) -> None:
        self.show_problem(None)
        self.show_warnings(())
        try:
            self._result = await self.session.gate(cycle)
            self.show_warnings(await self.session.warnings(cycle))
        except ClinasrError:
            self._result = None
            self._draw()
            raise
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        result = self._result
        self.query_one("#gate-scroll").display = result is not None
        if result is None:
            return
        from clinasr_tui.flywheel.gate import headline_result

        self.query_one("#verdict-panel").set_class(not result.passed, "-blocked")
        style = "bold $good" if result.passed else "bold $bad"
        big = big_text("PASS" if result.passed else "BLOCKED", style)
        published = headline_result()
        reasons = [_reason(result, reason) for reason in result.reasons if reason != published]
        beside = _route(result)
        if reasons and reasons[0].cell_length <= self.size.width - 10 - big.first_line.cell_length:
            beside = Content("\n").join([beside, reasons.pop(0)])
        self.query_one("#big", Static).update(big)
        self.query_one("#route", Static).update(beside)
        self.query_one("#reasons", Static).update(Content("\n").join(reasons))
        self.query_one("#reasons").display = bool(reasons)
        width = min(max(40, self.size.width - 6), _WIDEST)
        self.query_one("#criteria", Static).update(_criteria(result, width))
        quoted = published if published in result.reasons else ""
        self.query_one("#published", Static).update(Content(quoted))


def _reason(result: GateResult, reason: str) -> Content:
    """A reason; what makes the verdict doubtful, or other than the published one, stands out."""
    doubts = (result.honest.why, *map(str, result.deviations))
    mark = ("! ", "bold $accent") if reason in doubts else ("· ", "")
    return Content.assemble(mark, visible(reason))


def _route(result: GateResult) -> Content:
    sentence = _ROUTES[result.route]
    if result.passed:
        return Content.assemble(("✔ ", "bold $good"), (sentence, "bold"))
    return Content.assemble(
        ("✖ ", "bold $bad"), (_NOT_YET if result.route == "finetune" else sentence, "bold")
    )


def _criteria(result: GateResult, width: int) -> Content:
    """Measured against threshold; under a failed one what to do, under the base its standing."""
    lines: list[Content] = []
    for one in result.criteria:
        lines += _criterion(one, width)
        if one.id == "priority_ker":
            lines += _bands(result, width)
        if one.id == "base_allowed" and result.base.name:
            lines += _below(f"{_STANDINGS[result.base.standing]} {result.base.reason}", width, "$quiet")
        if not one.passed and one.remedy:
            lines += _below(f"→ {one.remedy}", width, "$bad")
    return Content("\n").join(lines)


def _bands(result: GateResult, width: int) -> list[Content]:
    """How sure the priority KER is beside the threshold: a line for each category whose interval is known."""
    known = {name: one for name, one in result.figures.items() if one.ker is not None and one.interval}
    names = label_width(list(known), most=20)
    room = min(width - names - 8, _WIDEST_BAND)
    return [
        Content.assemble(
            "   ",
            label(name, names),
            " 0 ",
            interval_bar(one.ker, one.interval, room, limit=result.finetune_above),
            " 1",
        )
        for name, one in known.items()
    ]


def _criterion(one: Criterion, width: int) -> list[Content]:
    """A criterion's cells, wrapped inside their columns."""
    columns = (Column("", 1), Column("", 22), Column("", 0), Column("", 16 if width < 100 else 30))
    room = max(8, width - 22 - columns[3].width - 7)
    parts = [
        ["✔" if one.passed else "✖"],
        wrap(visible(one.title), 22),
        wrap(visible(one.measured), room, break_on_hyphens=False),
        wrap(visible(one.threshold), columns[3].width),
    ]
    styles = (
        "$good" if one.passed else "bold $bad",
        "" if one.passed else "bold",
        "bold" if one.passed else "bold $bad",
        "$quiet",
    )
    return [
        cells(columns, [Content.styled(text, style) for text, style in zip(row, styles, strict=True)], width)
        for row in zip_longest(*parts, fillvalue="")
    ]


def _below(text: str, width: int, style: str) -> list[Content]:
    return [Content.styled(f"   {part}", style) for part in wrap(visible(text), width - 3)]
