"""What the method's stop rules need of a run, from its record and from what lies of it on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.stopping import RunFacts, epochs_since_best, run_facts
from clinasr_tui.flywheel.workspace import MIRROR_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.flywheel.workspace import RunRef


def tuning_facts(run: RunRef) -> RunFacts:
    """Epochs, epochs since the best validation WER and signs of overfitting.

    The record's own figures come first; the run folder (or, of a run on a host, its mirror) fills what
    the record lacks. Reads files, blocks; what cannot be read is left unknown.
    """
    from clinasr_tui.training.run_reader import read_run_folder

    told = run_facts(run)
    folder = local_folder(run)
    if folder is None:
        return told
    try:
        snapshot = read_run_folder(folder).snapshot()
    except (InputError, OSError):
        return told
    reached = None if snapshot.epoch is None else snapshot.epoch + 1
    whole = (snapshot.max_steps, snapshot.max_epochs)
    done = (None if snapshot.step is None else snapshot.step + 1, reached)
    since = epochs_since_best(snapshot.val_wer, *(whole if all(whole) else done))
    overfit = next((alert.message for alert in snapshot.health if alert.id == "overfit"), "")
    return RunFacts(
        run.name,
        told.epochs if told.epochs is not None else reached,
        told.since_best if told.since_best is not None else since,
        overfit,
    )


def local_folder(run: RunRef) -> Path | None:
    """Where the run's files lie on this machine: its mirror or its own folder; None if nowhere."""
    mirror = run.folder / MIRROR_FOLDER
    if mirror.is_dir():
        return mirror
    folder = run.folder / run.run_dir
    return folder if run.host is None and folder.is_dir() else None
