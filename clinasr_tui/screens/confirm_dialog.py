"""A question with two buttons; Enter by mistake says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible
from clinasr_tui.widgets.dialog import Dialog

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class YesNoDialog(Dialog[bool]):
    """Buttons `yes` and `no`; the focus begins on No. Whoever extends it composes them."""

    CSS_PATH = style_path("dialogs")

    def on_mount(self) -> None:
        """Enter by mistake declines."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button answers."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """A key answers."""
        self.dismiss(answer)


class ConfirmDialog(YesNoDialog):
    """Returns True only if the operator says so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "yes"),
        ("n,escape", "answer(False)", "no"),
        ("left,right", "app.focus_next", "other button"),
    ]

    def __init__(self, title: str, text: str, yes: str) -> None:
        super().__init__()
        self._title, self._text, self._yes = title, text, yes

    def compose(self) -> ComposeResult:
        """What it means, two buttons."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = Content(visible(self._title))
            yield Static(Content(visible(self._text)), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button("No (Esc)", id="no")
                yield Button(Content(f"{self._yes} (y)"), id="yes", variant="error")
