"""The first line of every screen: program, workspace, screen; what goes on and what bills on the right."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.text import visible


class TitleLine(Widget):
    """`clinasr-tui · workspace · screen`; on the right an evaluation that goes on and the box's state."""

    DEFAULT_CSS = """
    TitleLine { height: 1; dock: top; background: $panel; padding: 0 1; }
    """

    def __init__(self, workspace: str, screen: str, box: str, bills: bool) -> None:
        """`box` says what is billed; `bills` makes it loud."""
        super().__init__()
        self._box, self._bills = box, bills
        self._workspace = workspace
        self._screen = screen
        self._work = ""

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

    def at_work(self, work: str) -> None:
        """Show what goes on in a few words; "" for nothing."""
        if work != self._work:
            self._work = work
            self.refresh()

    def render(self) -> Content:
        """One line as wide as the screen; the left side gives way."""
        style = "bold $accent" if self._bills else "$quiet"
        work = Content.styled(f"● {visible(self._work)}  ", "bold $accent") if self._work else Content("")
        right = Content.assemble(work, (self._box, style))
        left = Content.assemble(
            ("clinasr-tui", "bold $primary"),
            (" · ", "$quiet"),
            visible(self._workspace),
            (" · ", "$quiet"),
            (visible(self._screen), "bold"),
        )
        room = max(0, self.content_size.width - right.cell_length - 2)
        left = left.truncate(room, ellipsis=True)
        return Content.assemble(left.pad_right(room - left.cell_length + 2), right)
