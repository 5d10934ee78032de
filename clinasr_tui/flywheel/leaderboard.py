"""The five-section leaderboard: build, write as Markdown, read back, JSON (method, section 2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from clinasr_tui.flywheel.scoring import ScoredSet

METRICS = ("wer", "cer", "ker", "ser")


class GroupFigure(NamedTuple):
    """KER of one group. `n` counts the rows that have a term; `ker` is None if there is none."""

    ker: float | None
    n: int


class TermFigure(NamedTuple):
    """KER of one term over its `n` rows."""

    term: str
    ker: float
    n: int


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Published figures (means of the rows' scores) of one set of transcripts."""

    rows: int
    ker_rows: int
    """Rows with a term: the n of the KER."""
    metrics: dict[str, float | None]
    """wer, cer, ker, ser: arithmetic means of the rows' scores."""
    corpus: dict[str, float | None]
    """Pooled wer and cer (all errors / all reference tokens), secondary and labelled so."""
    by: dict[str, dict[str, GroupFigure]]
    """KER by entity_category, ipa_source and noise_level; values in order of first appearance."""
    terms: tuple[TermFigure, ...]
    """Worst first; ties by n, largest first, then by term."""
    signature: dict[str, str] = field(default_factory=dict)
    """Normaliser, aggregation, KER rule, library versions: what makes the figure repeatable."""


def build_leaderboard(scored: ScoredSet) -> Leaderboard:
    """The leaderboard of a scored set."""
    raise NotImplementedError


def ipa_source_gap(board: Leaderboard) -> str:
    """The merriam-webster ↔ magpie_g2p difference in one sentence (also when it cannot be told)."""
    raise NotImplementedError


def to_json(board: Leaderboard) -> dict[str, Any]:
    """The JSON keys of the `score` command, without `schema`."""
    raise NotImplementedError


def to_markdown(board: Leaderboard, *, title: str) -> str:
    """The published five-section report; read back without loss by `read_markdown`."""
    raise NotImplementedError


def read_markdown(path: Path) -> Leaderboard:
    """Read a leaderboard written by `to_markdown`. Raises InputError naming `path:line`."""
    raise NotImplementedError
