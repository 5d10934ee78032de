"""The method's numbers: what a workspace may set otherwise, and how a deviation is said.

`Thresholds` are those of the gate (method, sections 3 and 4), `DecisionLimits` those of the decision
after a re-evaluation (section 7), `SplitRule` those of the split (section 5). What is reached with other
numbers than the published ones always says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The published thresholds. KER comparisons are strict where the method says so."""

    finetune_above: float = 0.3
    harden_below: float = 0.1
    min_rows: int = 100
    min_priority_rows: int = 5
    good_ker: float = 0.1
    """Up to here a group of rows is fine: the dictionary-hinted rows, the clean ones."""
    bad_ker: float = 0.3
    """Above this it is bad; good beside bad is a gap (published example: 0.05 against 0.41)."""
    min_gap_rows: int = 5
    """Rows with a term either side of a gap needs before anything is said of it."""
    high_wer: float = 0.3
    """Above this WER no set can have every term right: the manifest is misaligned."""


@dataclass(frozen=True, slots=True)
class DecisionLimits:
    """The numbers of the decision table. Relative changes are shares of the earlier figure (0.2 = 20 %)."""

    keep_relative: float = 0.20
    """From this fall of the KER on the model is kept."""
    stop_relative: float = 0.05
    """A cycle that improves by less is no progress; so many in a row and tuning is exhausted."""
    stop_cycles: int = 2
    stop_epochs: int = 30
    """Epochs without improvement after which tuning is exhausted."""
    unchanged_relative: float = 0.05
    """A change of the point figures below this counts as none: the method's own measure of no progress."""
    forgetting_relative: float = 0.05
    """From this rise of the WER of general speech on (beyond chance) the model has forgotten."""


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a manifest is split (method, section 5)."""

    val_fraction: float = 0.2
    seed: int = 42


class Deviation(NamedTuple):
    """A number set otherwise than the method has it: `[section] key` in clinasr.toml."""

    key: str
    value: float
    usual: float
    published: bool
    """True if the method states the usual number; False if it is this program's reading of it."""

    def __str__(self) -> str:
        kind = "published" if self.published else "usual"
        return f"{self.key}: {self.value:g} instead of the {kind} {self.usual:g}, from clinasr.toml."


_OWN_READING = {
    "good_ker",
    "bad_ker",
    "min_gap_rows",
    "high_wer",
    "unchanged_relative",
    "forgetting_relative",
}


_SECTIONS: dict[type, str] = {Thresholds: "gate", DecisionLimits: "decision", SplitRule: "split"}


def deviations(limits: Thresholds | DecisionLimits | SplitRule) -> tuple[Deviation, ...]:
    """Every number that is not the method's, in the order of the fields."""
    section = _SECTIONS[type(limits)]
    usual = type(limits)()
    return tuple(
        Deviation(f"[{section}] {name}", value, default, name not in _OWN_READING)
        for name in (one.name for one in fields(limits))
        if (value := getattr(limits, name)) != (default := getattr(usual, name))
    )
