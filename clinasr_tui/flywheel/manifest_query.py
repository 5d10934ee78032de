"""The filter language of the manifest table: free text and `field:value`, all of which must hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from clinasr_tui.flywheel.manifest import RowFault, clinical_text, decode_object

_TOKEN = re.compile(
    r"""
    (?P<field>[^\W\d]\w*):(?P<exact>=?)(?P<value>"[^"]*"?|\S*)
    | (?P<free>"[^"]*"?|\S+)
    """,
    re.VERBOSE,
)


class Clause(NamedTuple):
    """One condition. `field` "" means any field; `value` is lower case unless `exact`."""

    field: str
    value: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Conditions that must all hold; none holds for every row."""

    clauses: tuple[Clause, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read a filter such as `drug noise_level:clean term:vanco`. Every text is a valid filter.

        A word is looked for in all fields, `field:value` in one, both as a part and whatever the
        case; `field:=value` is the whole field as it is, `field:=` an empty or absent one. Quotation
        marks hold words together and make `"a:b"` free text. A `field:` without a value, as it stands
        while being typed, is no condition.
        """
        clauses = []
        for token in _TOKEN.finditer(text):
            field, exact = token["field"] or "", bool(token["exact"])
            value = (token["value"] if field else token["free"]).strip('"')
            if value or exact:
                clauses.append(Clause(field, value if exact else value.lower(), exact))
        return cls(tuple(clauses))

    @property
    def needles(self) -> tuple[bytes, ...]:
        """Lower-case bytes without which a plain line cannot match.

        Plain is a line of ASCII without a backslash: there, text stands in the file as it is.
        """
        values = (clause.value.lower() for clause in self.clauses)
        return tuple(value.encode() for value in values if _stands_as_it_is(value))

    def matches(self, raw: bytes, line: int) -> bool:
        """True if the row on a line matches. One that does not parse can match free text only."""
        if not self.clauses:
            return True
        try:
            fields = decode_object(raw, line)
        except RowFault:
            return self._matches_text(raw.decode(errors="replace").lower())
        return all(_holds(clause, fields) for clause in self.clauses)

    def _matches_text(self, text: str) -> bool:
        return all(not clause.field and clause.value in text for clause in self.clauses)


def _holds(clause: Clause, fields: Mapping[str, object]) -> bool:
    if not clause.field:
        return any(clause.value in clinical_text(value).lower() for value in fields.values())
    value = clinical_text(fields.get(clause.field))
    return value == clause.value if clause.exact else clause.value in value.lower()


def _stands_as_it_is(value: str) -> bool:
    """True if a plain line whose row holds `value` must also hold its bytes.

    Not so for what can be written in several ways: numbers (`1e2`, `100.0`) and the spacing of lists.
    """
    if not value.isascii() or not value.isprintable() or value.startswith(" "):
        return False
    return not set(value) & set('",:\\') and any(c.isalpha() and c != "e" for c in value)
