"""Two calm themes, one dark and one light, whose meaning survives colour blindness.

Good is blue, bad is orange (never green against red), and every colour stands beside a symbol or word.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = "clinasr-dark"
LIGHT = "clinasr-light"

_DARK = Theme(
    name=DARK,
    primary="#6cb2f2",
    secondary="#9aa7d8",
    accent="#f2c14e",
    success="#6cb2f2",
    warning="#f2c14e",
    error="#ff8f5a",
    foreground="#d7dde5",
    background="#12161c",
    surface="#161b22",
    panel="#1f2731",
    boost="#ffffff0a",
    dark=True,
    variables={
        "good": "#6cb2f2",
        "bad": "#ff8f5a",
        "quiet": "#8592a1",
        "line": "#33404f",
        "cursor": "#24405c",
        "block-cursor-background": "#24405c",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "input-selection-background": "#6cb2f2 35%",
    },
)

_LIGHT = Theme(
    name=LIGHT,
    primary="#0b5394",
    secondary="#4a4f8a",
    accent="#8a5a00",
    success="#0b5394",
    warning="#8a5a00",
    error="#b23c00",
    foreground="#1c242d",
    background="#f7f8fa",
    surface="#ffffff",
    panel="#e8ecf1",
    boost="#0000000a",
    dark=False,
    variables={
        "good": "#0b5394",
        "bad": "#b23c00",
        "quiet": "#586573",
        "line": "#bcc6d1",
        "cursor": "#cfe3f7",
        "block-cursor-background": "#cfe3f7",
        "block-cursor-foreground": "#0c1116",
        "block-cursor-text-style": "none",
        "input-selection-background": "#0b5394 25%",
    },
)

THEMES = (_DARK, _LIGHT)


def other(name: str) -> str:
    """The theme to change to from `name`."""
    return LIGHT if name == DARK else DARK
