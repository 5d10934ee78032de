"""Where commands get figures from: a cycle folder, a file of transcripts or a written leaderboard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError

if TYPE_CHECKING:
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import Cycle, Workspace

_FORMS = "Name a cycle folder, a file of transcripts (.json, .jsonl) or a leaderboard (.md)"
_OTHER_FILES = (".csv", ".nemo", ".wav", ".flac", ".zip", ".gz", ".toml")


@dataclass(frozen=True, slots=True)
class Source:
    """Scored rows if there are any, else only a leaderboard; the cycle if it came from one."""

    label: str
    scored: ScoredSet | None
    board: Leaderboard
    cycle: Cycle | None = None


def load_source(path: Path) -> Source:
    """Load a cycle folder, a file of transcripts or a leaderboard (`.md`).

    Transcripts in a cycle's folder take what they lack from the cycle's manifest, as the cycle does.
    """
    from clinasr_tui.flywheel.leaderboard_markdown import read_markdown
    from clinasr_tui.flywheel.workspace import open_cycle

    if path.is_dir():
        return load_cycle(open_cycle(path))
    kind = path.suffix.lower()
    if not path.exists():
        raise InputError("no such file or folder", where=str(path), remedy=_FORMS)
    if kind in _OTHER_FILES:
        raise InputError(f"a {kind} file holds no transcripts", where=str(path), remedy=_FORMS)
    if kind in (".md", ".markdown"):
        return Source(str(path), None, read_markdown(path))
    place = place_of(path)
    try:
        return load_hypotheses(path, place.cycle.manifest if place else None)
    except InputError as error:
        if _is_manifest(path):
            raise InputError("a manifest, not transcripts", where=str(path), remedy=_FORMS) from error
        raise


def _is_manifest(path: Path) -> bool:
    """True if the first line is a row with a text and no hypothesis."""
    try:
        with path.open("rb") as stream:
            first = json.loads(stream.readline(1 << 16))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "text" in first and "hyp" not in first


def load_cycle(cycle: Cycle) -> Source:
    """A cycle's transcripts, or the leaderboard that is all an old cycle has left."""
    from clinasr_tui.flywheel.leaderboard_markdown import read_markdown

    if cycle.hypotheses is not None:
        found = load_hypotheses(cycle.hypotheses, cycle.manifest)
        return Source(f"cycle {cycle.number}", found.scored, found.board, cycle)
    if cycle.leaderboard is not None:
        return Source(f"cycle {cycle.number}", None, read_markdown(cycle.leaderboard), cycle)
    raise InputError(
        "no transcripts (per_sample.json, offline_hyps.jsonl) and no leaderboard",
        where=str(cycle.folder),
        remedy="Transcribe the manifest first: clinasr-tui eval CYCLE --model BASE",
    )


def load_hypotheses(path: Path, manifest: Path | None = None) -> Source:
    """Read and score transcripts; a manifest fills fields they lack."""
    from clinasr_tui.commands.output import note
    from clinasr_tui.commands.progress import progress_line
    from clinasr_tui.flywheel.review import scored_file

    warnings: list[str] = []
    with progress_line("scoring") as progress:
        scored = scored_file(path, manifest, warnings.append, progress)
    for warning in warnings:
        note(f"warning: {warning}")
    # Large files are scored by processes of their own; what follows is imported while they work.
    from clinasr_tui.flywheel.leaderboard import build_leaderboard

    return Source(str(path), scored, build_leaderboard(scored))


class Place(NamedTuple):
    """Where a path stands: a cycle of a workspace."""

    workspace: Workspace
    cycle: Cycle


def place_of(path: Path) -> Place | None:
    """The cycle a folder is or a file stands in; None outside of any workspace.

    Raises InputError for settings that cannot be read, as `workspace_of` does.
    """
    workspace = workspace_of(path)
    folder = (path if path.is_dir() else path.parent).resolve()
    for cycle in workspace.cycles if workspace else ():
        if workspace is not None and cycle.folder.resolve() == folder:
            return Place(workspace, cycle)
    return None


def workspace_of(path: Path) -> Workspace | None:
    """The workspace around a cycle folder or a file in one; None where there is none.

    Raises InputError if there is one whose settings cannot be read: defaults would be a wrong answer.
    """
    from clinasr_tui.flywheel.settings import SETTINGS_FILE
    from clinasr_tui.flywheel.workspace import open_workspace

    folder = (path if path.is_dir() else path.parent).resolve()
    try:
        return open_workspace(folder)
    except InputError:
        if any((place / SETTINGS_FILE).exists() for place in (folder, folder.parent)):
            raise
        return None


def settings_of(path: Path) -> Settings:
    """The settings that apply to a cycle, manifest or transcripts: its workspace's, else the defaults."""
    from clinasr_tui.flywheel.settings import Settings

    workspace = workspace_of(path)
    return workspace.settings if workspace else Settings()
