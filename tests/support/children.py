"""What child processes a test made."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

Children = list[subprocess.Popen[Any]]


def note_children(monkeypatch: pytest.MonkeyPatch) -> Children:
    """A list that each child started from now on is put into; asyncio's are among them."""
    children: Children = []

    class Noted(subprocess.Popen[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            children.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return children


def none_is_left(children: Children) -> bool:
    """True if each has ended and was waited for."""
    return all(child.returncode is not None for child in children)
