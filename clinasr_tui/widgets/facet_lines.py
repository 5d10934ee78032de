"""Facets as lines of a list: field, its values with counts and bars, those filtered by marked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from textual.content import Content

from clinasr_tui.widgets.figures import Line, bar, heading, label

_TITLES = {
    "entity_category": "category",
    "ipa_source": "pronunciation",
    "voice_id": "voice",
    "noise_level": "noise",
    "context_type": "context",
}
_SHOWN = 40
"""Values listed a field; the rest is found by filtering."""


def facet_token(field: str, value: str) -> str:
    """The filter clause for exactly this value: `noise_level:=clean`, `voice_id:="en us"`."""
    plain = value and not any(char.isspace() or char == '"' for char in value)
    return f"{field}:={value}" if plain or not value else f'{field}:="{value}"'


def facet_lines(facets: Mapping[str, Mapping[str, int]], active: Collection[str]) -> list[Line]:
    """Lines for all facets; a line's key is its filter clause, `active` are the clauses filtered by."""
    lines: list[Line] = []
    for field, counts in facets.items():
        if not counts:
            continue
        if lines:
            lines.append(Line("", lambda width: Content("")))
        lines.append(heading(_TITLES.get(field, field)))
        most = max(counts.values())
        for value, count in list(counts.items())[:_SHOWN]:
            token = facet_token(field, value)
            lines.append(Line(token, partial(_draw, value, count, most, token in active)))
        if len(counts) > _SHOWN:
            lines.append(heading(f"… {len(counts) - _SHOWN} more"))
    return lines


def _draw(value: str, count: int, most: int, active: bool, width: int) -> Content:
    number = f"{count:,}".rjust(len(f"{most:,}"))
    bars = min(width // 4, 10)
    name = max(width - len(number) - bars - 4, 4)
    return Content.assemble(
        ("● " if active else "  ", "bold $accent"),
        label(value, name, empty="(none)"),
        " ",
        number,
        " ",
        bar(count / most, bars, "$secondary"),
    )
