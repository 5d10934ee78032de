"""What is wrong with a run, with the evidence and what to do about it.

Rules and remedies: method, section 6 (recipe) and 7 (overfitting), and the measured facts about the
stock script. A healthy run has no alerts at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.training import health_end, health_loss, stall
from clinasr_tui.training.findings import CHECK
from clinasr_tui.training.snapshot import Alert, Level

if TYPE_CHECKING:
    from clinasr_tui.training.facts import Dataset
    from clinasr_tui.training.findings import Findings

_HALF = ("16", "16-mixed", "16-true")


def alerts(found: Findings) -> tuple[Alert, ...]:
    """All alerts, errors first, in a fixed order."""
    every = [
        health_loss.nan_loss(found),
        health_loss.unk_collapse(found),
        *health_end.endings(found),
        health_loss.loss_explosion(found),
        health_loss.overfit(found),
        stall.gone(found),
        stall.stalled(found),
        health_loss.no_loss_points(found),
        _rows(found),
        _fp16_tdt(found),
        stall.low_gpu(found),
    ]
    there = [alert for alert in every if alert is not None]
    return tuple(sorted(there, key=lambda alert: alert.severity is not Level.ERROR))


def _rows(found: Findings) -> Alert | None:
    """Rows NeMo dropped, by its own count (it never names them), or did not read at all."""
    told = found.told
    sets = [
        ("training", told.train_set, told.expected_train),
        ("validation", told.validation_set, told.expected_validation),
    ]
    there = [(name, dataset, rows) for name, dataset, rows in sets if dataset is not None]
    dropped = [_dropped(name, dataset) for name, dataset, _ in there if dataset.filtered]
    other = [text for name, dataset, rows in there if (text := _unlike(name, dataset, rows))]
    if not dropped and not other:
        return None
    many = sum(dataset.filtered for _, dataset, _ in there) > 1
    verb = "were" if many else "was"
    said = (
        [f"{' and '.join(dropped)} {verb} dropped by NeMo's length filters; the log does not name them."]
        if dropped
        else []
    )
    remedies = [f"{CHECK}: it lists the rows over 20 s and under 0.1 s."] if dropped else []
    if other:
        remedies.append("See that the run reads the manifest that was prepared for it (manifest_filepath).")
    return Alert("rows_dropped", Level.WARNING, " ".join(said + other), " ".join(remedies))


def _dropped(name: str, dataset: Dataset) -> str:
    files = f"{dataset.filtered} {name} file{'' if dataset.filtered == 1 else 's'}"
    return f"{files} ({dataset.filtered_hours:.2f} h)"


def _unlike(name: str, dataset: Dataset, rows: int | None) -> str:
    """A sentence if the script has read another number of rows than its manifest has."""
    read = dataset.files + dataset.filtered
    if rows is None or not dataset.counted or read == rows:
        return ""
    return f"The script read {read} {name} rows, the manifest of this run has {rows}."


def _fp16_tdt(found: Findings) -> Alert | None:
    if not found.told.tdt or found.told.precision not in _HALF:
        return None
    return Alert(
        "fp16_tdt",
        Level.WARNING,
        f"precision is {found.told.precision} with a TDT loss, which is prone to NaN.",
        "Set trainer.precision=bf16-mixed. On a card without BF16 (compute capability below 8): 32 and a "
        "smaller batch.",
    )
