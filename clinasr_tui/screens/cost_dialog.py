"""The cost dialog: what a box costs, and the one place of the app where the word YES is typed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.box.consent import WORD, Consent, TypedWord
from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible
from clinasr_tui.widgets.dialog import Dialog
from clinasr_tui.widgets.typed_line import TypedLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from clinasr_tui.flywheel.cost import Offer


class CostDialog(Dialog[Consent | None]):
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
            yield TypedLine(
                self._word,
                WORD,
                "to provision" if self._action == "create" else "to start it",
                entered=self._enter,
                left=partial(self._answer, None),
                tab=self._arm if self._can_stop else None,
            )

    def on_mount(self) -> None:
        """Every key goes to the line."""
        self.query_one(TypedLine).focus()

    def _arm(self) -> None:
        """Arm or disarm stopping when the run is done."""
        self._word.stop_when_done = not self._word.stop_when_done
        self.query_one("#cost-switch", Static).update(self._switch())

    def _enter(self) -> None:
        self._answer(self._word.enter())

    def _answer(self, consent: Consent | None) -> None:
        """The first answer counts; what comes after it is none."""
        if not self._is_answered:
            self._is_answered = True
            self.why = self._word.spoiled
            self.dismiss(consent)

    def _switch(self) -> Content:
        armed = self._word.stop_when_done
        mark = ("[x] ", "bold $accent") if armed else ("[ ] ", "$quiet")
        text = Content.assemble(mark, "stop the box when a watched run is over ", ("(Tab)", "bold $accent"))
        return Content.assemble(text, ("\n" + self._honest, "$quiet")) if armed else text


def _figures(lines: Sequence[str]) -> Content:
    """The box in bold, the price loud, warnings marked."""
    parts: list[Content] = []
    for number, line in enumerate(lines):
        style = "bold" if number == 0 else "bold $accent" if number == 1 else ""
        parts.append(Content.styled(visible(line), "bold $bad" if line.startswith("⚠") else style))
    return Content("\n").join(parts)
