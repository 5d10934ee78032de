"""Progress of long work, and its cancelling, with one meaning everywhere."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], bool]
"""Is told the fraction done (0 to 1); returns False to cancel."""


def report(progress: Progress | None, fraction: float, work: str) -> None:
    """Tell how far `work` is. Raises InterruptedError if it is to be cancelled."""
    if progress is not None and not progress(fraction):
        raise InterruptedError(f"{work} was cancelled at {fraction:.0%}")
