"""Many event records at once, with numpy: framing is done, checksums and values are still to come.

A run logs the same few tags over and over. Records of one length and one tag differ only in wall time,
step and value, so a whole column of them is checked and decoded together: the constant bytes are compared,
and since CRC-32C is linear, the checksum is that of the constant bytes xor one table entry for every byte
that varies. What has another shape is left to the caller, record by record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clinasr_tui.training.crc32c import TABLE, crc32c

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clinasr_tui.training.scalars import Scalars

    _Bytes = NDArray[np.uint8]

HEADER = 12
LONGEST = 256
"""Longest payload read in bulk, bytes."""

_FEW = 8
_WALL = 1
_STEP = 10
_VALUE = 4


class _Part(NamedTuple):
    """Records of one tag, in file order."""

    positions: NDArray[np.int64]
    """Where in the block each record begins."""
    steps: NDArray[np.int64]
    walls: NDArray[np.float64]
    values: NDArray[np.float64]

    def only(self, index: slice | NDArray[np.int64]) -> _Part:
        """Some of the records."""
        return _Part(self.positions[index], self.steps[index], self.walls[index], self.values[index])

    def before(self, stop: int) -> _Part:
        """The records that begin before `stop`."""
        return self.only(slice(int(np.searchsorted(self.positions, stop))))


class Bulk:
    """What has been read of a block."""

    def __init__(self) -> None:
        self.bad: int | None = None
        """Position of the first record read here whose payload's checksum is wrong."""
        self.others: list[int] = []
        """Positions, ascending, of the records left to be read one by one."""
        self.singles: dict[str, list[tuple[int, int, float, float]]] = {}
        """What was found in those, by tag: position, step, wall time and value, in file order."""
        self.parts: dict[str, list[_Part]] = {}

    def give(self, scalars: Scalars, stop: int) -> list[float]:
        """Append what stands before `stop`, singles included; the earliest and latest wall time."""
        parts = {tag: [part.before(stop) for part in of_tag] for tag, of_tag in self.parts.items()}
        for tag, singles in self.singles.items():
            parts.setdefault(tag, []).append(_part(singles))
        known = [walls for of_tag in parts.values() for _, _, walls, _ in of_tag]
        walls = np.concatenate([np.empty(0), *known])
        walls = walls[walls > 0]
        merged = [(tag, _merged(of_tag)) for tag, of_tag in parts.items()]
        for tag, part in sorted((one for one in merged if len(one[1].steps)), key=_first_position):
            columns = scalars.column(tag)
            columns.steps.frombytes(part.steps.tobytes())
            columns.walls.frombytes(part.walls.tobytes())
            columns.values.frombytes(part.values.tobytes())
        return [float(walls.min()), float(walls.max())] if len(walls) else []


def _first_position(one: tuple[str, _Part]) -> int:
    return int(one[1].positions[0])


def _part(singles: list[tuple[int, int, float, float]]) -> _Part:
    positions, steps, walls, values = zip(*singles, strict=True)
    return _Part(np.array(positions), np.array(steps, np.int64), np.array(walls), np.array(values))


def _merged(parts: list[_Part]) -> _Part:
    """Parts of one tag as one, in file order."""
    if len(parts) == 1:
        return parts[0]
    whole = _Part(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.walls for part in parts]),
        np.concatenate([part.values for part in parts]),
    )
    return whole.only(np.argsort(whole.positions, kind="stable"))


def read_bulk(
    block: bytes, framed: dict[int, list[int]], shape_of: Callable[[bytes], tuple[str, int] | None]
) -> Bulk:
    """Read records by payload length; `framed` holds the positions of each length, ascending.

    `shape_of` gives the tag of a payload with one simple value and where the bytes after its step begin,
    None for any other payload.
    """
    bulk = Bulk()
    data = np.frombuffer(block, np.uint8)
    for length, starts in framed.items():
        if length > LONGEST or len(starts) < _FEW:
            bulk.others += starts
            continue
        positions = np.array(starts, np.int64)
        rows = np.lib.stride_tricks.sliding_window_view(data, length + 4)[positions + HEADER]
        _read_group(rows, positions, shape_of, bulk)
    bulk.others.sort()
    return bulk


