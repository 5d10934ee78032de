"""Results by file identity: computed once in a thread, kept until a file changes. Knows no screen."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from clinasr_tui.errors import ClinasrError, InputError
from clinasr_tui.flywheel import review
from clinasr_tui.flywheel.progress import Job
from clinasr_tui.flywheel.workspace import RUN_INFO_FILE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.preflight import PreflightReport
    from clinasr_tui.flywheel.progress import Progress
    from clinasr_tui.flywheel.review import ScoredCycle
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.served import Served
    from clinasr_tui.flywheel.workspace import Cycle, Workspace

T = TypeVar("T")
SCORING, PREFLIGHT, COMPARISON, SERVING = "scoring", "pre-flight", "comparison", "what serving changed"
AGAIN = "r starts it again"
Identity = tuple[str, int, int]
"""Path, mtime in ns, size: as long as it is the same, so is what was computed from the file."""


def identity(path: Path | None) -> Identity | None:
    """A file's identity; None for no file."""
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return (str(path), 0, -1)
    return (str(path), stat.st_mtime_ns, stat.st_size)


def identities(workspace: Workspace) -> frozenset[Identity]:
    """Identities of every file results are computed from."""
    files = [
        path
        for cycle in workspace.cycles
        for path in (*_files(cycle), cycle.train, cycle.validation, cycle.serving)
    ]
    found = (identity(path) for path in (*files, *_run_records(workspace)))
    return frozenset(one for one in found if one is not None)


def _run_records(workspace: Workspace) -> list[Path]:
    return [run.folder / RUN_INFO_FILE for run in workspace.runs]


def _files(cycle: Cycle) -> tuple[Path | None, ...]:
    return (cycle.hypotheses, cycle.leaderboard, cycle.manifest, cycle.general)


@dataclass(frozen=True, slots=True)
class CycleFigures:
    """What the Cycles screen shows of one cycle: figures of all rows and of the held-out ones."""

    rows: int
    ker: float | None
    ker_rows: int
    interval: tuple[float, float] | None
    """95 % of the KER, bootstrap clustered by term; None without rows."""
    held_out_ker: float | None
    held_out_rows: int
    held_out_interval: tuple[float, float] | None


class StoppedError(ClinasrError):
    """Long work was cancelled. Kept like a result: nothing starts it again but the operator."""


class CycleJob(Job):
    """Long work on one cycle's files: `kind` is one of the constants above."""

    def __init__(self, kind: str, cycle: Cycle, *, measured: bool = True) -> None:
        super().__init__(f"{kind} of cycle {cycle.number}", measured=measured)
        self.kind = kind
        self.cycle = cycle.number

    def is_of(self, cycle: Cycle | None) -> bool:
        """True for work on this cycle."""
        return cycle is not None and self.cycle == cycle.number


