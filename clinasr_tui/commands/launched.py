"""A run that was launched from a workspace, as `cancel`, `fetch` and `watch` are given it: by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.workspace import RUN_INFO_FILE
from clinasr_tui.launch.control import RunHandle, handle_of
from clinasr_tui.launch.record import read_record

if TYPE_CHECKING:
    import argparse


class LaunchedRun(NamedTuple):
    """The run's folder in the workspace and what its record says."""

    folder: Path
    record: dict[str, Any]
    handle: RunHandle

    @property
    def host(self) -> str | None:
        """Where it runs; None is this machine."""
        host = self.record.get("host")
        return host if isinstance(host, str) else None

    @property
    def cycle(self) -> Path:
        """The cycle's folder."""
        return self.folder.parent.parent


def add_run(parser: argparse.ArgumentParser) -> None:
    """The RUN argument."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder: cycle1/models/<run>")


def launched_run(folder: Path) -> LaunchedRun:
    """The run of a folder. Raises InputError for one that was not launched from here."""
    if not (folder / RUN_INFO_FILE).is_file():
        raise InputError(
            f"no run of a workspace: there is no {RUN_INFO_FILE} in it",
            where=str(folder),
            remedy="Name a run's folder in the workspace: cycle1/models/<run>",
        )
    record = read_record(folder)
    return LaunchedRun(folder.absolute(), record, handle_of(record))
