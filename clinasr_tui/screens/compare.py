"""Compare: two cycles side by side, the held-out rows beside the full ones, and the decision."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.run_marks import smoke_mark
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.choice import neighbour, scored_cycles
from clinasr_tui.screens.drill import Drill, TermsScreen
from clinasr_tui.screens.missing import ONE_CYCLE, no_transcripts
from clinasr_tui.session import COMPARISON, SCORING
from clinasr_tui.text import visible
from clinasr_tui.widgets.big_text import BigWords
from clinasr_tui.widgets.columns import Column, cells
from clinasr_tui.widgets.figures import (
    NONE,
    Line,
    bar,
    change_style,
    heading,
    interval_text,
    p_text,
    percent_text,
    score_text,
    signed_text,
)
from clinasr_tui.widgets.ker_bars import difference_text, group_lines
from clinasr_tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from textual.app import ComposeResult

    from clinasr_tui.flywheel.comparison import Comparison, Difference, RowPair, Slice
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.session import CycleJob

_VERDICT_STYLES = {
    "keep": "bold $good",
    "grow": "bold $accent",
    "worse": "bold $bad",
    "unchanged": "bold $accent",
}
_VERDICT_WORDS = {"keep": "KEEP", "grow": "GROW", "worse": "WORSE", "unchanged": "SAME"}
_PARTS = {"all": "all", "held_out": "held-out", "trained": "trained"}
_CHANGES = {
    "fixed": ("✔", "$good"),
    "broken": ("✖", "$bad"),
    "still wrong": ("✖", "$quiet"),
    "still right": ("✔", "$quiet"),
}
_WIDE = 120


class CompareScreen(CockpitScreen):
    """Cycle A → cycle B."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012
    SCREEN_ID = "compare"
    TITLE_TEXT = "Compare"
    AUTO_FOCUS = "#groups"

    def __init__(self) -> None:
        super().__init__()
        self._a: int | None = None
        self._b: int | None = None
        self._part = "all"
        self._result: Comparison | None = None
        self._counts: dict[str, dict[str, int]] = {}

    def compose_body(self) -> ComposeResult:
        """Which cycles and rows, headline beside decision, categories below."""
        yield Static(id="sides")
        with Horizontal(id="top"):
            with Vertical(classes="panel", id="headline-panel") as panel:
                panel.border_title = "Headline"
                yield LineList(cursor=False, id="headline")
            with VerticalScroll(classes="panel", id="decision-panel") as panel:
                panel.border_title = "Decision"
                yield BigWords(id="verdict")
                yield Static(id="decision")
        with Vertical(classes="panel", id="groups-panel") as panel:
            panel.border_title = "KER by group   ○ A → ● B, better lies right   95 % of Δ"
            yield LineList(id="groups")
        yield Static(id="changes")

    def refresh_view(self) -> None:
        """Compare the chosen cycles, at first the newest with the one before."""
        cycles = scored_cycles(self.session.workspace)
        wish, self.session.compare_wish = self.session.compare_wish, None
        if wish is not None:
            self._a, self._b = wish
        if len(cycles) < 2:
            self._result = None
            self._draw()
            self.show_missing(ONE_CYCLE if cycles else no_transcripts(self.SCREEN_ID))
            return
        self.show_missing(None)
        self.load(partial(self._load, *self._sides()))

    def on_resize(self) -> None:
        """Columns depend on the width."""
        self._draw()

    # --- the two sides -------------------------------------------------------------------------

    def _sides(self) -> tuple[Cycle, Cycle]:
        cycles = scored_cycles(self.session.workspace)
        a = next((cycle for cycle in cycles if cycle.number == self._a), cycles[-2])
        b = next((cycle for cycle in cycles if cycle.number == self._b), cycles[-1])
        return a, b

    def action_cycle_a(self, step: int) -> None:
        """Another cycle on the left."""
        self._move(step, left=True)

    def action_cycle_b(self, step: int) -> None:
        """Another cycle on the right."""
        self._move(step, left=False)

    def _move(self, step: int, *, left: bool) -> None:
        cycles = scored_cycles(self.session.workspace)
        if len(cycles) < 2:
            return
        a, b = self._sides()
        other = neighbour(cycles, a if left else b, step)
        if other is not None:
            self._a, self._b = (other.number, b.number) if left else (a.number, other.number)
            self.refresh_view()

    def waits_for(self, job: CycleJob) -> bool:
        """Scoring, of the cycles before too, which tell when to stop tuning; and the comparison."""
        return job.kind in (SCORING, COMPARISON)

    async def _load(self, a: Cycle, b: Cycle) -> None:
        self.show_problem(None)
        self.show_warnings(())
        try:
            self._result = result = await self.session.comparison(a, b)
            self._counts = await asyncio.to_thread(_change_counts, result)
            found = [(cycle.number, await self.session.warnings(cycle)) for cycle in (a, b)]
            self.show_warnings([f"cycle {number}: {line}" for number, lines in found for line in lines])
            if self._slice() is None:
                self._part = "all"
        except ClinasrError:
            self._result = None
            self._draw()
            raise
        self._draw()

    # --- rows and drill ------------------------------------------------------------------------

    def action_rows(self, part: str) -> None:
        """All, held-out or trained rows."""
        before, self._part = self._part, part
        if self._result is not None and self._slice() is None:
            self._part = before
            self.show_problem(
                f"which rows are {_PARTS[part]} is not known: no validation.jsonl in the workspace"
            )
            return
        self.show_problem(None)
        self._draw()

    def _slice(self) -> Slice | None:
        result = self._result
        if result is None:
            return None
        return {"all": result.every, "held_out": result.held_out, "trained": result.trained}[self._part]

    def _pairs(self, pairs: Iterable[RowPair]) -> list[RowPair]:
        """Those of the chosen rows."""
        return [pair for pair in pairs if self._part == "all" or pair.held_out == (self._part == "held_out")]

    def action_select(self) -> None:
        """Open the group's terms, or the rows of one kind of change."""
        key = self.query_one("#groups", LineList).cursor_key
        if not key or self._result is None:
            return
        if not self._result.pairs:
            self.show_problem("only leaderboards are known, there are no rows to open")
            return
        self.load(partial(self._open, *self._sides(), key))

    async def _open(self, a: Cycle, b: Cycle, key: str) -> None:
        sides = (await self.session.scored(a), await self.session.scored(b))
        labels = (f"cycle {a.number}", f"cycle {b.number}")
        field, _, value = key.partition(":")
        result = self._result
        if result is None:
            return
        pairs = _of_kind(result, value) if field == "change" else result.pairs
        chosen = await asyncio.to_thread(self._pairs, pairs)
        drill = await asyncio.to_thread(Drill.of_pairs, labels, sides, chosen, home=self.SCREEN_ID)
        figures = ""
        if field != "change":
            drill = await asyncio.to_thread(drill.narrowed, field, value)
            part = self._slice()
            figures = difference_text(part.by[field][value]) if part is not None else ""
        if drill.rows:
            rows = () if self._part == "all" else (f"{_PARTS[self._part]} rows",)
            self.app.push_screen(TermsScreen(drill, ("Compare", *rows, value or "(none)"), figures))

    # --- drawing -------------------------------------------------------------------------------

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        result, part = self._result, self._slice()
        headline, groups = self.query_one("#headline", LineList), self.query_one("#groups", LineList)
        if result is None or part is None:
            for name in ("#sides", "#decision", "#changes"):
                self.query_one(name, Static).update("")
            self.query_one("#verdict", BigWords).show(())
            headline.show([])
            groups.show([])
            return
        self.query_one("#sides", Static).update(self._sides_line(*self._sides(), result))
        headline.show(_headline(result, self._part, wide=self.size.width >= _WIDE))
        self.query_one(
            "#headline-panel"
        ).border_title = f"Headline, {_PARTS[self._part]} rows (n {part.rows})"
        verdicts = _verdicts(result)
        title, differ = "Decision", "published ≠ honest"
        if len(verdicts) > 1:
            title = f"{title}: {differ}" if self.size.width >= _WIDE else differ
        self.query_one("#decision-panel").border_title = title
        self.query_one("#verdict", BigWords).show(verdicts)
        self.query_one("#decision", Static).update(_decision(result))
        lines = group_lines(part, result.priority)
        counts = self._counts.get(self._part, {})
        if counts:
            lines.append(heading("rows by what became of their term"))
            lines += [_change_line(kind, count, part.rows) for kind, count in counts.items()]
        groups.show(lines)
        told = " · ".join(f"{kind} {count}" for kind, count in counts.items())
        lost = (
            f" · only in A {result.only_a}, only in B {result.only_b}"
            if result.only_a or result.only_b
            else ""
        )
        self.query_one("#changes", Static).update(Content.styled(told + lost, "$quiet"))

    def _smoke(self, cycle: Cycle) -> Content:
        """Marks a model that a run under a blocked gate has made."""
        mark = smoke_mark(self.session.workspace, cycle.number)
        return Content.styled(f" {mark}", "bold $bad") if mark else Content("")

    def _sides_line(self, a: Cycle, b: Cycle, result: Comparison) -> Content:
        names = [
            Content.assemble(
                (f"cycle {cycle.number}", "bold"), f" {visible(cycle.model)}", self._smoke(cycle)
            )
            for cycle in (a, b)
        ]
        parts = []
        for name, part in _slices(result).items():
            text = f" {_PARTS[name]} {part.rows if part else NONE} "
            parts.append(Content.styled(text, "bold reverse" if name == self._part else "$quiet"))
        rows = Content.assemble(("rows ", "$quiet"), *parts)
        left = Content.assemble(names[0], ("  →  ", "bold $accent"), names[1])
        room = max(10, self.size.width - 2 - rows.cell_length - 2)
        left = left.truncate(room, ellipsis=True)
        return Content.assemble(left.pad_right(room - left.cell_length + 2), rows)


