"""What the method needs of an audio file: its header, and its outline for a waveform."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.audio_header import AudioInfo, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    import soundfile

__all__ = ["AudioError", "AudioInfo", "probe", "waveform"]

# libsndfile's word for a FLAC stream that does not say its length.
_UNKNOWN_FRAMES = 1 << 62


class AudioError(InputError):
    """An audio file cannot be used; `id` is pre-flight's: missing_audio, empty_audio, unreadable_audio."""

    def __init__(self, audio_id: str, what: str, *, path: str | Path, remedy: str) -> None:
        self.id = audio_id
        super().__init__(what, where=str(path), remedy=remedy)


def probe(path: str | Path) -> AudioInfo:
    """Read an audio file's header. Raises AudioError.

    A file without samples is empty_audio. A FLAC file that ends before its header says is
    unreadable_audio; of such a WAV file the length is what is there, for that is what NeMo reads.
    """
    size = _expect_content(path)
    try:
        info = read_header(path, size)
    except OSError as error:
        raise _unreadable(path, error.strerror or "unknown reason") from None
    return info or _probe_with_libsndfile(path)


def _probe_with_libsndfile(path: str | Path) -> AudioInfo:
    import soundfile

    with _opened(path) as sound:
        rate, frames = sound.samplerate, sound.frames
        if frames >= _UNKNOWN_FRAMES:
            raise _unreadable(path, "its header does not say how long it is")
        if sound.format == "FLAC":
            try:
                sound.seek(frames - 1)
                whole = len(sound.read(1, dtype="int16", always_2d=True)) == 1
            except soundfile.SoundFileError:
                whole = False
            if not whole:
                raise _unreadable(path, "it ends before its header says")
        return AudioInfo(frames / rate, rate, sound.channels, frames, f"{sound.format} {sound.subtype}")


def waveform(path: str | Path, columns: int) -> list[tuple[float, float]]:
    """Lowest and highest sample (−1 to 1, over all channels) of each of `columns` equal stretches.

    No peak is lost to thinning; where there are more columns than samples, samples repeat. The file
    is read stretch by stretch, so its length does not matter for memory. Raises AudioError.
    """
    peaks: list[tuple[float, float]] = []
    with _opened(path) as sound:
        edges = [column * sound.frames // max(columns, 1) for column in range(columns + 1)]
        for start, stop in pairwise(edges):
            if stop > start:
                block = sound.read(stop - start, dtype="float32", always_2d=True)
                if not len(block):
                    break
                latest = (float(block.min()), float(block.max()))
            elif not peaks:
                latest = (0.0, 0.0)
            peaks.append(latest)
    return peaks + [(0.0, 0.0)] * (columns - len(peaks))


@contextmanager
def _opened(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """An open audio file that has samples; whatever goes wrong becomes an AudioError."""
    import soundfile

    _expect_content(path)
    try:
        with soundfile.SoundFile(path) as sound:
            if sound.frames <= 0:
                raise _empty(path)
            yield sound
    except (soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "error_string", "") or getattr(error, "strerror", "") or "unknown reason"
        raise _unreadable(path, str(reason).rstrip(". ")) from None


def _expect_content(path: str | Path) -> int:
    """The file's size in bytes. Raises AudioError unless it is a regular file with something in it."""
    try:
        status = os.stat(path)  # noqa: PTH116  (a million paths, and making a Path costs as much again)
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError(
            "missing_audio", "no such audio file", path=path, remedy="Make it, or remove the row"
        ) from None
    except OSError as error:
        raise _unreadable(path, error.strerror or "unknown reason") from None
    except ValueError:
        raise _unreadable(path, "this is no usable path") from None
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(path, "not a regular file")
    if status.st_size == 0:
        raise _empty(path)
    return status.st_size


def _empty(path: str | Path) -> AudioError:
    return AudioError("empty_audio", "the audio file is empty", path=path, remedy="Make it again")


def _unreadable(path: str | Path, reason: str) -> AudioError:
    return AudioError(
        "unreadable_audio", f"the audio cannot be read ({reason})", path=path, remedy="Make it again"
    )
