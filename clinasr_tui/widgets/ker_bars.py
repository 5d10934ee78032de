"""Lines with KER bars: one cycle's figure of a group, or two cycles' as a dumbbell. Every one has its n."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS
from clinasr_tui.text import visible
from clinasr_tui.widgets.figures import (
    Line,
    bar,
    change_style,
    dumbbell,
    heading,
    interval_bar,
    interval_text,
    label,
    percent_text,
    score_text,
)

if TYPE_CHECKING:
    from clinasr_tui.flywheel.comparison import Slice
    from clinasr_tui.flywheel.decision import Difference

MIN_BAR = 4
_MIN_BAND = 8
"""Cells a bar with its interval needs to say something."""
_ROOMY = 60
_MIN_DUMBBELL = 8
ONE_TERM = "one term"
"""Stands where an interval would: the rows of one term say nothing about another."""


def label_width(names: list[str], *, most: int = 28) -> int:
    """Cells the longest name needs, within reason."""
    return min(max((Content(name or "(none)").cell_length for name in names), default=4), most)


def ker_line(
    key: str,
    name: str,
    ker: float | None,
    n: int,
    *,
    names: int,
    digits: int = 4,
    interval: tuple[float, float] | None = None,
    intervals: bool = False,
) -> Line:
    """`drug  ━━━━━━━━━╸╌╌  .978  n 90`; the bar takes what room is left, `digits` cells are for n.

    With `intervals` (those of the list's lines are known) `drug  ━━━━━━├●┤╌  .978  .94–1.00  n 90`.
    """

    def draw(width: int) -> Content:
        gap = "  " if width >= _ROOMY else " "
        right = Content.assemble(gap, (f"{score_text(ker):>5}", "bold"))
        if intervals:
            text = ONE_TERM if ker is not None and interval is None else interval_text(interval)
            right += Content.styled(f"{gap}{text:<8}", "$quiet" if interval else "$warning")
        right += Content.styled(f"{gap}n {n:<{digits}}", "$quiet")
        names_cells = min(
            names, max(6, width - right.cell_length - 1 - (_MIN_BAND if intervals else MIN_BAR))
        )
        room = width - names_cells - 1 - right.cell_length
        drawn = interval_bar(ker, interval, room) if intervals else bar(ker, room)
        return Content.assemble(label(name, names_cells), " ", drawn, right)

    return Line(key, draw)


def dumbbell_line(
    key: str,
    name: str,
    a: float | None,
    b: float | None,
    n: int,
    *,
    names: int,
    relative: float | None,
    star: bool = False,
    interval: tuple[float, float] | None = None,
) -> Line:
    """`drug ★ .978 ·○────●· .111  −89 %  −.93 … −.79  n 90`; the interval of b − a where there is room."""

    def draw(width: int) -> Content:
        change = None if a is None or b is None else b - a
        left = Content.assemble(
            label(name, names), (" ★" if star else "  ", "$accent"), f" {score_text(a):>5} "
        )
        right = Content.assemble(
            f" {score_text(b):>5}", (f"  {percent_text(relative):>6}", change_style(change))
        )
        rows = Content.styled(f"  n {n:<4}", "$quiet")
        sure = Content.styled(f"  {interval_text(interval, signed=True) if interval else '':<13}", "$quiet")
        taken = sum(part.cell_length for part in (left, right, sure, rows))
        right += (sure if width - taken >= _MIN_DUMBBELL else Content("")) + rows
        return Content.assemble(left, dumbbell(a, b, width - left.cell_length - right.cell_length), right)

    return Line(key, draw)


def difference_text(d: Difference) -> str:
    """`KER .978 → .111 · −89 % · 95 % of Δ −.92 … −.81 · n 90`."""
    sure = f" · 95 % of Δ {interval_text(d.ci95, signed=True)}" if d.ci95 else ""
    return f"KER {score_text(d.a)} → {score_text(d.b)} · {percent_text(d.relative)}{sure} · n {d.n}"


def group_lines(
    part: Slice, priority: tuple[str, ...], fields: tuple[str, ...] = SECTION_FIELDS
) -> list[Line]:
    """The groups of some paired rows under a heading for each field; keys are `field:value`."""
    names = [visible(name) for field in fields for name in part.by.get(field, {})]
    width = label_width(names, most=18)
    lines: list[Line] = []
    for field in fields:
        groups = part.by.get(field, {})
        if groups:
            lines.append(heading(f"KER by {field}"))
        for name, d in groups.items():
            star = field == "entity_category" and name in priority
            lines.append(
                dumbbell_line(
                    f"{field}:{name}",
                    name,
                    d.a,
                    d.b,
                    d.n,
                    names=width,
                    relative=d.relative,
                    star=star,
                    interval=d.ci95,
                )
            )
    return lines
