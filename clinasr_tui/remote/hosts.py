"""Which host a name means: this machine, or one reached over SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host, SshSettings


def open_host(name: str | None, ssh: SshSettings) -> Host:
    """The host of that name, not yet connected; None is this machine.

    asyncssh is imported only when a host is named.
    """
    if name is None:
        from clinasr_tui.remote.local import LocalHost

        return LocalHost()
    from clinasr_tui.remote.ssh import SshHost

    return SshHost(name, ssh)
