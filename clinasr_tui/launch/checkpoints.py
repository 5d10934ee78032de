"""The checkpoints a run has left on its machine: what it can go on from, and which one is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.launch.fetch import HostFile, open_folder
from clinasr_tui.nemo_side.export_checkpoint import VAL_WER
from clinasr_tui.remote.scripts import succeeds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clinasr_tui.remote.host import Host

CHECKPOINTS = "run/checkpoints/"
"""Where NeMo keeps them and the model, in the run's folder."""


class Checkpoint(NamedTuple):
    """A checkpoint on the machine, and the validation WER its name tells."""

    file: HostFile
    val_wer: float | None
    is_last: bool

    @property
    def name(self) -> str:
        """Its file name."""
        return self.file.path.rpartition("/")[2]


def checkpoints_of(files: Iterable[HostFile]) -> list[Checkpoint]:
    """The checkpoints among a run folder's files."""
    found = []
    for file in files:
        if file.path.startswith(CHECKPOINTS) and file.path.endswith(".ckpt"):
            match = VAL_WER.search(file.path)
            found.append(
                Checkpoint(file, float(match[1]) if match else None, file.path.endswith("-last.ckpt"))
            )
    return found


def best_of(checkpoints: Iterable[Checkpoint]) -> Checkpoint | None:
    """The one with the lowest validation WER; None without any that tells one."""
    told = [one for one in checkpoints if one.val_wer is not None and not one.is_last]
    return min(told, key=lambda one: one.val_wer or 0.0, default=None)


async def last_checkpoint(host: Host, run_dir: str) -> Checkpoint | None:
    """What a run on an entered host can go on from; None if it saved nothing. Raises RemoteError."""
    if not await succeeds(host, ["test", "-d", run_dir]):
        return None
    async with open_folder(host, run_dir) as folder:
        return next((one for one in checkpoints_of(folder.files) if one.is_last), None)
