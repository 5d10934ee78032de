"""A launch as it goes: its steps with marks, the bar of the one that goes on, what went wrong."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

_BAR = 30


def launch_steps(
    steps: Sequence[str],
    words: Sequence[str],
    fraction: float | None,
    left: str,
    *,
    going: bool,
    width: int,
    detail: str = "",
) -> Content:
    """One line a step; `words` belong to the steps reached, the last of which goes on or was the end.

    `fraction`, `left` and `detail`, which has lines of its own, are of that one.
    """
    lines = []
    for place, step in enumerate(steps):
        reached, last = place < len(words), place == len(words) - 1
        if not reached:
            lines.append(Content.styled(f"  · {step}", "$quiet"))
            continue
        text = visible(words[place])
        mark = ("  ✔ ", "$good")
        if last:
            mark = ("  ● ", "bold $accent") if going else ("  ✖ ", "bold $bad")
        parts: list[Content | str | tuple[str, str]] = [mark, (step, "bold" if last else "")]
        if text:
            parts += ["  ", (text, "" if last else "$quiet")]
        if last and left:
            parts += [(f"  {left} left", "$quiet")]
        lines.append(Content.assemble(*parts).truncate(width, ellipsis=True))
        if last and going and fraction is not None:
            drawn = bar(fraction, min(_BAR, width - 12), "$primary")
            lines.append(Content.assemble("    ", drawn, f" {fraction:4.0%}"))
        if last and detail:
            lines += [Content(f"    {part}") for part in wrap(visible(detail), max(20, width - 4))]
    return Content("\n").join(lines)


def launch_end(error: str, width: int) -> Content:
    """What ended a launch (nothing: it was cancelled) and the keys that lead on."""
    if error:
        lines = [Content.styled(part, "bold $bad") for part in wrap(f"✖ {visible(error)}", max(20, width))]
        keys = ("r", " goes on: what was sent is kept   ")
    else:
        lines = [Content.styled("■ Cancelled: nothing runs, what was sent is kept.", "bold $accent")]
        keys = ("r", " launches it after all   ")
    lines.append(
        Content.assemble((keys[0], "bold $accent"), keys[1], ("Esc", "bold $accent"), " back to the settings")
    )
    return Content("\n").join(lines)
