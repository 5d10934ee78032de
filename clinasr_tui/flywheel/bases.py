"""Which base models may be fine-tuned (method, section 4)."""

from __future__ import annotations

import re
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
    tdt: bool | None = None
    """Whether it is trained by a TDT loss, by what is in its file; None where only its name is known."""

    @property
    def allowed(self) -> bool:
        """Anything but refused may be fine-tuned."""
        return self.standing is not Standing.REFUSED


DEFAULT_BASE = "nvidia/parakeet-tdt-0.6b-v2"
LEGACY_BASE = "nvidia/stt_en_conformer_ctc_large"

_REFUSED = (
    "SFT of a cache-aware streaming Nemotron base collapses to all-UNK after the first step; do not retry it "
    "with other hyperparameters. For streaming, Riva serves a non-streaming base in chunks."
)
_NEMOTRON_SPEECH = re.compile(r"nemotron.*(?:streaming|speech|asr)|(?:streaming|speech|asr).*nemotron")
_STREAMING = re.compile(r"streaming|cache[-_]?aware")
_FAMILY = re.compile(r"parakeet|conformer")
# `stt_de_…` by NVIDIA's own naming; elsewhere only codes that are no English words.
_STT_LANGUAGE = re.compile(r"^stt_(?!en_|en$)[a-z]{2,3}_")
_LANGUAGE = re.compile(
    r"(?<![a-z])(?:ar|ca|cs|da|de|es|et|eu|fa|fi|fr|hi|hr|hu|hy|ja|jp|ka|kab|kk|ko|mr|nl|pl|pt|ro|ru|rw|sk|sl|sv"
    r"|th|tr|uk|ua|ur|uz|vi|zh|multilingual)(?![a-z])"
)
_ENGLISH = re.compile(r"(?<![a-z])en(?![a-z])")


def base_standing(name: str) -> BaseStanding:
    """Look a base up by name; letter case, surrounding space and a missing `nvidia/` do not matter.

    A `.nemo` file is judged by its file name. Someone else's copy of a known name is not that model.
    """
    given = name.strip()
    short = given.lower().rsplit("/", 1)[-1]
    published = short if given.lower() in (short, f"nvidia/{short}") else ""
    if short.endswith(".nemo"):
        short = published = short.removesuffix(".nemo")
    if _NEMOTRON_SPEECH.search(short):
        return BaseStanding(given, Standing.REFUSED, _REFUSED, DEFAULT_BASE)
    if published == DEFAULT_BASE.removeprefix("nvidia/"):
        reason = "Verified with this recipe (KER 0.513 → 0.128 in 3 epochs), recommended."
        return BaseStanding(given, Standing.VERIFIED, reason)
    if published == LEGACY_BASE.removeprefix("nvidia/"):
        reason = f"Legacy fallback; {DEFAULT_BASE} is the recommended base."
        return BaseStanding(given, Standing.LEGACY, reason, DEFAULT_BASE)
    return BaseStanding(given, Standing.UNVERIFIED, _unverified(short))


def another_base(model: str, base: str) -> bool:
    """True if `model` is a base the method knows by name and not `base`: its KER says nothing of `base`."""
    known = base_standing(model).standing is not Standing.UNVERIFIED
    return known and model.strip().lower().rsplit("/", 1)[-1] != base.strip().lower().rsplit("/", 1)[-1]


def _unverified(short: str) -> str:
    foreign = _LANGUAGE.search(short) and not _ENGLISH.search(short)
    if foreign or _STT_LANGUAGE.search(short):
        return "Not verified here; not English by its name: take a different base and a re-validated recipe."
    if _STREAMING.search(short):
        return "Not verified here; a streaming base, and fine-tuning the streaming Nemotron base collapses."
    if _FAMILY.search(short):
        return f"Not verified here: the recipe was measured on {DEFAULT_BASE}."
    return "Not verified here; by its name neither Parakeet nor Conformer: the recipe may not fit."
