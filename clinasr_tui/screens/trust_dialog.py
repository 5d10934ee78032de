"""A host showed a key the operator has not confirmed: ask once; a changed key is only ever refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from clinasr_tui.screens.confirm_dialog import YesNoDialog
from clinasr_tui.style_files import style_path
from clinasr_tui.text import visible
from clinasr_tui.widgets.dialog import Dialog

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from clinasr_tui.errors import HostKeyError


class TrustDialog(YesNoDialog):
    """First contact. Returns True only if the operator trusts the key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("t", "answer(True)", "trust this key"),
        ("n,escape", "answer(False)", "do not connect"),
        ("left,right", "app.focus_next", "other button"),
    ]

    def __init__(self, error: HostKeyError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        """What was shown, what to compare it with, two buttons."""
        with Vertical(classes="dialog") as box:
            box.border_title = "First contact with this host"
            yield Static(_first_contact(self._error), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button("No, do not connect (Esc)", id="no")
                yield Button("Trust this key (t)", id="yes", variant="primary")


class ChangedKeyDialog(Dialog[bool]):
    """The key is not the one confirmed before: nothing connects, there is no way to accept here."""

    CSS_PATH = style_path("dialogs")
    BINDINGS: ClassVar[list[BindingType]] = [("escape,enter,q", "close", "close")]

    def __init__(self, error: HostKeyError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        """Both fingerprints and what to do."""
        with Vertical(classes="dialog -danger") as box:
            box.border_title = "✖ This host's key has changed"
            yield Static(_changed(self._error), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button("Close (Esc)", id="no")

    def on_mount(self) -> None:
        """There is only one way on."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Close."""
        self.dismiss(False)

    def action_close(self) -> None:
        """Close."""
        self.dismiss(False)


def _first_contact(error: HostKeyError) -> Content:
    return Content.assemble(
        ("host         ", "$quiet"),
        (visible(error.where or error.host), "bold"),
        ("\naddress      ", "$quiet"),
        visible(f"{error.host} port {error.port}"),
        ("\nkey type     ", "$quiet"),
        visible(error.public_key.split(" ")[0]),
        ("\nfingerprint  ", "$quiet"),
        (visible(error.fingerprint), "bold $accent"),
        "\n\nCompare it with what the box's provider shows. If it is the same, trust it: it is remembered, "
        "and this question does not come again for this host.",
    )


def _changed(error: HostKeyError) -> Content:
    return Content.assemble(
        ("host       ", "$quiet"),
        (visible(error.where or error.host), "bold"),
        ("\naddress    ", "$quiet"),
        visible(f"{error.host} port {error.port}"),
        ("\nshows now  ", "$quiet"),
        (visible(error.fingerprint), "bold $bad"),
        *(
            (part, style)
            for known in error.known
            for part, style in (("\nconfirmed  ", "$quiet"), (visible(known), "bold"))
        ),
        "\n\nNothing was sent. Either the box was made anew, or somebody answers in its place. ",
        visible(error.remedy or ""),
    )
