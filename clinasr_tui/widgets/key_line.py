"""The footer: the keys of this screen and the way to the others, from the action table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from clinasr_tui.actions import Action, actions_for, key_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events


class KeyLine(Widget):
    """One line of keys. `current` is the action id to highlight (the screen that is shown)."""

    DEFAULT_CSS = """
    KeyLine { height: 1; padding: 0 1; }
    """

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        current: str = "",
        target: str = "screen",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._every = tuple(action for action in actions if action.footer)
        self._actions = self._every
        self._current = current
        self._target = target

    def on_mount(self) -> None:
        """Begin with what the screen offers."""
        self.look()

    def look(self) -> None:
        """Ask the screen again which of its keys mean something now; help (?) names all of them."""
        offers = getattr(self.screen, "offers", None)
        found = tuple(one for one in self._every if offers is None or offers(one))
        if found != self._actions:
            self._actions = found
            self.refresh()

    def render(self) -> Content:
        """Keys in table order; what does not fit ends in … and stands in the help (?)."""
        width = self.content_size.width
        wide = "  "
        bare: set[str] = set()
        if self._target == "app":
            # Every screen stays in sight: what works everywhere gives way, the last one first.
            others = [action.id for action in reversed(self._actions) if not _is_screen(action)]
            if self._line(wide, bare, 10_000).cell_length > width:
                wide = " "
            while others and self._line(wide, bare, 10_000).cell_length > width:
                bare.add(others.pop(0))
        return self._line(wide, bare, width)

    def _line(self, wide: str, bare: set[str], width: int) -> Content:
        """The keys in `width` cells; `wide` is the gap between keys, those in `bare` have no label."""
        line = Content("")
        for place, action in enumerate(self._actions):
            gap = "" if place == 0 else wide if self._target == "screen" or not _is_screen(action) else " "
            part = Content.assemble(gap, self._one(action, bare=action.id in bare))
            rest = len(self._actions) - place - 1
            if line.cell_length + part.cell_length > width - (2 if rest else 0):
                return Content.assemble(line, (" …", "$quiet"))
            line = line + part
        return line

    def _is_readonly(self) -> bool:
        """What changes something is struck out where the operator only looks."""
        session = getattr(self.app, "session", None)
        return session is not None and bool(session.readonly)

    def _one(self, action: Action, *, bare: bool) -> Content:
        key = key_names(action.key, only_first=True)
        here = bool(self._current) and action.id == self._current
        if action.changes and self._is_readonly():
            return Content.styled(key if bare else f"{key} {action.label}", "$quiet strike")
        part = Content.styled(key, "bold $accent")
        if not bare:
            part = Content.assemble(part, " ", (action.label, "bold reverse" if here else "$foreground 80%"))
        name = action.id.partition("(")[0]
        target = action.id if "." in name else f"{self._target}.{action.id}"
        return part.stylize(Style.from_meta({"action": target}))

    async def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        action = event.style.meta.get("action")
        if action:
            await self.run_action(action)


def _is_screen(action: Action) -> bool:
    return action.id.startswith("show(")


def screen_keys(screen_id: str) -> KeyLine:
    """The footer line with one screen's own keys."""
    return KeyLine(actions_for(screen_id), id="screen-keys")


def app_keys(screen_id: str) -> KeyLine:
    """The footer line with the keys that work everywhere, the shown screen highlighted."""
    return KeyLine(actions_for(""), current=f"show('{screen_id}')", target="app")
