"""Sample predictions of a run: one aligned with its reference, and how its term was heard before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from clinasr_tui.text import visible
from clinasr_tui.training.sample_history import Heard, Terms, heard_history
from clinasr_tui.widgets.alignment import is_exact, mark_hypothesis, mark_reference, render_alignment

if TYPE_CHECKING:
    from clinasr_tui.training.snapshot import Sample

_BEFORE = 20
"""Earlier samples that may be listed in brief."""


@lru_cache(maxsize=256)
def _aligned(reference: str, prediction: str, term: str, width: int) -> tuple[Content, ...]:
    if is_exact(reference, prediction):
        text = mark_reference(prediction, prediction, term).wrap(width, align="left")
        return (*text, Content.styled("✔ as the reference", "$good"))
    return tuple(render_alignment(reference, prediction, term, width))


@lru_cache(maxsize=256)
def _marked(reference: str, prediction: str) -> Content:
    return mark_hypothesis(reference, prediction)


def history_line(term: str, history: Sequence[Heard]) -> Content:
    """`vancomycin heard as: vancomisen → vancomicin ×2 → ✔ ×3 (step 112)`: how a model learned a term."""
    parts = []
    for one in history:
        text, style = (visible(one.text) or "[-]", "bold $bad") if not one.right else ("✔", "bold $good")
        times = f" ×{one.times}" if one.times > 1 else ""
        parts.append(Content.assemble((text, style), times))
    last = history[-1] if history else None
    since = f" (step {last.step})" if last is not None and last.step is not None and len(history) > 1 else ""
    arrow = Content.styled(" → ", "$quiet")
    head = Content.assemble((visible(term), "bold underline"), (" heard as: ", "$quiet"))
    return Content.assemble(head, arrow.join(parts), (since, "$quiet"))


class SampleView(Widget):
    """Shows the newest sample, or an earlier one the operator has stepped to.

    For a screen's keys: `step(±1)` among all samples, or among those of one term after `next_term(±1)`;
    `newest` leaves both. Terms come by `use_terms`; a reference without one counts by itself.
    """

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
        self._all: Sequence[Sample] = ()
        self._samples: Sequence[Sample] = ()
        self._terms = Terms()
        self._found: dict[str, str] = {}
        self._named = ("", "")
        self._group: str | None = None
        self._drawn: tuple[object, ...] = ()
        self._back = 0

    @property
    def back(self) -> int:
        """How many samples before the newest is shown; 0 follows the newest."""
        return self._back

    @property
    def group(self) -> str | None:
        """The term (or reference) whose samples are stepped through; None is all."""
        return self._group

    def use_terms(self, terms: Terms) -> None:
        """Mark these terms in references and tell how they were heard."""
        self._terms, self._found = terms, {}
        self._redraw()

    def show(self, samples: Sequence[Sample]) -> None:
        """Show a run's samples, oldest first; an earlier one that is being read stays in view."""
        self._all = list(samples)
        self._select()

    def _select(self) -> None:
        before = len(self._samples)
        chosen = self._group is None
        self._samples = self._all if chosen else [s for s in self._all if self._key(s) == self._group]
        if self._back and before and len(self._samples) > before:
            self._back += len(self._samples) - before
        self._back = min(self._back, max(len(self._samples) - 1, 0))
        self._redraw()

    def _key(self, sample: Sample) -> str:
        return self._term(sample) or sample.reference

    def _term(self, sample: Sample) -> str:
        if sample.reference not in self._found:
            self._found[sample.reference] = self._terms.find(sample.reference)
        return self._found[sample.reference]

    def step(self, direction: int) -> None:
        """To the sample before (-1) or the next one (1)."""
        self._back = min(max(self._back - direction, 0), max(len(self._samples) - 1, 0))
        self._redraw()

    def next_term(self, direction: int) -> None:
        """Step through the samples of one term: that of the sample in view, then the next ones by name."""
        if not self._samples:
            return
        if self._group is None:
            group = self._key(self._samples[-1 - self._back])
        else:
            groups = sorted({self._key(sample) for sample in self._all})
            group = groups[(groups.index(self._group) + direction) % len(groups)]
        self._group, self._samples, self._back = group, (), 0
        self._select()

    def newest(self) -> None:
        """Follow the newest of all samples again."""
        self._group, self._samples, self._back = None, (), 0
        self._select()

    def on_mount(self) -> None:
        """Name the panel before there are samples."""
        self._redraw()

    def _redraw(self) -> None:
        named = self._title(), self._hint()
        if named != self._named:
            self._named = named
            self.border_title, self.border_subtitle = map(Content, named)
        drawn = (len(self._samples), self._back, self._group, self._terms, *self._samples[-1:])
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def _title(self) -> str:
        place = len(self._samples) - self._back
        if self._group is None:
            name = "latest sample" if self._back == 0 else f"sample {place} of {len(self._samples)}"
        else:
            name = f"{visible(self._group)[:24]} · {place} of {len(self._samples)}"
        shown = self._samples[place - 1] if place > 0 else None
        return name if shown is None or shown.step is None else f"{name} · step {shown.step}"

    def _hint(self) -> str:
        return ", . its samples · t next" if self._group is not None else ""

    def render(self) -> Content:
        """The aligned sample, how its term was heard so far, and earlier samples as far as there is room."""
        width, height = self.content_size
        place = len(self._samples) - self._back
        if place <= 0:
            return Content.styled("no sample predictions", "$quiet")
        newest = self._samples[place - 1]
        term = self._term(newest)
        lines = list(_aligned(newest.reference, newest.prediction, term, width))
        lines += self._history(newest, term, width)
        room = height - len(lines) - 2
        earlier = self._samples[max(place - 1 - _BEFORE, 0) : place - 1]
        if room > 0 and earlier:
            lines += [Content(""), Content.styled("before", "$quiet")]
            lines += [_brief(sample, width) for sample in earlier[: -1 - room : -1]]
        return Content("\n").join(lines[:height])

    def _history(self, shown: Sample, term: str, width: int) -> list[Content]:
        """How the term of the sample in view was heard up to it."""
        if not term:
            return []
        until = next((at for at, one in enumerate(self._all) if one is shown), len(self._all) - 1)
        of_term = [one for one in self._all[: until + 1] if self._term(one) == term]
        return list(history_line(term, heard_history(of_term, term)).wrap(width, align="left"))


def _brief(sample: Sample, width: int) -> Content:
    step = "" if sample.step is None else str(sample.step)
    marked = _marked(sample.reference, sample.prediction)
    return Content.assemble((f"{step:>4} ", "$quiet"), marked).truncate(width, ellipsis=True)
