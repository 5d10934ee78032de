"""How a host is reached: a rented box by the entry Brev writes, any other by the workspace's ssh config."""

from __future__ import annotations

from pathlib import Path

from clinasr_tui.box.state import BoxBook
from clinasr_tui.errors import ClinasrError
from clinasr_tui.remote.host import SshSettings


def ssh_for(host: str | None, config: Path | None, known_hosts: Path | None) -> SshSettings:
    """Settings for a host: `config` counts unless it is a box rented from here.

    Brev writes its entries for ~/.ssh/config; a workspace's own ssh config has none for them.
    """
    if host is None or config is None:
        return SshSettings(config=config, known_hosts=known_hosts)
    try:
        rented = BoxBook().find(host) is not None
    except ClinasrError:
        rented = False  # the Box screen and `box` say what is wrong with the state
    return SshSettings(config=None if rented else config, known_hosts=known_hosts)
