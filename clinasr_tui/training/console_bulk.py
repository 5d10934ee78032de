"""Survey a block of console text with numpy: which pieces are a training step's usual ones, and where.

Nearly all of a long console is the same few shapes: training bars, empty messages that announce a sample,
the sample's reference and prediction, warnings. This finds them all at once and leaves every other piece
to the parser's own way, piece by piece; whatever is not certainly usual is left to it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Ints = NDArray[np.int64]

_PAD = 64
_TEXT = 46
"""Bytes of "[NeMo I 2026-11-22 17:03:05 nemo_logging:393] " before a message's text."""
_SIX = np.uint64(0xFFFFFFFFFFFF)
_FOUR = np.uint64(0xFFFFFFFF)


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_NEMO, _EPOCH = _word(b"[NeMo "), _word(b"Epoch ")
_WER = _word(b"WER ")
_REFERENCE, _PREDICTED = _word(b"WER refe"), _word(b"WER pred")
_REFERENCE_END, _PREDICTED_END = _word(b"ference:"), _word(b"edicted:")
_BLANKS = _word(b"    ")
_INFO, _WARNING = b"IW"


class Survey:
    """The pieces of a block, none longer than `longest` of interest. Positions are bytes in the block."""

    def __init__(self, block: bytes, usual_bar: re.Pattern[bytes], longest: int) -> None:
        self.block = block
        self._data = np.frombuffer(block + bytes(_PAD), np.uint8)
        self._words = np.lib.stride_tricks.sliding_window_view(self._data, 8)
        breaks = np.flatnonzero(self._data[: len(block)] == ord("\n"))
        self.starts: _Ints = np.concatenate([[0], breaks + 1])
        self.ends: _Ints = np.append(breaks, len(block))
        sizes = self.ends - self.starts
        heads = self._at(self.starts)
        self._usual = (sizes == 0) | ((sizes == 4) & (heads & _FOUR == _BLANKS))
        self.blanks: _Ints = np.flatnonzero(sizes == 0)
        self._find_messages(self._find_bars(heads, usual_bar))
        self._usual[sizes > longest] = False
        del self._data, self._words

    def stretches(self, least: int) -> list[Stretch]:
        """The stretches of at least so many usual pieces."""
        edges = np.diff(self._usual.astype(np.int8), prepend=0, append=0)
        begins, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        long = stops - begins >= least
        begins, stops = begins[long], stops[long]
        columns = (self.message_in, self.shown_in, self.bar_in, self.said_in, self.heard_in, self.blanks)
        # One search for all stretches: a call for each would cost more than the stretch itself.
        spans = [
            list(zip(*(np.searchsorted(column, edge).tolist() for edge in (begins, stops)), strict=True))
            for column in columns
        ]
        places = zip(self.starts[begins].tolist(), self.ends[stops - 1].tolist(), strict=True)
        return [Stretch(self, *found) for found in zip(places, *spans, strict=True)]

    def _at(self, positions: _Ints) -> NDArray[np.uint64]:
        """The eight bytes from each position on."""
        return np.ascontiguousarray(self._words[positions]).view("<u8")[:, 0]

    def _find_bars(self, heads: NDArray[np.uint64], usual_bar: re.Pattern[bytes]) -> _Ints:
        """Training bars, judged by the parser's own pattern; where each piece goes on behind its bar."""
        pieces = np.flatnonzero(heads & _SIX == _EPOCH)
        starts, ends = self.starts[pieces].tolist(), self.ends[pieces].tolist()
        match, block = usual_bar.match, self.block
        found = [match(block, start, end) for start, end in zip(starts, ends, strict=True)]
        self.bars = [one for one in found if one is not None]
        self.bar_in: _Ints = pieces[np.array([one is not None for one in found], bool)]
        behind = self.starts.copy()
        behind[self.bar_in] = [bar.end() for bar in self.bars]
        self._usual[self.bar_in[behind[self.bar_in] == self.ends[self.bar_in]]] = True
        return behind

    def _find_messages(self, behind: _Ints) -> None:
        """NeMo's messages that are all of a piece or all that follows its bar."""
        brackets = np.flatnonzero(self._data[: len(self.block)] == ord("["))
        places = brackets[self._at(brackets) & _SIX == _NEMO]
        pieces = np.searchsorted(self.starts, places, side="right") - 1
        count = np.bincount(pieces, minlength=len(self.starts))
        ends = self.ends[pieces]
        fits = (count[pieces] == 1) & (behind[pieces] == places) & (ends - places >= _TEXT - 1)
        places, pieces, ends = places[fits], pieces[fits], ends[fits]

        level, shown = self._data[places + 6], ends > places + _TEXT
        texts = self._at(places + _TEXT)
        said = shown & (level == _INFO) & (texts & _FOUR == _WER)
        usual = (level == _WARNING) | ((level == _INFO) & (said | ~shown))
        usual &= ~shown | (self._data[places + _TEXT] > ord(" "))
        usual &= self._prefix_holds(places)
        self.message_at, self.message_in = places[usual], pieces[usual]
        self.warns = level[usual] == _WARNING
        shown = shown[usual]
        self.shown_in = self.message_in[shown]
        self.shown_at, self.shown_warns = self.message_at[shown], self.warns[shown]
        self.shown_size = (self.ends[self.shown_in] - self.shown_at).astype(np.uint32)
        self._usual[self.message_in] = True

        self._find_samples(texts[usual], said[usual])

    def _find_samples(self, texts: NDArray[np.uint64], said: NDArray[np.bool_]) -> None:
        """References and predictions among the messages, and which prediction follows its reference."""
        self.said_in = self.message_in[said]
        self.bar_of_said = np.searchsorted(self.bar_in, self.said_in, side="right") - 1
        rest = self._at(self.message_at[said] + _TEXT + 6)
        predicts = (texts[said] == _PREDICTED) & (rest == _PREDICTED_END)
        heard = predicts | (texts[said] == _REFERENCE) & (rest == _REFERENCE_END)
        self.heard_in, self.heard_at = self.said_in[heard], self.message_at[said][heard] + _TEXT
        self.bar_of_heard = self.bar_of_said[heard]
        self.predicts = predicts[heard]
        self.pairs = np.zeros(len(self.predicts), bool)
        self.pairs[1:] = self.predicts[1:] & ~self.predicts[:-1]
        self.pairs_before = np.concatenate([[0], np.cumsum(self.pairs)])

    def _prefix_holds(self, places: _Ints) -> NDArray[np.bool_]:
        """Whether the first bracket closes where it usually does, 44 bytes behind the opening one."""
        window = np.lib.stride_tricks.sliding_window_view(self._data, 18)[places + 27]
        closing = window == ord("]")
        holds: NDArray[np.bool_] = closing[:, 17] & ~closing[:, :17].any(axis=1)
        holds &= self._data[places + 7] == ord(" ")
        return holds

    def text(self, heard: int) -> bytes:
        """The text of a reference or prediction."""
        return self.block[int(self.heard_at[heard]) : int(self.ends[self.heard_in[heard]])]


_Span = tuple[int, int]


class Stretch(NamedTuple):
    """Consecutive usual pieces: spans of the survey's columns, from the first to before the last."""

    survey: Survey
    place: _Span
    """In the block, bytes."""
    messages: _Span
    shown: _Span
    bars: _Span
    said: _Span
    heard: _Span
    blanks: _Span

    def lines(self, offset: int, info: int, warning: int) -> tuple[bytes, bytes, bytes]:
        """Columns of offsets, lengths and level codes of the shown messages; `offset` is the block's."""
        which = slice(*self.shown)
        offsets = (self.survey.shown_at[which] + offset).astype(np.uint64)
        levels = np.where(self.survey.shown_warns[which], warning, info).astype(np.uint8)
        return offsets.tobytes(), self.survey.shown_size[which].tobytes(), levels.tobytes()

    @property
    def bar_said(self) -> re.Match[bytes] | None:
        """The last bar before the last thing said."""
        last = self._bar_said()
        return self.survey.bars[last] if last >= self.bars[0] else None

    @property
    def bar_left(self) -> re.Match[bytes] | None:
        """The last bar of all, if nothing is said behind it."""
        last = self.bars[1] - 1
        return self.survey.bars[last] if last >= self.bars[0] and last > self._bar_said() else None

    def _bar_said(self) -> int:
        return int(self.survey.bar_of_said[self.said[1] - 1]) if self.has_said else -1

    def samples(self, begun: bytes | None) -> Samples:
        """The samples said; `begun` is a reference from before that still waits for its prediction."""
        return Samples(self, begun)

    @property
    def has_said(self) -> bool:
        """True if a sample's reference or prediction is among it."""
        return self.said[1] > self.said[0]

    @property
    def has_blank(self) -> bool:
        """True if an empty piece is among it."""
        return self.blanks[1] > self.blanks[0]

    @property
    def last_warns(self) -> bool | None:
        """Whether the last message is a warning; None without any message."""
        first, last = self.messages
        return bool(self.survey.warns[last - 1]) if last > first else None

    def holds(self, text: bytes) -> bool:
        """True if `text` stands anywhere in it."""
        block = self.survey.block
        # One byte is found many times faster, and the last one of a rare character is rare.
        return block.find(text[-1:], *self.place) >= 0 and block.find(text, *self.place) >= 0


class Samples:
    """The sample predictions of a stretch, looked at only if someone asks for them."""

    def __init__(self, stretch: Stretch, begun: bytes | None) -> None:
        survey = self._survey = stretch.survey
        self.block = survey.block
        """What stays in memory while the samples are unread."""
        first, last = self._span = stretch.heard
        self._begun = begun
        self._first_bar = stretch.bars[0]
        self._completes = last > first and begun is not None and bool(survey.predicts[first])
        self._more = int(survey.pairs_before[last] - survey.pairs_before[first + 1]) if last > first else 0
        self.left = begun
        """The reference that waits for its prediction afterwards."""
        if last > first:
            self.left = None if survey.predicts[last - 1] else survey.text(last - 1)

    def __len__(self) -> int:
        return self._completes + self._more

    def pairs(
        self, newest: int, step_of: Callable[[re.Match[bytes] | None], int | None]
    ) -> Iterator[tuple[int | None, bytes, bytes]]:
        """Step, reference and prediction of the newest samples; `step_of` gives a bar's step."""
        survey, (first, last) = self._survey, self._span
        pairs = (np.flatnonzero(survey.pairs[first + 1 : last]) + first + 1).tolist()
        for heard in ([first] * self._completes + pairs)[-newest:]:
            reference = self._begun if heard == first else survey.text(heard - 1)
            bar = int(survey.bar_of_heard[heard])
            step = step_of(survey.bars[bar] if bar >= self._first_bar else None)
            yield step, reference or b"", survey.text(heard)
