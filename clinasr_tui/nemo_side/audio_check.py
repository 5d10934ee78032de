"""Why an audio file cannot be transcribed, from its header alone; sent beside transcribe.py.

It runs under the Python of NeMo's container: the standard library, plain os calls, no `X | Y` at run time.
"""

# ruff: noqa: PTH123, UP031

import os
import stat
import struct
from typing import Any


class AudioFault(Exception):  # noqa: N818 (why a row cannot be transcribed)
    """Why a file cannot be transcribed."""


def seconds_of(path: str) -> float:
    """Length of an audio file by its header. Raises AudioFault: NeMo would lose the whole batch over it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (a named pipe would be waited for)
            raise AudioFault("it is no file")
        with open(path, "rb") as stream:
            head = stream.read(64)
            size = os.fstat(stream.fileno()).st_size
            if not head:
                raise AudioFault("the file is empty")
            if head[:4] == b"fLaC":
                return flac_seconds(head)
            if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
                return wav_seconds(stream, size)
    except OSError as error:
        raise AudioFault(error.strerror or "cannot be read") from None
    except ValueError:
        raise AudioFault("its path cannot be a file's") from None
    return other_seconds(path)


def expect_mono(channels: int) -> None:
    """NeMo refuses more than one channel."""
    if channels != 1:
        raise AudioFault("it has %d channels, not one" % channels)


def flac_seconds(head: bytes) -> float:
    """From the STREAMINFO block, which comes first."""
    if len(head) < 26 or head[4] & 0x7F != 0:
        raise AudioFault("a damaged FLAC file")
    (packed,) = struct.unpack(">Q", head[18:26])
    rate, channels, samples = int(packed >> 44), int(packed >> 41 & 7) + 1, int(packed & (1 << 36) - 1)
    expect_mono(channels)
    if not rate:
        raise AudioFault("a damaged FLAC file")
    return float(samples) / rate


def wav_seconds(stream: "Any", size: int) -> float:
    """From the chunks `fmt ` and `data`."""
    stream.seek(12)
    per_second: int = 0
    while True:
        header = stream.read(8)
        if len(header) < 8:
            raise AudioFault("a WAV file without samples")
        name, length = struct.unpack("<4sI", header)
        if name == b"fmt ":
            content = stream.read(length)
            if len(content) < 16:
                raise AudioFault("a damaged WAV file")
            _, channels, _, per_second = struct.unpack("<HHII", content[:12])
            expect_mono(channels)
        elif name == b"data":
            there = min(int(length), size - int(stream.tell()))
            if there <= 0 or not per_second:
                raise AudioFault("a WAV file without samples")
            return there / per_second
        else:
            stream.seek(length + length % 2, 1)


def other_seconds(path: str) -> float:
    """Other formats are left to the library NeMo brings."""
    try:
        import soundfile

        info = soundfile.info(path)
    except Exception as error:
        raise AudioFault("unreadable: %s" % error) from None
    expect_mono(info.channels)
    return float(info.frames) / float(info.samplerate)
