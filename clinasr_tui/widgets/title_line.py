"""The first line of every screen: program, workspace, screen; what is billing on the right."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.text import visible


class TitleLine(Widget):
    """`clinasr-tui · workspace · screen` and, on the right, the state of the box."""

    DEFAULT_CSS = """
    TitleLine { height: 1; dock: top; background: $panel; padding: 0 1; }
    """

    def __init__(self, workspace: str, screen: str, box: str, bills: bool) -> None:
        """`box` says what is billed; `bills` makes it loud."""
        super().__init__()
        self._box, self._bills = box, bills
        self._workspace = workspace
        self._screen = screen

    def rename(self, screen: str) -> None:
        """Show another screen title, for example the cycle in view."""
        if screen != self._screen:
            self._screen = screen
            self.refresh()

    def billing(self, box: str, bills: bool) -> None:
        """Show what is billed now."""
        if (box, bills) != (self._box, self._bills):
            self._box, self._bills = box, bills
            self.refresh()

    def render(self) -> Content:
        """One line as wide as the screen; the left side gives way."""
        right = self._box
        left = Content.assemble(
            ("clinasr-tui", "bold $primary"),
            (" · ", "$quiet"),
            visible(self._workspace),
            (" · ", "$quiet"),
            (visible(self._screen), "bold"),
        )
        room = max(0, self.content_size.width - len(right) - 2)
        left = left.truncate(room, ellipsis=True)
        style = "bold $accent" if self._bills else "$quiet"
        return Content.assemble(left.pad_right(room - left.cell_length + 2), (right, style))
