"""Write TensorBoard event records by hand, with an independent bit-wise CRC-32C."""

from __future__ import annotations

import struct


def crc32c(data: bytes) -> int:
    """One bit at a time: slow and plainly right."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(payload: bytes) -> bytes:
    header = struct.pack("<Q", len(payload))
    return header + masked(header) + payload + masked(payload)


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def summary(tag: str, value: float) -> bytes:
    return field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))


def event(step: int, wall: float, *values: bytes) -> bytes:
    """An Event payload; step 0 is not encoded, as protobuf does it."""
    head = b"\x09" + struct.pack("<d", wall) + (b"\x10" + varint(step) if step else b"")
    return head + field(5, b"".join(values))


def scalar(tag: str, step: int, wall: float, value: float) -> bytes:
    """A whole record with one scalar."""
    return record(event(step, wall, summary(tag, value)))
