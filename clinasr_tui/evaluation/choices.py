"""What the operator chose of an evaluation, in the form or by the command's options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.launch.plan import Backend


@dataclass(frozen=True, slots=True)
class EvalChoices:
    """What the operator chose; "" and None leave it to the run, the workspace or the machine."""

    model: str = ""
    """A pretrained name or a .nemo file; "" is the model of `run`."""
    run: str = ""
    """The run that made the model."""
    best: bool = False
    """The run's best checkpoint instead of its last weights; made into a .nemo on the run's machine."""
    host: str | None = None
    backend: Backend | None = None
    image: str = ""
    root: str = ""
    python: str = ""
    socket: str = ""
    """Where the machine's Docker engine listens."""
    cpu: bool = False
    batch_size: int = 0
    out_cycle: int | None = None
    general: Path | None = None
    """A general set's manifest, transcribed by the same model to measure forgetting."""
    only_general: bool = False
    """Transcribe nothing but the general set, into the cycle itself."""
    again: bool = False
    """Start from nothing although there are rows of an earlier attempt."""
    retry: bool = False
    """Transcribe the rows anew that have no transcript, and only those, although the evaluation is made."""
