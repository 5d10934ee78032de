"""One line for what went wrong, loud but small; gone when nothing is wrong."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from clinasr_tui.text import visible


class ProblemLine(Static):
    """Shows an error (✖) or a warning (▲) as one line, which may wrap, and hides without one."""

    DEFAULT_CSS = """
    ProblemLine { display: none; height: auto; max-height: 4; padding: 0 1; color: $error; }
    ProblemLine.-warning { color: $warning; max-height: 2; }
    ProblemLine.-shown { display: block; }
    """

    def __init__(self, *, warning: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__("", id=id, classes="-warning" if warning else None, markup=False)
        self._sign = "▲ " if warning else "✖ "
        self.text = ""

    def show(self, text: str) -> None:
        """Show a line; "" hides it."""
        if text != self.text:
            self.text = text
            self.update(Content.assemble((self._sign, "bold"), visible(text)) if text else Content(""))
            self.set_class(bool(text), "-shown")
