"""A waveform in braille: lowest and highest sample of each dot column."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.widgets.chart_raster import Raster, ValueAxis


def draw_waveform(peaks: Sequence[tuple[float, float]], width: int, height: int) -> list[str]:
    """Lines of a waveform; `peaks` (−1 to 1) are (low, high) of as many equal stretches as dot columns.

    Scaled to the loudest peak, so that quiet recordings show their shape too.
    """
    if not peaks or width < 1 or height < 1:
        return []
    loudest = max(max(abs(low), abs(high)) for low, high in peaks) or 1.0
    axis = ValueAxis(-loudest, loudest, 4 * height)
    raster = Raster(width, height)
    for x, (low, high) in enumerate(peaks[: 2 * width]):
        raster.span(x, axis.row(low), axis.row(high))
    return ["".join(chr(0x2800 + bits) for bits in row) for row in raster.rows()]


class Waveform(Widget):
    """Shows peaks computed elsewhere; `columns` says how many are wanted at the present width."""

    DEFAULT_CSS = """
    Waveform { height: 3; color: $primary; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._peaks: Sequence[tuple[float, float]] = ()
        self._note = ""

    @property
    def columns(self) -> int:
        """Dot columns at the present width."""
        return 2 * self.content_size.width

    def show(self, peaks: Sequence[tuple[float, float]], note: str = "") -> None:
        """Show peaks, or `note` (why there are none)."""
        self._peaks, self._note = peaks, note
        self.refresh()

    def render(self) -> Content:
        """Draw at the present size."""
        width, height = self.content_size
        lines = draw_waveform(self._peaks, width, height)
        return Content("\n".join(lines)) if lines else Content.styled(self._note, "$quiet")
