"""Figures as text: scores without a leading zero, signed differences, percentages, intervals, bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = "–"


def score_text(value: float | None, digits: int = 3) -> str:
    """A score: `.876`, `1.000`; – for none."""
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def signed_text(value: float | None, digits: int = 3) -> str:
    """A difference with its sign: `−.732`, `+.110`."""
    if value is None:
        return NONE
    size = score_text(abs(value), digits)
    if float(f"{abs(value):.{digits}f}") == 0:
        return "±" + size
    return ("−" if value < 0 else "+") + size


def percent_text(relative: float | None) -> str:
    """A relative change in whole percent: `−84 %`."""
    if relative is None:
        return NONE
    whole = round(relative * 100)
    return f"{'−' if whole < 0 else '+' if whole > 0 else '±'}{abs(whole)} %"


def interval_text(interval: tuple[float, float] | None, *, signed: bool = False, digits: int = 2) -> str:
    """A 95 % interval: `.80–.94`, or `−.81 … −.65` where signs would run into the dash."""
    if interval is None:
        return NONE
    if signed:
        return f"{signed_text(interval[0], digits)} … {signed_text(interval[1], digits)}"
    return f"{score_text(interval[0], digits)}–{score_text(interval[1], digits)}"


def p_text(p: float | None) -> str:
    """A p value: `p .012`, `p < .001`; "" for none."""
    if p is None:
        return ""
    return "p < .001" if p < 0.001 else f"p {score_text(p)}"


def change_style(delta: float | None) -> str:
    """Colour of a change in an error rate: down is good, up is bad."""
    if delta is None or abs(delta) < 5e-4:
        return "$quiet"
    return "$good" if delta < 0 else "$bad"


def bar(value: float | None, width: int, style: str = "$bad") -> Content:
    """A bar from 0 to 1 in half cells; values beyond 1 fill it, none leaves it blank."""
    if value is None or width <= 0:
        return Content(" " * max(width, 0))
    halves = round(min(max(value, 0.0), 1.0) * width * 2)
    if value > 0 and halves == 0:
        halves = 1
    drawn = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return Content.assemble((drawn, style), ("╌" * (width - len(drawn)), "$line"))


def interval_bar(
    value: float | None, interval: tuple[float, float] | None, width: int, *, limit: float | None = None
) -> Content:
    """A bar from 0 to 1 whose end is uncertain: `━━━├──●───┤╌╌╌`, the ends of the interval and the value.

    Without an interval anything is possible: the band covers the whole line and is quiet. `limit` is
    marked ┊ (┼ within the band).
    """
    if value is None or width <= 0:
        return Content(" " * max(width, 0))

    def place(at: float) -> int:
        return round(min(max(at, 0.0), 1.0) * (width - 1))

    low, high = (0, width - 1) if interval is None else (place(interval[0]), place(interval[1]))
    band = "$line" if interval is None else "$foreground"
    cells = [("━", "$bad")] * low + [("─", band)] * (high + 1 - low) + [("╌", "$line")] * (width - 1 - high)
    cells[low], cells[high] = ("├", band), ("┤", band)
    if limit is not None:
        at = place(limit)
        cells[at] = ("┼" if low <= at <= high else "┊", "bold $accent")
    cells[place(value)] = ("●", "bold $bad")
    return Content.assemble(*cells)


def dumbbell(a: float | None, b: float | None, width: int) -> Content:
    """Two error rates on a line from 1 to 0, so that better lies right: ○ before, ● after."""
    if width <= 0:
        return Content("")

    def place(value: float) -> int:
        return round((1.0 - min(max(value, 0.0), 1.0)) * (width - 1))

    cells = ["·"] * width
    styles = ["$line"] * width
    if a is not None and b is not None:
        style = change_style(b - a)
        for cell in range(min(place(a), place(b)), max(place(a), place(b)) + 1):
            cells[cell], styles[cell] = "─", style
    if a is not None:
        cells[place(a)], styles[place(a)] = "○", "$foreground"
    if b is not None:
        cells[place(b)], styles[place(b)] = "●", change_style(None if a is None else b - a)
    return Content.assemble(*((cell, style) for cell, style in zip(cells, styles, strict=True)))


def label(text: str, width: int, *, empty: str = "(none)") -> Content:
    """Untrusted text cut with … and padded to exactly `width` cells."""
    content = Content(visible(text) or empty).truncate(max(width, 1), ellipsis=True)
    return content.pad_right(max(0, width - content.cell_length))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list: `key` "" makes it a heading that the cursor skips."""

    key: str
    draw: Callable[[int], Content]
    """Draws the line for a width in cells."""


def heading(text: str) -> Line:
    """A heading between lines."""
    return Line("", lambda width: Content.styled(text, "bold $secondary").truncate(width, ellipsis=True))


def note(text: str) -> Line:
    """A quiet line the cursor skips."""
    return Line("", lambda width: Content.styled(visible(text), "$quiet").truncate(width, ellipsis=True))
