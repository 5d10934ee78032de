"""Sample predictions of a run: one aligned with its reference, those before it in brief below."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.text import visible
from clinasr_tui.widgets.alignment import is_exact, mark_hypothesis, render_alignment

if TYPE_CHECKING:
    from clinasr_tui.training.snapshot import Sample


@lru_cache(maxsize=256)
def _aligned(reference: str, prediction: str, width: int) -> tuple[Content, ...]:
    if is_exact(reference, prediction):
        text = Content(visible(prediction)).wrap(width, align="left")
        return (*text, Content.styled("✔ as the reference", "$good"))
    return tuple(render_alignment(reference, prediction, "", width))


@lru_cache(maxsize=256)
def _marked(reference: str, prediction: str) -> Content:
    return mark_hypothesis(reference, prediction)


class SampleView(Widget):
    """Shows the newest sample, or an earlier one the operator has stepped to."""

    DEFAULT_CSS = """
    SampleView {
        border: round $line;
        border-title-color: $quiet;
        border-subtitle-color: $quiet;
        padding: 0 1;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._samples: Sequence[Sample] = ()
        self._shown: tuple[Sample, ...] = ()
        self._back = 0

    @property
    def back(self) -> int:
        """How many samples before the newest is shown; 0 follows the newest."""
        return self._back

    def show(self, samples: Sequence[Sample]) -> None:
        """Show a run's samples, oldest first; an earlier one that is being read stays in view."""
        if self._back and self._samples and len(samples) > len(self._samples):
            self._back += len(samples) - len(self._samples)
        self._samples = list(samples)
        self._back = min(self._back, max(len(samples) - 1, 0))
        self._redraw()

    def step(self, direction: int) -> None:
        """To the sample before (-1) or the next one (1)."""
        self._back = min(max(self._back - direction, 0), max(len(self._samples) - 1, 0))
        self._redraw()

    def newest(self) -> None:
        """Follow the newest again."""
        self._back = 0
        self._redraw()

    def on_mount(self) -> None:
        """Name the panel before there are samples."""
        self._redraw()

    def _redraw(self) -> None:
        last = len(self._samples) - self._back
        shown = tuple(self._samples[max(last - 20, 0) : last])
        name = "latest sample" if self._back == 0 else f"sample {last} of {len(self._samples)}"
        step = f" · step {shown[-1].step}" if shown and shown[-1].step is not None else ""
        self.border_title = Content(f"{name}{step}")
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        """The aligned sample; what is left of the height shows earlier ones, marked."""
        width, height = self.content_size
        if not self._shown:
            return Content.styled("no sample predictions", "$quiet")
        newest = self._shown[-1]
        lines = list(_aligned(newest.reference, newest.prediction, width))
        room = height - len(lines) - 2
        if room > 0 and len(self._shown) > 1:
            lines += [Content(""), Content.styled("before", "$quiet")]
            for sample in self._shown[-2 : -2 - room : -1]:
                step = "" if sample.step is None else str(sample.step)
                marked = _marked(sample.reference, sample.prediction)
                lines.append(
                    Content.assemble((f"{step:>4} ", "$quiet"), marked).truncate(width, ellipsis=True)
                )
        return Content("\n").join(lines[:height])
