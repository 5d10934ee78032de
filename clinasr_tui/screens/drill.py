"""Two keys down from any group: its terms, then a term's rows, for one cycle or two side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.flywheel.drilldown import (
    RowRef,
    TermLine,
    by_term,
    heard_counts,
    heard_instead,
    in_group,
    rows_of_pairs,
    rows_of_set,
)
from clinasr_tui.flywheel.progress import report
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.text import visible
from clinasr_tui.widgets.columns import Column, ColumnHead, cells
from clinasr_tui.widgets.figures import Line, score_text
from clinasr_tui.widgets.ker_bars import dumbbell_line, ker_line, label_width
from clinasr_tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual.app import ComposeResult

    from clinasr_tui.flywheel.comparison import RowPair
    from clinasr_tui.flywheel.progress import Progress
    from clinasr_tui.flywheel.scoring import ScoredSet

_WIDE = 100
_ROWS_PER_REPORT = 256
_LISTENING = "what was heard instead"
_STOPPED = Content.styled("not counted: it was stopped", "$quiet")
CHANGES = {
    (1, 0): ("✔", "fixed", "$good"),
    (0, 1): ("✖", "broken", "bold $bad"),
    (1, 1): ("✖", "still wrong", "$bad"),
    (0, 0): ("✔", "still right", "$quiet"),
}
"""Term missed (1) or heard (0) on the first and on the last side."""


@dataclass(frozen=True, slots=True)
class Drill:
    """What a drill-down looks at: one or two labelled sides and the rows in question."""

    home: str
    """Screen id to highlight in the key line."""
    labels: tuple[str, ...]
    sides: tuple[ScoredSet, ...]
    rows: tuple[RowRef, ...]

    @classmethod
    def of_cycle(cls, label: str, scored: ScoredSet, *, home: str) -> Drill:
        """All rows of one cycle."""
        return cls(home, (label,), (scored,), tuple(rows_of_set(scored)))

    @classmethod
    def of_pairs(
        cls,
        labels: tuple[str, str],
        sides: tuple[ScoredSet, ScoredSet],
        pairs: Sequence[RowPair],
        *,
        home: str,
    ) -> Drill:
        """Rows of a comparison."""
        return cls(home, labels, sides, tuple(rows_of_pairs(pairs)))

    def narrowed(self, field: str, value: str) -> Drill:
        """Only the rows with this value."""
        return replace(self, rows=tuple(in_group(self.sides, self.rows, field, value)))


class TermsScreen(CockpitScreen):
    """The terms of a group, worst first, and what the models wrote instead of the one under the cursor."""

    SCREEN_ID = "terms"
    TITLE_TEXT = "Terms"

    def __init__(self, drill: Drill, path: tuple[str, ...], figures: str = "") -> None:
        """`figures` is what the level above says of the group, its interval too."""
        super().__init__()
        self._drill = drill
        self._path = path
        self._figures = figures
        self._terms: dict[str, TermLine] = {}

    def home_id(self) -> str:
        """Belongs to the screen it was opened from."""
        return self._drill.home

    def title_text(self) -> str:
        """The way here."""
        return " › ".join(self._path)

    def compose_body(self) -> ComposeResult:
        """The list and, under it, what was heard."""
        with Vertical(classes="panel", id="drill-panel") as panel:
            panel.border_title = Content(f"{visible(self._path[-1])}: terms, worst first")
            panel.border_subtitle = Content(self._figures)
            yield LineList(id="drill-terms")
        with Vertical(classes="panel", id="heard-panel") as panel:
            panel.border_title = "Heard as"
            yield Static(id="heard")

    def on_mount(self) -> None:
        """Group the rows once."""
        self.query_one("#drill-terms").focus()
        self.load(self._fill)

    async def _fill(self) -> None:
        found = await asyncio.to_thread(by_term, self._drill.sides, self._drill.rows)
        self._terms = {f"term {line.term}": line for line in found}
        names = label_width([visible(line.term) for line in found])
        lines = self.query_one("#drill-terms", LineList)
        lines.show([_term_line(key, line, names) for key, line in self._terms.items()])

    def refresh_view(self) -> None:
        """What was opened stays as it was; the level above has the newest."""

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Show what was heard instead of this term."""
        line = self._terms.get(message.key)
        if line is not None:
            self.load(partial(self._heard, line))

    async def _heard(self, line: TermLine) -> None:
        heard = self.query_one("#heard", Static)
        try:
            heard.update(await self.in_thread(_LISTENING, partial(heard_text, self._drill, line.rows)))
        except InterruptedError:
            heard.update(_STOPPED)

    def action_select(self) -> None:
        """Open the term's rows."""
        line = self._terms.get(self.query_one("#drill-terms", LineList).cursor_key)
        if line is not None:
            terms = tuple(self._terms.values())
            self.app.push_screen(RowsScreen(self._drill, terms, terms.index(line), path=self._path))

    def action_back(self) -> None:
        """Stop long work, else back to the level above."""
        if self.awaited():
            self.action_stop()
        else:
            self.app.pop_screen()