class Results:
    """What is computed from the workspace's files. Every method may raise ClinasrError, told in one line."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._results: dict[tuple[object, ...], asyncio.Task[Any]] = {}
        self._jobs: dict[tuple[object, ...], CycleJob] = {}

    @property
    def jobs(self) -> tuple[CycleJob, ...]:
        """The long work that goes on now, oldest first."""
        return tuple(self._jobs.values())

    def work_changed(self) -> None:
        """Called when long work has begun or ended."""

    def stop_all(self) -> None:
        """End all long work; whoever waits for it gets `StoppedError`."""
        for job in self._jobs.values():
            job.cancel()

    def forget_stopped(self) -> bool:
        """Let go of everything that was stopped, so that asking starts it again; False if nothing was."""
        stopped = [key for key, task in self._results.items() if _was_stopped(task)]
        for key in stopped:
            del self._results[key]
        return bool(stopped)

    def forget_old(self, current: frozenset[Identity]) -> None:
        """Let go of results whose files have changed, and of work on them."""
        old = [key for key in self._results if not current.issuperset(_identities_in(key))]
        for key in old:
            del self._results[key]
            if key in self._jobs:
                self._jobs[key].cancel()

    async def _once(self, key: tuple[object, ...], work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, computed once per key; an operator's error is kept like a result."""
        task = cast("asyncio.Task[T] | None", self._results.get(key))
        if task is None:
            task = asyncio.ensure_future(_told(key, work))
            self._results[key] = task
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _long(
        self, kind: str, cycle: Cycle, key: tuple[object, ...], work: Callable[[Cycle, Progress], T]
    ) -> T:
        """The result of `work`, which runs in a thread, says how far it is and may be stopped."""

        async def run() -> T:
            with self._shown(key, CycleJob(kind, cycle)) as job:
                try:
                    return await asyncio.to_thread(work, cycle, job.progress)
                except InterruptedError:
                    told = f"{job.what} was stopped at {job.fraction:.0%}"
                    raise StoppedError(told, remedy=AGAIN) from None

        return await self._once(key, run)

    @contextmanager
    def _shown(self, key: tuple[object, ...], job: CycleJob) -> Iterator[CycleJob]:
        """Have a job among `jobs` while it goes on."""
        self._jobs[key] = job
        self.work_changed()
        try:
            yield job
        finally:
            job.cancel()  # the thread may still be at work if nobody waits any more
            del self._jobs[key]
            self.work_changed()

    async def _scored(self, cycle: Cycle) -> ScoredCycle:
        key = ("scored", cycle.folder, identity(cycle.hypotheses), identity(cycle.manifest))
        return await self._long(SCORING, cycle, key, review.scored_cycle)

    async def scored(self, cycle: Cycle) -> ScoredSet:
        """The cycle's scored rows. Raises InputError without transcripts."""
        return (await self._scored(cycle)).rows

    async def warnings(self, cycle: Cycle) -> tuple[str, ...]:
        """What does not fit between the cycle's transcripts and its manifest, counted."""
        return (await self._scored(cycle)).warnings if cycle.hypotheses else ()

    async def board(self, cycle: Cycle) -> Leaderboard:
        """The cycle's leaderboard, from its rows or, if only that is left, from its Markdown."""

        async def work() -> Leaderboard:
            if cycle.hypotheses is None and cycle.leaderboard is not None:
                return await asyncio.to_thread(_read_board, cycle.leaderboard)
            return await asyncio.to_thread(_build_board, await self.scored(cycle))

        return await self._once(("board", *self._sources(cycle)), work)

    async def rows_or_board(self, cycle: Cycle) -> ScoredSet | Leaderboard:
        """The scored rows, or the leaderboard where only that is left."""
        return await (self.scored(cycle) if cycle.hypotheses else self.board(cycle))

    async def preflight(self, cycle: Cycle) -> PreflightReport:
        """Pre-flight of the cycle's manifest. Raises InputError without one."""
        key = ("preflight", cycle.folder, identity(cycle.manifest))
        return await self._long(PREFLIGHT, cycle, key, _check)

    async def gate(self, cycle: Cycle) -> GateResult:
        """The gate of a cycle with the workspace's settings."""
        settings = self.workspace.settings

        async def work() -> GateResult:
            board = await self.board(cycle)
            errors = (await self.preflight(cycle)).errors if cycle.manifest else None
            return await asyncio.to_thread(review.gate_of, cycle, board, errors, settings)

        return await self._once(("gate", *self._sources(cycle), settings), work)

    async def comparison(self, a: Cycle, b: Cycle) -> Comparison:
        """Two cycles side by side, weighed with the held-out rows, general speech and the cycles before."""
        workspace = self.workspace

        async def work() -> Comparison:
            sides = (await self.rows_or_board(a), await self.rows_or_board(b))
            history = await self._history(b)
            with self._shown(key, CycleJob(COMPARISON, b, measured=False)):
                return await asyncio.to_thread(_compare, workspace, (a, b), sides, history)

        everything = tuple(self._sources(cycle) for cycle in workspace.cycles)
        runs = tuple(identity(path) for path in _run_records(workspace))
        key = ("comparison", a.folder, b.folder, everything, self._splits(), runs, workspace.settings)
        return await self._once(key, work)

    async def served(self, cycle: Cycle) -> Served:
        """What serving changed of a cycle's rows. Raises InputError without either kind of transcripts."""
        workspace = self.workspace
        offline = await self.scored(cycle)
        sources = (*self._sources(cycle), identity(cycle.serving))
        key = ("served", *sources, self._splits(), workspace.settings)
        return await self._long(SERVING, cycle, key, partial(_serve, workspace, offline))

    async def _history(self, newest: Cycle) -> list[tuple[Cycle, ScoredSet | Leaderboard]]:
        """A cycle and those before it with their figures, newest first, up to one that cannot be read."""
        found = []
        for cycle in reversed(self.workspace.cycles):
            if cycle.number <= newest.number and (cycle.hypotheses or cycle.leaderboard):
                try:
                    found.append((cycle, await self.rows_or_board(cycle)))
                except StoppedError:
                    raise
                except ClinasrError:
                    break
        return found

    async def figures(self, cycle: Cycle) -> CycleFigures:
        """One line of the Cycles screen."""
        workspace = self.workspace

        async def work() -> CycleFigures:
            board = await self.board(cycle)
            scored = await self.scored(cycle) if cycle.hypotheses else None
            return await asyncio.to_thread(_figures, board, scored, workspace, cycle.number)

        return await self._once(("figures", *self._sources(cycle), self._splits()), work)

    def _sources(self, cycle: Cycle) -> tuple[object, ...]:
        return (cycle.folder, *(identity(path) for path in _files(cycle)))

    def _splits(self) -> tuple[Identity | None, ...]:
        return tuple(identity(cycle.validation) for cycle in self.workspace.cycles)


