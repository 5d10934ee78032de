"""What child processes a test made."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def note_children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[Any]]:
    """A list that each child started from now on is put into; asyncio's are among them."""
    children: list[subprocess.Popen[Any]] = []

    class Noted(subprocess.Popen[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            children.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return children
