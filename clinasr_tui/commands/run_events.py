"""A followed run as JSON, one event a line.

Every line is an object with `schema`, `event` and `time` (Unix seconds). Events and their further keys:
contact (state, retry_in, note), phase (phase, headline and where the run is), point (step, loss: null
if it is not finite), val_wer (step, value), sample (step, reference, prediction), health (as in the
document), health_over (id), end (the keys of the document of `watch --once --json`).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from clinasr_tui.commands.output import print_json
from clinasr_tui.remote.run_watch import Contact
from clinasr_tui.training.run_document import to_json
from clinasr_tui.training.snapshot import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinasr_tui.remote.run_watch import RunWatch, WatchUpdate
    from clinasr_tui.training.run_reader import RunReader
    from clinasr_tui.training.snapshot import RunSnapshot, Series


class _News:
    """The points of a series that have not been told: what is new by wall time."""

    def __init__(self) -> None:
        self._told = -math.inf
        self._version = 0
        self._rewrites = 0
        self._count = 0

    def take(self, series: Series) -> Iterator[tuple[int, float]]:
        """New points as (step, value). A step logged again by a resumed run is told again."""
        if series.version == self._version:
            return
        rewritten = series.rewrites != self._rewrites
        start = 0 if rewritten else self._count
        told = self._told
        for index in range(start, len(series)):
            if not rewritten or series.walls[index] > told:
                self._told = max(self._told, series.walls[index])
                yield series.steps[index], series.values[index]
        self._version, self._rewrites, self._count = series.version, series.rewrites, len(series)


class Events:
    """Prints the events of one followed run."""

    def __init__(self) -> None:
        self._contact: Contact | None = None
        self._place: tuple[object, ...] = ()
        self._losses = _News()
        self._wers = _News()
        self._samples = 0
        self._alerts: dict[str, str] = {}

    def update(self, watch: RunWatch, update: WatchUpdate | None) -> None:
        """Something came, or, without an update, some time has passed."""
        if update is not None:
            self._contacted(update)
        self._figures(watch.reader)
        if update is not None and not update.caught_up:
            return
        snapshot = watch.reader.snapshot(watch.heard_at)
        self._phase(snapshot)
        self._health(snapshot)

    def end(self, snapshot: RunSnapshot) -> None:
        """The outcome, with everything the document says."""
        self._health(snapshot)
        _print("end", to_json(snapshot))

    def _contacted(self, update: WatchUpdate) -> None:
        # A first contact that fails prints nothing but its error.
        first = self._contact is None and update.contact is Contact.CONNECTING
        if (update.contact is self._contact or first) and not update.note:
            return
        self._contact = update.contact
        _print(
            "contact",
            {"state": str(update.contact), "retry_in": update.retry_in, "note": update.note or None},
        )

    def _figures(self, reader: RunReader) -> None:
        for step, loss in self._losses.take(reader.train_loss):
            _print("point", {"step": step, "loss": loss if math.isfinite(loss) else None})
        for step, value in self._wers.take(reader.val_wer):
            _print("val_wer", {"step": step, "value": value if math.isfinite(value) else None})
        new = reader.sample_count - self._samples
        self._samples = reader.sample_count
        for sample in reader.samples[-new:] if new > 0 else ():
            _print(
                "sample",
                {"step": sample.step, "reference": sample.reference, "prediction": sample.prediction},
            )

    def _phase(self, snapshot: RunSnapshot) -> None:
        queued = snapshot.headline if snapshot.phase is Phase.QUEUED else ""
        place = (snapshot.phase, snapshot.epoch, snapshot.outcome, queued)
        if place == self._place:
            return
        self._place = place
        keys = (
            "phase",
            "outcome",
            "headline",
            "epoch",
            "max_epochs",
            "step",
            "max_steps",
            "eta_seconds",
            "job",
        )
        document = to_json(snapshot)
        _print("phase", {key: document[key] for key in keys})

    def _health(self, snapshot: RunSnapshot) -> None:
        now = {alert["id"]: alert for alert in to_json(snapshot)["health"]}
        for name, alert in now.items():
            if self._alerts.get(name) != alert["severity"]:
                _print("health", alert)
        for name in self._alerts:
            if name not in now:
                _print("health_over", {"id": name})
        self._alerts = {name: alert["severity"] for name, alert in now.items()}


def _print(event: str, keys: dict[str, Any]) -> None:
    print_json("watch", {"event": event, "time": round(time.time(), 3), **keys})
