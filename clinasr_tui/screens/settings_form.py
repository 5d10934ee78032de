"""A form of settings under a cursor: changed by keys, from a list, or typed; Enter on one line starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeVar

from clinasr_tui.errors import InputError
from clinasr_tui.launch.draft import THIS_MACHINE
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.pick_dialog import PickDialog
from clinasr_tui.widgets.draft_lines import LAUNCH
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from textual.widgets import Input


class FormDraft(Protocol):
    """What is being set up: never changed, every change gives another."""

    def text(self, name: str) -> str:
        """A field's value as it is shown and typed."""
        ...

    def having(self, name: str, value: Any) -> Self:
        """The draft with a field's value; None takes a choice back."""
        ...

    def beside(self, name: str, step: int) -> Any:
        """The value a step on (1) or back (-1); None where there is none."""
        ...

    def is_fixed(self, name: str) -> bool:
        """True for what cannot be changed."""
        ...


class Options(NamedTuple):
    """The values a field can have, as they are shown; with `other` one more line that leads to typing."""

    values: tuple[Any, ...] = ()
    lines: tuple[str, ...] = ()
    other: str = ""
    asks: str = ""
    """What the line to type on says."""


D = TypeVar("D", bound=FormDraft)


class SettingsForm(CockpitScreen, Generic[D]):
    """What a form does with the setting under the cursor.

    Subclasses compose `#fields` (a LineList, its line `LAUNCH` starts) and a Prompt.
    """

    def __init__(self) -> None:
        super().__init__()
        self._draft: D | None = None

    def changed(self, name: str) -> None:
        """A setting has another value: draw it, and judge again what depends on it."""
        raise NotImplementedError

    def action_launch(self) -> None:
        """Start what is set up."""
        raise NotImplementedError

    def is_busy(self) -> bool:
        """True while the form is not shown: what was set up goes on."""
        raise NotImplementedError

    def options(self, draft: D, name: str) -> Options:
        """The values of a field that has only a few."""
        raise NotImplementedError

    def parsed(self, name: str, text: str) -> Any:
        """What was typed for a field; None takes the choice back. Raises InputError."""
        raise NotImplementedError

    def completed(self, draft: D) -> D:
        """The draft after a change, with what is known of it."""
        return draft

    def label(self, name: str) -> str:
        """A field as it is asked for."""
        return name

    def fixed_text(self) -> str:
        """Why some fields cannot be changed."""
        return ""

    # --- changing ------------------------------------------------------------------------------

    def _set(self, name: str, value: Any) -> None:
        draft = self._draft
        if draft is None:
            return
        if draft.is_fixed(name):
            self.show_problem(self.fixed_text())
            return
        self.show_problem(None)
        self._draft = self.completed(draft.having(name, value))
        self.changed(name)

    def action_select(self) -> None:
        """Change the setting under the cursor, or start."""
        key = self.query_one("#fields", LineList).cursor_key
        draft = self._draft
        if draft is None or self.is_busy():
            return
        if key == LAUNCH:
            self.action_launch()
        elif draft.is_fixed(key):
            self._set(key, None)
        elif (options := self.options(draft, key)).values:
            self._pick(key, options, draft.text(key))
        else:
            asks = f"{self.label(key)}: empty takes what is proposed"
            self.query_one(Prompt).ask(key, asks, self._typable(key, draft.text(key)))

    def _typable(self, name: str, text: str) -> str:
        """What a field shows, if it could be typed; "" for words such as "none"."""
        try:
            self.parsed(name, text)
        except InputError:
            return ""
        return text

    def _pick(self, name: str, options: Options, now: str) -> None:
        lines = [*options.lines, *([options.other] if options.other else [])]

        def chosen(place: int | None) -> None:
            if place is not None and place < len(options.values):
                self._set(name, options.values[place])
            elif place is not None:
                self.query_one(Prompt).ask(name, options.asks, now)

        current = options.lines.index(now) if now in options.lines else 0
        self.app.push_screen(PickDialog(self.label(name), lines, current), chosen)

    def action_change(self, step: int) -> None:
        """The next or the last value of the setting under the cursor."""
        key = self.query_one("#fields", LineList).cursor_key
        draft = self._draft
        if draft is None or key == LAUNCH or self.is_busy():
            return
        options = self.options(draft, key)
        if options.values:
            now = draft.text(key)
            place = options.lines.index(now) if now in options.lines else 0
            self._set(key, options.values[(place + step) % len(options.values)])
            return
        value = draft.beside(key, step)
        if value is not None:
            self._set(key, value)

    def action_propose(self) -> None:
        """Take back what was set under the cursor."""
        key = self.query_one("#fields", LineList).cursor_key
        if key != LAUNCH and not self.is_busy():
            self._set(key, None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """What was typed for a setting."""
        event.stop()
        prompt = self.query_one(Prompt)
        try:
            value = self.parsed(prompt.question, event.value)
        except InputError as error:
            prompt.say(str(error))
            return
        prompt.close()
        self.query_one("#fields").focus()
        self._set(prompt.question, value)

    def on_prompt_left(self, event: Prompt.Left) -> None:
        """Nothing was typed."""
        event.stop()
        self.query_one("#fields").focus()

    # --- machines ------------------------------------------------------------------------------

    def hosts(self, *chosen: str | None) -> list[str | None]:
        """This machine, rented boxes, hosts of earlier runs, hosts of the ssh config, and those chosen."""
        from clinasr_tui.remote.host_names import host_names

        workspace = self.session.workspace
        boxes = [one.name for one in self.session.boxes.records if one.bills]
        known = [run.host for run in reversed(workspace.runs)]
        found = [None, *boxes, *known, *host_names(workspace.settings.ssh_config)]
        return list(dict.fromkeys([*found, *chosen]))


def host_lines(hosts: list[str | None]) -> tuple[str, ...]:
    """Machines as they are shown."""
    return tuple(host or THIS_MACHINE for host in hosts)
