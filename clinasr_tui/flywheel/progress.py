"""Progress of long work, and its cancelling, with one meaning everywhere."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

Progress = Callable[[float], bool]
"""Is told the fraction done (0 to 1); returns False to cancel."""


def report(progress: Progress | None, fraction: float, work: str) -> None:
    """Tell how far `work` is. Raises InterruptedError if it is to be cancelled."""
    if progress is not None and not progress(fraction):
        raise InterruptedError(f"{work} was cancelled at {fraction:.0%}")


def left_text(seconds: float, fraction: float) -> str:
    """The time that is left if the rest goes as the beginning went: `0:42`, `1:02:09`; "" if unknown.

    `seconds` is what the `fraction` done so far took.
    """
    if fraction <= 0:
        return ""
    return clock_text(seconds * (1 - fraction) / fraction)


def clock_text(seconds: float) -> str:
    """A length of time: `0:42`, `1:02:09`."""
    left = round(seconds)
    hours, minutes = divmod(left // 60, 60)
    return f"{hours}:{minutes:02}:{left % 60:02}" if hours else f"{minutes}:{left % 60:02}"


class Job:
    """Work that goes on in a thread: what it is, how far it is, and how to stop it.

    Give `progress` to the work; whoever holds the job may read `fraction` and call `cancel` meanwhile.
    """

    def __init__(self, what: str, *, measured: bool = True) -> None:
        self.what = what
        """What is done, as a sentence begins: `scoring of cycle 2`."""
        self.measured = measured
        """False for work that cannot say how far it is, nor be stopped."""
        self.fraction = 0.0
        self.cancelled = False
        self._begun = monotonic()

    def progress(self, fraction: float) -> bool:
        """Note how far the work is (never less than before); False once it is to end."""
        self.fraction = max(self.fraction, fraction)
        return not self.cancelled

    def cancel(self) -> None:
        """End the work at its next report."""
        self.cancelled = True

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return monotonic() - self._begun

    @property
    def left(self) -> str:
        """About how long it will go on (`0:42`); "" while that is not known."""
        return left_text(self.seconds, self.fraction)
