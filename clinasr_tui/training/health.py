"""What is wrong with a run, with the evidence and what to do about it.

Rules and remedies: method, section 6 (recipe) and 7 (overfitting), and the measured facts about the
stock script. A healthy run has no alerts at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinasr_tui.text import visible
from clinasr_tui.training import evidence
from clinasr_tui.training.smoothing import average_at
from clinasr_tui.training.snapshot import Alert, Level, Outcome, Phase

if TYPE_CHECKING:
    from clinasr_tui.training.timeline import Rhythm, Timeline
    from clinasr_tui.training.told import Told

FEW_POINTS = 20
"""A loss curve of fewer points says little."""
UNKNOWN_IN_A_ROW = 3
MAX_QUOTE = 200
_CHECK = "Run `clinasr-tui check` on the manifest"
_RESUME = "resume with exp_manager.resume_if_exists=true in the same folder"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the alerts are judged from."""

    told: Told
    timeline: Timeline
    outcome: Outcome
    phase: Phase
    step: int | None
    rhythm: Rhythm
    silence: float | None
    """Seconds since the last news; None for a recorded run."""


def alerts(found: Findings) -> tuple[Alert, ...]:
    """All alerts, errors first, in a fixed order."""
    causes = _causes(found)
    every = [
        _nan_loss(found),
        _unk_collapse(found),
        *causes,
        None if any(alert.severity is Level.ERROR for alert in causes) else _crashed(found),
        _interrupted(found),
        _overfit(found),
        _stalled(found),
        _no_loss_points(found),
        *_rows_dropped(found),
        _fp16_tdt(found),
    ]
    there = [alert for alert in every if alert is not None]
    return tuple(sorted(there, key=lambda alert: alert.severity is not Level.ERROR))


def _nan_loss(found: Findings) -> Alert | None:
    watch = found.timeline.loss_watch
    if not watch.bad:
        return None
    points = len(found.timeline.loss)
    if watch.bad_since is None:
        return Alert(
            "nan_loss",
            Level.WARNING,
            f"The loss was NaN or infinite at {watch.bad} of {points} points, first at step "
            f"{watch.first_bad}, and has recovered.",
            "Watch it. If it comes back: lower the learning rate, gradient_clip_val 1.0, bf16-mixed.",
            watch.first_bad,
        )
    rate = found.timeline.series.get("learning_rate")
    used = rate.at(watch.bad_since) if rate else None
    lr = f", learning rate {used:.3g}" if used is not None and used > 1e-3 else ""
    hidden = {
        Outcome.DIVERGED: "No log says so" + (" and the exit code is 0." if found.told.exit else "."),
        Outcome.RUNNING: "The log will not say so and the run will exit 0.",
    }.get(found.outcome, "No log says so.")
    stop = "Stop the run: its weights are lost already. " if found.outcome is Outcome.RUNNING else ""
    return Alert(
        "nan_loss",
        Level.ERROR,
        f"The loss is NaN or infinite since step {watch.bad_since} ({watch.bad} of {points} points{lr}). "
        f"{hidden}",
        f"{stop}Do not use this model. Train again with lr 3e-4, gradient_clip_val 1.0, bf16-mixed.",
        watch.bad_since,
    )


def _unk_collapse(found: Findings) -> Alert | None:
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


def _causes(found: Findings) -> list[Alert]:
    """Alerts for the causes the text names; only warnings if the run finished all the same."""
    severity = Level.WARNING if found.outcome in (Outcome.FINISHED, Outcome.DIVERGED) else Level.ERROR
    result = []
    for cause, line in found.told.evidence.items():
        message, remedy = _EXPLAIN[cause](line)
        result.append(Alert(cause, severity, message, remedy))
    return sorted(result, key=lambda alert: alert.id)


def _explain_oom(line: str) -> tuple[str, str]:
    if "container was killed" in line or "DataLoader worker" in line or "can't allocate" in line:
        return (
            f"The machine's memory (not the GPU's) ran out: {_quote(line)}",
            "Fewer num_workers, or a machine with more memory.",
        )
    free = evidence.free_memory(line)
    hog = evidence.memory_hog(line)
    message = f"Out of GPU memory{f' ({free})' if free else ''}: {_quote(line)}"
    if hog:
        return (
            message,
            f"Process {hog[0]} holds {hog[1]} of the card: end it or wait for it (nvidia-smi shows it), "
            "then start again. The batch size is not the cause.",
        )
    if "ALLOC_FAILED" in line:
        return message, (
            "The card was full before training began: see with nvidia-smi who holds it, then start again. "
            "If it is this run alone: model.train_ds.batch_size=2 with trainer.accumulate_grad_batches=2."
        )
    return message, "Start again with model.train_ds.batch_size=2 and trainer.accumulate_grad_batches=2."


def _explain_missing_audio(line: str) -> tuple[str, str]:
    name = evidence.quoted_file(line)
    return (
        f"An audio file of the manifest does not exist: {_quote(name or line)}. Training stops when such a "
        "row is drawn.",
        f"{_CHECK}, correct the paths (they are read on the training machine, inside the container), "
        "start again.",
    )


def _explain_bad_manifest(line: str) -> tuple[str, str]:
    return f"NeMo cannot read the manifest: {_quote(line)}", f"{_CHECK}: it names file and line."


def _explain_disk_full(line: str) -> tuple[str, str]:
    return (
        f"The disk is full: {_quote(line)}",
        f"Free space (each epoch keeps a checkpoint; save_top_k limits them), then {_RESUME}.",
    )


