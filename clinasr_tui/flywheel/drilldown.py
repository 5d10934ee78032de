"""From a group to its terms, from a term to its rows, in one cycle or in two side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.alignment import heard_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clinasr_tui.flywheel.comparison import RowPair
    from clinasr_tui.flywheel.scoring import ScoredSet


class RowRef(NamedTuple):
    """One row: its index in every side's set, and whether it was held out of training (None: not known)."""

    indices: tuple[int, ...]
    held_out: bool | None = None


@dataclass(frozen=True, slots=True)
class TermLine:
    """One term's rows; `ker` has one mean a side (None without a scored row)."""

    term: str
    ker: tuple[float | None, ...]
    rows: tuple[RowRef, ...]
    fixed: int
    """Rows missed on the first side and heard on the last (0 with one side)."""
    broken: int


def rows_of_set(scored: ScoredSet) -> list[RowRef]:
    """Every row of one cycle."""
    return [RowRef((index,)) for index in range(len(scored))]


def rows_of_pairs(pairs: Iterable[RowPair]) -> list[RowRef]:
    """Every row of a comparison."""
    return [RowRef((pair.a, pair.b), pair.held_out) for pair in pairs]


def in_group(sides: Sequence[ScoredSet], rows: Iterable[RowRef], field: str, value: str) -> list[RowRef]:
    """The rows whose `field` has this value on the first side."""
    column = sides[0].hypotheses.column(field)
    return [row for row in rows if column[row.indices[0]] == value]


def by_term(sides: Sequence[ScoredSet], rows: Iterable[RowRef]) -> tuple[TermLine, ...]:
    """Terms with their figures, worst on the last side first; ties by the first side, n, then name."""
    terms = sides[0].hypotheses.term
    groups: dict[str, list[RowRef]] = {}
    for row in rows:
        groups.setdefault(terms[row.indices[0]], []).append(row)
    lines = [_term_line(sides, term, members) for term, members in groups.items()]
    return tuple(
        sorted(
            lines, key=lambda line: (*(-(ker or 0.0) for ker in line.ker[::-1]), -len(line.rows), line.term)
        )
    )


def _term_line(sides: Sequence[ScoredSet], term: str, rows: Sequence[RowRef]) -> TermLine:
    misses = [[side.scores.ker[row.indices[i]] for row in rows] for i, side in enumerate(sides)]
    changes = [(first, last) for first, last in zip(misses[0], misses[-1], strict=True)]
    return TermLine(
        term=term,
        ker=tuple(_mean(column) for column in misses),
        rows=tuple(rows),
        fixed=changes.count((1, 0)),
        broken=changes.count((0, 1)),
    )


def _mean(misses: Sequence[int]) -> float | None:
    """Mean over the rows that have a KER (negative stands for none)."""
    counted = [miss for miss in misses if miss >= 0]
    return sum(counted) / len(counted) if counted else None


def heard_instead(scored: ScoredSet, index: int) -> str | None:
    """What stands in place of the row's term: "" if it was dropped, None if the term was heard or is none."""
    if scored.scores.ker[index] != 1:
        return None
    row = scored.hypotheses.row(index)
    return heard_as(row.reference, row.hypothesis, row.term) or ""


def heard_counts(scored: ScoredSet, indices: Iterable[int]) -> list[tuple[str, int]]:
    """What the model wrote instead of a term, most frequent first; rows that heard it are left out."""
    heard = (heard_instead(scored, index) for index in indices)
    counts = Counter(text for text in heard if text is not None)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
