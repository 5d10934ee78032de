"""Word alignment of a reference with a hypothesis, for showing rows (jiwer supplies it)."""

from __future__ import annotations

from typing import NamedTuple


class AlignedSpan(NamedTuple):
    """A run of words: `kind` is equal, substitute, delete (only reference) or insert (only hypothesis).

    `clinical` is True where the reference words belong to the row's term.
    """

    kind: str
    reference: str
    hypothesis: str
    clinical: bool


def align(reference: str, hypothesis: str, term: str = "") -> tuple[AlignedSpan, ...]:
    """Align two raw texts by their normalised words."""
    raise NotImplementedError


def heard_as(reference: str, hypothesis: str, term: str) -> str | None:
    """What the hypothesis has in place of `term`: "" if dropped, None if the reference lacks the term."""
    raise NotImplementedError
