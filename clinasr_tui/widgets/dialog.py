"""Dialogs give one answer: keys that were typed before the dialog was gone change nothing more."""

from __future__ import annotations

from typing import Generic

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType


class Dialog(ModalScreen[ScreenResultType], Generic[ScreenResultType]):
    """A question over the screen that asks it."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Leave with `result`, once: a second Enter would take the screen below away, or end the app."""
        return super().dismiss(result) if self.is_current else AwaitComplete()
