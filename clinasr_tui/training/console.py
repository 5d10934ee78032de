"""Cut a console's bytes into messages, fold progress bars away, give every line a level.

Bars come with `\\r`, twice a batch; NeMo's lines and Lightning's "Epoch N, global step" are glued to
the end of a bar. So: split on both `\\r` and `\\n`, search, never anchor. Positions are kept in bytes;
texts are decoded only where a fact needs them.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from clinasr_tui.training.facts import Facts
from clinasr_tui.training.snapshot import Level

MAX_PIECE = 1 << 18
"""A piece without line break longer than this (bytes) is cut, so that memory stays bounded."""

_NEMO = re.compile(rb"\[NeMo ([A-Z]) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^\]\n]{0,80}\] ?")
_BAR = re.compile(
    rb"(?:\x1b\[[0-9;]*[A-Z])*([^|]{0,120}?)\|[^|]{0,400}\| *([\d.]+\w?)/([\d.?]+\w?) \[([^\]]{0,400})\]"
)
_COUNTER = re.compile(rb"(?:\x1b\[[0-9;]*[A-Z])*([^|]{0,120}?)\d+it \[[^\]]{0,400}\]")
_EPOCH_BAR = re.compile(rb"Epoch (\d{1,9}):[^|]{0,40}\|[^|]{0,400}\| *(\d{1,12})/(\d{1,12}) \[")
_CURSOR = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_EXCEPTION = re.compile(rb"[A-Za-z_][\w.]*(?:: |:?$)")
_TRACEBACK = b"Traceback (most recent call last):"
_LEVELS = {
    ord("I"): Level.INFO,
    ord("D"): Level.INFO,
    ord("W"): Level.WARNING,
    ord("E"): Level.ERROR,
    ord("C"): Level.ERROR,
}
_BRACKET, _LETTER_E, _SPACE = b"[E "
_WARNING = re.compile(rb"Warning: |\bWARNING\b|\bWARN\b")
_ERROR = re.compile(
    rb"^Error executing job|^(?:FATAL|ERROR|CRITICAL)\b|\bERROR: |^(?:srun|slurmstepd): error:"
)


class LogLine(NamedTuple):
    """One line for the log view: where its bytes stand in the mirrored file, never the text itself."""

    file: str
    """Name of the file in the run folder, relative, as given to `RunReader.feed`."""
    offset: int
    length: int
    level: Level


class _Mode(IntEnum):
    """What an indented line belongs to."""

    PLAIN = 0
    MESSAGE = 1
    TRACEBACK = 2
    EXCEPTION = 3
    """After a traceback's last line: its message may have more lines."""


