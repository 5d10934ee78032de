"""A followed run told in plain lines, for logs and CI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clinasr_tui.commands.output import figure, note, print_lines
from clinasr_tui.training.snapshot import Level, Outcome, Phase, RunSnapshot

if TYPE_CHECKING:
    from clinasr_tui.remote.run_watch import RunWatch, WatchUpdate

_PARTS = 10
"""Lines of progress in a run, about."""


class Story:
    """A line for each new phase, epoch, tenth of the way, validation and alert; the outcome at the end.

    `once` tells only what is wrong and the outcome.
    """

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._place: tuple[object, ...] = ()
        self._validations = 0
        self._alerts: dict[str, Level] = {}

    def update(self, watch: RunWatch, update: WatchUpdate | None) -> None:
        """Something came, or, without an update, some time has passed."""
        if update is not None and update.note:
            note(update.note)
        if self._once or (update is not None and not update.caught_up):
            return
        snapshot = watch.reader.snapshot(watch.heard_at)
        if not snapshot.ended:
            self._progress(watch, snapshot)
            self._health(snapshot)

    def _progress(self, watch: RunWatch, snapshot: RunSnapshot) -> None:
        part = 0
        if snapshot.step is not None and snapshot.max_steps:
            part = _PARTS * (snapshot.step + 1) // snapshot.max_steps
        # A validation and a checkpoint are told by their result.
        busy = snapshot.phase in (Phase.TRAINING, Phase.VALIDATING, Phase.SAVING)
        # Why a job waits changes while it waits.
        phase = snapshot.headline if snapshot.phase is Phase.QUEUED else snapshot.phase
        place = ("training" if busy else phase, snapshot.epoch, part, snapshot.outcome)
        if place != self._place:
            self._place = place
            _tell(f"{snapshot.headline}{_figures(snapshot) if busy else ''}")
        for step, value in snapshot.val_wer[self._validations :]:
            best = min(wer for at, wer in snapshot.val_wer if at <= step)
            behind = "best so far" if value <= best else f"best {figure(best)}"
            _tell(f"val WER {figure(value)} at step {step} ({behind})")
            self._sample(watch)
        self._validations = len(snapshot.val_wer)

    def _sample(self, watch: RunWatch) -> None:
        """The newest prediction, for an impression of what the model has learned."""
        if samples := watch.reader.samples[-1:]:
            print_lines([f"  reference  {samples[0].reference}", f"  predicted  {samples[0].prediction}"])

    def _health(self, snapshot: RunSnapshot) -> None:
        """Tell new alerts and those that have become worse; say when one is over."""
        now = {alert.id: alert for alert in snapshot.health}
        for name, alert in now.items():
            if self._alerts.get(name) is not alert.severity:
                mark = "✖" if alert.severity is Level.ERROR else "!"
                _tell(f"{mark} {alert.id}: {alert.message}", when=bool(self._place))
                print_lines([f"  → {alert.remedy}"])
        for name in self._alerts:
            if name not in now and not snapshot.ended:
                _tell(f"{name}: over")
        self._alerts = {name: alert.severity for name, alert in now.items()}

    def end(self, snapshot: RunSnapshot) -> None:
        """What is wrong, and as the last line the outcome."""
        self._health(snapshot)
        print_lines([snapshot.headline])


def _tell(line: str, *, when: bool = True) -> None:
    stamp = f"{time.strftime('%H:%M:%S')}  " if when else ""
    print_lines([stamp + line])


def _figures(snapshot: RunSnapshot) -> str:
    """Loss and time left, as far as they are known."""
    parts = []
    if snapshot.train_loss_ema is not None:
        parts.append(f"loss {figure(snapshot.train_loss_ema)} (smoothed)")
    if snapshot.eta_seconds is not None and snapshot.outcome is Outcome.RUNNING:
        parts.append(f"about {_duration(snapshot.eta_seconds)} left")
    return "".join(f", {part}" for part in parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
