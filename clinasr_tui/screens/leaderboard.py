"""Leaderboard: one cycle's figures in the five published sections, every one with its n."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.drilldown import by_term
from clinasr_tui.flywheel.run_marks import smoke_mark
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.choice import in_view, move, scored_cycles
from clinasr_tui.screens.drill import Drill, RowsScreen, TermsScreen
from clinasr_tui.screens.missing import no_transcripts
from clinasr_tui.session import SCORING
from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import Line, heading, interval_text, note, score_text
from clinasr_tui.widgets.ker_bars import ker_line, label_width
from clinasr_tui.widgets.line_list import LineList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.session import CycleJob

SECTION_TITLES = {
    "entity_category": "KER by entity_category",
    "ipa_source": "KER by ipa_source",
    "noise_level": "KER by noise_level",
}


class LeaderboardScreen(CockpitScreen):
    """Five sections: headline, three groupings, terms worst first."""

    SCREEN_ID = "leaderboard"
    TITLE_TEXT = "Leaderboard"
    AUTO_FOCUS = "#groups"

    def __init__(self) -> None:
        super().__init__()
        self._board: Leaderboard | None = None

    def compose_body(self) -> ComposeResult:
        """Headline above, groups on the left, terms on the right."""
        with Vertical(classes="panel", id="headline-panel") as panel:
            panel.border_title = "1 Headline"
            yield Static(id="headline")
        with Horizontal(id="sections"):
            with Vertical(classes="panel", id="groups-panel") as panel:
                panel.border_title = "2–4 Groups   ● KER  ├─┤ 95 %"
                yield LineList(id="groups")
            with Vertical(classes="panel", id="terms-panel") as panel:
                panel.border_title = "5 Terms, worst first"
                yield LineList(id="terms")
        yield Static(id="gap")

    def refresh_view(self) -> None:
        """Show the cycle in view."""
        cycle = self._cycle()
        if cycle is None:
            self._board = None
            self._draw()
            self.show_missing(no_transcripts(self.SCREEN_ID))
            return
        self.show_missing(None)
        self.retitle(f"Leaderboard · cycle {cycle.number}")
        name = f" · {visible(cycle.model)}" if cycle.model else ""
        smoke = smoke_mark(self.session.workspace, cycle.number)
        mark = Content.styled(f" · {smoke}", "bold $bad") if smoke else Content("")
        self.query_one("#headline-panel").border_title = Content.assemble(f"1 Headline{name}", mark)
        self.load(partial(self._load, cycle))

    def on_resize(self) -> None:
        """The headline depends on the width."""
        self._draw()

    def action_cycle(self, step: int) -> None:
        """Another cycle."""
        if move(self.session, self._cycle(), step):
            self.refresh_view()

    def waits_for(self, job: CycleJob) -> bool:
        """The scoring of the cycle in view."""
        return job.kind == SCORING and job.is_of(self._cycle())

    def action_select(self) -> None:
        """From a group to its terms, from a term to its rows."""
        cycle = self._cycle()
        key = self._list().cursor_key
        if cycle is None or not key:
            return
        if cycle.hypotheses is None:
            self.show_problem("only a leaderboard is left of this cycle, its rows are gone")
            return
        self.load(partial(self._open, cycle, key, term=self._list().id == "terms"))

    def _list(self) -> LineList:
        focused = self.focused
        return focused if isinstance(focused, LineList) else self.query_one("#groups", LineList)

    def _cycle(self) -> Cycle | None:
        return in_view(self.session, scored_cycles(self.session.workspace), newest=True)

    async def _load(self, cycle: Cycle) -> None:
        self.show_problem(None)
        self.show_warnings(())
        try:
            self._board = await self.session.board(cycle)
            self.show_warnings(await self.session.warnings(cycle))
        except ClinasrError:
            self._board = None
            self._draw()
            raise
        self._draw()

    async def _open(self, cycle: Cycle, key: str, *, term: bool) -> None:
        scored = await self.session.scored(cycle)
        label = f"cycle {cycle.number}"
        drill = await asyncio.to_thread(Drill.of_cycle, label, scored, home=self.SCREEN_ID)
        if term:
            terms = await asyncio.to_thread(by_term, drill.sides, drill.rows)
            place = next(place for place, line in enumerate(terms) if line.term == key)
            self.app.push_screen(RowsScreen(drill, terms, place, path=()))
        else:
            field, _, value = key.partition(":")
            narrowed = await asyncio.to_thread(drill.narrowed, field, value)
            figures = _group_figures(self._board, field, value) if self._board else ""
            self.app.push_screen(TermsScreen(narrowed, (value or "(none)",), figures))

    # --- drawing -------------------------------------------------------------------------------

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        board = self._board
        gap = ""
        if board is not None:
            from clinasr_tui.flywheel.leaderboard import ipa_source_gap

            gap = ipa_source_gap(board)
        headline = _headline(board, self.size.width - 4) if board else Content("")
        self.query_one("#headline", Static).update(headline)
        self.query_one("#groups", LineList).show(_groups(board) if board else [])
        self.query_one("#terms", LineList).show(_terms(board) if board else [])
        self.query_one("#gap", Static).update(Content.assemble(("ipa_source  ", "bold"), gap) if gap else "")


def _headline(board: Leaderboard, width: int) -> Content:
    """Means of the rows' scores first; pooled WER and CER second and labelled."""
    parts = []
    for name, star, rows in (
        ("ker", " ★", board.ker_rows),
        ("wer", "", board.rows),
        ("cer", "", board.rows),
        ("ser", "", board.rows),
    ):
        style = "bold $accent" if name == "ker" else "bold"
        parts.append(
            Content.assemble(
                (f"{name.upper()}{star} ", "$quiet"),
                (score_text(board.metrics.get(name)), style),
                (f" n {rows}", "$quiet"),
            )
        )
    first = Content("   ").join(parts)
    without = board.rows - board.ker_rows
    second = [f"KER 95 % {interval_text(board.ker_interval)}"] if board.ker_interval else []
    second.append(
        f"corpus-level WER {score_text(board.corpus.get('wer'))}, CER {score_text(board.corpus.get('cer'))}"
    )
    if without:
        second.append(f"{without} rows without a term have no KER")
    return Content("\n").join(
        [first, Content.styled(" · ".join(second), "$quiet").truncate(width, ellipsis=True)]
    )


