"""Do something at once if it has rested long enough, else as soon as it has: never more often."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message_pump import MessagePump
    from textual.timer import Timer


class Pace:
    """Runs `action` at most once in `seconds`; a call that comes too early is made up for later.

    `seconds` may be changed at any time.
    """

    def __init__(self, owner: MessagePump, seconds: float, action: Callable[[], object]) -> None:
        self._owner = owner
        self.seconds = seconds
        self._action = action
        self._last = time.monotonic() - seconds
        self._due: Timer | None = None

    def __call__(self) -> None:
        """Run now or when it is time."""
        wait = self._last + self.seconds - time.monotonic()
        if wait <= 0:
            self.now()
        elif self._due is None:
            self._due = self._owner.set_timer(wait, self.now)

    def now(self) -> None:
        """Run now, whenever it ran last."""
        if self._due is not None:
            self._due.stop()
            self._due = None
        self._last = time.monotonic()
        self._action()
