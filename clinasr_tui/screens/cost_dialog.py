"""The cost dialog: what a box costs, and the one place of the app where the word YES is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from clinasr_tui.remote.consent import WORD, Consent, TypedWord
from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.cost import Offer


class CostDialog(ModalScreen[Consent | None]):
    """Returns the consent, or None: anything but the word typed key by key cancels.

    `lines` is what it costs, `honest` what to know of stopping when done.
    """

    CSS_PATH = style_path("dialogs")

    def __init__(
        self, name: str, offer: Offer, lines: Sequence[str], *, honest: str, action: str = "create"
    ) -> None:
        super().__init__()
        self._lines, self._honest, self._action = lines, honest, action
        self._can_stop = bool(offer.stoppable)
        self._word = TypedWord(name, offer, door="dialog", action=action)
        self._is_answered = False
        self.why = ""
        """Why typed text was no answer, "" if it simply was another one."""

    def compose(self) -> ComposeResult:
        """The figures, the switch for stopping when done, the line to type on."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = (
                "This will start billing" if self._action == "create" else "This will start billing again"
            )
            yield Static(_figures(self._lines), classes="dialog-text")
            if self._can_stop:
                yield Static(self._switch(), classes="dialog-text", id="cost-switch")
            yield _TypedLine(self._word, self._action)

    def on_mount(self) -> None:
        """Every key goes to the line."""
        self.query_one(_TypedLine).focus()

    def switch(self) -> None:
        """Arm or disarm stopping when the run is done."""
        if self._can_stop:
            self._word.stop_when_done = not self._word.stop_when_done
            self.query_one("#cost-switch", Static).update(self._switch())

    def answered(self, consent: Consent | None) -> None:
        """The line has an answer; what comes after the first is none."""
        if not self._is_answered:
            self._is_answered = True
            self.why = self._word.spoiled
            self.dismiss(consent)

    def _switch(self) -> Content:
        armed = self._word.stop_when_done
        mark = ("[x] ", "bold $accent") if armed else ("[ ] ", "$quiet")
        text = Content.assemble(mark, "stop the box when a watched run is over ", ("(Tab)", "bold $accent"))
        return Content.assemble(text, ("\n" + self._honest, "$quiet")) if armed else text


class _TypedLine(Widget, can_focus=True):
    """What is typed, key by key; it has no text field's paste, history or completion."""

    DEFAULT_CSS = "_TypedLine { height: auto; margin: 1 0; }"

    def __init__(self, word: TypedWord, action: str) -> None:
        super().__init__()
        self._word, self._action = word, action

    @property
    def _dialog(self) -> CostDialog:
        dialog = self.screen
        assert isinstance(dialog, CostDialog)
        return dialog

    def on_mount(self) -> None:
        """Keys count once the figures have been painted."""
        self.call_after_refresh(self._word.shown)

    def render(self) -> Content:
        """The question and what stands there so far."""
        # A spoiled prompt stays until Enter or Esc, so that no key meant for it reaches what is below.
        if self._word.spoiled:
            return Content.styled(f"{self._word.spoiled}. Enter or Esc cancels", "bold $bad")
        verb = "provision" if self._action == "create" else "start it"
        return Content.assemble(
            "Type ",
            (WORD, "bold $accent"),
            f" to {verb}, anything else cancels: ",
            (visible(self._word.text), "bold"),
            ("▏", "$accent"),
        )

    def on_key(self, event: events.Key) -> None:
        """One key; none of them reaches a binding."""
        event.stop()
        event.prevent_default()
        if self._word.is_early():
            return
        if event.key == "tab" and self._dialog._can_stop:
            self._dialog.switch()
        elif event.key == "enter":
            self._dialog.answered(self._word.enter())
        elif event.key == "backspace":
            self._word.backspace()
        elif event.is_printable and event.character is not None:
            self._word.key(event.character)
        else:
            self._dialog.answered(None)
        self.refresh(layout=True)

    def on_paste(self, event: events.Paste) -> None:
        """A paste is no typing."""
        event.stop()
        event.prevent_default()
        self._word.paste()
        self.refresh(layout=True)


def _figures(lines: Sequence[str]) -> Content:
    """The box in bold, the price loud, warnings marked."""
    parts: list[Content] = []
    for number, line in enumerate(lines):
        style = "bold" if number == 0 else "bold $accent" if number == 1 else ""
        parts.append(Content.styled(visible(line), "bold $bad" if line.startswith("⚠") else style))
    return Content("\n").join(parts)