def _groups(board: Leaderboard) -> list[Line]:
    figures = [(name, one) for field in SECTION_FIELDS for name, one in board.by.get(field, {}).items()]
    width = label_width([name for name, _ in figures], most=18)
    digits = max((len(str(one.n)) for _, one in figures), default=1)
    # A board read from an old Markdown file may know none of them.
    known = board.ker_interval is not None or any(board.intervals.values())
    lines: list[Line] = []
    for number, field in enumerate(SECTION_FIELDS, start=2):
        lines.append(heading(f"{number} {SECTION_TITLES[field]}"))
        groups, intervals = board.by.get(field, {}), board.intervals.get(field, {})
        lines += [
            ker_line(
                f"{field}:{name}",
                name,
                figure.ker,
                figure.n,
                names=width,
                digits=digits,
                interval=intervals.get(name),
                intervals=known,
            )
            for name, figure in groups.items()
        ]
        if not groups:
            lines.append(note("no rows"))
    return lines


def _group_figures(board: Leaderboard, field: str, value: str) -> str:
    """`KER .978 · 95 % .94–1.00 · n 90` of one group."""
    figure, interval = board.by[field][value], board.intervals.get(field, {}).get(value)
    sure = f" · 95 % {interval_text(interval)}" if interval else ""
    return f"KER {score_text(figure.ker)}{sure} · n {figure.n}"


def _terms(board: Leaderboard) -> list[Line]:
    width = label_width([visible(figure.term) for figure in board.terms])
    digits = max((len(str(figure.n)) for figure in board.terms), default=1)
    return [
        ker_line(figure.term, figure.term, figure.ker, figure.n, names=width, digits=digits)
        for figure in board.terms
    ]
