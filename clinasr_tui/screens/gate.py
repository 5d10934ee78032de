"""Gate: may this cycle be fine-tuned, criterion by criterion, and where the way leads if not."""

from __future__ import annotations

from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.choice import in_view, move, scored_cycles
from clinasr_tui.text import visible
from clinasr_tui.widgets.big_text import big_text
from clinasr_tui.widgets.columns import Column, cells

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.bases import BaseStanding
    from clinasr_tui.flywheel.gate import Criterion, GateResult
    from clinasr_tui.flywheel.workspace import Cycle

_ROUTES = {
    "finetune": "Fine-tune this base on this manifest.",
    "build": "Do not fine-tune yet. Go back to build.",
    "expand": "Do not fine-tune yet. Expand the terms (build) and measure again.",
    "harden": "Do not fine-tune. Make the eval harder first.",
}
_STANDINGS = {
    "verified": ("✔", "$good"),
    "legacy": ("○", "$accent"),
    "unverified": ("○", "$accent"),
    "refused": ("✖", "bold $bad"),
}


class GateScreen(CockpitScreen):
    """The stage-4 gate of one cycle."""

    SCREEN_ID = "gate"
    TITLE_TEXT = "Gate"

    def __init__(self) -> None:
        super().__init__()
        self._result: GateResult | None = None

    def compose_body(self) -> ComposeResult:
        """Verdict, criteria, base and the published result."""
        with Horizontal(classes="panel", id="verdict"):
            yield Static(id="big")
            yield Static(id="why")
        with VerticalScroll(classes="panel", id="criteria-panel") as panel:
            panel.border_title = "Criteria, all must hold"
            yield Static(id="criteria")
        with Vertical(classes="panel", id="base-panel") as panel:
            panel.border_title = "Base"
            yield Static(id="base")

    def on_mount(self) -> None:
        """The criteria scroll."""
        self.query_one("#criteria-panel").focus()

    def refresh_view(self) -> None:
        """Show the cycle in view."""
        cycle = self._cycle()
        if cycle is None:
            self._result = None
            self._draw()
            self.show_problem("no cycle has transcripts yet: transcribe the manifest first (the eval stage)")
            return
        self.retitle(f"Gate · cycle {cycle.number}")
        self.load(partial(self._load, cycle))

    def on_resize(self) -> None:
        """The columns depend on the width."""
        self._draw()

    def action_cycle(self, step: int) -> None:
        """Another cycle."""
        if move(self.session, self._cycle(), step):
            self.refresh_view()

    def _cycle(self) -> Cycle | None:
        return in_view(self.session, scored_cycles(self.session.workspace), newest=False)

    async def _load(self, cycle: Cycle) -> None:
        self.show_problem(None)
        try:
            self._result = await self.session.gate(cycle)
        except ClinasrError:
            self._result = None
            raise
        finally:
            self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        result = self._result
        panel = self.query_one("#verdict")
        panel.set_class(result is not None and not result.passed, "-blocked")
        if result is None:
            for name in ("#big", "#why", "#criteria", "#base"):
                self.query_one(name, Static).update("")
            return
        style = "bold $good" if result.passed else "bold $bad"
        self.query_one("#big", Static).update(big_text("PASS" if result.passed else "BLOCKED", style))
        self.query_one("#why", Static).update(_why(result))
        width = max(30, self.size.width - 5)
        self.query_one("#criteria", Static).update(_criteria(result.criteria, width))
        self.query_one("#base", Static).update(_base(result.base))


def _why(result: GateResult) -> Content:
    mark = ("✔ ", "bold $good") if result.passed else ("✖ ", "bold $bad")
    lines = [Content.assemble(mark, (_ROUTES[result.route], "bold"))]
    lines += [Content(visible(reason)) for reason in result.reasons]
    return Content("\n").join(lines)


def _criteria(criteria: tuple[Criterion, ...], width: int) -> Content:
    columns = (Column("", 1), Column("", 0), Column("measured", 22), Column("", 20))
    lines = []
    for one in criteria:
        mark = Content.styled("✔", "$good") if one.passed else Content.styled("✖", "bold $bad")
        texts = (
            mark,
            Content.styled(visible(one.title), "" if one.passed else "bold"),
            Content.styled(visible(one.measured), "bold" if one.passed else "bold $bad"),
            Content.styled(visible(one.threshold), "$quiet"),
        )
        lines.append(cells(columns, texts, width))
        if not one.passed and one.remedy:
            lines += [Content.styled(f"   {part}", "$bad") for part in wrap(visible(one.remedy), width - 3)]
    return Content("\n").join(lines)


def _base(base: BaseStanding) -> Content:
    mark, style = _STANDINGS[base.standing]
    text = Content.assemble(
        (visible(base.name), "bold"), "  ", (f"{mark} {base.standing}", style), "  ", visible(base.reason)
    )
    return text + Content(f" Take {visible(base.substitute)} instead.") if base.substitute else text
