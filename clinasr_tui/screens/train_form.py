"""The form of Train: its settings changed by keys, from a list, or typed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clinasr_tui.launch.draft import Draft, parsed
from clinasr_tui.screens.settings_form import Options, SettingsForm, host_lines

if TYPE_CHECKING:
    from clinasr_tui.launch_desk import LaunchDesk


class TrainForm(SettingsForm[Draft]):
    """What Train's form does with the setting under the cursor."""

    @property
    def desk(self) -> LaunchDesk:
        """The app's store for launching."""
        return self.session.launches

    def is_busy(self) -> bool:
        """A launch is told in the form's place."""
        return self.desk.launching is not None

    def completed(self, draft: Draft) -> Draft:
        """With what was seen of its machine."""
        return replace(draft, machine=self.desk.machines.get(draft.site))

    def fixed_text(self) -> str:
        """What a resumed run keeps."""
        return "a resumed run keeps name, machine and folder: n sets up a new one"

    def options(self, draft: Draft, name: str) -> Options:
        """Machines, and settings with a few values."""
        if name == "host":
            hosts = self.hosts(draft.host)
            return Options(
                tuple(hosts), host_lines(hosts), "another host …", "name of a host of the ssh config"
            )
        values = draft.values(name)
        return Options(values, tuple(draft.shown(name, value) for value in values))

    def parsed(self, name: str, text: str) -> Any:
        """As the draft reads it."""
        return parsed(name, text)
