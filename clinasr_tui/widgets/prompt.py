"""A line to type into that comes when asked for and goes when done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input

from clinasr_tui.text import visible
from clinasr_tui.widgets.row_table import fit

if TYPE_CHECKING:
    from textual.binding import BindingType


class Prompt(Input):
    """Hidden until `open`; Enter posts `Input.Submitted`, Escape posts `Left`, both close it.

    `ask` opens it for one of several questions; `say` tells what is wrong with what is typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Leave")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"prompt--problem"}
    DEFAULT_CSS = """
    Prompt { display: none; height: 1; background: $panel; }
    Prompt.-open { display: block; }
    Prompt > .prompt--problem { background: $panel; color: $error; }
    """

    class Left(Message):
        """The operator left without an answer."""

        def __init__(self, prompt: Prompt) -> None:
            super().__init__()
            self.prompt = prompt

        @property
        def control(self) -> Prompt:
            """The prompt."""
            return self.prompt

    def __init__(self, placeholder: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=True)
        self.cursor_blink = False
        self.question = ""
        """What was asked, for whoever asks several things."""
        self._problem = ""

    def open(self) -> None:
        """Show the line with what was typed last."""
        self.say("")
        self.add_class("-open")
        self.focus()

    def ask(self, question: str, placeholder: str, value: str) -> None:
        """Open the line for a question, with the answer there is."""
        self.question = question
        self.placeholder = placeholder
        self.value = value
        self.open()

    def say(self, problem: str) -> None:
        """Tell at the right end what is wrong with what is typed; "" takes it away."""
        if problem != self._problem:
            self._problem = problem
            self.refresh()

    @property
    def problem(self) -> str:
        """What is told."""
        return self._problem

    def close(self) -> None:
        """Hide the line; the caller says where the focus goes."""
        self.remove_class("-open")

    def render_line(self, y: int) -> Strip:
        """What is typed; what is wrong with it takes two thirds of the line at most."""
        strip = super().render_line(y)
        if y or not self._problem:
            return strip
        width = self.size.width
        text = visible(self._problem)
        text = fit(text, min(len(text), width * 2 // 3))
        problem = Segment(f" ✖ {text}", self.get_component_rich_style("prompt--problem"))
        room = max(width - problem.cell_length, 0)
        return Strip.join([strip.adjust_cell_length(room), Strip([problem])])

    def action_leave(self) -> None:
        """Escape."""
        self.close()
        self.post_message(self.Left(self))
