"""What each pre-flight finding means for a run and what to do about it.

What happens is the stock script's behaviour as measured with NeMo 2.6.2 (method, section 1).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from clinasr_tui.flywheel.manifest import ARRAY_REMEDY


class Severity(StrEnum):
    """`error` stops a run or loses data; `warning` deserves a look."""

    ERROR = "error"
    WARNING = "warning"


class Rule(NamedTuple):
    """A finding's severity, what happens if nothing is done, and the remedy."""

    severity: Severity
    effect: str
    remedy: str


MAX_SECONDS = 20.0
MIN_SECONDS = 0.1
DURATION_TOLERANCE = 0.05 + 1e-9
"""Seconds a manifest's duration may differ from the audio's: one rounded to 0.1 s is in order."""

_STOPS = "the run stops before training"
_FIX_ROW = "Fix or remove the row"
_FILL = "Fill durations in from the audio: check --fill-durations --out FILE"
# A manifest row may come to stand on either side of the split, so both fates are named.
_CRASHES = "as a training row it crashes the run when drawn, as a validation row at the end of epoch 0"
_CRASHES += " with nothing saved"


def _error(effect: str, remedy: str = _FIX_ROW) -> Rule:
    return Rule(Severity.ERROR, effect, remedy)


def _warning(effect: str, remedy: str) -> Rule:
    return Rule(Severity.WARNING, effect, remedy)


_RULES = {
    "no_rows": _error(_STOPS, "Make the manifest in stage build"),
    "bad_json": _error(_STOPS, "Fix or remove the line"),
    "not_object": _error(_STOPS, "Fix or remove the line"),
    "json_array": _error(_STOPS, ARRAY_REMEDY),
    "carriage_return": _error(
        "NeMo takes it for a line end and reads two rows, or stops", "End lines with \\n and leave \\r out"
    ),
    "missing_field": _error(_STOPS),
    "missing_field text": _error("NeMo would train on an empty transcript"),
    "missing_field duration": _error(_STOPS, _FILL),
    "bad_field": _error(_STOPS),
    "bad_duration": _error("NeMo stops on it or drops the row", _FILL),
    "bad_unicode": _error("the tokeniser cannot read it and the run crashes"),
    "bom": _error(_STOPS, "Save the file as UTF-8 without a byte-order mark"),
    "bom text": _warning("NeMo turns it into ⁇ and says nothing", "Remove it from the text"),
    "duplicate_key": _warning("only the last value counts", "Keep one of them"),
    "null_duration": _warning("NeMo keeps the row and skips its length filters", _FILL),
    "wrong_duration": _warning(
        "NeMo's length filters believe the manifest, and audio beyond it is not read though the text is",
        _FILL,
    ),
    "too_long": _warning("training drops the row and does not name it", "Cut the audio or remove the row"),
    "too_long audio_filepath": _warning(
        "without a duration training keeps it and may run out of memory", "Cut the audio or remove the row"
    ),
    "too_short": _warning("training drops the row and does not name it", "Remove the row"),
    "empty_text": _error("NeMo keeps it and trains the model to stay silent"),
    "empty_term": _warning("the row has no KER", "Name the row's term"),
    "unknown_entity_category": _warning(
        "the row counts for none of the method's categories",
        "Use drug, procedure, anatomy, condition, lab or role",
    ),
    "unknown_ipa_source": _warning(
        "the row counts for none of the method's pronunciation sources",
        "Use override, merriam-webster or magpie_g2p",
    ),
    "term_not_in_text": _warning("the row can never be scored fairly", "Correct the term or the text"),
    "control_characters": _warning("NeMo turns them into ⁇ and says nothing", "Remove them from the text"),
    "missing_audio": _error(
        _CRASHES,
        "Make the audio, remove the row, or correct the paths: check --fix-paths FROM=TO --out FILE",
    ),
    "empty_audio": _error(_CRASHES, "Make the audio again or remove the row"),
    "unreadable_audio": _error(_CRASHES, "Make the audio again or remove the row"),
    "not_mono": _error("the run stops on it", "Mix the audio down to one channel"),
    "duplicate_audio": _warning(
        "one may be trained on while the other is held out, which flatters the held-out figures",
        "Keep one of the rows",
    ),
}


_MEANS_MORE = frozenset(key.split(" ")[0] for key in _RULES if " " in key)


def rule_key(problem_id: str, field: str) -> str:
    """Name of a finding's rule: its id, with the field where that means something else."""
    if problem_id in _MEANS_MORE and (key := f"{problem_id} {field}") in _RULES:
        return key
    return problem_id


def rule_for(problem_id: str, field: str) -> Rule:
    """The rule of a finding."""
    return _RULES[rule_key(problem_id, field)]


def rule_of(key: str) -> Rule:
    """The rule of that name (`rule_key`)."""
    return _RULES[key]
