"""Consent to spend money: a word typed key by key, for one offer, once, and not for long (method, section 8).

The only way to a `Consent` is a `TypedWord`: the dialog and the prompt on a terminal hand it one key after
the other as the operator presses them. No flag, environment variable, setting, default, paste or replay is
such a key. Whoever provisions redeems the consent, which works once and only for what it was given for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from clinasr_tui.errors import ClinasrError, ExitCode

if TYPE_CHECKING:
    from clinasr_tui.flywheel.cost import Offer

WORD = "YES"
NOTHING_CREATED = "no GPU instance was created"
VALID_SECONDS = 120.0
"""From Enter to the command that spends the money."""
SETTLE_SECONDS = 0.4
"""Keys that came before the operator can have read the prompt (typed ahead, repeated) are no answer."""
FASTEST_KEYS = 0.015
"""Seconds between two keys: what comes faster is no hand but a paste or a replay."""
_LONGEST = 32
_SECRET = object()


@final
class ConsentError(ClinasrError):
    """There is no valid consent: nothing may be created (exit code 4)."""

    exit_code = ExitCode.DECLINED


@final
@dataclass(frozen=True, slots=True, eq=False)
class Consent:
    """One operator's consent to one offer under one name; see the module. Made by `TypedWord` only."""

    id: str
    name: str
    offer: Offer
    action: str
    """create, or start for a box that is stopped."""
    stop_when_done: bool
    given_at: float
    """Unix seconds."""
    door: str
    """Where it was typed: dialog or terminal."""
    _proof: object

    def __post_init__(self) -> None:
        if self._proof is not _SECRET:
            raise ConsentError(f"consent is typed by the operator, not made by a program: {NOTHING_CREATED}")


@final
@dataclass(frozen=True, slots=True)
class _Issued:
    """What is known of a consent beside it, so that a changed or copied one is worth nothing."""

    consent: Consent
    terms: tuple[object, ...]
    at: float
    clock: Callable[[], float]


_issued: dict[str, _Issued] = {}


def _terms(consent: Consent) -> tuple[object, ...]:
    return (consent.name, consent.offer, consent.action, consent.stop_when_done, consent.given_at)


def check(consent: object, name: str, offer: Offer, action: str = "create") -> Consent:
    """The consent, if it is one, is for exactly this, was not used and is not too old.

    Raises ConsentError saying why not; nothing may be created then.
    """
    if type(consent) is not Consent:
        raise _refused("nobody has typed YES for it")
    issued = _issued.get(consent.id)
    if issued is None or issued.consent is not consent or issued.terms != _terms(consent):
        raise _refused("this consent was used already, or was not typed in this session")
    if not 0 <= issued.clock() - issued.at <= VALID_SECONDS:
        raise _refused(f"this consent is older than {VALID_SECONDS:g} s")
    if (name, offer, action) != (consent.name, consent.offer, consent.action):
        raise _refused("this consent was given for another offer")
    return consent


def redeem(consent: object, name: str, offer: Offer, action: str = "create") -> Consent:
    """`check` it and use it up."""
    valid = check(consent, name, offer, action)
    del _issued[valid.id]
    return valid


def _refused(why: str) -> ConsentError:
    return ConsentError(f"{why}: {NOTHING_CREATED}", remedy="Open the offer again and type YES there")


@final
class TypedWord:
    """What an operator types at one prompt, key by key; Enter asks for the answer.

    `clock` counts seconds (a test's own, else the monotonic one).
    """

    def __init__(
        self,
        name: str,
        offer: Offer,
        *,
        door: str,
        action: str = "create",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop_when_done = False
        self.text = ""
        self.spoiled = ""
        """Why this prompt cannot be answered with YES any more, "" while it can."""
        self._name, self._offer, self._door, self._action = name, offer, door, action
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

    def enter(self) -> Consent | None:
        """Enter was pressed: the consent if exactly YES was typed, else None. Answers once."""
        if self.is_early():
            return None
        self._hurry()
        usable = not (self._answered or self.spoiled) and self.text == WORD
        self._answered = True
        return self._issue() if usable else None

    def is_early(self) -> bool:
        """True while keys do not count yet."""
        return self._shown_at is None or self._clock() - self._shown_at < SETTLE_SECONDS

    def _hurry(self) -> None:
        now = self._clock()
        if now - self._last < FASTEST_KEYS:
            self.spoiled = self.spoiled or "keys came faster than anybody types: paste or replay"
        self._last = now

    def _issue(self) -> Consent:
        consent = Consent(
            id=os.urandom(8).hex(),
            name=self._name,
            offer=self._offer,
            action=self._action,
            stop_when_done=self.stop_when_done,
            given_at=time.time(),
            door=self._door,
            _proof=_SECRET,
        )
        _issued[consent.id] = _Issued(consent, _terms(consent), self._clock(), self._clock)
        return consent
