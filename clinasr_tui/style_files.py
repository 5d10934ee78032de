"""Where the style sheets are: inside the package when installed, in `styles/` of a source tree."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def _folder() -> Path:
    package = Path(__file__).resolve().parent
    installed = package / "styles"
    return installed if installed.is_dir() else package.parent / "styles"


def style_path(name: str) -> Path:
    """The absolute path of a style sheet, for `CSS_PATH` (`style_path("gate")` → …/gate.tcss)."""
    return _folder() / f"{name}.tcss"