def _read_group(
    rows: _Bytes,
    positions: NDArray[np.int64],
    shape_of: Callable[[bytes], tuple[str, int] | None],
    bulk: Bulk,
) -> None:
    """Records of one length: peel off one tag after the other."""
    misses = 0
    while len(rows) >= _FEW and misses < _FEW:
        first = rows[0, :-4].tobytes()
        shape = shape_of(first)
        if shape is None:
            misses += 1
            bulk.others.append(int(positions[0]))
            rows, positions = rows[1:], positions[1:]
            continue
        tag, after = shape
        alike = _alike(rows, first, after)
        if alike.all():
            same, where = rows, positions
            rows = rows[:0]
        else:
            same, where = rows[alike], positions[alike]
            rows, positions = rows[~alike], positions[~alike]
        _decode(same, where, tag, after, bulk)
    if len(rows):
        bulk.others += positions.tolist()


def _alike(rows: _Bytes, first: bytes, after: int) -> NDArray[np.bool_]:
    """Which rows have the first one's constant bytes and a step of as many bytes."""
    constant = np.frombuffer(first, np.uint8)[after:-_VALUE]
    alike: NDArray[np.bool_] = (rows[:, after : -4 - _VALUE] == constant).all(axis=1)
    alike &= rows[:, 0] == first[0]
    if after >= _STEP:
        alike &= rows[:, _STEP - 1] == first[_STEP - 1]
        alike &= rows[:, after - 1] < 0x80
        if after - 1 > _STEP:
            alike &= (rows[:, _STEP : after - 1] >= 0x80).all(axis=1)
    return alike


def _decode(rows: _Bytes, positions: NDArray[np.int64], tag: str, after: int, bulk: Bulk) -> None:
    """Check and decode rows that differ in wall time, step and value only."""
    end = rows.shape[1] - 4
    varying = [*range(_WALL, _WALL + 8), *range(_STEP, after), *range(end - _VALUE, end)]
    stored = np.ascontiguousarray(rows[:, end:]).view("<u4")[:, 0]
    wrong = np.flatnonzero(_masked_crcs(rows, end, varying) != stored)
    if len(wrong):
        bad = int(positions[wrong[0]])
        bulk.bad = bad if bulk.bad is None else min(bad, bulk.bad)
    steps = np.zeros(len(rows), np.int64)
    for place, column in enumerate(range(_STEP, after)):
        steps |= (rows[:, column] & 0x7F).astype(np.int64) << 7 * place
    walls = np.ascontiguousarray(rows[:, _WALL : _WALL + 8]).view("<f8")[:, 0].astype(np.float64)
    walls[~np.isfinite(walls)] = 0.0
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        values = np.ascontiguousarray(rows[:, end - _VALUE : end]).view("<f4")[:, 0].astype(np.float64)
    bulk.parts.setdefault(tag, []).append(_Part(positions, steps, walls, values))


def _masked_crcs(rows: _Bytes, length: int, varying: list[int]) -> NDArray[np.uint32]:
    """Masked CRC-32C of each row's first `length` bytes, of which only those at `varying` vary."""
    tables = _tables()
    constant = bytearray(rows[0, :length].tobytes())
    for column in varying:
        constant[column] = 0
    crcs = np.full(len(rows), crc32c(bytes(constant)), np.uint32)
    for column in varying:
        crcs ^= tables[length - 1 - column][rows[:, column]]
    turned = (crcs >> 15) | (crcs << 17)
    return (turned + 0xA282EAD8).astype(np.uint32)


_distances: list[NDArray[np.uint32]] = []


def _tables() -> list[NDArray[np.uint32]]:
    """What a byte adds to the CRC when 0, 1, 2, … bytes follow it."""
    if not _distances:
        first = np.array(TABLE, np.uint32)
        table = first
        for _ in range(LONGEST):
            _distances.append(table)
            table = (table >> 8) ^ first[table & 0xFF]
    return _distances
