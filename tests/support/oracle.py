"""Figures of a cycle worked out again by the shortest way: plain words, jiwer, no code of the product.

The made-up speech has no figures and no abbreviations, so lower case without punctuation is all that
normalising does to it; where a transcript needs more, these figures differ and the test says so.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jiwer


def _words(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


@dataclass(frozen=True)
class Figures:
    """Rows of one transcript file, or a part of them."""

    rows: tuple[dict[str, Any], ...]

    @cached_property
    def missed(self) -> tuple[bool, ...]:
        """Whether each row's term is not heard as a whole word."""
        return tuple(f" {_words(row['term'])} " not in f" {_words(row['hyp'])} " for row in self.rows)

    @property
    def ker(self) -> float:
        """Share of rows whose term is missed."""
        return sum(self.missed) / len(self.rows)

    @property
    def wer(self) -> float:
        """Mean of the rows' word error rates."""
        pairs = [(_words(row["ref"]), _words(row["hyp"])) for row in self.rows]
        return sum(jiwer.wer(ref, hyp) for ref, hyp in pairs) / len(pairs)

    def of(self, field: str, value: str) -> Figures:
        """The rows with that value in a field."""
        return Figures(tuple(row for row in self.rows if row[field] == value))

    def among(self, files: frozenset[str]) -> Figures:
        """The rows whose audio is named."""
        return Figures(tuple(row for row in self.rows if row["audio_filepath"] in files))


def figures(hypotheses: Path) -> Figures:
    """Figures of a transcript file."""
    lines = hypotheses.read_text(encoding="utf-8").splitlines()
    return Figures(tuple(json.loads(line) for line in lines))


def audio_of(manifest: Path) -> frozenset[str]:
    """The audio a manifest names."""
    lines = manifest.read_text(encoding="utf-8").splitlines()
    return frozenset(json.loads(line)["audio_filepath"] for line in lines)


def shown(value: float) -> str:
    """A score as the screens show it: three places, no leading zero."""
    return f"{value:.3f}".removeprefix("0")


def percent(before: float, after: float) -> str:
    """A relative change as the screens show it."""
    change = round(100 * (after - before) / before)
    return f"{'−' if change < 0 else '+'}{abs(change)} %"
