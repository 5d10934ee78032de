"""Lay the demo's workspace out: the bundled cycle, settings, and the box's own files in `.box`.

cycle1/                 the bundled cycle, with the record of its first run (models/sft3)
cycle2/, cycle3/        each published when its replayed run has ended
clinasr.toml            settings that lead the app to the box
.box/                   keys, ssh config and home folder of the box
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parent / "data"
RECORDINGS = DATA / "recordings"
HOST = "demo-box"
RUNS = {"sft3": 2, "sft12": 3}
"""Each recorded run, in order, and the cycle its re-evaluation is."""
FIRST_RUN = next(iter(RUNS))
BASE = "base.nemo (FastConformer-TDT, 6.0 M parameters)"

_MARKER = "demo.json"
_SETTINGS = f"""\
name = "espeak-demo"

[gate]
priority = ["drug"]
base = "{BASE}"

[ssh]
config = ".box/ssh_config"
known_hosts = ".box/known_hosts"
"""
_PROVENANCE = (
    "A real run of NVIDIA NeMo's stock fine-tuning script on one H200, recorded on 2026-11-23 and replayed "
    "by the demo from a server on this machine. No GPU is in use."
)
# Override of the stock script → name of the hyperparameter.
_HYPERPARAMETERS = {
    "model.train_ds.batch_size": "batch_size",
    "model.optim.lr": "lr",
    "model.optim.sched.warmup_steps": "warmup_steps",
    "trainer.precision": "precision",
    "trainer.gradient_clip_val": "gradient_clip_val",
    "trainer.max_epochs": "max_epochs",
    "trainer.devices": "devices",
    "trainer.log_every_n_steps": "log_every_n_steps",
}


def box_folder(workspace: Path) -> Path:
    """Where the box keeps its keys, its ssh config and its home."""
    return workspace / ".box"


def home_folder(workspace: Path) -> Path:
    """The box's home; the run writes into a folder of its own there."""
    return box_folder(workspace) / "home"


@contextmanager
def claimed(workspace: Path) -> Iterator[None]:
    """Hold a folder for one demo. Raises InputError if it is not free or holds something else."""
    box = box_folder(workspace)
    with _writable(workspace):
        if workspace.exists() and any(workspace.iterdir()) and not (box / _MARKER).is_file():
            raise InputError(
                "the folder is not empty and holds no demo",
                where=str(workspace),
                remedy="Give --dir a new or an empty folder.",
            )
        box.mkdir(mode=0o700, parents=True, exist_ok=True)
        (box / _MARKER).write_text('{"schema": "clinasr.demo/1"}\n', encoding="utf-8")
        lock = os.open(box / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "another demo is open on this folder",
                where=str(workspace),
                remedy="Close it first, or give --dir another folder.",
            ) from None
        yield
    finally:
        os.close(lock)


def prepare_workspace(workspace: Path) -> Path:
    """Lay the demo out as it is before the run; returns the absolute path.

    A demo that was played before starts over: re-evaluations, mirrors, later runs and the box's run folders
    go; keys, confirmed host keys and whatever else lies in the cycle stay. Raises InputError.
    """
    workspace = workspace.absolute()
    for leftover in (
        *(workspace / f"cycle{number}" for number in RUNS.values()),
        *(_run_folder(workspace, run) for run in RUNS if run != FIRST_RUN),
        _run_folder(workspace, FIRST_RUN) / "mirror",
        home_folder(workspace),
    ):
        shutil.rmtree(leftover, ignore_errors=True)
    with _writable(workspace):
        for source in sorted((DATA / "cycle1").rglob("*")):
            target = workspace / "cycle1" / source.relative_to(DATA / "cycle1")
            if source.is_file() and not _is_copy(target, source):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        begin_run(workspace, FIRST_RUN)
        if not (workspace / "clinasr.toml").exists():
            (workspace / "clinasr.toml").write_text(_SETTINGS, encoding="utf-8")
    return workspace


def _is_copy(target: Path, source: Path) -> bool:
    """Whether the file is there already; one of another size is from another version of the demo."""
    return target.exists() and target.stat().st_size == source.stat().st_size


def begin_run(workspace: Path, run: str) -> Path:
    """Lay out a run's folder on the box, then its record in the workspace; returns the former."""
    folder, run_dir = _run_folder(workspace, run), home_folder(workspace) / run
    run_dir.mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    record, partial = folder / "training_run_info.json", folder / "training_run_info.partial"
    partial.write_text(json.dumps(_run_info(run, run_dir), indent=2) + "\n", encoding="utf-8")
    partial.replace(record)
    return run_dir


def publish_cycle(workspace: Path, number: int) -> None:
    """Make the re-evaluation of a tuned model visible, whole at once."""
    partial = workspace / f".cycle{number}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(DATA / f"cycle{number}", partial)
    partial.rename(workspace / f"cycle{number}")


def _run_folder(workspace: Path, run: str) -> Path:
    return workspace / "cycle1" / "models" / run


@contextmanager
def _writable(workspace: Path) -> Iterator[None]:
    """Say in one line why the folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the demo cannot be laid out here: {error.strerror}",
            where=str(workspace),
            remedy="Give --dir a folder on a disk with 30 MB to spare that you may write to.",
        ) from error


def _run_info(run: str, run_dir: Path) -> dict[str, Any]:
    """What is known of a recorded run, from the files it left."""
    command = next((RECORDINGS / run).rglob("cmd-args.log")).read_text(encoding="utf-8").split()
    overrides = dict(part.split("=", 1) for part in command if "=" in part)
    rows = {
        f"{name}_rows": (DATA / "cycle1" / f"{name}.jsonl").read_text(encoding="utf-8").count("\n")
        for name in ("train", "validation")
    }
    return {
        "run": run,
        "host": HOST,
        "run_dir": str(run_dir),
        "base": BASE,
        "hyperparameters": {
            name: _number(overrides[key]) for key, name in _HYPERPARAMETERS.items() if key in overrides
        },
        "data": rows,
        "overrides": command[1:],
        "provenance": _PROVENANCE,
    }


def _number(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
