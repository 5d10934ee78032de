"""The protobuf of an event-file record: wall time, step and the scalars of its summary."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

FLOAT = struct.Struct("<f").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from


class Event(NamedTuple):
    """What a record says: Unix seconds (0 if it says none), 0-based step, tag and value of each scalar."""

    wall: float
    step: int
    scalars: list[tuple[str, float]]


def parse_event(payload: bytes) -> Event:
    """Read an `Event` message. Raises ValueError, IndexError or struct.error if it is none."""
    wall, step = 0.0, 0
    scalars: list[tuple[str, float]] = []
    for number, value in _fields(payload):
        if number == 1 and isinstance(value, bytes):
            wall = wall_at(value, 0)
        elif number == 2 and isinstance(value, int):
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            scalars += _summary_scalars(value)
    return Event(wall, step, scalars)


def simple_shape(tag: str) -> bytes | None:
    """The bytes between step and value of an event with one simple value; None if its tag is too long."""
    raw = tag.encode()
    if len(raw) > 118:  # a length of one byte no longer holds it
        return None
    inner = b"\x0a" + bytes([len(raw) + 7]) + b"\x0a" + bytes([len(raw)]) + raw + b"\x15"
    return b"\x2a" + bytes([len(inner) + 4]) + inner


def wall_at(data: bytes, position: int) -> float:
    """A wall time; 0 for one that is no time."""
    wall = float(_DOUBLE(data, position)[0])
    return wall if math.isfinite(wall) else 0.0


def signed(value: int) -> int:
    """A varint is the two's complement of an int64."""
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


def varint(data: bytes, position: int) -> tuple[int, int]:
    """Value and the position after it. Raises ValueError or IndexError if it has no end."""
    value = data[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("varint longer than ten bytes")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value (int for varints, else its bytes) of a protobuf message."""
    position, end = 0, len(data)
    while position < end:
        key, position = varint(data, position)
        kind = key & 7
        if kind == 0:
            number, position = varint(data, position)
            yield key >> 3, number
            continue
        if kind == 2:
            size, position = varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > end:
            raise ValueError("field runs past the end")
        yield key >> 3, data[position : position + size]
        position += size


def _summary_scalars(summary: bytes) -> Iterator[tuple[str, float]]:
    """Tag and value of each scalar of a `Summary` message; images, histograms and texts are passed over."""
    for number, item in _fields(summary):
        if number != 1 or not isinstance(item, bytes):
            continue
        tag, value = "", None
        for inner, content in _fields(item):
            if not isinstance(content, bytes):
                continue
            if inner == 1:
                tag = content.decode("utf-8", "replace")
            elif inner == 2:
                value = float(FLOAT(content)[0])
            elif inner == 8:
                value = _tensor_scalar(content)
        if value is not None:
            yield tag, value


def _tensor_scalar(tensor: bytes) -> float | None:
    """The value of a `TensorProto` that holds one float or double, else None."""
    kinds = {1: ("<f", 4), 2: ("<d", 8)}
    dtype, content = 0, b""
    for number, value in _fields(tensor):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            content = value
    form, size = kinds.get(dtype, ("", -1))
    return float(struct.unpack(form, content)[0]) if len(content) == size else None
