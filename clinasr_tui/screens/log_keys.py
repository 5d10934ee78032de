"""The keys of the log on a screen that shows one: filter, search, errors, selection, size."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from clinasr_tui.errors import ClinasrError, InputError
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.text import visible
from clinasr_tui.training.log_export import save_lines
from clinasr_tui.training.log_pattern import LinePattern
from clinasr_tui.training.snapshot import Level
from clinasr_tui.widgets.log_view import LogView
from clinasr_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from textual.binding import BindingType
    from textual.widgets import Input

    from clinasr_tui.training.log_store import LogStore

_SEARCH = "look for a text or a regular expression"
_FILTER = "show only lines with a text or regular expression; ! hides them"


class LogKeys(CockpitScreen):
    """A screen with a `LogView`, a `Prompt` and, around all that shows the run, `#run`."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def log_place(self) -> tuple[LogStore, Path, str] | None:
        """The log in view, the folder for its copies and a name for them; None without a run."""
        raise NotImplementedError

    @property
    def _log(self) -> LogView:
        return self.query_one(LogView)

    def action_toggle_follow(self) -> None:
        """Follow or stay."""
        self._log.toggle_follow()

    def action_level(self, level: str) -> None:
        """Show or hide a severity."""
        self._log.toggle_level(Level(level))

    def action_side(self, direction: int) -> None:
        """Move long lines sideways."""
        self._log.side(direction)

    def action_wrap(self) -> None:
        """Break long lines or cut them."""
        self._log.toggle_wrap()

    def action_next_error(self, direction: int) -> None:
        """To the next or previous error."""
        self._log.next_error(direction)

    def action_find(self, direction: int) -> None:
        """To the next or previous line found."""
        self._log.find(direction)

    def action_enlarge(self, part: str) -> None:
        """Give the log or the chart the room of the others; again, or Esc, gives it back."""
        run = self.query_one("#run")
        wanted = not run.has_class(f"-{part}")
        self._leave_large()
        run.set_class(wanted, f"-{part}")

    def _leave_large(self) -> bool:
        run = self.query_one("#run")
        large = run.has_class("-log") or run.has_class("-chart")
        run.remove_class("-log", "-chart")
        if large:
            self._log.focus()
        return large

    def leave_log(self) -> bool:
        """What Esc leaves first: selection, search, filter, then the large view."""
        return self._log.back() or self._leave_large()

    # --- search and filter ---------------------------------------------------------------------

    def action_search(self) -> None:
        """Ask what to look for."""
        self.query_one(Prompt).ask("search", _SEARCH, self._log.searching)

    def action_filter(self) -> None:
        """Ask which lines to show."""
        self.query_one(Prompt).ask("filter", _FILTER, self._log.lines.filter.text)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once where what is typed is no regular expression."""
        prompt = self.query_one(Prompt)
        text = event.value.removeprefix("!") if prompt.question == "filter" else event.value
        try:
            LinePattern(text)
            prompt.say("")
        except InputError as error:
            prompt.say(error.what)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do it; the line stays open where it cannot be done."""
        log, prompt = self._log, self.query_one(Prompt)
        try:
            (log.hide if prompt.question == "filter" else log.search)(event.value.strip())
        except InputError as error:
            prompt.say(error.what)
            return
        self._leave_prompt()

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """Back to the log."""
        self._leave_prompt()

    def _leave_prompt(self) -> None:
        self.query_one(Prompt).close()
        self._log.focus()

    # --- lines for elsewhere -------------------------------------------------------------------

    def action_select_lines(self) -> None:
        """Begin or end a selection; moving makes it longer."""
        self._log.toggle_selecting()

    def action_copy_lines(self) -> None:
        """Put the selected lines, or those in view, on the clipboard of the operator's terminal."""
        text, copied, wanted = self._log.copied()
        if not copied:
            self.notify("There is no line to copy.", timeout=3)
            return
        self.app.copy_to_clipboard(text)
        lines = f"{copied:,} line{'' if copied == 1 else 's'}"
        if copied < wanted:
            self.notify(
                f"Copied the first {lines} of {wanted:,}: a terminal takes no more. s saves all.",
                severity="warning",
            )
        else:
            self.notify(f"Copied {lines}, if your terminal allows it (OSC 52).", timeout=3)
        self._log.end_selection()

    def action_save_lines(self) -> None:
        """Write the selected lines, or all shown ones, to a file beside the run."""
        place = self.log_place()
        log = self._log
        if place is None or not len(log.lines):
            self.notify("There is no line to save.", timeout=3)
        elif not log.lines.done:
            self.notify("The filter is still being applied: save when it is.", timeout=3)
        else:
            store, folder, name = place
            stamp = time.strftime("%Y%m%d-%H%M%S")
            work = self._save(store.frozen(), log.chosen(), folder / f"{name}-log-{stamp}.txt")
            self.run_worker(work, name="save log", group="save log", exclusive=True)

    async def _save(self, store: LogStore, numbers: Sequence[int], path: Path) -> None:
        try:
            lines = await asyncio.to_thread(save_lines, store, numbers, path)
        except ClinasrError as error:
            self.show_problem(error)
            return
        self._log.end_selection()
        self.notify(f"Saved {lines:,} line{'' if lines == 1 else 's'}: {visible(str(path))}", markup=False)
