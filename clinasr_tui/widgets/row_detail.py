"""One manifest row in full: problems, raw and normalised text, waveform, every field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.text import visible
from clinasr_tui.widgets.row_table import fit
from clinasr_tui.widgets.waveform import Waveform

if TYPE_CHECKING:
    from textual.app import ComposeResult

_LABEL = 16


class RowFacts(NamedTuple):
    """What is shown of a row. Texts are untrusted."""

    line: int
    summary: str
    """The clinical fields on one line."""
    text: str
    normalised: str
    audio: str
    fields: Sequence[tuple[str, str]]
    """Every other field as (name, value), in the file's order."""
    problems: Sequence[tuple[bool, str]]
    """(stops a run, what happens and what to do)."""
    broken: str = ""
    """Why the line is no row; then only `text` (the raw line) is known."""


def problem_lines(problems: Sequence[tuple[bool, str]]) -> list[Content]:
    """Problems with their sign: ✖ stops a run, ▲ deserves a look."""
    return [
        Content.styled(f"✖ {visible(text)}", "bold $bad")
        if stops
        else Content.styled(f"▲ {visible(text)}", "$warning")
        for stops, text in problems
    ]


def short_lines(facts: RowFacts, width: int, height: int) -> list[Content]:
    """A row in `height` lines: its problem or fields, raw text, normalised text, audio; cut to `width`."""
    lines = problem_lines(facts.problems)[:2]
    if not facts.broken:
        lines.append(Content.styled(visible(facts.summary), "$quiet"))
    lines += _texts(facts, 1 << 16)
    return [line.truncate(width, ellipsis=True) for line in lines[:height]]


def full_lines(facts: RowFacts, width: int) -> list[Content]:
    """Problems, texts and audio path, wrapped to `width`."""
    problems = [line for problem in problem_lines(facts.problems) for line in problem.wrap(width)]
    return [*problems, *_texts(facts, width)]


def field_lines(facts: RowFacts, width: int) -> list[Content]:
    """Every other field, wrapped to `width`."""
    return [line for name, value in facts.fields for line in _labelled(name, Content(visible(value)), width)]


def _texts(facts: RowFacts, width: int) -> list[Content]:
    lines = _labelled("text", Content(visible(facts.text)), width)
    if facts.broken:
        return lines
    same = facts.normalised == facts.text
    normalised = Content.styled("the same", "$quiet") if same else Content(visible(facts.normalised))
    lines += _labelled("normalised", normalised, width)
    return lines + _labelled("audio_filepath", Content(visible(facts.audio)), width)


def _labelled(name: str, value: Content, width: int) -> list[Content]:
    """A name in its column and the value beside it, wrapped under itself."""
    label = visible(name)
    heads = [Content.styled(fit(label, max(_LABEL, Content(label).cell_length)), "$quiet") + " "]
    lines = value.wrap(max(width - _LABEL - 1, 8)) or [Content("")]
    heads += [Content(" " * (_LABEL + 1))] * (len(lines) - 1)
    return [head + line for head, line in zip(heads, lines, strict=True)]


class RowDetail(VerticalScroll, can_focus=True):
    """Shows a row: a few lines where there is little room (`-short`), else everything."""

    DEFAULT_CSS = """
    RowDetail {
        scrollbar-size-vertical: 1;
        & > Static { height: auto; }
        & > Waveform { margin: 1 0; }
        &.-short > Waveform, &.-short > #detail-fields { display: none; }
        &.-broken > Waveform { display: none; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._facts: RowFacts | None = None
        self._text = Static(id="detail-text", markup=False)
        self._wave = Waveform(id="detail-wave")
        self._fields = Static(id="detail-fields", markup=False)

    def compose(self) -> ComposeResult:
        """Texts, waveform, fields."""
        yield self._text
        yield self._wave
        yield self._fields

    @property
    def waveform(self) -> Waveform:
        """Where the outline of the audio goes."""
        return self._wave

    @property
    def facts(self) -> RowFacts | None:
        """The row shown."""
        return self._facts

    def show(self, facts: RowFacts | None) -> None:
        """Show a row; None shows nothing."""
        self._facts = facts
        self.set_class(facts is not None and bool(facts.broken), "-broken")
        self._draw()

    def on_resize(self) -> None:
        """Lines are cut to the width."""
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return  # the size that comes with mounting draws
        text, fields = self._text, self._fields
        facts = self._facts
        if facts is None:
            self.border_title = Content("row")
            text.update(Content(""))
            fields.update(Content(""))
            return
        self.border_title = Content(f"line {facts.line}")
        width, height = self.scrollable_content_region.size
        if self.has_class("-short"):
            text.update(Content("\n").join(short_lines(facts, width, height)))
            return
        text.update(Content("\n").join(full_lines(facts, width)))
        fields.update(Content("\n").join(field_lines(facts, width)))
