"""A word that is typed, key by key, by a person at a prompt: no paste, no replay, nothing typed ahead."""

from __future__ import annotations

import time
from collections.abc import Callable

SETTLE_SECONDS = 0.4
"""Keys that came before the operator can have read the prompt (typed ahead, repeated) are no answer."""
FASTEST_KEYS = 0.015
"""Seconds between two keys: what comes faster is no hand but a paste or a replay."""
_LONGEST = 32


class KeyedWord:
    """What an operator types at one prompt that asks for `wanted`; a prompt is answered once.

    `clock` counts seconds (a test's own, else the monotonic one).
    """

    def __init__(self, wanted: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.text = ""
        self.spoiled = ""
        """Why this prompt cannot be answered with the word any more, "" while it can."""
        self._wanted = wanted
        self._clock = clock
        self._shown_at: float | None = None
        self._last = float("-inf")
        self._answered = False

    def shown(self) -> None:
        """The prompt can be read now; keys count from a moment later on."""
        self._shown_at = self._clock()

    def key(self, character: str) -> None:
        """A key with a printable character was pressed."""
        if self.is_early():
            return
        if len(character) != 1:
            self.paste()
            return
        self._hurry()
        self.text = (self.text + character)[-_LONGEST:]

    def backspace(self) -> None:
        """The last character was taken back."""
        if not self.is_early():
            self._hurry()
            self.text = self.text[:-1]

    def paste(self) -> None:
        """Something was pasted: typed means key by key."""
        self.spoiled = self.spoiled or "pasted text is no answer: the word must be typed key by key"

    def is_typed(self) -> bool:
        """Enter was pressed: True if exactly the word was typed. Answers once."""
        if self.is_early():
            return False
        self._hurry()
        usable = not (self._answered or self.spoiled) and self.text == self._wanted
        self._answered = True
        return usable

    def is_early(self) -> bool:
        """True while keys do not count yet."""
        return self._shown_at is None or self._clock() - self._shown_at < SETTLE_SECONDS

    def _hurry(self) -> None:
        now = self._clock()
        if now - self._last < FASTEST_KEYS:
            self.spoiled = self.spoiled or "keys came faster than anybody types: paste or replay"
        self._last = now
