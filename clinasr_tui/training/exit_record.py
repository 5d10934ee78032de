"""How the process ended: `exit.json` of our launcher, or an `rc` file whose last word is the code."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass

from clinasr_tui.text import visible

MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """Exit code as a shell gives it (128 + n for signal n) and whether the machine ran out of memory."""

    code: int | None
    """None if nobody knows it: the process has gone without a word."""
    oom: bool = False
    asked: str | None = None
    """Signal the run was sent from outside and took as its end, whatever its exit code then was."""
    reason: str | None = None
    """Who sent it, where that is known: "Slurm (time limit)"; of one that has gone its last words."""
    ended: float | None = None
    """Unix seconds."""

    @property
    def signal_name(self) -> str | None:
        """Name of the signal that ended the process, None if none did."""
        if self.code is None:
            return None
        number = -self.code if self.code < 0 else self.code - 128
        try:
            return signal.Signals(number).name if number > 0 else None
        except ValueError:
            return None


def parse_exit(name: str, data: bytes) -> ExitRecord | None:
    """The record in a file's bytes; None while it is incomplete or says nothing."""
    text = data[:MAX_BYTES].decode("utf-8", "replace")
    return _from_json(text) if name.endswith(".json") else _from_words(text)


def _from_words(text: str) -> ExitRecord | None:
    words = text.split()
    try:
        return ExitRecord(int(words[-1])) if words and len(words[-1]) < 12 else None
    except ValueError:
        return None


def _from_json(text: str) -> ExitRecord | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    code, named = document.get("exit_code"), document.get("signal")
    oom = document.get("oom") is True
    told = document.get("asked")
    asked = told if isinstance(told, str) and told in signal.Signals.__members__ else None
    why, at = document.get("reason"), document.get("ended")
    reason = visible(why) if isinstance(why, str) and why else None
    ended = float(at) if isinstance(at, int | float) else None
    if isinstance(code, int) and not isinstance(code, bool):
        return ExitRecord(code, oom, asked, reason, ended)
    number = _signal_number(named)
    if number is None and document.get("gone") is not True:
        return None
    return ExitRecord(None if number is None else -number, oom, asked, reason, ended)


def _signal_number(named: object) -> int | None:
    if isinstance(named, int) and not isinstance(named, bool):
        return named if named > 0 else None
    if isinstance(named, str):
        member = signal.Signals.__members__.get(named if named.startswith("SIG") else f"SIG{named}")
        return int(member) if member else None
    return None
