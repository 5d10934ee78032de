"""An operator's hands for tests: keys one by one at a human pace, by a clock that does not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.box.consent import Consent, TypedWord

if TYPE_CHECKING:
    from clinasr_tui.flywheel.cost import Offer


class Hands:
    """A clock that moves with every key."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def word(self, name: str, offer: Offer, action: str = "create") -> TypedWord:
        """A prompt that can be read since a second."""
        word = TypedWord(name, offer, door="dialog", action=action, clock=self.clock)
        word.shown()
        self.now += 1.0
        return word

    def type(self, word: TypedWord, text: str) -> None:
        """Press the keys of `text`, a fifth of a second apart."""
        for character in text:
            self.now += 0.2
            word.key(character)

    def enter(self, word: TypedWord) -> Consent | None:
        """Press Enter."""
        self.now += 0.2
        return word.enter()


def typed(name: str, offer: Offer, action: str = "create") -> Consent:
    """A consent an operator has just typed."""
    hands = Hands()
    word = hands.word(name, offer, action)
    hands.type(word, "YES")
    consent = hands.enter(word)
    assert consent is not None
    return consent