def _slices(result: Comparison) -> dict[str, Slice | None]:
    return {"all": result.every, "held_out": result.held_out, "trained": result.trained}


def _of_kind(result: Comparison, kind: str) -> Iterator[RowPair]:
    """The pairs of one kind of change."""
    indices: tuple[int, ...] = getattr(result, kind.replace(" ", "_"))
    return (result.pairs[index] for index in indices)


def _change_counts(result: Comparison) -> dict[str, dict[str, int]]:
    """How many rows of each part changed how; nothing without pairs."""
    if not result.pairs:
        return {}
    counts: dict[str, dict[str, int]] = {part: {} for part in _PARTS}
    for kind in _CHANGES:
        held_out = [pair.held_out for pair in _of_kind(result, kind)]
        counts["all"][kind], counts["held_out"][kind] = len(held_out), sum(held_out)
        counts["trained"][kind] = len(held_out) - sum(held_out)
    return counts


def _headline(result: Comparison, part: str, *, wide: bool) -> list[Line]:
    """The chosen rows' metrics, then KER and WER of the rows told apart from them, then general speech."""
    slices, general = _slices(result), result.judgement.general if result.judgement else None
    chosen = slices[part]
    lines = [_metric_head(wide=wide)]
    # Where there is no room for all, forgetting is worth more than CER and SER, which the Leaderboard has.
    names = ("ker", "wer", "cer", "ser") if wide or general is None else ("ker", "wer")
    lines += _metric_lines(chosen, names, wide=wide) if chosen else []
    beside = "held_out" if part != "held_out" else "all"
    other = slices[beside]
    if other is not None:
        lines.append(heading(f"{_PARTS[beside]} rows (n {other.rows})"))
        lines += _metric_lines(other, ("ker", "wer"), wide=wide)
    if general is not None:
        lines.append(heading(f"general speech (n {general.rows})"))
        lines.append(_metric_line("wer", general.wer, wide=wide))
    return lines


