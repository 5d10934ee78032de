"""A line for a word that must be typed key by key; it has no text field's paste, history or completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.binding import BindingType

    from clinasr_tui.typed_word import KeyedWord


class TypedLine(Widget, can_focus=True):
    """What is typed so far. Enter calls `entered`, any other key that types nothing calls `left`.

    `tab`, if given, is what Tab does. No key reaches a binding.
    """

    DEFAULT_CSS = "TypedLine { height: auto; margin: 1 0; }"
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        word: KeyedWord,
        wanted: str,
        purpose: str,
        *,
        entered: Callable[[], None],
        left: Callable[[], None],
        tab: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._word, self._wanted, self._purpose = word, wanted, purpose
        self._entered, self._left, self._tab = entered, left, tab

    def on_mount(self) -> None:
        """Keys count once the question has been painted."""
        self.call_after_refresh(self._word.shown)

    def render(self) -> Content:
        """The question and what stands there so far."""
        # A spoiled prompt stays until Enter or Esc, so that no key meant for it reaches what is below.
        if self._word.spoiled:
            return Content.styled(f"{self._word.spoiled}. Enter or Esc cancels", "bold $bad")
        return Content.assemble(
            "Type ",
            (self._wanted, "bold $accent"),
            f" {self._purpose}, anything else cancels: ",
            (visible(self._word.text), "bold"),
            ("▏", "$accent"),
        )

    def on_key(self, event: events.Key) -> None:
        """One key."""
        event.stop()
        event.prevent_default()
        if self._word.is_early():
            return
        if event.key == "tab" and self._tab is not None:
            self._tab()
        elif event.key == "enter":
            self._entered()
        elif event.key == "backspace":
            self._word.backspace()
        elif event.is_printable and event.character is not None:
            self._word.key(event.character)
        else:
            self._left()
        self.refresh(layout=True)

    def on_paste(self, event: events.Paste) -> None:
        """A paste is no typing."""
        event.stop()
        event.prevent_default()
        self._word.paste()
        self.refresh(layout=True)
