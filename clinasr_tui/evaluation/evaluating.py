"""An evaluation as it goes: its steps, its manifests, and what it made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinasr_tui.launch.effort import Effort

if TYPE_CHECKING:
    from clinasr_tui.evaluation.evaluate import Evaluated
    from clinasr_tui.evaluation.prepare import Evaluation
    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.launch.flow import Progress


@dataclass(slots=True, kw_only=True)
class Evaluating(Effort):
    """One evaluation as it goes, kept when it is over."""

    evaluation: Evaluation
    part: int = 0
    """Which of its manifests: the cycle's, then the general set's."""
    began: bool = False
    """True once the transcription was started on its machine: from then on it could go on by itself."""
    counts: bool = False
    """True while rows are transcribed."""
    ending: bool = False
    """True while it is being ended, or left to itself."""
    done: Evaluated | None = None
    board: Leaderboard | None = None
    """Of the cycle that was made, once it is computed."""
    change: Comparison | None = None
    """Against the cycle it was made of; None for a baseline."""
    is_unread: bool = False
    """True if what was made cannot be scored or compared."""

    def take(self, now: Progress) -> bool:
        """Note how far it is. With a new look at the machine the steps begin anew: contact was lost, or it is
        the next manifest's turn."""
        from clinasr_tui.evaluation.told import TRANSCRIBING
        from clinasr_tui.evaluation.transcription import CONTACT, FETCHING
        from clinasr_tui.launch.flow import Step

        if now.step == Step.LOOK and self.steps:
            self.part += self.steps[-1].step == FETCHING
            self.steps.clear()
        self.counts = now.step == TRANSCRIBING
        self.began |= now.step in (TRANSCRIBING, CONTACT)
        return Effort.take(self, now)

    @property
    def out_of_contact(self) -> bool:
        """True while its machine is not reached: it goes on there, and cannot be told to end."""
        from clinasr_tui.evaluation.transcription import CONTACT

        return self.now is not None and self.now.step == CONTACT

    @property
    def parts(self) -> int:
        """How many manifests are transcribed."""
        choices = self.evaluation.choices
        return (not choices.only_general) + (choices.general is not None)

    @property
    def cancelled(self) -> bool:
        """True if it was ended before it was done."""
        return not self.going and self.done is None and self.error is None

    @property
    def headline(self) -> str:
        """A few words for every screen's title: `eval 48 % 0:42`."""
        now = self.now
        if now is None or now.fraction is None or not self.counts:
            return f"eval: {now.step if now is not None else 'begins'}"
        part = f" {self.part + 1}/{self.parts}" if self.parts > 1 else ""
        left = f" {self.left}" if self.left else ""
        return f"eval{part} {now.fraction:.0%}{left}"
