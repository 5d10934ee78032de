"""A line to type into that comes when asked for and goes when done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.widgets import Input

if TYPE_CHECKING:
    from textual.binding import BindingType


class Prompt(Input):
    """Hidden until `open`; Enter posts `Input.Submitted`, Escape posts `Left`, both close it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Leave")]
    DEFAULT_CSS = """
    Prompt { display: none; height: 1; background: $panel; }
    Prompt.-open { display: block; }
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

    def open(self) -> None:
        """Show the line with what was typed last."""
        self.add_class("-open")
        self.focus()

    def close(self) -> None:
        """Hide the line; the caller says where the focus goes."""
        self.remove_class("-open")

    def action_leave(self) -> None:
        """Escape."""
        self.close()
        self.post_message(self.Left(self))
