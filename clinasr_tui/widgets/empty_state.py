"""What a screen says while it has nothing to show: what is missing, what it is for, what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.widgets import Static

from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence


class Missing(NamedTuple):
    """Why a screen has nothing to show."""

    what: str
    """What is not there yet."""
    purpose: str
    """What the screen will show then."""
    keys: tuple[tuple[str, str], ...]
    """Each key that leads on, and what it does; "" for a step outside the program."""
    against: str = ""
    """What speaks against going on, if anything does."""


class EmptyState(Static):
    """In the middle of the screen, in place of empty panels."""

    DEFAULT_CSS = """
    EmptyState {
        height: 1fr;
        width: 100%;
        padding: 0 4;
        align: center middle;
        content-align: center middle;
        text-align: center;
        display: none;
    }
    """

    def show(self, missing: Missing) -> None:
        """Say it."""
        parts = [Content.styled(visible(missing.what), "bold"), Content("")]
        if missing.against:
            parts += [Content.styled(f"✖ {visible(missing.against)}", "$bad"), Content("")]
        parts += [Content.styled(missing.purpose, "$quiet"), Content("")]
        parts += _steps(missing.keys)
        self.update(Content("\n").join(parts))

    @property
    def text(self) -> str:
        """What is said, on one line."""
        return " ".join(str(self.content).split())


def _steps(keys: Sequence[tuple[str, str]]) -> list[Content]:
    """Lines of one width, so that the keys stand below each other where lines are centred."""
    column = max(len(key) for key, _ in keys) + 2
    lines = [
        Content.assemble((key.ljust(column) if column > 2 else "", "bold $accent"), visible(does))
        for key, does in keys
    ]
    widest = max(line.cell_length for line in lines)
    return [line.pad_right(widest - line.cell_length) for line in lines]