def _metric_lines(part: Slice, names: tuple[str, ...], *, wide: bool) -> list[Line]:
    return [_metric_line(name, part.headline[name], wide=wide) for name in names if name in part.headline]


def _metric_columns(*, wide: bool) -> list[Column]:
    columns = [Column("", 5), Column("A", 5, right=True), Column("→", 1), Column("B", 5, right=True)]
    if wide:
        columns.append(Column("Δ", 6, right=True))
    columns += [Column("Δ rel", 6, right=True), Column("95 % of Δ", 13)]
    return [*columns, Column("p", 8), Column("n", 6)] if wide else columns


def _metric_head(*, wide: bool) -> Line:
    columns = _metric_columns(wide=wide)
    titles = [Content.styled(column.title, "$quiet") for column in columns]
    return Line("", lambda width: cells(columns, titles, width, gap=2 if wide else 1))


def _metric_line(name: str, d: Difference, *, wide: bool) -> Line:
    style = change_style(d.delta)
    columns = _metric_columns(wide=wide)
    texts: list[Content | str] = [
        Content.styled(f"{name.upper()}{' ★' if name == 'ker' else ''}", "bold"),
        score_text(d.a),
        Content.styled("→", "$quiet"),
        Content.styled(score_text(d.b), "bold"),
    ]
    if wide:
        texts.append(Content.styled(signed_text(d.delta), style))
    texts += [
        Content.styled(percent_text(d.relative), style),
        Content.styled(interval_text(d.ci95, signed=True), "$quiet"),
    ]
    if wide:
        texts += [Content.styled(p_text(d.p), "$quiet"), Content.styled(str(d.n), "$quiet")]
    return Line("", lambda width: cells(columns, texts, width, gap=2 if wide else 1))


def _verdicts(result: Comparison) -> list[tuple[str, str]]:
    """The published verdict, and the honest one if it differs; each with its style."""
    verdicts = [result.verdict]
    if result.judgement is not None and result.judgement.differs:
        verdicts.append(result.judgement.honest.verdict)
    return [(_VERDICT_WORDS[one], _VERDICT_STYLES[one]) for one in verdicts]


def _decision(result: Comparison) -> Content:
    """What contradicts the verdict or ends the tuning first, then the action, then why."""
    judgement = result.judgement
    loud = judgement.beside if judgement is not None and judgement.differs else ""
    stop = judgement.stop if judgement is not None else ()
    lines = [Content.assemble(("✖ ", "bold $bad"), (visible(loud), "bold"))] if loud else []
    lines += [Content.assemble(("■ ", "bold $bad"), (visible(line), "bold")) for line in stop]
    whose = ("by the published table alone: ", "$quiet") if loud else ""
    lines.append(Content.assemble(whose, (visible(result.action), "bold")))
    said = (loud, *stop)
    lines += [
        Content.assemble(("· ", "$quiet"), visible(line)) for line in result.reasons if line not in said
    ]
    return Content("\n").join(lines)


def _change_line(kind: str, count: int, rows: int) -> Line:
    mark, style = _CHANGES[kind]

    def draw(width: int) -> Content:
        left = Content.assemble((f"{mark} {kind:<12}", style), (f"{count:>6}", "bold"), "  ")
        room = max(0, min(40, width - left.cell_length - 8))
        share = count / rows if rows else 0.0
        return Content.assemble(left, bar(share, room, style), (f" {share:>5.0%}", "$quiet"))

    return Line(f"change:{kind}", draw)
