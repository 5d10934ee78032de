"""Alerts about how a run ends: causes its text names, crashes, signals, schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinasr_tui.training import evidence
from clinasr_tui.training.crashes import cure
from clinasr_tui.training.findings import CHECK, RESUME, quote
from clinasr_tui.training.snapshot import Alert, Level, Outcome

if TYPE_CHECKING:
    from clinasr_tui.training.exit_record import ExitRecord
    from clinasr_tui.training.findings import Findings

_COMING = 5.0
"""Seconds in which the traceback may follow the line that announces it."""
_SIGNALS = {
    "SIGKILL": "Killed by hand, by the scheduler, or for lack of memory (see the host's dmesg). ",
    "SIGBUS": "Most often Docker's 64 MB of shared memory: start the container with --ipc=host. ",
    "SIGSEGV": "A defect below Python, of a driver or a library: start again; if it comes back, another "
    "container or GPU. ",
    "SIGABRT": "A library gave up; its reason is in the lines before. ",
}


def endings(found: Findings) -> list[Alert]:
    """Causes, then a crash nothing more specific explains, then an interruption."""
    causes = _causes(found)
    known = any(alert.severity is Level.ERROR for alert in causes)
    every = [*causes, None if known else _crashed(found), _interrupted(found)]
    return [alert for alert in every if alert is not None]


def _causes(found: Findings) -> list[Alert]:
    """Alerts for the causes the text names; only warnings if the run finished or went on all the same."""
    told = found.told
    fine = found.outcome in (Outcome.FINISHED, Outcome.DIVERGED)
    result = []
    for cause, line in told.evidence.items():
        went_on = cause in told.survived and found.outcome is Outcome.RUNNING
        message, remedy = _EXPLAIN[cause](line)
        note = " Training went on since." if went_on else ""
        severity = Level.WARNING if fine or went_on else Level.ERROR
        step = found.step if severity is Level.ERROR else None
        result.append(Alert(cause, severity, message + note, remedy, step))
    return sorted(result, key=lambda alert: alert.id)


def _explain_oom(line: str) -> tuple[str, str]:
    if not evidence.is_gpu_memory(line):
        return (
            f"The machine's memory (not the GPU's) ran out: {quote(line)}",
            "Fewer num_workers, or a machine (Slurm: --mem) with more memory.",
        )
    free = evidence.free_memory(line)
    hog = evidence.memory_hog(line)
    message = f"Out of GPU memory{f' ({free})' if free else ''}: {quote(line)}"
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
        f"An audio file of the manifest does not exist: {quote(name or line)}. Training stops when such a "
        "row is drawn.",
        f"{CHECK}, correct the paths (they are read on the training machine, inside the container), "
        "start again.",
    )


def _explain_bad_manifest(line: str) -> tuple[str, str]:
    return f"NeMo cannot read the manifest: {quote(line)}", f"{CHECK}: it names file and line."


def _explain_disk_full(line: str) -> tuple[str, str]:
    return (
        f"The disk is full: {quote(line)}",
        f"Free space (each epoch keeps a checkpoint; save_top_k limits them), then {RESUME}.",
    )


def _explain_shm(line: str) -> tuple[str, str]:
    if evidence.is_open_files(line):
        return (
            f"The data loader's workers ran out of open files: {quote(line)}",
            "`ulimit -n 65536` before the script (docker run --ulimit nofile=65536), or fewer num_workers.",
        )
    return (
        f"Shared memory ran out: {quote(line)}",
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
            f"The script ended with an exception: {quote(told.exception)}",
            cure(told.exception) or "The traceback is in the log (next error).",
            found.step,
        )
    if told.exit is None and told.killed is None and found.silence is not None and found.silence < _COMING:
        return None
    if told.exit is not None and told.exit.code is None:
        return _without_a_word(told.exit, found)
    code = told.exit.code if told.exit else None
    name = (told.exit.signal_name if told.exit else None) or told.killed
    if name in _SIGNALS:
        how = "killed" if name == "SIGKILL" else "ended"
        said = f"exit code {code}, {name}" if code is not None else name
        silent = "; it could not say anything" if name == "SIGKILL" else ""
        return Alert(
            "crashed",
            Level.ERROR,
            f"The process was {how} ({said}){silent}.",
            f"{_SIGNALS[name]}To go on: {RESUME}.",
            found.step,
        )
    how = f"exit code {code}" if code is not None else "an error"
    return Alert(
        "crashed",
        Level.ERROR,
        f"The script ended with {how}{f' ({name})' if name else ''} and no exception in the log.",
        "Read the last lines of the log.",
        found.step,
    )


def _without_a_word(left: ExitRecord, found: Findings) -> Alert:
    """It was looked for on its machine, and there is neither a process nor a record of its own."""
    said = f"; the last it said: {quote(left.reason)}" if left.reason else ""
    return Alert(
        "crashed",
        Level.ERROR,
        f"The process has gone without a word, nothing says how it ended{said}.",
        "It was killed, the machine was restarted (`last -x` tells), or it could not begin (wrapper.log in "
        f"the run folder). To go on: {RESUME}.",
        found.step,
    )


def _interrupted(found: Findings) -> Alert | None:
    if found.outcome is not Outcome.INTERRUPTED:
        return None
    told = found.told
    name = told.stop_reason or told.stop_signal or (told.exit.signal_name if told.exit else None)
    known = told.exit is not None and told.exit.code is not None
    code = f"exit code {told.exit.code}, " if told.exit and known else ""
    at = (
        ""
        if found.step is None
        else f" after {found.step + 1}" + (f" of {told.max_steps} steps" if told.max_steps else " steps")
    )
    more = (
        "Ask for more time (sbatch --time; with train: --slurm-option time=…), then "
        if "time limit" in (told.stop_reason or "")
        else ""
    )
    remedy = f"{more}{RESUME}" if more else f"If that was not meant: {RESUME}"
    return Alert(
        "interrupted",
        Level.WARNING,
        f"The run was stopped{f' by {name}' if name else ''}{at} ({code}no finish line).",
        f"{remedy}; the -last checkpoint is where it goes on.",
        found.step,
    )