class RowsScreen(CockpitScreen):
    """The rows of one term: how each was heard, and the one under the cursor aligned word by word."""

    SCREEN_ID = "rows"
    TITLE_TEXT = "Rows"

    def __init__(
        self, drill: Drill, terms: tuple[TermLine, ...], place: int, *, path: tuple[str, ...]
    ) -> None:
        """Begin with the term at `place` of `terms`."""
        super().__init__()
        self._drill = drill
        self._terms = terms
        self._place = place
        self._path = path

    @property
    def _term(self) -> TermLine:
        return self._terms[self._place]

    def home_id(self) -> str:
        """Belongs to the screen it was opened from."""
        return self._drill.home

    def title_text(self) -> str:
        """The way here."""
        return " › ".join((*self._path, self._term.term or "(no term)"))

    def compose_body(self) -> ComposeResult:
        """Figures and counts, the rows, the row under the cursor in full."""
        yield Static(id="term-figures")
        with Vertical(classes="panel", id="rows-panel") as panel:
            panel.border_title = "Rows"
            yield ColumnHead()
            yield LineList(id="rows")
        with VerticalScroll(classes="panel", id="row-panel", can_focus=True) as panel:
            panel.border_title = "Reference and hypothesis"
            yield Static(id="row")

    def on_mount(self) -> None:
        """Begin on the rows."""
        self.query_one("#rows").focus()
        self.load(self._fill)

    def refresh_view(self) -> None:
        """What was opened stays as it was; the level above has the newest."""

    def action_term(self, step: int) -> None:
        """The term before or after in the list."""
        place = self._place + step
        if 0 <= place < len(self._terms):
            self._place = place
            self.retitle(self.title_text())
            self.load(self._fill)

    async def _fill(self) -> None:
        drill, line = self._drill, self._term
        # Counting first loads the aligner outside of the drawing.
        try:
            heard = await self.in_thread(_LISTENING, partial(heard_text, drill, line.rows))
        except InterruptedError:
            heard = _STOPPED
        figures = Content("   ").join(
            Content.assemble((f"{name} ", "$quiet"), "KER ", (score_text(ker), "bold"))
            for name, ker in zip(drill.labels, line.ker, strict=True)
        )
        head = Content.assemble((visible(line.term) or "(no term)", "bold"), "   ", figures)
        head += Content.styled(f"   n {len(line.rows)}", "$quiet")
        self.query_one("#term-figures", Static).update(Content("\n").join([head, heard]))
        self.query_one("#rows", LineList).show(
            [self._line(place, row) for place, row in enumerate(line.rows)]
        )
        self._fit()
        self._draw_row()

    def _fit(self) -> None:
        """The rows take what they need, at most two fifths of the screen."""
        self.query_one("#rows-panel").styles.height = min(
            len(self._term.rows) + 3, max(5, self.size.height * 2 // 5)
        )

    def _columns(self) -> tuple[Column, ...]:
        held = (Column("", 8),) if any(row.held_out is not None for row in self._drill.rows) else ()
        change = 13 if len(self._drill.sides) > 1 else 8
        sides = tuple(Column(f"{name} heard", 0) for name in self._drill.labels)
        voice = (Column("voice", 10),) if self.app.size.width >= _WIDE else ()
        return (Column("", change), *held, *sides, Column("noise", 8), *voice)

    def _line(self, place: int, row: RowRef) -> Line:
        drill = self._drill

        def draw(width: int) -> Content:
            details = drill.sides[0].hypotheses.row(row.indices[0])
            misses = [side.scores.ker[i] for side, i in zip(drill.sides, row.indices, strict=True)]
            texts: list[Content | str] = [_change(misses)]
            if row.held_out is not None:
                texts.append(Content.styled("held-out" if row.held_out else "trained", "$quiet"))
            for side, index in zip(drill.sides, row.indices, strict=True):
                texts.append(_heard_cell(side, index))
            texts += [visible(details.noise_level), visible(details.voice_id)]
            columns = self._columns()
            return cells(columns, texts[: len(columns)], width)

        return Line(str(place), draw)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        """Show the row in full."""
        self._draw_row()

    def on_resize(self) -> None:
        """Lines wrap to the width."""
        self.query_one(ColumnHead).show(self._columns())
        self._fit()
        self._draw_row()

    def _draw_row(self) -> None:
        key = self.query_one("#rows", LineList).cursor_key
        if key:
            width = max(20, self.size.width - 6)
            self.query_one("#row", Static).update(_row_text(self._drill, self._term.rows[int(key)], width))

    def action_back(self) -> None:
        """Stop long work, else back to the terms."""
        if self.awaited():
            self.action_stop()
        else:
            self.app.pop_screen()


def _term_line(key: str, line: TermLine, names: int) -> Line:
    if len(line.ker) == 1:
        return ker_line(key, line.term, line.ker[0], len(line.rows), names=names)
    first, last = line.ker[0], line.ker[-1]
    relative = None if not first or last is None else (last - first) / first
    return dumbbell_line(key, line.term, first, last, len(line.rows), names=names, relative=relative)


def _reported(rows: Sequence[RowRef], place: int, sides: int, progress: Progress) -> Iterator[int]:
    """The rows' indices on one of the sides; says now and then how far it is."""
    for number, row in enumerate(rows):
        if number % _ROWS_PER_REPORT == 0:
            report(progress, (place + number / len(rows)) / sides, _LISTENING)
        yield row.indices[place]


def heard_text(drill: Drill, rows: Sequence[RowRef], progress: Progress) -> Content:
    """One line a side: what was written instead of the term, with counts. Blocks: call in a thread.

    Raises InterruptedError if `progress` says so.
    """
    lines = []
    for place, (name, side) in enumerate(zip(drill.labels, drill.sides, strict=True)):
        counts = heard_counts(side, _reported(rows, place, len(drill.sides), progress))
        told = [
            Content.assemble(
                (visible(text), "bold") if text else ("(left out)", "italic"), (f" ×{count}", "$quiet")
            )
            for text, count in counts[:12]
        ]
        if len(counts) > 12:
            told.append(Content.styled(f"and {len(counts) - 12} more", "$quiet"))
        right = len(rows) - sum(count for _, count in counts)
        if right:
            told.append(Content.styled(f"✔ right ×{right}", "$good"))
        lines.append(Content.assemble((f"{name}  ", "$quiet"), Content(" · ").join(told)))
    return Content("\n").join(lines)


def _change(misses: Sequence[int]) -> Content:
    if min(misses) < 0:
        return Content.styled("– no term", "$quiet")
    if len(misses) == 1:
        return Content.styled("✖ missed", "$bad") if misses[0] else Content.styled("✔ heard", "$good")
    mark, word, style = CHANGES[misses[0], misses[-1]]
    return Content.styled(f"{mark} {word}", style)


def _heard_cell(side: ScoredSet, index: int) -> Content:
    heard = heard_instead(side, index)
    if heard is None:
        return Content.styled("✔", "$good")
    return Content(visible(heard)) if heard else Content.styled("(left out)", "italic")


def _row_text(drill: Drill, row: RowRef, width: int) -> Content:
    from clinasr_tui.flywheel.normalise import normalise
    from clinasr_tui.widgets.alignment import render_alignments

    first = drill.sides[0].hypotheses.row(row.indices[0])
    names = [name.replace("cycle ", "c") for name in drill.labels]
    texts = [side.hypotheses.hypothesis[i] for side, i in zip(drill.sides, row.indices, strict=True)]
    lines = render_alignments(first.reference, list(zip(names, texts, strict=True)), first.term, width)
    figures = []
    for name, side, index in zip(names, drill.sides, row.indices, strict=True):
        score = side.scores.row(index)
        ker = "–" if score.ker is None else str(score.ker)
        figures.append(
            f"{name} WER {score_text(score.wer)} CER {score_text(score.cer)} KER {ker} SER {score.ser}"
        )
    held = () if row.held_out is None else ("held-out" if row.held_out else "trained on",)
    facts = (first.entity_category, first.noise_level, first.voice_id, first.context_type, *held)
    lines += [
        Content(""),
        Content.styled(" · ".join(figures), "$quiet"),
        Content.styled(" · ".join(visible(fact) for fact in facts if fact), "$quiet"),
        Content.styled(visible(first.audio_filepath), "$quiet"),
    ]
    if normalise(first.reference) != first.reference:
        lines.append(Content.styled(f"scored as: {normalise(first.reference)}", "$quiet"))
    return Content("\n").join(lines)
