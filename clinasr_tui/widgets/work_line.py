"""One line for long work: what it is, how far, how long still, and the key that stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from clinasr_tui.widgets.figures import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.flywheel.progress import Job

_SILENT_SECONDS = 0.5
"""Work that is done sooner shows nothing: a line that flashes by only disturbs."""
_WIDEST_BAR = 40


class WorkLine(Static):
    """Shows the oldest job with its bar and counts the others; hides without one."""

    DEFAULT_CSS = """
    WorkLine { display: none; height: 1; padding: 0 1; }
    WorkLine.-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown = Content("")

    def show(self, jobs: Sequence[Job]) -> None:
        """Show the work that goes on, oldest first; quick work is left out."""
        slow = [job for job in jobs if job.seconds >= _SILENT_SECONDS]
        self.set_class(bool(slow), "-shown")
        line = work_content(slow[0], len(slow) - 1, self.app.size.width - 2) if slow else Content("")
        if line != self._shown:
            self._shown = line
            self.update(line)


def work_content(job: Job, others: int, width: int) -> Content:
    """`● scoring of cycle 2 ━━━━━╸╌╌╌ 43 %  0:02 left  Esc stops it`; the bar takes what room is left."""
    if job.cancelled:
        return Content.assemble(("■ ", "bold $accent"), f"{job.what} is being stopped …")
    if not job.measured:
        return Content.assemble(("● ", "bold $accent"), f"{job.what} ", (f"{job.seconds:.0f} s", "$quiet"))
    left = f"{job.left} left" if job.left else "looking …"
    more = f"  and {others} more" if others else ""
    right = Content.assemble(
        (f" {job.fraction:>4.0%}", "bold"),
        (f"  {left:<9}{more}", "$quiet"),
        ("  Esc", "bold $accent"),
        f" stops {'all' if others else 'it'}",
    )
    head = Content.assemble(("● ", "bold $accent"), job.what, " ")
    room = min(width - head.cell_length - right.cell_length, _WIDEST_BAR)
    return Content.assemble(head, bar(job.fraction, room, "$primary"), right).truncate(width, ellipsis=True)
