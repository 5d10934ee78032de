"""Pre-flight of one part of a manifest: lines between two byte offsets, and their audio."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

from clinasr_tui.flywheel.files import numbered_lines, open_input
from clinasr_tui.flywheel.preflight_findings import Findings
from clinasr_tui.flywheel.preflight_rows import RowAudio, RowChecks, check_audio
from clinasr_tui.flywheel.progress import Progress, report

_ROWS_PER_REPORT = 1024
_ROWS_PER_REPORT_WITH_AUDIO = 64
# Threads hide the latency of shared disks; from a local disk few are as quick.
_AUDIO_THREADS = 8
DIGEST = 16
"""Bytes that stand for a place: too many for two places to share them by chance."""


class Span(NamedTuple):
    """A part of a file: the lines that begin at bytes `start` to `stop` (excluded)."""

    start: int
    stop: int


class Part(NamedTuple):
    """What was found in a part. Lines count from 1 at its beginning, but from 2 behind the first part.

    For only the file's line 1 may begin with a byte-order mark.
    """

    rows: int
    lines: int
    """All lines, blank ones included."""
    findings: Findings
    audio: bytes
    """`DIGEST` bytes for the place of each row's audio."""
    audio_lines: array[int]
    """The lines of those rows."""


def check_part(
    data: Path, manifest: Path, span: Span, look: bool, *, progress: Progress | None = None
) -> Part:
    """Check the lines of `data` in `span`; the audio files too if `look`.

    `manifest` is where relative audio paths start from. Raises InputError if `data` cannot be read and
    InterruptedError if `progress` says so.
    """
    findings = Findings()
    checks = RowChecks(manifest, findings)
    places, place_lines, rows = bytearray(), array("Q"), 0
    waiting: list[tuple[int, RowAudio]] = []
    step = _ROWS_PER_REPORT_WITH_AUDIO if look else _ROWS_PER_REPORT
    with open_input(data, "manifest") as stream, ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_AUDIO_THREADS, "audio-headers")) if look else None
        lines = _Lines(stream, span)
        for line, raw in numbered_lines(lines, 2 if span.start else 1):
            rows += 1
            audio = checks.row(raw, line)
            if audio is not None:
                places += blake2b(audio[0].encode(errors="surrogatepass"), digest_size=DIGEST).digest()
                place_lines.append(line)
                waiting.append((line, audio))
            if rows % step == 0:
                _look(waiting, pool, findings)
                report(progress, lines.fraction, "pre-flight")
        _look(waiting, pool, findings)
    return Part(rows, lines.count, findings, bytes(places), place_lines)


def _look(waiting: list[tuple[int, RowAudio]], pool: ThreadPoolExecutor | None, findings: Findings) -> None:
    """Look at the audio of the rows that wait for it, some rows a thread."""
    if pool is not None:
        shares = [waiting[at : at + _AUDIO_THREADS] for at in range(0, len(waiting), _AUDIO_THREADS)]
        for found in pool.map(check_audio, shares):
            for each in found:
                findings.add(*each)
    waiting.clear()


class _Lines:
    """The raw lines of a span, with the place reached."""

    def __init__(self, stream: BinaryIO, span: Span) -> None:
        stream.seek(span.start)
        self._stream, self._span = stream, span
        self._position = span.start
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for raw in self._stream:
            self._position += len(raw)
            self.count += 1
            yield raw
            if self._position >= self._span.stop:
                return

    @property
    def fraction(self) -> float:
        """How much of the span has been read."""
        length = self._span.stop - self._span.start
        return min((self._position - self._span.start) / length, 1.0) if length else 1.0
