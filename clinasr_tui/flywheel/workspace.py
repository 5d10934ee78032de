"""A workspace: its cycles, runs and settings, found in a folder (method, section 1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.manifest import read_manifest
from clinasr_tui.flywheel.settings import SETTINGS_FILE, Settings, read_settings
from clinasr_tui.flywheel.split import TRAIN_FILE, VALIDATION_FILE

MANIFEST_FILE = "manifest.jsonl"
BASELINE_FILE = "per_sample.json"
REEVAL_FILE = "offline_hyps.jsonl"
GENERAL_FILE = "general_hyps.jsonl"
SERVING_FILE = "serving_hyps.jsonl"
RUN_INFO_FILE = "training_run_info.json"
MIRROR_FOLDER = "mirror"
NOT_STARTED = "not started"
"""State in the record of a run whose launch failed: it is no run yet."""
_EVAL_INFO_FILE = "eval_info.json"
_CYCLE_NAME = re.compile(r"cycle([0-9]{1,6})")
# What a run leaves in its folder or one below it: enough to list a run nobody wrote a record for.
_RUN_TRACES = ("console.log", "stdout.log", "*events.out.tfevents.*", "nemo_log_globalrank-*")
_EVENTS_NAME = re.compile(r"\.tfevents\.([0-9]{1,12})\.")
_LARGEST_RECORD = 4 << 20


@dataclass(frozen=True, slots=True)
class RunRef:
    """A fine-tuning run known to a workspace: `cycle<N>/models/<name>/training_run_info.json`."""

    name: str
    cycle: int
    folder: Path
    """The local folder of the run; mirrored logs live in `folder / "mirror"`."""
    run_dir: str
    """The run folder on `host`, or a local path if `host` is None (relative to `folder`)."""
    host: str | None
    """Host alias of the ssh config, None for this machine."""
    info: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One `cycle<N>` folder and what was found in it; absent files are None."""

    number: int
    """N of `cycle<N>`; 1 for a folder with another name."""
    folder: Path
    manifest: Path | None
    hypotheses: Path | None
    """per_sample.json (baseline) or offline_hyps.jsonl (re-evaluation); the later one wins."""
    train: Path | None
    validation: Path | None
    leaderboard: Path | None
    model: str
    """Label of the model that was scored (`eval_info.json`), "" if unknown."""
    runs: tuple[RunRef, ...] = ()
    """Oldest first."""
    trained_on: int | None = None
    """Number of the cycle whose split the scored model was trained on (`eval_info.json`), if said."""
    run: str = ""
    """Name of the run that made the scored model (`eval_info.json`), "" if unknown."""
    general: Path | None = None
    """general_hyps.jsonl: a general set transcribed by the same model, to measure forgetting."""
    serving: Path | None = None
    """serving_hyps.jsonl: the manifest transcribed by the deployed model, through its service."""
    warnings: tuple[str, ...] = ()
    """What could not be read in the folder, one line each."""

    @property
    def is_empty(self) -> bool:
        """True if the folder holds nothing a cycle is made of."""
        files = (self.manifest, self.hypotheses, self.train, self.validation, self.leaderboard)
        return not self.runs and not any(files)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with cycles, in number order."""

    root: Path
    name: str
    cycles: tuple[Cycle, ...]
    settings: Settings
    warnings: tuple[str, ...] = ()
    """What was found but could not be used, one line each."""

    def cycle(self, number: int) -> Cycle | None:
        """The cycle with this number."""
        return next((cycle for cycle in self.cycles if cycle.number == number), None)

    @property
    def runs(self) -> tuple[RunRef, ...]:
        """All runs, oldest cycle first."""
        return tuple(run for cycle in self.cycles for run in cycle.runs)

    def held_out(self, number: int) -> frozenset[tuple[str, str]] | None:
        """(audio_filepath, term) keys of the rows that the model scored in cycle `number` never saw.

        They are the validation rows of the split it was trained on: the one its `eval_info.json`
        names, else the newest of an earlier cycle, else the cycle's own. None without a split.
        Raises InputError if the file cannot be read.
        """
        cycle = self._trained_on(number)
        return _keys(cycle.validation) if cycle and cycle.validation else None

    def trained(self, number: int) -> frozenset[tuple[str, str]] | None:
        """Keys of the rows the model scored in cycle `number` was trained on; see `held_out`."""
        cycle = self._trained_on(number)
        return _keys(cycle.train) if cycle and cycle.train else None

    def run_of(self, number: int) -> RunRef | None:
        """The run that made the model scored in cycle `number`: the one its `eval_info.json` names.

        Without a name the newest run of the cycle whose split it was trained on; None if there is none.
        """
        cycle, source = self.cycle(number), self._trained_on(number)
        if cycle is None:
            return None
        if cycle.run:
            named = [run for run in reversed(self.runs) if run.name == cycle.run]
            # Two cycles may have a run of the same name.
            return max(
                named, key=lambda run: (run.cycle == cycle.trained_on, run.cycle < number), default=None
            )
        if source is None or source.number >= number or not source.runs:
            return None
        return source.runs[-1]

    def _trained_on(self, number: int) -> Cycle | None:
        scored = self.cycle(number)
        named = self.cycle(scored.trained_on) if scored and scored.trained_on is not None else None
        if named is not None and named.validation is not None:
            return named
        splits = [cycle for cycle in self.cycles if cycle.validation is not None]
        earlier = [cycle for cycle in splits if cycle.number < number]
        own = [cycle for cycle in splits if cycle.number == number]
        return next(reversed(own + earlier), None)


def open_workspace(root: Path) -> Workspace:
    """Find what is in a folder. Raises InputError if it is no workspace and no cycle.

    A cycle folder opens as the workspace around it (its parent); a folder that holds a cycle's files
    under another name is a workspace with that one cycle.
    """
    _expect_folder(root, "workspace")
    here = root.resolve()
    if _CYCLE_NAME.fullmatch(here.name) and not _cycle_folders(here):
        root, here = here.parent, here.parent
    settings = read_settings(root)
    cycles, warnings = _read_cycles(root)
    if not cycles and not (root / SETTINGS_FILE).exists():
        alone = _read_cycle(root, 1)
        if alone.is_empty:
            raise InputError(
                f"no workspace: it has no cycle folder (cycle1, cycle2, …), no {MANIFEST_FILE} and no "
                f"{SETTINGS_FILE}",
                where=str(root),
                remedy=f"Put a manifest into cycle1/{MANIFEST_FILE}, or try `clinasr-tui demo`",
            )
        cycles = (alone,)
    found = (*settings.warnings, *warnings, *(line for cycle in cycles for line in cycle.warnings))
    return Workspace(root, settings.name or here.name or str(here), cycles, settings, found)


def open_cycle(folder: Path) -> Cycle:
    """One cycle folder on its own. Raises InputError saying what a cycle needs."""
    _expect_folder(folder, "cycle")
    name = _CYCLE_NAME.fullmatch(folder.resolve().name)
    cycle = _read_cycle(folder, int(name[1]) if name else 1)
    inside = [entry.name for _, entry in _cycle_folders(folder)] if cycle.is_empty else []
    if inside:
        raise InputError(
            "a workspace, not a cycle",
            where=str(folder),
            remedy=f"Name one of its cycles: {', '.join(inside)}",
        )
    if cycle.is_empty:
        raise InputError(
            f"no cycle: none of {MANIFEST_FILE}, {BASELINE_FILE}, {REEVAL_FILE}, {TRAIN_FILE} or "
            "leaderboard_cycle<N>.md is in it",
            where=str(folder),
            remedy="Name a cycle folder such as cycle1",
        )
    return cycle


def _expect_folder(path: Path, what: str) -> None:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return
        problem = "a file, not a folder" if path.exists() else "no such folder"
    except OSError as error:
        problem = f"the folder cannot be read ({error.strerror})"
    raise InputError(problem, where=str(path), remedy=f"Name a {what} folder")


def _cycle_folders(root: Path) -> list[tuple[int, Path]]:
    """(number, folder) of the cycles in `root`, in number order."""
    found = []
    for entry in root.iterdir():
        name = _CYCLE_NAME.fullmatch(entry.name)
        if name and entry.is_dir():
            found.append((int(name[1]), entry))
    return sorted(found, key=lambda item: (item[0], len(item[1].name)))


def _read_cycles(root: Path) -> tuple[tuple[Cycle, ...], list[str]]:
    cycles: dict[int, Cycle] = {}
    warnings = []
    for number, folder in _cycle_folders(root):
        if number in cycles:
            warnings.append(f"{folder}: cycle {number} is {cycles[number].folder.name} already; ignored")
            continue
        try:
            cycles[number] = _read_cycle(folder, number)
        except OSError as error:
            warnings.append(f"{folder}: the cycle cannot be read ({error.strerror}); ignored")
    return tuple(cycles.values()), warnings


def _read_cycle(folder: Path, number: int) -> Cycle:
    warnings: list[str] = []
    info = small_record(folder / _EVAL_INFO_FILE, warnings) or {}
    model, trained_on, run = info.get("model"), info.get("trained_on_cycle"), info.get("run")
    boards = sorted(folder.glob("leaderboard_cycle*.md"), key=_modified)
    own_board = _file(folder, f"leaderboard_cycle{number}.md")
    scored = [path for name in (BASELINE_FILE, REEVAL_FILE) if (path := _file(folder, name))]
    return Cycle(
        number=number,
        folder=folder,
        manifest=_file(folder, MANIFEST_FILE),
        hypotheses=max(reversed(scored), key=_modified, default=None),
        train=_file(folder, TRAIN_FILE),
        validation=_file(folder, VALIDATION_FILE),
        leaderboard=own_board or (boards[-1] if boards else None),
        model=model if isinstance(model, str) else "",
        runs=tuple(_read_runs(folder, number, warnings)),
        trained_on=trained_on if isinstance(trained_on, int) else None,
        run=run if isinstance(run, str) else "",
        general=_file(folder, GENERAL_FILE),
        serving=_file(folder, SERVING_FILE),
        warnings=tuple(warnings),
    )


def _read_runs(cycle: Path, number: int, warnings: list[str]) -> Iterator[RunRef]:
    models = cycle / "models"
    folders = [entry for entry in models.iterdir() if entry.is_dir()] if models.is_dir() else []
    for _, name, folder in sorted((_began(folder), folder.name, folder) for folder in folders):
        record = folder / RUN_INFO_FILE
        info = small_record(record, warnings) if record.exists() else {}
        if info is None or not (info or _has_traces(folder)) or info.get("state") == NOT_STARTED:
            continue
        host, run_dir, run = info.get("host"), info.get("run_dir", "."), info.get("run", name)
        if not isinstance(run_dir, str) or not isinstance(run, str) or not isinstance(host, str | None):
            warnings.append(f"{record}: run, host and run_dir must be text (host may be null); run ignored")
        elif host and run_dir == ".":
            warnings.append(f"{record}: run_dir is missing, the run's folder on {host}; run ignored")
        else:
            yield RunRef(run or name, number, folder, run_dir or ".", host or None, info)


def _began(folder: Path) -> int:
    """When a run began, in nanoseconds: its record's time, else what its own files tell.

    An event file carries the time in its name, whatever copied it here; a folder's time changes with
    every file that comes into it.
    """
    record = _file(folder, RUN_INFO_FILE)
    if record is not None:
        return _modified(record)
    traces = list(_traces(folder))
    named = (_EVENTS_NAME.search(path.name) for path in traces)
    begun = min((int(name[1]) * 10**9 for name in named if name), default=None)
    return min(map(_modified, traces), default=_modified(folder)) if begun is None else begun


def _has_traces(folder: Path) -> bool:
    """True if a run wrote here."""
    return next(_traces(folder), None) is not None


def _traces(folder: Path) -> Iterator[Path]:
    """What a run wrote here; a mirror is a copy of a run that is elsewhere."""
    found = (path for deep in ("", "*/") for trace in _RUN_TRACES for path in folder.glob(deep + trace))
    return (path for path in found if path.parent.name != MIRROR_FOLDER)


def small_record(path: Path, warnings: list[str]) -> dict[str, object] | None:
    """A small JSON object beside other files; None if there is none, with a warning if it is broken."""
    if not path.is_file():
        return None
    try:
        with open_input(path, "record") as stream:
            value = json.loads(stream.read(_LARGEST_RECORD))
    except (ValueError, RecursionError, OSError, InputError) as error:
        reason = "not valid JSON" if isinstance(error, ValueError | RecursionError) else "it cannot be read"
        warnings.append(f"{path}: {reason}; ignored")
        return None
    if not isinstance(value, dict):
        warnings.append(f"{path}: not a JSON object; ignored")
        return None
    return value


def _file(folder: Path, name: str) -> Path | None:
    path = folder / name
    return path if path.is_file() else None


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _keys(path: Path) -> frozenset[tuple[str, str]]:
    return frozenset((row.audio_filepath, row.term) for row in read_manifest(path))
