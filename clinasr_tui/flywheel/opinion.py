"""What is thought of a change, as values: verdicts, actions, what was forgotten, what to look at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.decision import Difference, Verdict, by_chance, sentence

if TYPE_CHECKING:
    from clinasr_tui.flywheel.thresholds import Deviation


class Opinion(NamedTuple):
    """A verdict and what to do next."""

    verdict: Verdict
    action: str
    stage: str = ""
    """The stage the action belongs to, where the verdict alone does not say it."""

    @property
    def route(self) -> str:
        """Where the way leads: to the `stage`, else `deploy` if the model is kept and `build` if not."""
        return self.stage or ("deploy" if self.verdict is Verdict.KEEP else "build")


class Diagnostic(NamedTuple):
    """Something to look at before the next round, by its id, with what it shows here."""

    id: str
    message: str


@dataclass(frozen=True, slots=True)
class GeneralChange:
    """WER of the rows that both models transcribed: before, after, paired interval of the change."""

    wer: Difference
    cer: Difference
    rows: int
    only_a: int
    only_b: int
    forgotten: bool
    """True if the WER rose beyond chance and by at least the limit."""

    @property
    def sentence(self) -> str:
        """What became of general speech."""
        wer = self.wer
        if self.forgotten:
            verdict = "the model has forgotten"
        elif wer.delta is not None and wer.delta > 0 and not by_chance(wer):
            verdict = "worse, but by little"
        elif wer.delta is not None and wer.delta < 0 and not by_chance(wer):
            verdict = "better"
        else:
            verdict = "no measurable change"
        return f"General speech, {sentence(wer, 'WER')}: {verdict}."


@dataclass(frozen=True, slots=True)
class Judgement:
    """Both opinions, one sentence why the honest one is what it is, and what goes with them."""

    published: Opinion
    honest: Opinion
    why: str
    measured_as: str
    """What the targeted rows say by themselves, whatever else the honest verdict heeds."""
    diagnostics: tuple[Diagnostic, ...]
    """What to look at first, in this order; empty where the model is kept or worse."""
    general: GeneralChange | None
    stop: tuple[str, ...]
    """Why tuning should stop; empty while it need not."""
    deviations: tuple[Deviation, ...]

    @property
    def differs(self) -> bool:
        """True if the honest verdict is another one."""
        return self.honest.verdict is not self.published.verdict

    @property
    def beside(self) -> str:
        """The honest verdict in one sentence, the published one named where it is another."""
        other = f", not {self.published.verdict.upper()}" if self.differs else " too"
        return f"Honest verdict {self.honest.verdict.upper()}{other}: {self.why}"