class ConsoleParser:
    """Incremental parser of one stream. Feeding the same bytes in other slices gives the same lines."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._facts = Facts()
        self._tail = bytearray()
        self._offset = 0
        self._bar = b""
        self._mode = _Mode.PLAIN
        self._level = Level.INFO
        self._informs = False
        self._harmless = False
        self._lines: list[LogLine] = []

    @property
    def facts(self) -> Facts:
        """What the stream has said, up to its last finished line."""
        self._take_bar()
        return self._facts

    def feed(self, data: bytes) -> list[LogLine]:
        """Take the next bytes; return the lines they complete that are worth showing."""
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
        cut = data.rfind(b"\n") + 1
        if cut:
            block = bytes(self._tail) + data[: cut - 1] if self._tail else data[: cut - 1]
            self._tail = bytearray(data[cut:])
            self._block(block)
            self._offset += len(block) + 1
        else:
            self._tail += data
        while len(self._tail) > MAX_PIECE:
            self._piece(bytes(self._tail[:MAX_PIECE]), self._offset)
            del self._tail[:MAX_PIECE]
            self._offset += MAX_PIECE
        lines, self._lines = self._lines, []
        return lines

    def close(self) -> list[LogLine]:
        """No more will come: the unfinished last line counts as finished."""
        return self.feed(b"\n") if self._tail else []

    def _block(self, block: bytes) -> None:
        """Whole pieces. The three shapes most pieces have are told by their first byte."""
        offset = self._offset
        for raw in block.split(b"\n"):
            size = len(raw)
            first = raw[0] if raw else 0
            if first == _BRACKET and raw.startswith(b"[NeMo ") and raw.find(b"[NeMo ", 6) < 0:
                self._message(raw, offset)
            elif first == _LETTER_E and (bar := _bare_bar(raw)):
                self._bar = raw[:bar]
                if bar < size:
                    self._message(raw[bar:], offset + bar)
            elif size > MAX_PIECE:
                for start in range(0, size, MAX_PIECE):
                    self._piece(raw[start : start + MAX_PIECE], offset + start)
            elif first and not (first == _SPACE and raw.isspace()):
                self._piece(raw, offset)
            elif not first and self._mode is _Mode.EXCEPTION:
                self._mode = _Mode.PLAIN
            offset += size + 1

    def _piece(self, raw: bytes, offset: int) -> None:
        """A piece that may hold several messages glued together."""
        match = _NEMO.search(raw) if b"[NeMo " in raw else None
        if match is None or match.start():
            self._plain(raw[: match.start()] if match else raw, offset)
        while match is not None:
            after = _NEMO.search(raw, match.end()) if raw.find(b"[NeMo ", match.end()) > 0 else None
            stop = after.start() if after else len(raw)
            self._message(raw[match.start() : stop], offset + match.start())
            match = after

    def _message(self, raw: bytes, offset: int) -> None:
        """First line of a NeMo message. An empty one announces a sample and is not shown."""
        close = raw.find(b"]", 27, 120)
        if close < 0 or raw[7] != _SPACE:
            self._plain(raw, offset)
            return
        text = raw[close + 2 :]
        level = self._level = _LEVELS.get(raw[6], Level.INFO)
        self._mode = _Mode.MESSAGE
        self._informs = level is Level.INFO
        if not text or text.isspace():
            return
        if level is not Level.WARNING:
            if self._bar:
                self._take_bar()
            if self._informs:
                self._facts.information(text)
            else:
                self._facts.problem(text)
        self._lines.append(LogLine(self._file, offset, len(raw), level))

    def _plain(self, raw: bytes, offset: int) -> None:
        """Anything but a NeMo message: bars first, then what is left behind them."""
        if self._bar:
            self._take_bar()
        start = 0
        if b"|" in raw or b"it [" in raw:
            while match := _BAR.match(raw, start) or _COUNTER.match(raw, start):
                if match.re is _BAR:
                    self._read_bar(match)
                start = _skip_blank(raw, match.end())
        text = raw[start:]
        if text and not text.isspace() and (b"\x1b" not in text or _CURSOR.sub(b"", text).strip()):
            self._line(text, offset + start)

    def _line(self, raw: bytes, offset: int) -> None:
        """A line of text: continuation, traceback or other."""
        if self._mode is _Mode.MESSAGE and raw.startswith(b"    "):
            if self._informs:
                self._facts.continuation(raw)
        elif _TRACEBACK in raw:
            self._mode, self._level = _Mode.TRACEBACK, Level.ERROR
        elif self._mode is _Mode.TRACEBACK and raw[:1].isspace():
            pass
        elif self._mode is _Mode.TRACEBACK and _EXCEPTION.match(raw):
            self._mode = _Mode.EXCEPTION
            if not self._harmless:
                self._facts.raised(raw)
            self._harmless = False
        else:
            self._other(raw)
        self._lines.append(LogLine(self._file, offset, len(raw), self._level))

    def _other(self, raw: bytes) -> None:
        self._harmless = raw.startswith((b"Exception ignored in", b"Exception in thread"))
        if self._mode is _Mode.EXCEPTION and not raw.startswith(
            (b"Set the environment", b"Epoch ", b"`Trainer")
        ):
            self._level = Level.ERROR
        else:
            self._mode = _Mode.PLAIN
            if self._harmless or _ERROR.search(raw):
                self._level = Level.ERROR
            else:
                self._level = Level.WARNING if _WARNING.search(raw) else Level.INFO
        self._facts.plain(raw)

    def _take_bar(self) -> None:
        """Read the newest training bar, if it has not been read."""
        match = _EPOCH_BAR.match(self._bar)
        if match:
            self._facts.progress(int(match[1]), int(match[2]), int(match[3]), self._bar[match.end() :])
        self._bar = b""

    def _read_bar(self, match: re.Match[bytes]) -> None:
        title = match[1]
        if training := _EPOCH_BAR.search(match[0]):
            counters = match[0][training.end() :]
            self._facts.progress(int(training[1]), int(training[2]), int(training[3]), counters)
        elif b"Validation" in title or b"Sanity Checking" in title:
            self._facts.validating()
        elif title.lstrip().startswith(b"Training:"):
            self._facts.fit_begins()


def _bare_bar(raw: bytes) -> int:
    """Length of the training bar `raw` begins with, if nothing or a NeMo message follows; else 0.

    Such a bar only replaces the one before it: it is read when someone asks where the run is. An
    epoch's first bar is not bare, since what it means depends on the one before.
    """
    end = raw.find(b"]") + 1
    bare = end == len(raw) or (raw.startswith(b"[NeMo ", end) and raw.find(b"[NeMo ", end + 6) < 0)
    return end if bare and end and b"%|" in raw[:20] and b"| 0/" not in raw else 0


def _skip_blank(raw: bytes, start: int) -> int:
    """Where the text behind a bar begins, after the blanks and cursor movements."""
    while True:
        match = _CURSOR.match(raw, start)
        if match:
            start = match.end()
        elif raw[start : start + 1] == b" ":
            start += 1
        else:
            return start
