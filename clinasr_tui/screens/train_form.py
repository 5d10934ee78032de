"""The form of Train: its settings changed by keys, from a list, or typed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import InputError
from clinasr_tui.launch.draft import THIS_MACHINE, Draft, parsed
from clinasr_tui.screens.base import CockpitScreen
from clinasr_tui.screens.pick_dialog import PickDialog
from clinasr_tui.widgets.draft_lines import LAUNCH
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from textual.widgets import Input

    from clinasr_tui.launch_desk import LaunchDesk

_TYPED = "another host …"


class TrainForm(CockpitScreen):
    """What Train's form does with the setting under the cursor.

    Subclasses compose `#fields` (a LineList of draft lines) and a Prompt, and implement `changed` and
    `action_launch`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._draft: Draft | None = None

    @property
    def desk(self) -> LaunchDesk:
        """The app's store for launching."""
        return self.session.launches

    def changed(self, name: str) -> None:
        """A setting has another value: draw it, and judge again what depends on it."""
        raise NotImplementedError

    def action_launch(self) -> None:
        """Launch."""
        raise NotImplementedError

    def _set(self, name: str, value: Any) -> None:
        draft = self._draft
        if draft is None:
            return
        if draft.is_fixed(name):
            self.show_problem("a resumed run keeps name and machine, its checkpoint is there (n: new run)")
            return
        self.show_problem(None)
        draft = draft.having(name, value)
        self._draft = replace(draft, machine=self.desk.machines.get(draft.host))
        self.changed(name)

    def action_select(self) -> None:
        """Change the setting under the cursor, or launch."""
        key = self.query_one("#fields", LineList).cursor_key
        draft = self._draft
        if draft is None or self.desk.launching is not None:
            return
        if key == LAUNCH:
            self.action_launch()
        elif draft.is_fixed(key):
            self._set(key, None)
        elif key == "host":
            self._pick_host(draft)
        elif values := draft.values(key):
            lines = [draft.shown(key, value) for value in values]
            self._pick(key, lines, list(values), lines.index(draft.text(key)))
        else:
            self.query_one(Prompt).ask(key, f"{key}: empty takes what is proposed", draft.text(key))

    def _pick(self, name: str, lines: list[str], values: list[Any], current: int) -> None:
        def chosen(place: int | None) -> None:
            if place is not None:
                self._set(name, values[place])

        self.app.push_screen(PickDialog(name, lines, current), chosen)

    def _pick_host(self, draft: Draft) -> None:
        hosts = self._hosts()
        lines = [*(host or THIS_MACHINE for host in hosts), _TYPED]

        def chosen(place: int | None) -> None:
            if place is not None and place < len(hosts):
                self._set("host", hosts[place])
            elif place is not None:
                self.query_one(Prompt).ask("host", "name of a host of the ssh config", draft.host or "")

        current = hosts.index(draft.host) if draft.host in hosts else 0
        self.app.push_screen(PickDialog("Machine", lines, current), chosen)

    def _hosts(self) -> list[str | None]:
        """This machine, rented boxes, hosts of earlier runs, hosts of the ssh config."""
        from clinasr_tui.remote.host_names import host_names

        workspace = self.session.workspace
        boxes = [one.name for one in self.session.boxes.records if one.bills]
        known = [run.host for run in reversed(workspace.runs)]
        found = [None, *boxes, *known, *host_names(workspace.settings.ssh_config)]
        chosen = self._draft.host if self._draft else None
        return list(dict.fromkeys([*found, chosen]))

    def action_change(self, step: int) -> None:
        """The next or the last value of the setting under the cursor."""
        key = self.query_one("#fields", LineList).cursor_key
        draft = self._draft
        if draft is None or key == LAUNCH or self.desk.launching is not None:
            return
        if key == "host":
            hosts = self._hosts()
            self._set(key, hosts[(hosts.index(draft.host) + step) % len(hosts)])
            return
        value = draft.beside(key, step)
        if value is not None:
            self._set(key, value)

    def action_propose(self) -> None:
        """Take back what was set under the cursor."""
        key = self.query_one("#fields", LineList).cursor_key
        if key != LAUNCH:
            self._set(key, None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """What was typed for a setting."""
        event.stop()
        prompt = self.query_one(Prompt)
        try:
            value = parsed(prompt.question, event.value)
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
