"""Work on a machine as it goes, told step by step, and how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.progress import clock_text, left_text

if TYPE_CHECKING:
    from clinasr_tui.errors import ClinasrError
    from clinasr_tui.launch.flow import Progress


@dataclass(slots=True)
class Effort:
    """Work told step by step."""

    steps: list[Progress] = field(default_factory=list)
    """The newest word of each step so far, the step that goes on last."""
    going: bool = True
    error: ClinasrError | None = None
    """Why it ended before it was done; None also if it was cancelled."""
    begun: float = field(default_factory=time.monotonic)
    """When the step that goes on began."""

    @property
    def now(self) -> Progress | None:
        """The newest word."""
        return self.steps[-1] if self.steps else None

    @property
    def left(self) -> str:
        """About how long the step will go on (`0:42`); "" while that is not known."""
        now = self.now
        if now is None or not self.going:
            return ""
        if now.left is not None:
            return clock_text(now.left)
        return left_text(time.monotonic() - self.begun, now.fraction) if now.fraction else ""

    def take(self, now: Progress) -> bool:
        """Note how far it is; never cancels. Called from threads, too."""
        if self.steps and self.steps[-1].step == now.step:
            self.steps[-1] = now
        else:
            self.begun = time.monotonic()
            self.steps.append(now)
        return True
