"""What is said of a run that is to be started while it lives."""

from __future__ import annotations

from clinasr_tui.errors import RemoteError


def running_already(run: str, where: str) -> RemoteError:
    """The refusal; `where` is the machine or the container."""
    return RemoteError(
        f"the run {run} is running already", where=where, remedy="Watch it, or cancel it first."
    )
