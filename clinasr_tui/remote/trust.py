"""Host keys: our own known-hosts file, trust on first use by the operator, changed keys refused."""

from __future__ import annotations

from pathlib import Path

from clinasr_tui.errors import HostKeyError


def known_hosts_path(configured: Path | None) -> Path:
    """The known-hosts file in use (default: `$XDG_STATE_HOME/clinasr-tui/known_hosts`)."""
    raise NotImplementedError


def remember(error: HostKeyError, configured: Path | None) -> None:
    """Add the key of a first contact to the known-hosts file. Refuses (InputError) a changed key."""
    raise NotImplementedError
