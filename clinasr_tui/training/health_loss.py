"""Alerts from what a run learns: loss, validation WER and sample predictions (method, sections 6 and 7)."""

from __future__ import annotations

import math
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

from clinasr_tui.training.smoothing import average_at
from clinasr_tui.training.snapshot import Alert, Level, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinasr_tui.training.findings import Findings

FEW_POINTS = 20
"""A loss curve of fewer points says little."""
UNKNOWN_IN_A_ROW = 3
FIRST_POINTS = 20
EXPLOSIONS = ((40, 3.0, 2.0), (15, 10.0, 5.0))
"""Points in a row whose median lies so many times above the lowest average and above the loss's beginning.

A warm-up's spike is shorter or lower, and noise around a level has not both.
"""
RISE = 0.1
"""Relative rise of validation WER over two validations that is more than the noise of a small set."""
RISE_AT_LEAST = 0.003


def nan_loss(found: Findings) -> Alert | None:
    """NaN or infinite loss, known from the event file only."""
    watch = found.timeline.loss_watch
    if not watch.bad:
        return None
    points = len(found.timeline.loss)
    since = watch.bad_since
    if (
        since is not None
        and found.outcome is Outcome.RUNNING
        and points > 1
        and since == found.timeline.loss.newest
    ):
        return Alert(
            "nan_loss",
            Level.WARNING,
            f"The loss is NaN or infinite at step {since}, the last point; one more, and it stays so.",
            "Watch the next steps. If it stays: stop, then lr 3e-4, gradient_clip_val 1.0, bf16-mixed.",
            since,
        )
    if since is None:
        return Alert(
            "nan_loss",
            Level.WARNING,
            f"The loss was NaN or infinite at {watch.bad} of {points} points, first at step "
            f"{watch.first_bad}, and has recovered.",
            "Watch it. If it comes back: lower the learning rate, gradient_clip_val 1.0, bf16-mixed.",
            watch.first_bad,
        )
    hidden = {
        Outcome.DIVERGED: "No log says so" + (" and the exit code is 0." if found.told.exit else "."),
        Outcome.RUNNING: "The log will not say so and the run will exit 0.",
    }.get(found.outcome, "No log says so.")
    stop = "Stop the run: its weights are lost already. " if found.outcome is Outcome.RUNNING else ""
    return Alert(
        "nan_loss",
        Level.ERROR,
        f"The loss is NaN or infinite since step {since} ({watch.bad} of {points} points"
        f"{_rate(found, since)}). {hidden}",
        f"{stop}Do not use this model. Train again with lr 3e-4, gradient_clip_val 1.0, bf16-mixed.",
        since,
    )


def _rate(found: Findings, step: int) -> str:
    """The learning rate at a step, where it is above the recipe's range."""
    rate = found.timeline.series.get("learning_rate")
    used = rate.at(step) if rate else None
    return f", learning rate {used:.3g}" if used is not None and used > 1e-3 else ""


def loss_explosion(found: Findings) -> Alert | None:
    """A finite loss far above where it was and where it began, for long enough to be no spike."""
    watch = found.timeline.loss_watch
    if watch.lowest is None or watch.bad_since is not None or watch.risen_since is None:
        return None
    began = median(islice(_finite(found), FIRST_POINTS))
    for points, over_lowest, over_begin in EXPLOSIONS:
        if watch.finite < 2 * points:
            continue
        level = median(islice(_finite(found, newest_first=True), points))
        if level > over_lowest * watch.lowest and level > over_begin * began:
            since = watch.risen_since
            return Alert(
                "loss_explosion",
                Level.WARNING,
                f"The training loss has exploded: {level:.3g} over the last {points} points, "
                f"{level / watch.lowest:.0f} times its lowest level {watch.lowest:.3g}; it began at "
                f"{began:.3g}{_rate(found, since)}.",
                ("Stop the run. " if found.outcome is Outcome.RUNNING else "")
                + f"Checkpoints from before step {since} are the good ones. Train again with lr 3e-4, "
                "gradient_clip_val 1.0 and the recipe's warm-up.",
                since,
            )
    return None


def _finite(found: Findings, *, newest_first: bool = False) -> Iterator[float]:
    """Finite losses up to the newest point."""
    values = found.timeline.loss.values
    ordered = reversed(values) if newest_first else iter(values)
    return (value for value in ordered if math.isfinite(value))


def unk_collapse(found: Findings) -> Alert | None:
    """Several sample predictions in a row that are nothing but the unknown token."""
    main = found.told.main
    if main.unknown_run < UNKNOWN_IN_A_ROW:
        return None
    wer = found.timeline.val_wer.values[-2:]
    same = f", and val WER repeats {wer[-1]:.5g}" if len(wer) == 2 and wer[0] == wer[1] else ""
    if found.timeline.loss_watch.bad:
        remedy = "It follows from the NaN loss: do what is said there."
    else:
        remedy = (
            "Stop the run. A cache-aware streaming Nemotron base collapses like this with any "
            "hyperparameters: take nvidia/parakeet-tdt-0.6b-v2. With another base, check that its "
            "tokenizer knows the characters of the transcripts."
        )
    since = "" if main.unknown_since is None else f" (since step {main.unknown_since})"
    return Alert(
        "unk_collapse",
        Level.ERROR,
        f"The last {main.unknown_run} sample predictions are nothing but \u2047{since}{same}.",
        remedy,
        main.unknown_since,
    )


def overfit(found: Findings) -> Alert | None:
    """Val WER up at two validations in a row while the smoothed training loss falls (section 7)."""
    wer = found.timeline.val_wer
    if len(wer) < 3:
        return None
    first, middle, last = wer.values[-3:]
    if not first < middle < last or last - first < max(RISE_AT_LEAST, RISE * first):
        return None
    before = average_at(found.timeline.loss, wer.steps[-3])
    now = average_at(found.timeline.loss, wer.steps[-1])
    if before is None or now is None or now >= before:
        return None
    best = min(range(len(wer)), key=lambda index: wer.values[index])
    return Alert(
        "overfit",
        Level.WARNING,
        f"Validation WER rose twice in a row ({first:.3f} → {middle:.3f} → {last:.3f}) while the smoothed "
        f"training loss fell ({before:.3g} → {now:.3g}).",
        f"Stop, and keep the checkpoint of step {wer.steps[best]} (val WER {wer.values[best]:.3f}): the "
        ".nemo holds the last weights, not the best. Grow the manifest before training again; do not tune "
        "harder.",
        wer.steps[best],
    )


def no_loss_points(found: Findings) -> Alert | None:
    """Lightning logs every 10th step by default: a short run then has next to no loss curve."""
    if found.outcome in (Outcome.FAILED, Outcome.INTERRUPTED) or found.step is None:
        return None
    points, every = len(found.timeline.loss), found.told.log_every
    ended = found.outcome is not Outcome.RUNNING
    steps = found.step + 1 if ended else found.told.max_steps
    if steps is None or (every == 1 and points) or (every is None and not ended):
        return None
    coming = points if ended or not every else steps // every
    if coming >= FEW_POINTS or coming >= steps:
        return None
    how = f", log_every_n_steps={every}: set 1" if every and every > 1 else ""
    count = f"{coming} loss point{'' if coming == 1 else 's'}" if coming else "No loss points"
    return Alert(
        "no_loss_points",
        Level.WARNING,
        f"{count} for {steps} steps{how}.",
        "Set trainer.log_every_n_steps=1 for small manifests; this run's loss curve says little."
        if every != 1
        else "The event file (events.out.tfevents.*) is missing from the run folder, or was not written.",
    )
