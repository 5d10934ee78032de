"""A bare app in our theme around one widget, and series made from lists."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult

from clinasr_tui.theme import DARK, THEMES
from clinasr_tui.training.snapshot import Series

if TYPE_CHECKING:
    from textual.widget import Widget


class Bench(App[None]):
    """Shows one widget."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.animation_level = "none"
        self.widget = widget
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK

    def compose(self) -> ComposeResult:
        yield self.widget


@pytest.fixture
def bench() -> Callable[[Widget], Bench]:
    """Makes the app around a widget."""
    return Bench


@pytest.fixture
def series() -> Callable[..., Series]:
    """Makes a series of values at steps 0, 1, 2, … or at given ones."""

    def make(values: Sequence[float], steps: Sequence[int] | None = None) -> Series:
        places = range(len(values)) if steps is None else steps
        return Series(
            array("q", places), array("d", values), array("d", range(len(values))), version=len(values)
        )

    return make


def lines_of(widget: Widget) -> list[str]:
    """What a widget that draws by lines shows, as text."""
    return [widget.render_line(y).text for y in range(widget.size.height)]


@pytest.fixture
def shown() -> Callable[[Widget], list[str]]:
    """The text of every line of a widget."""
    return lines_of