def _identities_in(key: tuple[object, ...]) -> Iterator[Identity]:
    for part in key:
        if isinstance(part, tuple):
            if len(part) == 3 and isinstance(part[0], str) and isinstance(part[1], int):
                yield cast("Identity", part)
            else:
                yield from _identities_in(part)


def _was_stopped(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), StoppedError)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark a failed task's error as seen: whoever awaits it still gets it."""
    if not task.cancelled():
        task.exception()


async def _told(key: tuple[object, ...], work: Callable[[], Awaitable[T]]) -> T:
    try:
        return await work()
    except ClinasrError:
        raise
    except OSError as error:
        place = str(error.filename) if error.filename else None
        raise InputError(f"cannot be read: {error.strerror or error}", where=place) from error
    except Exception as error:
        raise ClinasrError(f"{key[0]} failed: {type(error).__name__}: {error}") from error


def _read_board(path: Path) -> Leaderboard:
    from clinasr_tui.flywheel.leaderboard_markdown import read_markdown

    return read_markdown(path)


def _build_board(scored: ScoredSet) -> Leaderboard:
    from clinasr_tui.flywheel.leaderboard import build_leaderboard

    return build_leaderboard(scored)


def _check(cycle: Cycle, progress: Progress) -> PreflightReport:
    from clinasr_tui.flywheel.preflight import check_manifest

    if cycle.manifest is None:
        raise InputError("no manifest.jsonl", where=cycle.folder.name, remedy="Build it first (stage build)")
    return check_manifest(cycle.manifest, progress=progress)


def _compare(
    workspace: Workspace,
    cycles: tuple[Cycle, Cycle],
    sides: tuple[ScoredSet | Leaderboard, ScoredSet | Leaderboard],
    history: list[tuple[Cycle, ScoredSet | Leaderboard]],
) -> Comparison:
    from clinasr_tui.training.tuning_facts import tuning_facts

    number, settings = cycles[1].number, workspace.settings
    run = workspace.run_of(number)
    general, unmeasured = review.general_of(*cycles, settings)
    return review.comparison_of(
        *sides,
        workspace.held_out(number),
        settings,
        general=general,
        unmeasured=unmeasured,
        stop=review.stop_of(workspace, history, tuning_facts(run) if run else None),
    )


def _serve(workspace: Workspace, offline: ScoredSet, cycle: Cycle, progress: Progress) -> Served:
    return review.serving_change(cycle, offline, workspace, progress)


def _figures(board: Leaderboard, scored: ScoredSet | None, workspace: Workspace, number: int) -> CycleFigures:
    keys = workspace.held_out(number)
    held = review.ker_figures(scored, keys) if scored and keys else None
    return CycleFigures(
        rows=board.rows,
        ker=board.metrics["ker"],
        ker_rows=board.ker_rows,
        interval=board.ker_interval,
        held_out_ker=held.ker if held else None,
        held_out_rows=held.n if held else 0,
        held_out_interval=held.interval if held else None,
    )
