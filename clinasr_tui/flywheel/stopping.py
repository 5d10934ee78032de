"""When to stop tuning, over a workspace's cycles and runs (method, section 7).

Two cycles in a row below 5 % relative improvement, more than 30 epochs without any, or a run whose
validation WER rose while its training loss fell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.decision import no_progress, percent, stop_tuning
from clinasr_tui.flywheel.thresholds import DecisionLimits

if TYPE_CHECKING:
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.workspace import Cycle, RunRef, Workspace

_EPOCH_KEYS = ("epochs", "max_epochs", "trainer.max_epochs")
_SECTIONS = ("hyperparameters", "hparams", "trainer", "metrics")
_BASELINE = "per_sample.json"


class RunFacts(NamedTuple):
    """What the stop rules need of one run; None and "" where it is not known."""

    name: str
    epochs: int | None = None
    since_best: int | None = None
    """Epochs after the one with the best validation WER."""
    overfit: str = ""
    """The evidence that validation WER rose while the training loss fell."""


@dataclass(frozen=True, slots=True)
class CycleChange:
    """KER of the targeted categories from one cycle to the next, after a run between them."""

    before: int
    after: int
    relative: float | None
    epochs: int | None = None


def tuned_between(before: Cycle, after: Cycle) -> bool:
    """True if the later cycle's model is a tuned one, as far as the files tell.

    Model names decide where both are given. Else a run or a split before it, or transcripts that are
    a re-evaluation's, or of which only the leaderboard is left, count as tuned.
    """
    if before.model and after.model:
        return before.model != after.model
    if after.trained_on is not None or before.runs or before.train:
        return True
    return after.hypotheses is None or after.hypotheses.name != _BASELINE


def tuning_history(
    newest_first: Iterable[tuple[Cycle, ScoredSet | Leaderboard]],
    workspace: Workspace,
    priority: tuple[str, ...],
    limits: DecisionLimits,
) -> tuple[CycleChange, ...]:
    """The newest tuned changes, oldest first, back to the last that was progress (which is included).

    Cycles are taken from the iterator only as long as the rules need them: reading one is work.
    """
    changes: list[CycleChange] = []
    after: tuple[Cycle, ScoredSet | Leaderboard] | None = None
    for before in newest_first:
        if after is not None and tuned_between(before[0], after[0]):
            run = workspace.run_of(after[0].number)
            changes.append(
                CycleChange(
                    before[0].number,
                    after[0].number,
                    targeted_change(before[1], after[1], priority),
                    run_facts(run).epochs if run else None,
                )
            )
            if not no_progress(changes[-1].relative, limits):
                break
        after = before
    return tuple(reversed(changes))


def targeted_change(
    a: ScoredSet | Leaderboard, b: ScoredSet | Leaderboard, priority: tuple[str, ...]
) -> float | None:
    """Relative change of the priority categories' KER: of the paired rows where both sets have rows."""
    from clinasr_tui.flywheel.comparison import compare_leaderboards
    from clinasr_tui.flywheel.leaderboard import build_leaderboard
    from clinasr_tui.flywheel.scoring import ScoredSet

    if isinstance(a, ScoredSet) and isinstance(b, ScoredSet):
        pairs = _paired_ker(a, b, priority)
        if pairs:
            before, after = (sum(side) for side in zip(*pairs, strict=True))
            return after / before - 1 if before else (None if after else 0.0)
    boards = [build_leaderboard(side) if isinstance(side, ScoredSet) else side for side in (a, b)]
    targeted = compare_leaderboards(boards[0], boards[1], priority=priority).targeted
    return targeted.relative if targeted else None


def _paired_ker(a: ScoredSet, b: ScoredSet, priority: tuple[str, ...]) -> list[tuple[int, int]]:
    from clinasr_tui.flywheel.pairing import pair_rows
    from clinasr_tui.flywheel.scoring import NO_KER

    pairing, categories = pair_rows(a.hypotheses, b.hypotheses), a.hypotheses.entity_category
    every, targeted = [], []
    for i, k in zip(pairing.a, pairing.b, strict=True):
        pair = (int(a.scores.ker[i]), int(b.scores.ker[k]))
        if NO_KER not in pair:
            every.append(pair)
            if categories[i] in priority:
                targeted.append(pair)
    return targeted or every


def run_facts(run: RunRef) -> RunFacts:
    """What `training_run_info.json` says of a run: its epochs and, if it names the best one, how far back."""
    epochs = _whole(run.info, _EPOCH_KEYS)
    best = _whole(run.info, ("best_epoch",))
    since = epochs - 1 - best if epochs is not None and best is not None and best < epochs else None
    return RunFacts(run.name, epochs, since)


def _whole(info: Mapping[str, object], keys: Sequence[str]) -> int | None:
    """The first whole number under one of the keys, at the top or in a section of the record."""
    sections = [info, *(section for name in _SECTIONS if isinstance(section := info.get(name), Mapping))]
    for section in sections:
        for key in keys:
            value = section.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                return value
    return None


def epochs_since_best(
    val_wer: Sequence[tuple[int, float]], steps: int | None, epochs: int | None
) -> int | None:
    """Whole epochs between the best validation WER and the last one; `val_wer` holds (step, value).

    So many `steps` are so many `epochs`. None where that or two finite values are not known.
    """
    points = [(step, value) for step, value in val_wer if math.isfinite(value)]
    if len(points) < 2 or not steps or not epochs:
        return None
    best = min(points, key=lambda point: point[1])[0]
    return round((points[-1][0] - best) * epochs / steps)


def stop_reasons(
    changes: Sequence[CycleChange], run: RunFacts | None, limits: DecisionLimits | None = None
) -> Iterator[str]:
    """Why tuning should stop, one sentence a rule; `run` is the newest one."""
    limits = limits or DecisionLimits()
    exhausted = stop_tuning([change.relative for change in changes], limits)
    if exhausted:
        yield exhausted
    idle = _idle_epochs(changes, limits)
    if idle is not None and idle > limits.stop_epochs:
        yield (
            f"Stop tuning: {idle} epochs without improvement of the KER ({percent(changes[-1].relative)} in "
            f"the last cycle); the limit is {limits.stop_epochs}."
        )
    if run is None:
        return
    if run.since_best is not None and run.since_best > limits.stop_epochs:
        yield (
            f"Stop tuning: run {run.name} went on for {run.since_best} epochs after its best validation WER; "
            f"the limit is {limits.stop_epochs}."
        )
    if run.overfit:
        yield f"Overfitting in run {run.name}: {run.overfit}"


def _idle_epochs(changes: Sequence[CycleChange], limits: DecisionLimits) -> int | None:
    """Epochs trained since the last cycle that was progress; None if none are known."""
    known = []
    for change in reversed(changes):
        if not no_progress(change.relative, limits):
            break
        if change.epochs is not None:
            known.append(change.epochs)
    return sum(known) if known else None
