"""Which row of one cycle is which row of another, and which rows were held out of training."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from operator import ne
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.columns import StoredColumn, text_checks

if TYPE_CHECKING:
    from clinasr_tui.flywheel.hypotheses import Hypotheses

RowKey = tuple[str, str]
"""(audio_filepath, term)."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Rows of set A and of set B, index beside index, in the order of A."""

    a: Sequence[int]
    b: Sequence[int]
    by_name: int
    """Pairs found by file name, term and reference because their folders differ."""

    def left_out(self, rows_a: int, rows_b: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The rows of sets of so many rows that have no partner, in order."""
        sides = ((self.a, rows_a), (self.b, rows_b))
        one, two = (tuple(sorted({*range(rows)}.difference(paired))) for paired, rows in sides)
        return one, two


def file_name(path: str) -> str:
    """The last part of a path of either kind of system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def row_keys(rows: Hypotheses) -> list[RowKey]:
    """The key of every row."""
    return list(zip(rows.audio_filepath, rows.term, strict=True))


def pair_rows(a: Hypotheses, b: Hypotheses) -> Pairing:
    """Match rows on (audio_filepath, term), repeated keys in their order.

    Rows left over are matched by file name, term and reference where those are unique on both sides:
    a re-evaluation in a container sees the same audio under another folder.
    """
    if a.audio_filepath == b.audio_filepath and a.term == b.term:
        return Pairing(range(len(a)), range(len(b)), 0)
    found = _in_order(row_keys(a), row_keys(b))
    taken = set(found.values())
    left_a = [index for index in range(len(a)) if index not in found]
    left_b = [index for index in range(len(b)) if index not in taken]
    renamed = dict(_unique(_names(a, left_a), _names(b, left_b)))
    found |= renamed
    order = sorted(found)
    return Pairing(order, [found[index] for index in order], len(renamed))


def differing_references(a: Hypotheses, b: Hypotheses, pairing: Pairing) -> int:
    """Pairs whose references are different texts (told by their CRC-32 where they are not in memory)."""
    sides = [(a.reference, pairing.a), (b.reference, pairing.b)]
    if any(isinstance(column, StoredColumn) for column, _ in sides):
        left, right = (map(text_checks(column).__getitem__, rows) for column, rows in sides)
        return sum(map(ne, left, right))
    return sum(map(ne, *(map(column.__getitem__, rows) for column, rows in sides)))


def held_out_rows(keys: Sequence[RowKey], held_out: Collection[RowKey]) -> list[bool]:
    """For each row whether it is among `held_out`; by file name if no path agrees and names are unique."""
    if not held_out:
        return [False] * len(keys)
    wanted = set(held_out)
    flags = [key in wanted for key in keys]
    if any(flags):
        return flags
    named = {_named(key) for key in wanted}
    if len(named) < len(wanted):
        return flags
    rows = Counter(map(_named, keys))
    return [_named(key) in named and rows[_named(key)] == 1 for key in keys]


def _in_order(keys_a: Sequence[Hashable], keys_b: Sequence[Hashable]) -> dict[int, int]:
    """Rows of A to rows of B with the same key; one that stands more than once in the rows' order."""
    places = dict(zip(keys_b, count(), strict=False))
    if len(places) == len(keys_b) and len(set(keys_a)) == len(keys_a):
        return {index: places[key] for index, key in enumerate(keys_a) if key in places}
    waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for index, key in enumerate(keys_b):
        waiting[key].append(index)
    return {index: waiting[key].popleft() for index, key in enumerate(keys_a) if waiting.get(key)}


def _unique(names_a: dict[int, Hashable], names_b: dict[int, Hashable]) -> Iterable[tuple[int, int]]:
    places = _single(names_b)
    return ((index, places[name]) for name, index in _single(names_a).items() if name in places)


def _single(names: dict[int, Hashable]) -> dict[Hashable, int]:
    counts = Counter(names.values())
    return {name: index for index, name in names.items() if counts[name] == 1}


def _names(rows: Hypotheses, indices: Iterable[int]) -> dict[int, Hashable]:
    return {
        index: (*_named((rows.audio_filepath[index], rows.term[index])), rows.reference[index])
        for index in indices
        if rows.audio_filepath[index]
    }


def _named(key: RowKey) -> RowKey:
    return file_name(key[0]), key[1]
