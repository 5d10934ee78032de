"""Help: every key of a screen and the keys that work everywhere, from the action table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.actions import Action, actions_for, key_names
from clinasr_tui.style_files import style_path
from clinasr_tui.widgets.dialog import Dialog

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

_LIST_KEYS = (("↑ ↓ PgUp PgDn Home End", "move in lists and text"), ("Tab", "to the next part of the screen"))


class HelpScreen(Dialog[None]):
    """The keys of `screen_id`; any of Esc, ?, q closes it."""

    CSS_PATH = style_path("help")
    BINDINGS: ClassVar[list[BindingType]] = [("escape,question_mark,f1,q,enter", "dismiss", "close")]

    def __init__(self, screen_id: str, title: str) -> None:
        super().__init__()
        self._screen_id = screen_id
        self._title = title

    def compose(self) -> ComposeResult:
        """One list, this screen first."""
        with Vertical(id="help-box") as box:
            box.border_title = Content(f"Keys: {self._title}")
            box.border_subtitle = "Esc closes"
            with VerticalScroll():
                yield Static(help_text(self._screen_id), id="help-text")


def help_text(screen_id: str) -> Content:
    """Categories with their actions: keys, then the sentence."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for action in (*actions_for(screen_id), *actions_for("")):
        groups.setdefault(action.category, []).append((key_names(action.key), _sentence(action)))
    groups["Moving"] = list(_LIST_KEYS)
    width = max(len(keys) for rows in groups.values() for keys, _ in rows if len(keys) < 12)
    lines: list[Content] = []
    for category, rows in groups.items():
        if lines:
            lines.append(Content(""))
        lines.append(Content.styled(category, "bold $secondary"))
        lines += [
            Content.assemble("  ", (f"{keys:<{width}}", "bold $accent"), "  ", text) for keys, text in rows
        ]
    return Content("\n").join(lines)


def _sentence(action: Action) -> str:
    return action.help
