"""The command palette, its entries from the action table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider

from clinasr_tui.actions import Action, actions_for, key_names

if TYPE_CHECKING:
    from collections.abc import Iterator


class Palette(CommandPalette):
    """Textual's own, for keys that come faster than it opens and closes."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Leave once, as every dialog."""
        return super().dismiss(result) if self.is_current else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        # A list without room has no lines yet, and turning its pages fails.
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)


class ActionProvider(Provider):
    """The actions of the screen the palette was opened on, then those that work everywhere."""

    def _actions(self) -> Iterator[tuple[Action, Any]]:
        here = getattr(self.screen, "SCREEN_ID", "")
        for action in actions_for(here) if here else ():
            yield action, self.screen
        for action in actions_for(""):
            if action.id != "command_palette":
                yield action, self.app

    def _hit(self, action: Action, target: Any) -> tuple[str, Any, str]:
        name = f"{action.category}: {action.label}  ({key_names(action.key)})"
        return name, partial(self.app.run_action, action.id, target), action.help

    async def discover(self) -> Hits:
        """Everything, in table order."""
        for action, target in self._actions():
            name, run, text = self._hit(action, target)
            yield DiscoveryHit(name, run, help=text)

    async def search(self, query: str) -> Hits:
        """Fuzzy by label, category and sentence."""
        matcher = self.matcher(query)
        for action, target in self._actions():
            name, run, text = self._hit(action, target)
            score = max(matcher.match(name), matcher.match(text) * 0.8)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, text=name, help=text)
