"""`clinasr.toml`: a workspace's own settings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.thresholds import DecisionLimits, SplitRule, Thresholds
from clinasr_tui.flywheel.vocabulary import ENTITY_CATEGORIES
from clinasr_tui.text import visible

SETTINGS_FILE = "clinasr.toml"
Numbers = TypeVar("Numbers", Thresholds, DecisionLimits, SplitRule)


def _names(kind: type[Thresholds | DecisionLimits | SplitRule]) -> set[str]:
    return {one.name for one in fields(kind)}


_KNOWN_KEYS = {
    "name": None,
    "gate": {"priority", "base", *_names(Thresholds)},
    "decision": _names(DecisionLimits),
    "split": _names(SplitRule),
    "ssh": {"config", "known_hosts"},
    "notify": {"when_done"},
}
NOTICES = ("off", "bell", "desktop")
"""What the end of a watched run, or trouble in it, may do to the operator's terminal."""
# Numbers that are no share from 0 to 1, with the least and the greatest value that means something.
_RANGES = {"high_wer": (0.0, 10.0), "seed": (-(2**63), 2**63 - 1)}
_MOST = 10**9
_ORDERED = {
    "gate": (("harden_below", "finetune_above"), ("good_ker", "bad_ker")),
    "decision": (("unchanged_relative", "keep_relative"),),
    "split": (),
}
_REMEDY = "Correct it, or remove the key for its default"


@dataclass(frozen=True, slots=True)
class Settings:
    """`clinasr.toml` of the workspace; every key has a default."""

    priority: tuple[str, ...] = ("drug",)
    base: str = ""
    """The model to be tuned: a pretrained name, or the absolute path of a .nemo; "" means the default."""
    ssh_config: Path | None = None
    """ssh config to read instead of ~/.ssh/config."""
    known_hosts: Path | None = None
    """Our own known-hosts file; None means the one in the operator's state folder."""
    name: str = ""
    """The workspace's name; "" means its folder's."""
    gate: Thresholds = field(default_factory=Thresholds)
    decision: DecisionLimits = field(default_factory=DecisionLimits)
    split: SplitRule = field(default_factory=SplitRule)
    notify: str = "bell"
    """One of `NOTICES`: nothing, the terminal's bell, or a desktop notification and the bell."""
    warnings: tuple[str, ...] = ()
    """Keys that mean nothing here, one line each."""


