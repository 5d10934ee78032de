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
    label,
    percent_text,
    score_text,
)

if TYPE_CHECKING:
    from clinasr_tui.flywheel.comparison import Slice

MIN_BAR = 4


def label_width(names: list[str], *, most: int = 28) -> int:
    """Cells the longest name needs, within reason."""
    return min(max((Content(name or "(none)").cell_length for name in names), default=4), most)


def ker_line(key: str, name: str, ker: float | None, n: int, *, names: int, digits: int = 4) -> Line:
    """`drug  ━━━━━━━━━╸╌╌  .978  n 90`; the bar takes what room is left, `digits` cells are for n."""

    def draw(width: int) -> Content:
        right = Content.assemble("  ", (f"{score_text(ker):>5}", "bold"), (f"  n {n:<{digits}}", "$quiet"))
        names_cells = min(names, max(6, width - right.cell_length - 1 - MIN_BAR))
        room = width - names_cells - 1 - right.cell_length
        return Content.assemble(label(name, names_cells), " ", bar(ker, room), right)

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
) -> Line:
    """`drug ★ .978 ·○────●· .111  −89 %  n 90`."""

    def draw(width: int) -> Content:
        change = None if a is None or b is None else b - a
        right = Content.assemble(
            f" {score_text(b):>5}",
            (f"  {percent_text(relative):>6}", change_style(change)),
            (f"  n {n:<4}", "$quiet"),
        )
        left = Content.assemble(
            label(name, names), (" ★" if star else "  ", "$accent"), f" {score_text(a):>5} "
        )
        return Content.assemble(left, dumbbell(a, b, width - left.cell_length - right.cell_length), right)

    return Line(key, draw)


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
                    f"{field}:{name}", name, d.a, d.b, d.n, names=width, relative=d.relative, star=star
                )
            )
    return lines
