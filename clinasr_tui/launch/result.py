"""A run's result: the model and all that the run wrote, brought into the workspace and checked."""

from __future__ import annotations

import asyncio
import shlex
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.flywheel.run_marks import lacks_checkpoint, was_fetched
from clinasr_tui.flywheel.tuned_models import FETCHED_NAME
from clinasr_tui.flywheel.workspace import MIRROR_FOLDER, NOT_STARTED
from clinasr_tui.launch.checkpoints import CHECKPOINTS, Checkpoint, best_of, checkpoints_of
from clinasr_tui.launch.control import RunHandle, handle_of, is_alive, settle_by_name
from clinasr_tui.launch.ending import complete_record
from clinasr_tui.launch.fetch import HostFile, holds, open_folder
from clinasr_tui.launch.record import ENDED, amend_record, read_record
from clinasr_tui.launch.runs import NotReadyError
from clinasr_tui.remote.hosts import open_host
from clinasr_tui.remote.run_watch import RunWatch
from clinasr_tui.training.snapshot import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.launch.fetch import Folder, Tell
    from clinasr_tui.remote.host import Host, SshSettings
    from clinasr_tui.training.snapshot import RunSnapshot

FILES_FOLDER, CHECKPOINTS_FOLDER = "files", "checkpoints"
_MACHINERY = ("pid.json", "child.json", "claim.json", "run_and_record.py", "job.sh")
"""What the launch left in the run's folder for itself."""
_LEAVING_SECONDS, _LOOK_SECONDS = 60.0, 0.5
"""Between NeMo's finish line and the end of its process it saves and tidies up."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was fetched of a run."""

    model: Path | None
    """The last weights, or None where the run left no model."""
    model_bytes: int
    sha256: str
    files: int
    """Further files that are here and checked: logs, event files, settings."""
    best: Checkpoint | None
    """The checkpoint with the lowest validation WER, which the model need not be."""
    left: tuple[HostFile, ...]
    """Checkpoints that are on the machine only: needed to resume, or to go back to the best one."""
    snapshot: RunSnapshot

    @property
    def is_complete(self) -> bool:
        """True if the machine can go. A run that was cut off has its work in its checkpoint, and a model is
        there at all only after the first validation."""
        finished = self.model is not None and self.snapshot.outcome is Outcome.FINISHED
        return finished or not self.left


class Unfetched(NamedTuple):
    """A run whose result is on its machine only."""

    run: str
    lacks_checkpoint: bool
    """True if all but its checkpoint is here."""

    def __str__(self) -> str:
        return (
            f"{self.run} (its checkpoint is only there: --checkpoints)" if self.lacks_checkpoint else self.run
        )


async def fetch_result(
    folder: Path,
    ssh: SshSettings,
    tell: Tell | None = None,
    *,
    checkpoints: bool = False,
) -> Result:
    """Bring a run's result into its folder of the workspace and complete its record.

    The model is `adapted_model.nemo`, logs and event file are in the mirror, what the mirror does not keep is
    in `files`, checkpoints (if asked for) in `checkpoints`; each has the checksum it has on the machine.
    Raises NotReadyError while the run goes on (its model is rewritten then), errors as `Folder.fetch`.
    """
    record = read_record(folder)
    handle = handle_of(record)
    host_name = record.get("host")
    async with await asyncio.to_thread(open_host, host_name, ssh) as host:
        if not await _is_over(handle, host, told_end=record.get("state") == ENDED):
            raise NotReadyError(
                "the run is going on, and its model is rewritten until it is over",
                where=handle.run,
                remedy=f"Watch it (clinasr-tui watch {shlex.quote(str(folder))}), fetch afterwards",
            )
        await settle_by_name(handle, host)
        snapshot = await close_record(folder, ssh)
        async with open_folder(host, handle.run_dir) as there:
            result = await _fetch(folder, handle, there, snapshot, tell, checkpoints)
    amend_record(folder, {"result": _document(result)})
    return result


