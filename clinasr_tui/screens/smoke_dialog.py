"""The gate is blocked: only a typed word makes a smoke run of it, and it stays in the run's record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.launch.runs import OVERRIDE_WORD
from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible
from clinasr_tui.typed_word import KeyedWord
from clinasr_tui.widgets.dialog import Dialog
from clinasr_tui.widgets.typed_line import TypedLine

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.gate import GateResult

_MOST = 4


class SmokeDialog(Dialog[str]):
    """Returns the override word if it was typed key by key, else ""; `why` then tells what spoiled it."""

    CSS_PATH = style_path("dialogs")

    def __init__(self, gate: GateResult, run: str) -> None:
        super().__init__()
        self._gate, self._run = gate, run
        self._word = KeyedWord(OVERRIDE_WORD)
        self._is_answered = False
        self.why = ""

    def compose(self) -> ComposeResult:
        """What does not hold, what the override means, the line to type on."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = "✖ The gate is blocked"
            yield Static(_blocked(self._gate, self._run), classes="dialog-text")
            yield TypedLine(
                self._word, OVERRIDE_WORD, "for a smoke run", entered=self._enter, left=self._leave
            )

    def on_mount(self) -> None:
        """Every key goes to the line."""
        self.query_one(TypedLine).focus()

    def _enter(self) -> None:
        self._answer(OVERRIDE_WORD if self._word.is_typed() else "")

    def _leave(self) -> None:
        self._answer("")

    def _answer(self, answer: str) -> None:
        """The first answer counts; what comes after it is none."""
        if not self._is_answered:
            self._is_answered = True
            self.why = self._word.spoiled
            self.dismiss(answer)


def _blocked(gate: GateResult, run: str) -> Content:
    failed = [one for one in gate.criteria if not one.passed]
    lines = [
        Content.assemble(
            ("✖ ", "bold $bad"),
            (visible(one.title), "bold"),
            f": {visible(one.measured)}, wanted {visible(one.threshold)}",
        )
        for one in failed[:_MOST]
    ]
    if len(failed) > _MOST:
        lines.append(Content.styled(f"  and {len(failed) - _MOST} more (3 shows them)", "$quiet"))
    # Where every criterion holds, it is the route that blocks.
    lines += [Content(visible(reason)) for reason in gate.reasons[:1] if not failed]
    lines.append(
        Content.assemble(
            "\nA smoke run shows only that the machinery works: its figures say little. The override stands "
            "in the record of ",
            (visible(run), "bold"),
            " for good, and every later screen marks the run and its model.",
        )
    )
    return Content("\n").join(lines)