def read_settings(root: Path) -> Settings:
    """The settings of the workspace at `root`; defaults without a file. Relative paths start at `root`.

    Raises InputError naming the file (and line, for what is not TOML).
    """
    path = root / SETTINGS_FILE
    if not path.exists():
        return Settings()
    import tomllib

    with open_input(path, "settings file") as stream:
        content = stream.read()
    try:
        table = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise InputError("not UTF-8", where=str(path), remedy="Save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        position = re.search(r" \(at line (\d+), column \d+\)", str(error))
        where = f"{path}:{position[1]}" if position else str(path)
        what = str(error).replace(position[0], "") if position else str(error)
        raise InputError(f"not valid TOML ({what})", where=where, remedy="Correct the line") from None
    return _settings(table, path)


def _settings(table: dict[str, object], path: Path) -> Settings:
    gate, ssh = _section(table, "gate", path), _section(table, "ssh", path)
    return Settings(
        priority=_priority(gate, path),
        base=_base(gate, path),
        ssh_config=_file(ssh, "config", path),
        known_hosts=_file(ssh, "known_hosts", path),
        name=_text(table, "name", "name", path),
        gate=_numbers(gate, "gate", Thresholds, path),
        decision=_numbers(_section(table, "decision", path), "decision", DecisionLimits, path),
        split=_numbers(_section(table, "split", path), "split", SplitRule, path),
        notify=_notice(_section(table, "notify", path), path),
        warnings=tuple(
            f"{path}: {visible(key)} means nothing here and is ignored" for key in _unknown_keys(table)
        ),
    )


def _section(table: dict[str, object], name: str, path: Path) -> dict[str, object]:
    section = table.get(name, {})
    if not isinstance(section, dict):
        raise InputError(f"{name} is no section", where=str(path), remedy=f"Write [{name}] above its keys")
    return section


def _text(table: dict[str, object], key: str, label: str, path: Path) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise InputError(f"{label} is not text", where=str(path), remedy=_REMEDY)
    return value


def _base(gate: dict[str, object], path: Path) -> str:
    """A .nemo is meant from the workspace, whatever folder a command is run in; a pretrained name stays one.

    Absolute, because a run's record keeps it: the run may be resumed from another folder.
    """
    value = _text(gate, "base", "[gate] base", path).strip()
    return str(_place(value, "[gate] base", path).absolute()) if value.endswith(".nemo") else value


def _file(ssh: dict[str, object], key: str, path: Path) -> Path | None:
    value = _text(ssh, key, f"[ssh] {key}", path)
    return _place(value, f"[ssh] {key}", path) if value else None


def _place(value: str, label: str, path: Path) -> Path:
    """A path of the settings file at `path`: relative ones start at its folder."""
    try:
        return path.parent / Path(value).expanduser()
    except RuntimeError:
        raise InputError(f"{label} names an unknown home folder", where=str(path), remedy=_REMEDY) from None


def _priority(gate: dict[str, object], path: Path) -> tuple[str, ...]:
    value = gate.get("priority", list(Settings().priority))
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise InputError(
            "[gate] priority is no list of categories", where=str(path), remedy='For example ["drug"]'
        )
    unknown = [item for item in value if item not in ENTITY_CATEGORIES]
    if unknown:
        raise InputError(
            f"[gate] priority names an unknown category: {visible(unknown[0])}",
            where=str(path),
            remedy=f"Known are {', '.join(ENTITY_CATEGORIES)}",
        )
    return tuple(dict.fromkeys(value))


def _notice(section: dict[str, object], path: Path) -> str:
    value = section.get("when_done", Settings().notify)
    if value in NOTICES:
        return str(value)
    given = visible(str(value))[:40]
    raise InputError(
        f"[notify] when_done is {given}, not one of {', '.join(NOTICES)}", where=str(path), remedy=_REMEDY
    )


def _numbers(section: Mapping[str, object], title: str, kind: type[Numbers], path: Path) -> Numbers:
    """The section's numbers, those it leaves out as published. Raises InputError naming file and key."""
    usual = kind()
    given: dict[str, float] = {}
    for name in (one.name for one in fields(kind)):
        if name in section:
            whole = isinstance(getattr(usual, name), int)
            given[name] = _number(section[name], f"[{title}] {name}", path, whole=whole)
    numbers = kind(**given)  # type: ignore[arg-type]
    for low, high in _ORDERED[title]:
        if getattr(numbers, low) > getattr(numbers, high):
            what = f"[{title}] {low} {getattr(numbers, low):g} is above {high} {getattr(numbers, high):g}"
            raise InputError(what, where=str(path), remedy=_REMEDY)
    return numbers


def _number(value: object, label: str, path: Path, *, whole: bool) -> float:
    least, most = _RANGES.get(label.split()[1], (1, _MOST) if whole else (0.0, 1.0))
    kind = "whole number" if whole else "number"
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if isinstance(value, int | float) and right and math.isfinite(value) and least <= value <= most:
        return value
    wanted = f"a {kind} from {least:g} to {most:g}" if most < _MOST else f"a {kind} of at least {least:g}"
    given = visible(str(value))[:40]
    raise InputError(f"{label} is {given}, not {wanted}", where=str(path), remedy=_REMEDY)


def _unknown_keys(table: dict[str, object]) -> list[str]:
    unknown = [key for key in table if key not in _KNOWN_KEYS]
    for name, known in _KNOWN_KEYS.items():
        section = table.get(name)
        if known is not None and isinstance(section, dict):
            unknown += [f"[{name}] {key}" for key in section if key not in known]
    return unknown