def _explain_shm(line: str) -> tuple[str, str]:
    return (
        f"Shared memory ran out: {_quote(line)}",
        "Start the container with --ipc=host or a large --shm-size (Docker's 64 MB is too small for "
        "DataLoader workers), or set num_workers=0.",
    )


_EXPLAIN = {
    "oom": _explain_oom,
    "missing_audio": _explain_missing_audio,
    "bad_manifest": _explain_bad_manifest,
    "disk_full": _explain_disk_full,
    "shm": _explain_shm,
}


def _crashed(found: Findings) -> Alert | None:
    if found.outcome is not Outcome.FAILED:
        return None
    told = found.told
    if told.exception is not None:
        return Alert(
            "crashed",
            Level.ERROR,
            f"The script ended with an exception: {_quote(told.exception)}",
            "The traceback is in the log (next error).",
        )
    code = told.exit.code if told.exit else None
    name = told.exit.signal_name if told.exit else None
    if name == "SIGKILL":
        return Alert(
            "crashed",
            Level.ERROR,
            f"The process was killed (exit code {code}, SIGKILL); it could not say anything.",
            "Killed by hand, by the scheduler, or for lack of memory (see the host's dmesg). "
            f"To go on: {_RESUME}.",
        )
    how = f"exit code {code}" if code is not None else "an error"
    return Alert(
        "crashed",
        Level.ERROR,
        f"The script ended with {how}{f' ({name})' if name else ''} and no exception in the log.",
        "Read the last lines of the log.",
    )


def _interrupted(found: Findings) -> Alert | None:
    if found.outcome is not Outcome.INTERRUPTED:
        return None
    told = found.told
    name = told.stop_signal or (told.exit.signal_name if told.exit else None)
    code = f"exit code {told.exit.code}, " if told.exit else ""
    at = (
        ""
        if found.step is None
        else f" after {found.step + 1}" + (f" of {told.max_steps} steps" if told.max_steps else " steps")
    )
    return Alert(
        "interrupted",
        Level.WARNING,
        f"The run was stopped{f' by {name}' if name else ''}{at} ({code}no finish line).",
        f"If that was not meant: {_RESUME}; the -last checkpoint is where it goes on.",
    )


def _overfit(found: Findings) -> Alert | None:
    """Val WER up at two validations in a row while the smoothed training loss falls (section 7)."""
    wer = found.timeline.val_wer
    if len(wer) < 3:
        return None
    first, middle, last = wer.values[-3:]
    if not first < middle < last:
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


def _stalled(found: Findings) -> Alert | None:
    if found.silence is None or found.outcome is not Outcome.RUNNING:
        return None
    limit = patience(found)
    if limit is None or found.silence <= limit:
        return None
    pace = found.rhythm.between_points
    usual = f"; points used to come every {pace:.1f} s" if pace is not None else ""
    return Alert(
        "stalled",
        Level.WARNING,
        f"Nothing new for {_duration(found.silence)}{usual}.",
        "See whether the process still lives and the GPU works (nvidia-smi); a hung data loader or a "
        "full disk look like this.",
        found.step,
    )


def patience(found: Findings) -> float | None:
    """Seconds of silence that are still normal, from the run's own rhythm; None if any silence is.

    Downloads and loading may take half an hour. A validation or a checkpoint may take ten minutes the
    first time; afterwards the longest gap so far tells.
    """
    if found.phase in (Phase.WAITING, Phase.PULLING):
        return None
    if found.phase in (Phase.LOADING, Phase.SLEEPING) or found.rhythm.between_points is None:
        return 1800.0
    own = max(60.0, 20 * found.rhythm.between_points, 3 * found.rhythm.longest_gap)
    pausing = found.phase in (Phase.VALIDATING, Phase.SAVING) or not found.told.main.batches
    return min(3600.0, max(own, 600.0) if pausing else own)


def _no_loss_points(found: Findings) -> Alert | None:
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


def _rows_dropped(found: Findings) -> list[Alert]:
    """NeMo gives a count only, never the names."""
    dropped = [
        (name, dataset)
        for name, dataset in (
            ("training", found.told.train_set),
            ("validation", found.told.validation_set),
        )
        if dataset is not None and dataset.filtered
    ]
    if not dropped:
        return []
    parts = [
        f"{one.filtered} {name} file{'' if one.filtered == 1 else 's'} ({one.filtered_hours:.2f} h)"
        for name, one in dropped
    ]
    many = sum(one.filtered for _, one in dropped) > 1
    return [
        Alert(
            "rows_dropped",
            Level.WARNING,
            f"{' and '.join(parts)} {'were' if many else 'was'} dropped by NeMo's length filters; "
            "the log does not name them.",
            f"{_CHECK}: it lists the rows over 20 s and under 0.1 s.",
        )
    ]


def _fp16_tdt(found: Findings) -> Alert | None:
    if not found.told.tdt or found.told.precision not in ("16", "16-mixed", "16-true"):
        return None
    return Alert(
        "fp16_tdt",
        Level.WARNING,
        f"precision is {found.told.precision} with a TDT loss, which is prone to NaN.",
        "Set trainer.precision=bf16-mixed. On a card without BF16 (compute capability below 8): 32 and a "
        "smaller batch.",
    )


def _quote(text: str) -> str:
    """Untrusted text, safe to show and short."""
    shown = visible(text.strip())
    return shown if len(shown) <= MAX_QUOTE else f"{shown[: MAX_QUOTE - 1]}…"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
