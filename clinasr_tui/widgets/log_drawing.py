"""How a line of the log looks: its columns, marks of matches, and the words of the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from clinasr_tui.training.snapshot import Level
from clinasr_tui.widgets.log_lines import LETTERS, LineFilter, LogSource, read_line

if TYPE_CHECKING:
    from collections.abc import Sequence

TIME_WIDTH = 8
LEAD_WIDTH = 3
_CHIPS = {Level.INFO: "i", Level.WARNING: "w", Level.ERROR: "e"}
_CHIP_STYLES = {Level.WARNING: "$warning", Level.ERROR: "bold $error"}


class LineParts(NamedTuple):
    """A line of the log taken apart for drawing."""

    time: str
    lead: str
    """Severity letter; a line through where the line is ours and not the run's."""
    text: str
    cut: int
    """Characters of the source's text before `text`."""
    level: Level


def line_parts(source: LogSource, index: int) -> LineParts:
    """Take the line with this index apart."""
    whole = source.text(index)
    time, text = read_line(whole)
    level = source.level(index)
    lead = "──" if source.is_note(index) else LETTERS[level]
    return LineParts(time, lead, text, len(whole) - len(text), level)


def marked(text: str, spans: Sequence[tuple[int, int]], start: int, stop: int) -> list[tuple[str, bool]]:
    """Cut characters `start` to before `stop` of `text` into (part, whether it is in a span)."""
    parts: list[tuple[str, bool]] = []
    place = start
    for begin, end in spans:
        first, last = max(begin, place), min(end, stop)
        if first >= last:
            continue
        parts += [(text[place:first], False), (text[first:last], True)]
        place = last
    parts.append((text[place:stop], False))
    return [(part, hit) for part, hit in parts if part]


def chips(source: LogSource, chosen: LineFilter) -> Content:
    """The severities with their keys and counts; one that is hidden says so."""
    parts: list[Content] = []
    for level, key in _CHIPS.items():
        count = source.count(level)
        number = short_count(count)
        if level not in chosen.levels:
            parts.append(Content(f"{key} {number} hidden"))
        else:
            style = _CHIP_STYLES.get(level, "") if count else ""
            parts.append(Content.styled(f"{key} {number}", style) if style else Content(f"{key} {number}"))
    return Content(" · ").join(parts)


def short_count(count: int) -> str:
    """A count in a few cells: 9,999, 43k, 1.96M."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count // 1000}k" if count < 1_000_000 else f"{count / 1e6:.2f}M"
