"""Cut a console's bytes into messages, fold progress bars away, give every line a level.

Bars come with `\\r`, twice a batch; NeMo's lines and Lightning's "Epoch N, global step" are glued to
the end of a bar. So: split on both `\\r` and `\\n`, search, never anchor. Positions are kept in bytes;
texts are decoded only where a fact needs them.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING

from clinasr_tui.training.facts import UNKNOWN_BYTES, Facts
from clinasr_tui.training.log_lines import CODES, Batch, LogLines
from clinasr_tui.training.snapshot import Level

if TYPE_CHECKING:
    from clinasr_tui.training.console_bulk import Stretch

MAX_PIECE = 1 << 18
"""A piece without line break longer than this (bytes) is cut, so that memory stays bounded."""
BULK_AFTER = 1 << 20
"""Bytes after which a stream's larger blocks are surveyed with numpy: about 20 ms without it."""
BULK_LEAST = 1 << 14
"""Smallest block, bytes, worth a survey."""
LEAST_STRETCH = 32
"""Fewest usual pieces in a row worth taking at once."""

_NEMO = re.compile(rb"\[NeMo ([A-Z]) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^\]\n]{0,80}\] ?")
_BAR = re.compile(
    rb"(?:\x1b\[[0-9;]*[A-Z])*([^|]{0,120}?)\|[^|]{0,400}\| *([\d.]+\w?)/([\d.?]+\w?) \[([^\]]{0,400})\]"
)
_COUNTER = re.compile(rb"(?:\x1b\[[0-9;]*[A-Z])*([^|]{0,120}?)\d+it \[[^\]]{0,400}\]")
_EPOCH_BAR = re.compile(rb"Epoch (\d{1,9}):[^|]{0,40}\|[^|]{0,400}\| *(\d{1,12})/(\d{1,12}) \[")
# A training bar in the middle of an epoch, told by what it begins with and up to its very end.
_USUAL_BAR = re.compile(
    rb"Epoch (\d{1,9}): {1,9}\d{1,3}%\|[^|\]]{0,400}\| ([1-9]\d{0,11})/(\d{1,12}) \[([^\]|]{0,400})\]"
)
_CURSOR = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_EXCEPTION = re.compile(rb"[A-Za-z_][\w.]*(?:: |:?$)")
_TRACEBACK = b"Traceback (most recent call last):"
_MESSAGE = b"[NeMo "
# Levels are kept as their codes.
_INFO, _WARN, _FAIL = (CODES[level] for level in (Level.INFO, Level.WARNING, Level.ERROR))
_LEVELS = {ord("W"): _WARN, ord("E"): _FAIL, ord("C"): _FAIL}
_BRACKET, _LETTER_E, _SPACE = b"[E "
_WARNING = re.compile(rb"Warning: |\bWARNING\b|\bWARN\b")
_ERROR = re.compile(
    rb"^Error executing job|^(?:FATAL|ERROR|CRITICAL)\b|\bERROR: |^(?:srun|slurmstepd(?:-\S{1,64})?): error:"
)


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
        self._bar: re.Match[bytes] | None = None
        self._mode = _Mode.PLAIN
        self._level = _INFO
        self._informs = False
        self._harmless = False
        self._lines = Batch(file)

    @property
    def facts(self) -> Facts:
        """What the stream has said, up to its last finished line."""
        self._take_bar()
        return self._facts

    def feed(self, data: bytes) -> LogLines:
        """Take the next bytes; return the lines they complete that are worth showing."""
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
        cut = data.rfind(b"\n") + 1
        if cut:
            block = bytes(self._tail) + data[: cut - 1] if self._tail else data[: cut - 1]
            self._tail = bytearray(data[cut:])
            if len(block) >= BULK_LEAST and self._offset + len(block) >= BULK_AFTER:
                self._bulk(block)
            else:
                self._pieces(block, self._offset)
            self._offset += len(block) + 1
        else:
            self._tail += data
        while len(self._tail) > MAX_PIECE:
            self._piece(bytes(self._tail[:MAX_PIECE]), self._offset)
            del self._tail[:MAX_PIECE]
            self._offset += MAX_PIECE
        lines, self._lines = self._lines, Batch(self._file)
        return LogLines([lines])

    def close(self) -> LogLines:
        """No more will come: the unfinished last line counts as finished."""
        return self.feed(b"\n") if self._tail else LogLines()

    def _bulk(self, block: bytes) -> None:
        """Whole pieces, the long stretches of usual ones all at once: the result is the same."""
        from clinasr_tui.training.console_bulk import Survey

        done = 0
        for stretch in Survey(block, _USUAL_BAR, MAX_PIECE).stretches(LEAST_STRETCH):
            begin, end = stretch.place
            if stretch.holds(UNKNOWN_BYTES):
                continue
            if begin > done:
                self._pieces(block[done : begin - 1], self._offset + done)
            self._stretch(stretch)
            done = end + 1
        if done <= len(block):
            self._pieces(block[done:], self._offset + done)

    def _stretch(self, stretch: Stretch) -> None:
        """Usual pieces in a row: what `_pieces` would make of them."""
        lines = self._lines
        offsets, lengths, levels = stretch.lines(self._offset, _INFO, _WARN)
        lines.offsets.frombytes(offsets)
        lines.lengths.frombytes(lengths)
        lines.levels += levels
        if stretch.has_said:
            self._take_bar()
            self._facts.heard(stretch.samples(self._facts.reference))
            self._bar = stretch.bar_said
            self._take_bar()
        self._bar = stretch.bar_left or self._bar
        if stretch.last_warns is not None:
            self._level = _WARN if stretch.last_warns else _INFO
            self._mode, self._informs = _Mode.MESSAGE, not stretch.last_warns
        elif stretch.has_blank and self._mode is _Mode.EXCEPTION:
            self._mode = _Mode.PLAIN

    def _pieces(self, block: bytes, offset: int) -> None:
        """Whole pieces. The shapes most pieces have are told by their first byte."""
        usual_bar = _USUAL_BAR.match
        for raw in block.split(b"\n"):
            size = len(raw)
            if size > MAX_PIECE:
                cut = self._cut(raw, offset)
                offset += cut
                raw = raw[cut:]  # noqa: PLW2901
                size -= cut
            first = raw[0] if size else 0
            if first == _BRACKET and raw.startswith(_MESSAGE) and raw.find(_MESSAGE, 6) < 0:
                self._message(raw, offset)
            elif first == _LETTER_E and (bar := usual_bar(raw)):
                self._usual_bar(bar, raw, offset)
            elif not size:
                if self._mode is _Mode.EXCEPTION:
                    self._mode = _Mode.PLAIN
            elif not (first == _SPACE and raw.isspace()):
                self._piece(raw, offset)
            offset += size + 1

    def _cut(self, raw: bytes, offset: int) -> int:
        """Take all of an overlong piece but the last part; how many bytes that was."""
        cut = (len(raw) - 1) // MAX_PIECE * MAX_PIECE
        for start in range(0, cut, MAX_PIECE):
            self._piece(raw[start : start + MAX_PIECE], offset + start)
        return cut

    def _usual_bar(self, bar: re.Match[bytes], raw: bytes, offset: int) -> None:
        """A training bar, alone or with what is glued to it.

        It only replaces the one before it: it is read when someone asks where the run is. An epoch's
        first bar is none of these, since what it means depends on the one before.
        """
        end = bar.end()
        if end == len(raw):
            self._bar = bar
        elif raw.startswith(_MESSAGE, end) and raw.find(_MESSAGE, end + 6) < 0:
            self._bar = bar
            self._message(raw[end:], offset + end)
        else:
            self._piece(raw, offset)

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
        level = self._level = _LEVELS.get(raw[6], _INFO)
        self._mode = _Mode.MESSAGE
        self._informs = level == _INFO
        text = raw[close + 2 :]
        if not text or text.isspace():
            return
        if level != _WARN:
            if self._bar:
                self._take_bar()
            if level == _INFO:
                self._facts.information(text)
            else:
                self._facts.problem(text)
        self._add(offset, len(raw))

    def _add(self, offset: int, length: int) -> None:
        """A line worth showing."""
        lines = self._lines
        lines.offsets.append(offset)
        lines.lengths.append(length)
        lines.levels.append(self._level)

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
            self._mode, self._level = _Mode.TRACEBACK, _FAIL
        elif self._mode is _Mode.TRACEBACK and raw[:1].isspace():
            pass
        elif self._mode is _Mode.TRACEBACK and _EXCEPTION.match(raw):
            self._mode = _Mode.EXCEPTION
            if not self._harmless:
                self._facts.raised(raw)
            self._harmless = False
        else:
            self._other(raw)
        self._add(offset, len(raw))

    def _other(self, raw: bytes) -> None:
        self._harmless = raw.startswith((b"Exception ignored in", b"Exception in thread"))
        if self._mode is _Mode.EXCEPTION and not raw.startswith(
            (b"Set the environment", b"Epoch ", b"`Trainer")
        ):
            self._level = _FAIL
        else:
            self._mode = _Mode.PLAIN
            self._level = _FAIL if self._harmless else _level_of(raw)
        self._facts.plain(raw)

    def _take_bar(self) -> None:
        """Read the newest usual bar, if it has not been read."""
        if self._bar is not None:
            epoch, batch, batches, counters = self._bar.groups()
            self._facts.progress(int(epoch), int(batch), int(batches), counters)
            self._bar = None

    def _read_bar(self, match: re.Match[bytes]) -> None:
        title = match[1]
        if training := _EPOCH_BAR.search(match[0]):
            counters = match[0][training.end() :]
            self._facts.progress(int(training[1]), int(training[2]), int(training[3]), counters)
        elif b"Validation" in title or b"Sanity Checking" in title:
            self._facts.validating()
        elif title.lstrip().startswith(b"Training:"):
            self._facts.fit_begins()


def _level_of(raw: bytes) -> int:
    """Level of a line of text. Most hold none of the words, which is told without a pattern."""
    if (b"ERROR" in raw or b"rror" in raw or b"FATAL" in raw or b"CRITICAL" in raw) and _ERROR.search(raw):
        return _FAIL
    warns = (b"Warning: " in raw or b"WARN" in raw) and _WARNING.search(raw)
    return _WARN if warns else _INFO


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
