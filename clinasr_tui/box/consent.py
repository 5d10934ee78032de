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
from clinasr_tui.typed_word import KeyedWord

if TYPE_CHECKING:
    from clinasr_tui.flywheel.cost import Offer

WORD = "YES"
NOTHING_CREATED = "no GPU instance was created"
VALID_SECONDS = 120.0
"""From Enter to the command that spends the money."""
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
class TypedWord(KeyedWord):
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
        super().__init__(WORD, clock)
        self.stop_when_done = False
        self._name, self._offer, self._door, self._action = name, offer, door, action

    def enter(self) -> Consent | None:
        """Enter was pressed: the consent if exactly YES was typed, else None. Answers once."""
        return self._issue() if self.is_typed() else None

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
