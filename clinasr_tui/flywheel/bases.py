"""Which base models may be fine-tuned (method, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """What the method says of a base."""

    VERIFIED = "verified"
    LEGACY = "legacy"
    UNVERIFIED = "unverified"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class BaseStanding:
    """A base's name, its standing and one sentence why; `substitute` names a base to take instead."""

    name: str
    standing: Standing
    reason: str
    substitute: str = ""


DEFAULT_BASE = "nvidia/parakeet-tdt-0.6b-v2"


def base_standing(name: str) -> BaseStanding:
    """Look a base up by name."""
    raise NotImplementedError
