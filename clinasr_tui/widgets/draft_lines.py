"""A run that is being set up, as lines: fields with values and marks, one field's reason in full."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.launch.draft import PLACES, RECIPE, Draft, Field, value_text
from clinasr_tui.text import visible
from clinasr_tui.widgets.columns import Column, cells
from clinasr_tui.widgets.figures import Line, heading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.flywheel.recipe import Objection

LAUNCH = "launch"
"""Key of the line that launches."""
_COLUMNS = (Column("", 1), Column("", 17), Column("", 0), Column("", 4))
_LONG = (Column("", 1), Column("", 14), Column("", 0))
"""Names and paths take the room of the mark."""


def draft_lines(draft: Draft) -> list[Line]:
    """Settings of the recipe, then where it runs, then the line that launches."""
    against = draft.objections()
    lines = [heading("Recipe")]
    lines += [Line(one.name, partial(_line, draft, one, against)) for one in RECIPE]
    lines.append(heading("Where and how"))
    lines += [Line(one.name, partial(_line, draft, one, against)) for one in draft.places()]
    lines.append(Line(LAUNCH, partial(_launch_line, draft)))
    return lines


def _line(draft: Draft, field: Field, against: Sequence[Objection], width: int) -> Content:
    mine = [one for one in against if one.name == field.name]
    sign = Content("")
    if mine:
        sign = Content.styled("✖", "bold $bad") if mine[0].fatal else Content.styled("▲", "$warning")
    mark, style = mark_of(draft, field.name)
    value = visible(draft.text(field.name)) or "–"
    texts: list[Content | str] = [
        sign,
        field.label,
        Content.styled(value, "bold"),
        Content.styled(mark, style),
    ]
    columns = _COLUMNS if field in RECIPE else (*_LONG, _COLUMNS[3]) if mark else _LONG
    return cells(columns, texts[: len(columns)], width, gap=1)


def _launch_line(draft: Draft, width: int) -> Content:
    verb = "Resume" if draft.choices.resume else "Launch"
    text = f"▶ {verb} {draft.text('run')} on {draft.text('host')}"
    return Content.styled(visible(text), "bold $accent").truncate(width, ellipsis=True)


def mark_of(draft: Draft, name: str) -> tuple[str, str]:
    """Where a value is from: set by hand, fixed by the run that is resumed, or proposed for the GPU."""
    if draft.is_fixed(name):
        return ("kept", "$quiet")
    if draft.is_set(name):
        return ("was" if draft.choices.resume else "set", "bold $accent")
    if name in {one.name for one in RECIPE}:
        differs = draft.proposed(name) != getattr(type(draft.recipe)(), name)
        return ("GPU", "$good") if differs else ("", "")
    return ("", "")


def reason(draft: Draft, name: str, notes: Sequence[str]) -> Content:
    """A field's reason, what speaks against its value, then what speaks against others; `notes` are why
    settings are proposed as they are."""
    field = next((one for one in (*RECIPE, *draft.places()) if one.name == name), None)
    parts: list[Content] = []
    against = draft.objections()
    if field is not None:
        value = visible(draft.text(name)) or "–"
        parts.append(Content.assemble((field.label, "bold"), "  ", (value, "bold $accent")))
        parts.append(Content(field.why))
        if name == "base":
            parts.append(Content(visible(draft.standing.reason)))
        parts += _origin(draft, name)
        parts += [_objection(one, named=False) for one in against if one.name == name]
    others = [one for one in against if one.name != name]
    if others:
        parts.append(Content(""))
        parts += [_objection(one, named=True) for one in others]
    if notes:
        parts.append(Content(""))
        parts += [Content.assemble(("· ", "$good"), visible(one)) for one in notes]
    return Content("\n").join(parts)


def _origin(draft: Draft, name: str) -> list[Content]:
    if draft.is_fixed(name):
        return [Content.styled("The checkpoint of the run that is resumed is there.", "$quiet")]
    if name not in {one.name for one in RECIPE}:
        return []
    if not draft.is_set(name):
        return [Content.styled("Proposed; ← → or Enter change it.", "$quiet")]
    proposed = value_text(draft.proposed(name))
    return [Content.styled(f"Set by you; proposed is {proposed} (Backspace takes it).", "$quiet")]


def _objection(one: Objection, *, named: bool) -> Content:
    fields = (*RECIPE, *PLACES) if named else ()
    label = next((f"{setting.label}: " for setting in fields if setting.name == one.name), "")
    if one.fatal:
        return Content.styled(f"✖ refused: {label}{one.message}", "bold $bad")
    return Content.styled(f"▲ {label}{one.message}", "$warning")
