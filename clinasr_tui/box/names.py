"""Names a box may have: what Brev takes, and what is safe as a host's name and a command's argument."""

from __future__ import annotations

import re

from clinasr_tui.errors import InputError

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}")


def require_name(name: str) -> str:
    """The name, if it can be one. Raises InputError."""
    if _NAME.fullmatch(name):
        return name
    raise InputError(
        f"{name!r} cannot be a box's name",
        remedy="Use up to 63 letters, digits, hyphens, underscores and dots, a letter or digit first",
    )
