"""What alerts are judged from, and how they word it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.training.gpu import GpuTrack
    from clinasr_tui.training.snapshot import Outcome, Phase
    from clinasr_tui.training.timeline import Rhythm, Timeline
    from clinasr_tui.training.told import Told

MAX_QUOTE = 200
CHECK = "Run `clinasr-tui check` on the manifest"
RESUME = "resume with exp_manager.resume_if_exists=true in the same folder"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the alerts are judged from."""

    told: Told
    timeline: Timeline
    outcome: Outcome
    phase: Phase
    step: int | None
    rhythm: Rhythm
    silence: float | None
    """Seconds since the last news; None for a recorded run."""
    gpus: tuple[GpuTrack, ...] = ()
    """GPUs of the machine, if their figures are fresh: as new as `silence` is."""
    eta: float | None = None
    """Seconds left at the pace so far."""
    gone: bool = False
    """The process that wrote the run's files has gone, and nothing has come since."""


def quote(text: str) -> str:
    """Untrusted text, safe to show and short."""
    shown = visible(text.strip())
    return shown if len(shown) <= MAX_QUOTE else f"{shown[: MAX_QUOTE - 1]}…"


def duration(seconds: float) -> str:
    """A length of time for people: 45 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
