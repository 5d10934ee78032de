"""What tells an operator who looks elsewhere: the terminal's bell and desktop notifications.

OSC 9 is understood by iTerm2, WezTerm, Windows Terminal, kitty and ghostty, OSC 777 by foot, urxvt and
others; a terminal that knows neither shows nothing. Inside tmux the sequences are wrapped so that they
reach the terminal around it (tmux passes them on where `allow-passthrough` is on); the bell needs no
wrapping, and tmux turns it into its own mark.
"""

from __future__ import annotations

import os

from clinasr_tui.text import visible

BELL = "\a"
_LONGEST = 160


def desktop_notice(title: str, text: str, *, tmux: bool) -> str:
    """The sequences of a desktop notification; the texts are made safe and short.

    A program that ignores an unknown sequence ignores these. OSC 777 parts its fields by semicolons.
    """
    head, body = _safe(title), _safe(text)
    sequences = (
        f"\x1b]9;{head}: {body}\x1b\\",
        f"\x1b]777;notify;{head.replace(';', ',')};{body.replace(';', ',')}\x1b\\",
    )
    return "".join(_through_tmux(sequence) if tmux else sequence for sequence in sequences)


def in_tmux() -> bool:
    """True inside tmux, here or on the machine this was reached from."""
    return bool(os.environ.get("TMUX")) or os.environ.get("TERM", "").startswith(("tmux", "screen"))


def _safe(text: str) -> str:
    """One short line without anything a terminal could take for a sequence."""
    line = " ".join(visible(text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _through_tmux(sequence: str) -> str:
    escaped = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{escaped}\x1b\\"


def notice(kind: str, title: str, text: str, *, tmux: bool) -> str:
    """What to write for one of the settings "off", "bell" and "desktop"."""
    if kind == "desktop":
        return desktop_notice(title, text, tmux=tmux) + BELL
    return BELL if kind == "bell" else ""
