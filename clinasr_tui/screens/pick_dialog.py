"""Choose one of several answers from a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible
from clinasr_tui.widgets.dialog import Dialog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType


class PickDialog(Dialog["int | None"]):
    """Returns the place of the chosen line; Escape gives None. It opens on line `current`."""

    CSS_PATH = style_path("dialogs")
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q", "close", "close")]

    def __init__(self, title: str, lines: Sequence[str], current: int = 0) -> None:
        super().__init__()
        self._title, self._lines, self._current = title, lines, current

    def compose(self) -> ComposeResult:
        """The list and what the keys do."""
        with Vertical(classes="dialog") as box:
            box.border_title = Content(visible(self._title))
            yield OptionList(*(Option(Content(visible(line))) for line in self._lines), markup=False)
            yield Static("Enter: take it · Esc: back", classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        """Begin on what is chosen now."""
        self.query_one(OptionList).highlighted = self._current

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(event.option_index)

    def action_close(self) -> None:
        """Keep what is chosen."""
        self.dismiss(None)
