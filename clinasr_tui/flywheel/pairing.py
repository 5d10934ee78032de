"""Which row of one cycle is which row of another, and which rows were held out of training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinasr_tui.flywheel.hypotheses import Hypotheses

RowKey = tuple[str, str]
"""(audio_filepath, term)."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Rows of set A and of set B, index beside index, in the order of A."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    by_name: int
    """Pairs found by file name, term and reference because their folders differ."""


def row_keys(rows: Hypotheses) -> list[RowKey]:
    """The key of every row."""
    return list(zip(rows.audio_filepath, rows.term, strict=True))


def pair_rows(a: Hypotheses, b: Hypotheses) -> Pairing:
    """Match rows on (audio_filepath, term), repeated keys in their order.

    Rows left over are matched by file name, term and reference where those are unique on both sides:
    a re-evaluation in a container sees the same audio under another folder.
    """
    found = dict(_in_order(row_keys(a), row_keys(b)))
    taken = set(found.values())
    left_a = [index for index in range(len(a)) if index not in found]
    left_b = [index for index in range(len(b)) if index not in taken]
    renamed = dict(_unique(_names(a, left_a), _names(b, left_b)))
    found |= renamed
    order = sorted(found)
    return Pairing(tuple(order), tuple(found[index] for index in order), len(renamed))


def held_out_rows(keys: Sequence[RowKey], held_out: Collection[RowKey]) -> list[bool]:
    """For each row whether it is among `held_out`; by file name if no path agrees and names are unique."""
    wanted = set(held_out)
    flags = [key in wanted for key in keys]
    if any(flags):
        return flags
    named = {_named(key) for key in wanted}
    if len(named) < len(wanted):
        return flags
    rows = Counter(map(_named, keys))
    return [_named(key) in named and rows[_named(key)] == 1 for key in keys]


def _in_order(keys_a: Sequence[Hashable], keys_b: Sequence[Hashable]) -> Iterable[tuple[int, int]]:
    waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index in range(len(keys_b) - 1, -1, -1):
        waiting[keys_b[index]].append(index)
    for index, key in enumerate(keys_a):
        if waiting.get(key):
            yield index, waiting[key].pop()


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
    return key[0].replace("\\", "/").rsplit("/", 1)[-1], key[1]