async def _is_over(handle: RunHandle, host: Host, *, told_end: bool) -> bool:
    """Whether no process of the run lives; one that has told its end is given the time to leave."""
    deadline = time.monotonic() + (_LEAVING_SECONDS if told_end else 0.0)
    while await is_alive(handle, host):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


async def close_record(folder: Path, ssh: SshSettings) -> RunSnapshot:
    """Complete the mirror and the record of a run whose process lives no more; what its files say."""
    record, mirror = read_record(folder), folder / MIRROR_FOLDER
    handle = handle_of(record)
    watch = RunWatch(handle.run_dir, host=record.get("host"), name=handle.run, mirror=mirror, ssh=ssh)
    async with aclosing(watch.updates(once=True)) as updates:
        async for _ in updates:
            pass
    snapshot = watch.reader.snapshot()
    complete_record(folder, snapshot, watch.mirror_path("exit.json"), over=True)
    return snapshot


async def _fetch(
    folder: Path,
    handle: RunHandle,
    there: Folder,
    snapshot: RunSnapshot,
    tell: Tell | None,
    with_checkpoints: bool,
) -> Result:
    model, files = _model_of(there.files, handle.run), 0
    points = checkpoints_of(there.files)
    for file in there.files:
        if not file.path.startswith(CHECKPOINTS) and file.path not in _MACHINERY:
            await _keep(folder, there, file, tell)
            files += 1
    digest = await there.fetch(model, folder / FETCHED_NAME, tell) if model else ""
    if with_checkpoints:
        for one in points:
            await there.fetch(one.file, folder / CHECKPOINTS_FOLDER / one.name, tell)
    return Result(
        model=folder / FETCHED_NAME if model else None,
        model_bytes=model.size if model else 0,
        sha256=digest,
        files=files,
        best=best_of(points),
        left=() if with_checkpoints else tuple(one.file for one in points),
        snapshot=snapshot,
    )


async def _keep(folder: Path, there: Folder, file: HostFile, tell: Tell | None) -> None:
    """Have a small file here: in the mirror, where its bytes came while the run was watched, or beside it."""
    digest = await there.digest(file)
    mirrored = folder / MIRROR_FOLDER / file.path
    copies = [mirrored, *mirrored.parent.glob(f"{mirrored.name}~*")] if mirrored.parent.is_dir() else []
    for copy in copies:
        if await asyncio.to_thread(holds, copy, digest):
            return
    await there.fetch(file, folder / FILES_FOLDER / file.path, tell)


def _model_of(files: Iterable[HostFile], run: str) -> HostFile | None:
    """The run's model; of several (a rename that was cut off) the one with the run's own name."""
    found = [one for one in files if one.path.startswith(CHECKPOINTS) and one.path.endswith(".nemo")]
    own = [one for one in found if one.path == f"{CHECKPOINTS}{run}.nemo"]
    return next(iter(own or found), None)


def _document(result: Result) -> dict[str, Any]:
    best = result.best
    return {
        "fetched_at": time.time(),
        "complete": result.is_complete,
        "model": {
            "file": FETCHED_NAME,
            "weights": "last",
            "bytes": result.model_bytes,
            "sha256": result.sha256,
        }
        if result.model
        else None,
        "best_checkpoint": {"file": best.name, "val_wer": best.val_wer} if best else None,
        "files": result.files,
        "left_on_machine": [{"file": one.path, "bytes": one.size} for one in result.left],
    }


def not_fetched(runs: Iterable[RunRef], host: str | None) -> list[Unfetched]:
    """A workspace's runs whose results are on that machine only: deleting it would lose them."""
    return [
        Unfetched(run.name, lacks_checkpoint(run.info))
        for run in runs
        if run.host == host
        and "backend" in run.info
        and not was_fetched(run)
        and run.info.get("state") != NOT_STARTED
    ]
