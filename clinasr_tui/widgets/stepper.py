"""The flywheel as steps: state, name and reason, one line each; the cursor leads to the step's screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import Line
from clinasr_tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.flywheel.stepper import Step

_MARKS = {
    "done": ("✔", "$good"),
    "running": ("●", "bold $accent"),
    "ready": ("○", "bold $accent"),
    "blocked": ("✖", "$bad"),
    "none": ("–", "$quiet"),
}
_WORDS = {"done": "done", "running": "runs", "ready": "ready", "blocked": "blocked", "none": ""}


class Stepper(LineList):
    """The steps in order. `goal` is the id of the step to do next: it is marked."""

    def show_steps(self, steps: Sequence[Step], goal: str) -> None:
        """Show the steps' state."""
        first = next((step.id for step in steps if step.state not in ("done", "none")), "")
        self.show([_line(step, is_goal=step.id == goal, loud=step.id == first) for step in steps])
        if goal and not self.has_focus:
            self.move_to(goal)


def _line(step: Step, *, is_goal: bool, loud: bool) -> Line:
    """`loud`: the first that is not done; what is blocked after it only waits."""
    mark, style = _MARKS[step.state]
    if step.state == "blocked" and not loud:
        mark, style = "·", "$quiet"

    def draw(width: int) -> Content:
        name = f"{step.label:<9}"
        word = f"{_WORDS[step.state]:<8}"
        quiet = step.state == "none"
        text = Content.assemble(
            (mark, style),
            " ",
            (name, "bold $accent" if is_goal else "$quiet" if quiet else ""),
            " ",
            (word, style),
            (visible(step.detail), "$foreground" if is_goal else "$quiet"),
        )
        return text.truncate(width, ellipsis=True)

    return Line(step.id, draw)
