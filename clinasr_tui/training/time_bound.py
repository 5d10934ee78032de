"""A bound on the processor time of work that cannot be asked to stop, such as a regular expression."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class TooSlowError(Exception):
    """The work took longer than it may."""


class TimeBound:
    """Raises TooSlowError inside the `with` block after `seconds` of this process's processor time.

    A regular expression holds the interpreter until it is done, in whatever thread it runs; only a
    signal ends it early. Signals come to the main thread alone: elsewhere nothing is bound.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._bound = threading.current_thread() is threading.main_thread()
        self._before: Any = None

    def __enter__(self) -> TimeBound:
        if self._bound:
            self._before = signal.signal(signal.SIGVTALRM, _stop)
            signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bound:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, self._before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooSlowError
