"""Survey a block of console text with numpy: which pieces are a training step's usual ones, and where.

Nearly all of a long console is the same few shapes: training bars, empty messages that announce a sample,
the sample's reference and prediction, warnings. This finds them all at once and leaves every other piece
to the parser's own way, piece by piece; whatever is not certainly usual is left to it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

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

    def stretches(self, least: int) -> list[tuple[int, int]]:
        """First piece and the one after the last of each stretch of at least so many usual pieces."""
        edges = np.diff(self._usual.astype(np.int8), prepend=0, append=0)
        begins, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        long = stops - begins >= least
        return list(zip(begins[long].tolist(), stops[long].tolist(), strict=True))

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
        self.message_warns, self.message_shown = level[usual] == _WARNING, shown[usual]
        self._usual[self.message_in] = True

        self.said: _Ints = np.flatnonzero(said[usual])
        texts, at = texts[usual][self.said], self.message_at[self.said] + _TEXT
        rest = self._at(at + 6)
        self.is_reference = (texts == _REFERENCE) & (rest == _REFERENCE_END)
        self.is_prediction = (texts == _PREDICTED) & (rest == _PREDICTED_END)

    def _prefix_holds(self, places: _Ints) -> NDArray[np.bool_]:
        """Whether the first bracket closes where it usually does, 44 bytes behind the opening one."""
        window = np.lib.stride_tricks.sliding_window_view(self._data, 18)[places + 27]
        closing = window == ord("]")
        holds: NDArray[np.bool_] = closing[:, 17] & ~closing[:, :17].any(axis=1)
        holds &= self._data[places + 7] == ord(" ")
        return holds

    def bar_before(self, message: int) -> int:
        """Number of the last bar up to a message's piece; -1 if there is none."""
        return int(np.searchsorted(self.bar_in, self.message_in[message], side="right")) - 1

    def text(self, message: int) -> bytes:
        """The text of a message."""
        start = int(self.message_at[message]) + _TEXT
        return self.block[start : int(self.ends[self.message_in[message]])]


class Stretch:
    """Consecutive usual pieces of a survey, from `start` to before `stop`."""

    def __init__(self, survey: Survey, start: int, stop: int) -> None:
        self.survey = survey
        self.messages = _between(survey.message_in, start, stop)
        self.bars = _between(survey.bar_in, start, stop)
        self.said = _between(survey.said, *self.messages)
        first, last = _between(survey.blanks, start, stop)
        self.has_blank = last > first
        self.begin, self.end = int(survey.starts[start]), int(survey.ends[stop - 1])

    def lines(self, offset: int, info: int, warning: int) -> tuple[bytes, bytes, bytes]:
        """Columns of offsets, lengths and level codes of the shown messages; `offset` is the block's."""
        survey = self.survey
        which = slice(*self.messages)
        shown = survey.message_shown[which]
        places = survey.message_at[which][shown]
        lengths = survey.ends[survey.message_in[which][shown]] - places
        levels = np.where(survey.message_warns[which][shown], warning, info).astype(np.uint8)
        offsets = (places + offset).astype(np.uint64)
        return offsets.tobytes(), lengths.astype(np.uint32).tobytes(), levels.tobytes()

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
        return self.survey.bar_before(int(self.survey.said[self.said[1] - 1])) if self.has_said else -1

    def samples(self, begun: bytes | None) -> Samples:
        """The samples said; `begun` is a reference from before that still waits for its prediction."""
        return Samples(self, begun)

    @property
    def has_said(self) -> bool:
        """True if a sample's reference or prediction is among it."""
        return self.said[1] > self.said[0]

    @property
    def last_warns(self) -> bool | None:
        """Whether the last message is a warning; None without any message."""
        first, last = self.messages
        return bool(self.survey.message_warns[last - 1]) if last > first else None

    def holds(self, text: bytes) -> bool:
        """True if `text` stands anywhere in it."""
        return self.survey.block.find(text, self.begin, self.end) >= 0


def _between(column: _Ints, start: int, stop: int) -> tuple[int, int]:
    first, last = np.searchsorted(column, (start, stop))
    return int(first), int(last)


class Samples:
    """The sample predictions of a stretch, looked at only if someone asks for them."""

    def __init__(self, stretch: Stretch, begun: bytes | None) -> None:
        survey = stretch.survey
        first, last = stretch.said
        heard = np.arange(first, last)
        heard = heard[survey.is_reference[first:last] | survey.is_prediction[first:last]]
        predicts = survey.is_prediction[heard]
        paired = np.zeros(len(heard), bool)
        if len(heard):
            paired[1:] = predicts[1:] & ~predicts[:-1]
            paired[0] = predicts[0] and begun is not None
        self._survey = survey
        self._begun = begun
        self._heard = heard
        self._pairs = np.flatnonzero(paired)
        self._first_bar = stretch.bars[0]
        self.left = begun
        """The reference that waits for its prediction afterwards."""
        if len(heard):
            self.left = None if predicts[-1] else survey.text(int(survey.said[heard[-1]]))

    def __len__(self) -> int:
        return len(self._pairs)

    def pairs(
        self, newest: int, step_of: Callable[[re.Match[bytes] | None], int | None]
    ) -> Iterator[tuple[int | None, bytes, bytes]]:
        """Step, reference and prediction of the newest samples; `step_of` gives a bar's step."""
        survey = self._survey
        for pair in self._pairs[-newest:].tolist():
            message = int(survey.said[self._heard[pair]])
            reference = survey.text(int(survey.said[self._heard[pair - 1]])) if pair else self._begun
            bar = survey.bar_before(message)
            step = step_of(survey.bars[bar] if bar >= self._first_bar else None)
            yield step, reference or b"", survey.text(message)
