"""Read TensorBoard event files while they grow: scalars only, nothing sampled away.

A record is an 8-byte little-endian length, its masked CRC-32C, the payload (a protobuf `Event`) and
the payload's masked CRC-32C. Both checksums of every record are verified. A damaged stretch is
counted and skipped up to the next record whose header proves itself; a record cut off at the end
waits for its rest.

A small run is read record by record in plain Python. Once a file has cost about as much time as loading
numpy would, its larger pieces are read in bulk (`event_bulk`), with the same result.
"""

from __future__ import annotations

import re
import struct
import sys

from clinasr_tui.training.crc32c import masked_crc32c
from clinasr_tui.training.event_proto import FLOAT, parse_event, signed, simple_shape, varint, wall_at
from clinasr_tui.training.scalars import Scalars

MAX_RECORD = 64 << 20
"""Longest payload believed, bytes; NeMo's own records are below 10 kB."""
BULK_AFTER = 1 << 20
"""Bytes after which a file's larger pieces are read with numpy: about 80 ms of plain reading."""
BULK_LEAST = 1 << 13
"""Smallest piece, bytes, worth reading in bulk."""
BULK_FIRST = 1 << 16
"""The same while numpy is not loaded yet: what a running run appends does not wait for that."""

_PIECE = 1 << 20
_HEADER = 12
_FRAME = 16
_MAX_REMEMBERED = 4096
_NOT_ZERO = re.compile(rb"[^\x00]")
_UINT32 = struct.Struct("<I").unpack_from
_UINT64 = struct.Struct("<Q").unpack_from


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
        self._fed = 0
        self._need = _HEADER
        self._lost = False
        self._lengths: dict[bytes, int] = {}
        self._shapes: dict[bytes, str] = {}

    def feed(self, data: bytes) -> Scalars:
        """Take the next bytes; return the scalars of the records they complete."""
        scalars = Scalars()
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._fed += len(piece)
            self._buffer += piece
            if len(self._buffer) >= self._need:
                block = bytes(self._buffer)
                least = BULK_LEAST if "numpy" in sys.modules else BULK_FIRST
                bulk = self._fed >= BULK_AFTER and len(block) >= least
                begin = self._read_bulk(block, scalars) if bulk and not self._lost else 0
                del self._buffer[: self._read(block, begin, scalars)]
        return scalars

    def _read(self, block: bytes, position: int, scalars: Scalars) -> int:
        """Read whole records from `position` on; return how many bytes of `block` are done with."""
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

    def _read_bulk(self, block: bytes, scalars: Scalars) -> int:
        """Read whole records until one is damaged; return where to go on record by record."""
        from clinasr_tui.training import event_bulk

        framed, stop = self._frame(block)
        bulk = event_bulk.read_bulk(block, framed, self._shape_of)
        if bulk.bad is not None:
            stop = bulk.bad
        for position in bulk.others:
            if position >= stop:
                break
            end = position + _HEADER + self._lengths[block[position : position + _HEADER]]
            payload = block[position + _HEADER : end]
            if masked_crc32c(payload) != _UINT32(block, end)[0]:
                stop = position
                break
            single = Scalars()
            self._decode(payload, single)
            # Several values of one record keep their order; a record is longer than they are many.
            for place, (tag, step, wall, value) in enumerate(single.points(), position):
                bulk.singles.setdefault(tag, []).append((place, step, wall, value))
        for wall in bulk.give(scalars, stop):
            self._see(wall)
        return stop

    def _frame(self, block: bytes) -> tuple[dict[int, list[int]], int]:
        """Positions of the whole records by payload length, up to the first whose header does not hold."""
        framed: dict[int, list[int]] = {}
        lengths = self._lengths
        position, end = 0, len(block)
        while True:
            header = block[position : position + _HEADER]
            length = lengths.get(header)
            if length is None:
                length = self._length(header) if len(header) == _HEADER else None
                if length is None or header not in lengths:
                    return framed, position
            stop = position + _FRAME + length
            if stop > end:
                return framed, position
            if length in framed:
                framed[length].append(position)
            else:
                framed[length] = [position]
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

    def _decode(self, payload: bytes, scalars: Scalars) -> None:
        """Append the payload's scalars. The usual shape, one simple value, is recognised by its bytes."""
        try:
            if len(payload) > 15 and payload[0] == 0x09:
                step, after = varint(payload, 10) if payload[9] == 0x10 else (0, 9)
                tag = self._shapes.get(payload[after:-4])
                if tag is not None:
                    wall = wall_at(payload, 1)
                    self._see(wall)
                    value = FLOAT(payload, len(payload) - 4)[0]
                    scalars.column(tag).append(signed(step), wall, value)
                    return
            event = parse_event(payload)
        except (ValueError, IndexError, struct.error):
            self.damaged += 1
            return
        self._see(event.wall)
        for tag, value in event.scalars:
            scalars.column(tag).append(event.step, event.wall, value)
        if len(event.scalars) == 1:
            self._remember(payload, event.scalars[0][0])

    def _remember(self, payload: bytes, tag: str) -> None:
        """Keep the bytes between step and value if they alone say "one simple value of this tag"."""
        shape = simple_shape(tag)
        if (
            shape is not None
            and payload[-4 - len(shape) : -4] == shape
            and len(self._shapes) < _MAX_REMEMBERED
        ):
            self._shapes[shape] = tag

    def _shape_of(self, payload: bytes) -> tuple[str, int] | None:
        """Tag of a payload of the usual shape and where the bytes after its step begin, else None."""
        try:
            if len(payload) <= 15 or payload[0] != 0x09:
                return None
            after = varint(payload, 10)[1] if payload[9] == 0x10 else 9
            shape = payload[after:-4]
            if shape not in self._shapes:
                scalars = parse_event(payload).scalars
                if len(scalars) == 1:
                    self._remember(payload, scalars[0][0])
        except (ValueError, IndexError, struct.error):
            return None
        tag = self._shapes.get(shape)
        return None if tag is None else (tag, after)

    def _see(self, wall: float) -> None:
        if wall > 0:
            if self.first_wall is None or wall < self.first_wall:
                self.first_wall = wall
            if self.last_wall is None or wall > self.last_wall:
                self.last_wall = wall
