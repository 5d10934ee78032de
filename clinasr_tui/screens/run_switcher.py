"""The small list of a workspace's runs, each with its state, to change between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible
from clinasr_tui.widgets.dialog import Dialog
from clinasr_tui.widgets.run_status import state_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.training.snapshot import RunSnapshot

_REFRESH_SECONDS = 1.0
_DIALOG, _SHARE, _WIDE = 124, 0.96, 100
_NAME, _PLACE = (14, 22), (7, 26)
"""Cells of the columns in a narrow and in a wide list."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as the list shows it."""

    ref: RunRef
    snapshot: RunSnapshot | None
    """None if its files have not been read, or there are none on this machine."""
    contact: str
    """How it is being followed: "followed", "contact lost", "not followed", …"""
    reading: bool = False
    """True while what there is of it on this machine is being read."""


def state_line(state: RunState, width: int) -> Content:
    """`sft3  cycle 1 · demo-box  epoch 2/3 · ETA 0:09  followed`, in one line of `width` cells."""
    ref, wide = state.ref, width >= _WIDE
    place = f"cycle {ref.cycle}" + (f" · {visible(ref.host or 'this machine')}" if wide else "")
    lost = state.contact.startswith(("contact lost", "✖"))
    unknown = "reading its files …" if state.reading else "nothing of it here yet"
    parts = Content(" ").join(
        [
            _column(Content.styled(visible(ref.name), "bold"), _NAME[wide]),
            _column(Content.styled(place, "$quiet"), _PLACE[wide]),
            state_text(state.snapshot, brief=not wide)
            if state.snapshot
            else Content.styled(unknown, "$quiet"),
            Content.styled(f"· {visible(state.contact)}", "$warning" if lost else "$quiet"),
        ]
    )
    return parts.truncate(width, ellipsis=True)


def _column(text: Content, width: int) -> Content:
    cut = text.truncate(width, ellipsis=True)
    return cut.pad_right(width - cut.cell_length)


class RunSwitcher(Dialog["RunRef | None"]):
    """Enter watches the chosen run; Escape keeps the one in view. `states` is asked once a second."""

    CSS_PATH = style_path("dialogs")
    BINDINGS: ClassVar[list[BindingType]] = [("escape,R,q", "close", "close")]

    def __init__(self, states: Callable[[], Sequence[RunState]], current: RunRef | None) -> None:
        super().__init__()
        self._states = states
        self._current = current
        self._shown: list[Content] = []

    def compose(self) -> ComposeResult:
        """A list and what the keys do."""
        with Vertical(classes="dialog -wide") as box:
            box.border_title = "Runs, the newest last"
            yield OptionList(id="runs", markup=False)
            yield Static("Enter: watch · Esc: back", classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        """Begin at the run in view."""
        states = self._update()
        runs = self.query_one("#runs", OptionList)
        folders = [state.ref.folder for state in states]
        if self._current is not None and self._current.folder in folders:
            runs.highlighted = folders.index(self._current.folder)
        self.set_interval(_REFRESH_SECONDS, self._update)

    def _update(self) -> Sequence[RunState]:
        states = self._states()
        width = min(int(self.size.width * _SHARE), _DIALOG) - 8
        lines = [state_line(state, width) for state in states]
        if len(lines) != len(self._shown) or not all(map(Content.is_same, lines, self._shown)):
            runs = self.query_one("#runs", OptionList)
            at = runs.highlighted
            runs.clear_options()
            runs.add_options([Option(line) for line in lines])
            runs.highlighted = at if at is not None and at < len(lines) else None
            self._shown = lines
        return states

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Watch it."""
        states = self._states()
        self.dismiss(states[event.option_index].ref if event.option_index < len(states) else None)

    def action_close(self) -> None:
        """Keep the run in view."""
        self.dismiss(None)
