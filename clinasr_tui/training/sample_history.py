"""Sample predictions by clinical term: what a model heard in a term's place as it learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.alignment import heard_as
from clinasr_tui.flywheel.manifest import read_manifest
from clinasr_tui.flywheel.normalise import contains_term, normalise

if TYPE_CHECKING:
    from clinasr_tui.training.snapshot import Sample

MAX_ROWS = 100_000
"""Rows of a manifest whose terms are collected: terms repeat, and a manifest may have a million rows."""


class Heard(NamedTuple):
    """What stood in the term's place, for `times` samples in a row from `step` on."""

    text: str
    """Normalised; "" if it was dropped."""
    right: bool
    step: int | None
    times: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The clinical terms of a manifest, normalised."""

    known: frozenset[str] = frozenset()
    longest: int = 0
    """Words of the longest term."""

    @classmethod
    def of(cls, terms: Iterable[str]) -> Terms:
        """From terms as written."""
        known = frozenset(filter(None, map(normalise, terms)))
        return cls(known, max((len(term.split()) for term in known), default=0))

    def find(self, reference: str) -> str:
        """The longest term a reference has, the first of several; "" without one."""
        words = normalise(reference).split()
        for size in range(min(self.longest, len(words)), 0, -1):
            for start in range(len(words) - size + 1):
                text = " ".join(words[start : start + size])
                if text in self.known:
                    return text
        return ""


def manifest_terms(manifest: Path | None) -> Terms:
    """The terms of a manifest's first rows; none where it cannot be read. Call it in a thread."""
    if manifest is None:
        return Terms()
    try:
        return Terms.of({row.term for row in islice(read_manifest(manifest), MAX_ROWS)})
    except InputError:
        return Terms()


def heard_history(samples: Sequence[Sample], term: str) -> list[Heard]:
    """What was heard in place of a term, oldest first, one entry for each run of the same."""
    found: list[Heard] = []
    for text, right, step in _heard(samples, term):
        last = found[-1] if found else None
        if last is not None and (last.text, last.right) == (text, right):
            found[-1] = last._replace(times=last.times + 1)
        else:
            found.append(Heard(text, right, step, 1))
    return found


def _heard(samples: Sequence[Sample], term: str) -> Iterator[tuple[str, bool, int | None]]:
    for sample in samples:
        text, right = _one(sample.reference, sample.prediction, term)
        if text is not None:
            yield text, right, sample.step


@lru_cache(maxsize=4096)
def _one(reference: str, prediction: str, term: str) -> tuple[str | None, bool]:
    if contains_term(normalise(reference), term) and contains_term(normalise(prediction), term):
        return term, True
    return heard_as(reference, prediction, term), False
