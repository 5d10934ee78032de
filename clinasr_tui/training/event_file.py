"""Read TensorBoard event files while they grow: scalars only, nothing sampled away.

A record is an 8-byte little-endian length, its masked CRC-32C, the payload (a protobuf `Event`) and
the payload's masked CRC-32C. Both checksums of every record are verified. A damaged stretch is
counted and skipped up to the next record whose header proves itself; a record cut off at the end
waits for its rest.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from clinasr_tui.training.crc32c import masked_crc32c

MAX_RECORD = 64 << 20
"""Longest payload believed, bytes; NeMo's own records are below 10 kB."""

_HEADER = 12
_FRAME = 16
_MAX_REMEMBERED = 4096
_NOT_ZERO = re.compile(rb"[^\x00]")
_UINT32 = struct.Struct("<I").unpack_from
_UINT64 = struct.Struct("<Q").unpack_from
_FLOAT = struct.Struct("<f").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from


class Scalar(NamedTuple):
    """One logged value. `step` is 0-based, `wall` in Unix seconds; the value may be NaN or infinite."""

    tag: str
    step: int
    wall: float
    value: float


class EventFileReader:
    """Incremental reader of one event file. Feeding the same bytes in other slices gives the same scalars."""

    def __init__(self) -> None:
        self.damaged = 0
        """Damaged stretches and undecodable events met so far."""
        self.first_wall: float | None = None
        """Unix seconds of the earliest event."""
        self.last_wall: float | None = None
        """Unix seconds of the latest event."""
        self._buffer = bytearray()
        self._need = _HEADER
        self._lost = False
        self._lengths: dict[bytes, int] = {}
        self._shapes: dict[bytes, str] = {}

    def feed(self, data: bytes) -> list[Scalar]:
        """Take the next bytes; return the scalars of the records they complete, in file order."""
        self._buffer += data
        scalars: list[Scalar] = []
        if len(self._buffer) >= self._need:
            done = self._read(bytes(self._buffer), scalars)
            del self._buffer[:done]
        return scalars

    def _read(self, block: bytes, scalars: list[Scalar]) -> int:
        """Read whole records from `block`; return how many of its bytes are done with."""
        position = 0
        end = len(block)
        while True:
            if self._lost:
                position, self._lost = self._find_header(block, position)
                if self._lost:
                    self._need = end - position + 1
                    return position
            if position + _HEADER > end:
                self._need = _HEADER
                return position
            length = self._length(block[position : position + _HEADER])
            if length is None:
                self._damage()
                position += 1
                continue
            stop = position + _FRAME + length
            if stop > end:
                self._need = stop - position
                return position
            payload = block[position + _HEADER : stop - 4]
            if masked_crc32c(payload) != _UINT32(block, stop - 4)[0]:
                self._damage()
                position += _HEADER
                continue
            self._decode(payload, scalars)
            position = stop

    def _damage(self) -> None:
        self.damaged += 1
        self._lost = True

    def _length(self, header: bytes) -> int | None:
        """Payload length if the header's checksum holds, else None. Headers repeat: they are remembered."""
        length = self._lengths.get(header)
        if length is None:
            length = int(_UINT64(header)[0])
            if length > MAX_RECORD or masked_crc32c(header[:8]) != _UINT32(header, 8)[0]:
                return None
            if len(self._lengths) < _MAX_REMEMBERED:
                self._lengths[header] = length
        return length

    def _find_header(self, block: bytes, start: int) -> tuple[int, bool]:
        """Next position from `start` that holds a proven header, and whether still lost.

        While lost, the position is the first one that cannot be judged before more bytes come. The
        upper half of every believed length is zero, which is what the search looks for.
        """
        position = start
        while True:
            zeros = block.find(b"\0\0\0\0", position + 4)
            if zeros < 0:
                return max(position, len(block) - 7), True
            position = zeros - 4
            if position + _HEADER > len(block):
                return position, True
            header = block[position : position + _HEADER]
            if self._length(header) is not None:
                return position, False
            position += 1
            if not any(header):
                byte = _NOT_ZERO.search(block, position)
                position = max(position, (byte.start() if byte else len(block)) - _HEADER + 1)

    def _decode(self, payload: bytes, scalars: list[Scalar]) -> None:
        """Append the payload's scalars. The usual shape, one simple value, is recognised by its bytes."""
        try:
            if len(payload) > 15 and payload[0] == 0x09:
                wall = _wall(payload, 1)
                step, after = _varint(payload, 10) if payload[9] == 0x10 else (0, 9)
                tag = self._shapes.get(payload[after:-4])
                if tag is not None:
                    self._see(wall)
                    scalars.append(Scalar(tag, _signed(step), wall, _FLOAT(payload, len(payload) - 4)[0]))
                    return
            self._decode_any(payload, scalars)
        except (ValueError, IndexError, struct.error):
            self.damaged += 1

    def _decode_any(self, payload: bytes, scalars: list[Scalar]) -> None:
        wall, step, summaries = 0.0, 0, []
        for number, value in _fields(payload):
            if number == 1 and isinstance(value, bytes):
                wall = _wall(value, 0)
            elif number == 2 and isinstance(value, int):
                step = _signed(value)
            elif number == 5 and isinstance(value, bytes):
                summaries.append(value)
        self._see(wall)
        found = [
            Scalar(tag, step, wall, value)
            for summary in summaries
            for tag, value in _summary_scalars(summary)
        ]
        scalars += found
        if len(found) == 1 and len(self._shapes) < _MAX_REMEMBERED:
            self._remember(payload, found[0])

    def _remember(self, payload: bytes, scalar: Scalar) -> None:
        """Keep the bytes between step and value if they alone say "one simple value of this tag"."""
        raw = scalar.tag.encode()
        tag = b"\x0a" + _length_prefix(raw) + raw + b"\x15"
        inner = b"\x0a" + bytes([len(tag) + 4 & 0x7F]) + tag
        shape = b"\x2a" + bytes([len(inner) + 4 & 0x7F]) + inner
        if len(inner) + 4 < 0x80 and payload[-4 - len(shape) : -4] == shape:
            self._shapes[shape] = scalar.tag

    def _see(self, wall: float) -> None:
        if wall > 0:
            if self.first_wall is None or wall < self.first_wall:
                self.first_wall = wall
            if self.last_wall is None or wall > self.last_wall:
                self.last_wall = wall


def _wall(data: bytes, position: int) -> float:
    """A wall time; 0 for one that is no time."""
    wall = float(_DOUBLE(data, position)[0])
    return wall if math.isfinite(wall) else 0.0


def _length_prefix(data: bytes) -> bytes:
    return bytes([len(data) & 0x7F])


def _signed(value: int) -> int:
    """A varint is the two's complement of an int64."""
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


def _varint(data: bytes, position: int) -> tuple[int, int]:
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
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            number, position = _varint(data, position)
            yield key >> 3, number
            continue
        if kind == 2:
            size, position = _varint(data, position)
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
                value = float(_FLOAT(content)[0])
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
