"""Manifest: the rows of a cycle, filter and facets, what pre-flight found, one row in full."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from textual.containers import Horizontal, Vertical
from textual.content import Content

from clinasr_tui.errors import ClinasrError
from clinasr_tui.flywheel.manifest_table import ManifestTable
from clinasr_tui.flywheel.troubles import Troubles
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.choice import in_view, neighbour
from clinasr_tui.screens.manifest_rows import (
    SORTS,
    Choice,
    ManifestRows,
    clauses,
    columns,
    count,
    outline,
    pick,
    row_facts,
    summary,
    toggle_clause,
)
from clinasr_tui.screens.missing import no_manifest
from clinasr_tui.session import AGAIN, PREFLIGHT, StoppedError, identity
from clinasr_tui.text import visible
from clinasr_tui.widgets.facet_lines import facet_lines
from clinasr_tui.widgets.histogram import Bins, Histogram
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt
from clinasr_tui.widgets.row_detail import RowDetail
from clinasr_tui.widgets.row_table import RowTable
from clinasr_tui.widgets.run_status import StatusLine

if TYPE_CHECKING:
    from array import array
    from collections.abc import Awaitable, Callable

    from textual import events
    from textual.app import ComposeResult
    from textual.timer import Timer
    from textual.widgets import Input

    from clinasr_tui.flywheel.manifest_table import Survey
    from clinasr_tui.flywheel.preflight import PreflightReport
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.session import CycleJob, Identity

T = TypeVar("T")
_WIDE, _HIGH = 110, 36
_FIRST_SLICE = 1 << 18
"""Bytes indexed before the first rows are shown."""
_PULSE_SECONDS = 0.1
_TYPING_SECONDS = 0.15
_READING_SECONDS = 0.15


class ManifestScreen(CockpitScreen):
    """The manifest of the cycle in view."""

    SCREEN_ID = "manifest"
    TITLE_TEXT = "Manifest"
    AUTO_FOCUS = "RowTable"

    def __init__(self) -> None:
        super().__init__()
        self._opened: Identity | None = None
        self._table: ManifestTable | None = None
        self._rows: ManifestRows | None = None
        self._report: PreflightReport | None = None
        self._troubles = Troubles()
        self._stopped = False
        """True if indexing or pre-flight was stopped before it was done."""
        self._choice = Choice()
        self._before_typing = Choice()
        self._survey: Survey | None = None
        self._counted: tuple[Survey, Bins | None] | None = None
        """Of all rows: counting a million takes seconds."""
        self._typing: Timer | None = None

    def compose_body(self) -> ComposeResult:
        """Summary and filter; facets and durations beside the rows; the row under the cursor below."""
        yield StatusLine(id="summary")
        yield Prompt("words, or field:value   (noise_level:clean, term:vanco)", id="filter")
        with Horizontal(id="panes"):
            with Vertical(id="side"):
                with Vertical(id="facets-panel", classes="panel") as panel:
                    panel.border_title = "Facets"
                    yield LineList(id="facets")
                histogram = Histogram("s", id="durations", classes="panel")
                histogram.border_title = "Durations"
                yield histogram
            with Vertical():
                yield RowTable(columns("line", descending=False), id="rows", classes="panel")
                yield RowDetail(id="detail", classes="panel -short")

    def on_unmount(self) -> None:
        """Release the file."""
        self.drop_work()
        if self._table is not None:
            self._table.close()

    def on_resize(self, event: events.Resize) -> None:
        """Everything side by side where there is room."""
        wide = event.size.width >= _WIDE and event.size.height >= _HIGH
        self.set_class(wide, "-wide")
        self._set_detail()

    # --- opening -------------------------------------------------------------------------------

    def refresh_view(self) -> None:
        """Open the manifest of the cycle in view, unless it is open and unchanged."""
        cycle = self._cycle()
        if cycle is None or cycle.manifest is None:
            self.show_missing(no_manifest(self.SCREEN_ID))
            return
        self.show_missing(None)
        self.retitle(f"Manifest · cycle {cycle.number}")
        seen = identity(cycle.manifest)
        if seen != self._opened:
            self._opened = seen
            self.load(partial(self._open, cycle))
        elif self._stopped:
            whole = self._table is not None and self._table.complete
            self.load(partial(self._check if whole else self._open, cycle))

    def _cycle(self) -> Cycle | None:
        return in_view(self.session, self._cycles(), newest=True)

    def _cycles(self) -> list[Cycle]:
        return [cycle for cycle in self.session.workspace.cycles if cycle.manifest]

    async def _open(self, cycle: Cycle) -> None:
        """First rows at once, then the whole index, pre-flight, and what the filter asks for."""
        assert cycle.manifest is not None
        self.drop_work()
        self._report, self._survey, self._counted, self._stopped = None, None, None, False
        self._troubles = Troubles()
        self.show_problem(None)
        if self._table is not None:
            self._table.close()
        self._table = table = await asyncio.to_thread(ManifestTable, cycle.manifest)
        self.query_one(RowTable).border_title = Content(f"{cycle.folder.name}/{cycle.manifest.name}")
        await asyncio.to_thread(table.extend, _FIRST_SLICE)
        self._show_rows(None)
        await self.in_thread("indexing", table.build)
        if not table.complete:
            self._stopped = True
            raise StoppedError("indexing was stopped", remedy=AGAIN)
        self._apply()
        await self._check(cycle)

    async def _check(self, cycle: Cycle) -> None:
        """What pre-flight says, once it does."""
        self._stopped = False
        self.show_problem(None)
        self._summarise()
        try:
            report = await self.session.preflight(cycle)
        except StoppedError:
            self._stopped = True
            self._summarise()
            raise
        self._troubles = await asyncio.to_thread(Troubles, cycle.manifest, report)
        self._report = report
        if self._choice.troubled or self._rows is None:
            self._apply()
        else:
            self._show_rows(self._rows.chosen)  # choosing anew would break off the counting

    def waits_for(self, job: CycleJob) -> bool:
        """The pre-flight of the manifest that is open."""
        return job.kind == PREFLIGHT and job.is_of(self._cycle())

    # --- work in threads -----------------------------------------------------------------------

    def show_work(self) -> None:
        """Show how far the work is, and the rows indexed meanwhile."""
        super().show_work()
        if self.is_running:
            self.query_one(RowTable).grow()

    def _apply(self) -> None:
        """Show what filter, problems and order ask for, then count it."""
        table = self._table
        if table is not None and table.complete:
            work: Callable[[], Awaitable[None]] = partial(self._choose, table, self._choice)
            self.run_worker(work, name="choose rows", group="rows", exclusive=True)

    async def _choose(self, table: ManifestTable, choice: Choice) -> None:
        what = "filtering" if choice.sort == "line" else "sorting"
        try:
            chosen = await self.in_thread(what, partial(pick, table, choice, self._troubles))
            self._show_rows(chosen)
            if chosen is None and self._counted is not None:
                counted = self._counted
            else:
                counted = await self.in_thread("counting", partial(count, table, chosen))
        except InterruptedError:
            return  # newer work has begun, or the operator cancelled
        if chosen is None:
            self._counted = counted
        survey, bins = counted
        self._survey = survey
        self._show_survey(survey, bins)

    # --- showing -------------------------------------------------------------------------------

    def _show_rows(self, chosen: array[int] | None) -> None:
        """Other rows; the cursor stays on its line if that is still there."""
        assert self._table is not None
        view = self.query_one(RowTable)
        before = self._rows
        line = before.line_index(view.cursor) if before is not None and len(before) else 0
        self._rows = ManifestRows(self._table, chosen, self._troubles)
        view.retitle(columns(self._choice.sort, descending=self._choice.descending))
        view.show(self._rows, cursor=self._rows.place_of(line) or 0)
        if not len(self._rows):
            self.query_one(RowDetail).show(None)
        self._summarise()

    def _show_survey(self, survey: Survey, bins: Bins | None) -> None:
        lines = facet_lines(survey.facets, clauses(self._choice.text))
        self.query_one("#facets", LineList).show(lines)
        histogram = self.query_one(Histogram)
        histogram.show(bins)
        seconds = survey.durations
        histogram.border_subtitle = Content(f"{min(seconds):.1f} – {max(seconds):.1f} s" if seconds else "")
        self._summarise()

    def _summarise(self) -> None:
        """Rows, hours, pre-flight, filter and order on one line; progress while there is work."""
        if self._table is None or self._rows is None:
            return
        said = (self._report, self._stopped)
        line = summary(self._rows, self._choice, said, self._survey)
        self.query_one("#summary", StatusLine).show(line)

    def on_row_table_highlighted(self, event: RowTable.Highlighted) -> None:
        """Show the row under the cursor, and more of it once the cursor rests."""
        rows = self._rows
        if rows is None or event.index >= len(rows) or rows.table is not self._table:
            return
        row = rows.table.row(rows.line_index(event.index))
        self.query_one(RowDetail).show(row_facts(row, self._troubles.listed(row.line)))
        self._read_on()

    def _read_on(self) -> None:
        work: Callable[[], Awaitable[None]] = self._read_row
        self.run_worker(work, name="read row", group="row", exclusive=True)

    async def _read_row(self) -> None:
        """Once the cursor rests: what is wrong with the row if that is not listed, and its waveform."""
        await asyncio.sleep(_READING_SECONDS)
        detail, table, troubles = self.query_one(RowDetail), self._table, self._troubles
        if table is not None and detail.facts is not None and not troubles.complete(detail.facts.line):
            index = detail.facts.line - 1
            found = await asyncio.to_thread(troubles.look, index + 1, table.index.line(index))
            detail.show(row_facts(table.row(index), found))
        facts, wave = detail.facts, detail.waveform
        if facts is None or not facts.audio or self._table is None or detail.has_class("-short"):
            return
        try:
            wave.show(await asyncio.to_thread(outline, self._table.path, facts.audio, wave.columns))
        except ClinasrError as error:
            wave.show((), f"no waveform: {visible(str(error))}")

    def _set_detail(self) -> None:
        """The detail shows everything where it is large."""
        short = not self.has_class("-wide") and not self.has_class("-open")
        detail = self.query_one(RowDetail)
        detail.set_class(short, "-short")
        detail.show(detail.facts)
        self.call_after_refresh(self._read_on)

    # --- keys ----------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for the filter; rows follow while it is typed."""
        self._before_typing = self._choice
        prompt = self.query_one(Prompt)
        prompt.value = self._choice.text
        prompt.open()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter a moment after the last letter."""
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(_TYPING_SECONDS, partial(self._change, text=event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go to the rows."""
        self._leave_prompt(event.value)

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """Go back to the filter there was."""
        self._leave_prompt(self._before_typing.text)

    def _leave_prompt(self, text: str) -> None:
        if self._typing is not None:
            self._typing.stop()
        self.query_one(Prompt).close()
        self.query_one(RowTable).focus()
        self._change(text=text)

    def _change(self, **changes: Any) -> None:
        choice = replace(self._choice, **changes)
        if choice != self._choice:
            self._choice = choice
            self._apply()

    def action_facets(self) -> None:
        """To the facets; back to the rows from there."""
        facets = self.query_one("#facets", LineList)
        if facets.has_focus:
            self._leave_facets()
        else:
            self.add_class("-facets")
            facets.focus()

    def _leave_facets(self) -> None:
        self.remove_class("-facets")
        self.query_one(RowTable).focus()

    def action_select(self) -> None:
        """Filter by the facet under the cursor, or open the row."""
        facets = self.query_one("#facets", LineList)
        if facets.has_focus and facets.cursor_key:
            self._change(text=toggle_clause(self._choice.text, facets.cursor_key))
        else:
            self.toggle_class("-open")
            self._set_detail()

    def on_row_table_selected(self, event: RowTable.Selected) -> None:
        """Enter or a click on the cursor."""
        self.action_select()

    def action_sort(self) -> None:
        """The next field, the file's order after the last."""
        place = SORTS.index(self._choice.sort)
        self._change(sort=SORTS[(place + 1) % len(SORTS)], descending=False)

    def action_reverse(self) -> None:
        """The other way round."""
        self._change(descending=not self._choice.descending)

    def action_troubled(self) -> None:
        """Only rows with problems, or all."""
        self._change(troubled=not self._choice.troubled)

    def action_problem(self, direction: int) -> None:
        """To the next or previous row with a problem."""
        view = self.query_one(RowTable)
        place = None if self._rows is None else self._rows.next_problem(view.cursor, direction)
        if place is None:
            self.notify("No row in view has a problem.", timeout=3)
        else:
            view.focus()
            view.move_to(place)

    def action_back(self) -> None:
        """Cancel work, close what is open, then show all rows again."""
        if self.awaited():
            self.action_stop()
        elif self.query_one("#facets", LineList).has_focus or self.has_class("-facets"):
            self._leave_facets()
        elif self.has_class("-open"):
            self.action_select()
        else:
            self._change(text="", troubled=False, sort="line", descending=False)

    def action_start_again(self) -> None:
        """Start stopped work again, the screen's own too."""
        super().action_start_again()
        self.refresh_view()

    def action_cycle(self, step: int) -> None:
        """Another cycle's manifest."""
        other = neighbour(self._cycles(), self._cycle(), step)
        if other is not None:
            self.session.cycle_in_view = other.number
            self.refresh_view()
