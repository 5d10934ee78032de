"""The app's store: the workspace as it is on disk, results by file identity, watched runs. No widgets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from clinasr_tui.errors import ClinasrError, InputError
from clinasr_tui.flywheel.stepper import current_round
from clinasr_tui.flywheel.workspace import Cycle, Facts, RunRef, Workspace, open_workspace
from clinasr_tui.messages import FactsChanged, Problem, WorkspaceChanged
from clinasr_tui.watched_run import WatchedRun, follow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from textual.message import Message

    from clinasr_tui.errors import HostKeyError
    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.preflight import PreflightReport
    from clinasr_tui.flywheel.scoring import ScoredSet

T = TypeVar("T")
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


def _identities(workspace: Workspace) -> tuple[Identity | None, ...]:
    return tuple(
        identity(path)
        for cycle in workspace.cycles
        for path in (cycle.manifest, cycle.hypotheses, cycle.train, cycle.validation, cycle.leaderboard)
    )


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


class Session:
    """Everything the screens share. `post` sends to the app, `start_worker(coroutine, name, group)` runs."""

    def __init__(
        self,
        workspace: Workspace,
        post: Callable[[Message], object],
        start_worker: Callable[[Coroutine[Any, Any, None], str, str], object],
    ) -> None:
        self.workspace = workspace
        self.post = post
        self.start_worker = start_worker
        self.facts = Facts()
        self.painted = asyncio.Event()
        """Set once the first picture is on the screen; nothing computes before."""
        self.cycle_in_view: int | None = None
        """Number of the cycle the operator chose; None until then."""
        self._seen = _identities(workspace)
        self._results: dict[tuple[object, ...], asyncio.Task[Any]] = {}
        self._runs: dict[Path, WatchedRun] = {}

    # --- the workspace -----------------------------------------------------------------------

    async def rescan(self) -> None:
        """Look at the folder again; posts WorkspaceChanged if anything is different."""
        try:
            workspace = await asyncio.to_thread(open_workspace, self.workspace.root)
            seen = await asyncio.to_thread(_identities, workspace)
        except ClinasrError as error:
            self.post(Problem(str(error)))
            return
        if (workspace, seen) != (self.workspace, self._seen):
            self.workspace, self._seen = workspace, seen
            self.post(WorkspaceChanged())

    async def review(self) -> None:
        """Compute what the stepper needs, oldest question first; each answer is posted as it comes."""
        turn = current_round(self.workspace)
        base, reeval = turn.base, turn.reeval
        if base is None:
            return
        if base.manifest is not None:
            await self._fact(self.preflight(base), lambda report: {"preflight_errors": report.errors})
        if not (base.hypotheses or base.leaderboard):
            return
        await self._fact(self.gate(base), _gate_facts)
        if reeval is not None:
            await self._fact(self.comparison(base, reeval), lambda found: {"verdict": str(found.verdict)})

    async def _fact(self, work: Awaitable[T], as_facts: Callable[[T], dict[str, Any]]) -> None:
        try:
            found = as_facts(await work)
        except ClinasrError:
            return  # the screen that owns the question shows the error
        self.set_facts(**found)

    def set_facts(self, **changes: Any) -> None:
        """Change facts; posts FactsChanged if one really did."""
        facts = replace(self.facts, **changes)
        if facts != self.facts:
            self.facts = facts
            self.post(FactsChanged())

    def set_run_facts(self, ref: RunRef, outcome: str, progress: str) -> None:
        """Take what a watched run says, if it is the newest turn's run."""
        turn = current_round(self.workspace)
        if turn.run is not None and turn.run.folder == ref.folder:
            self.set_facts(run_outcome=outcome, run_progress=progress)

    # --- results -----------------------------------------------------------------------------

    async def _once(self, key: tuple[object, ...], work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, computed once per key; an operator's error is kept like a result."""
        task = cast("asyncio.Task[T] | None", self._results.get(key))
        if task is None:
            task = asyncio.ensure_future(_told(key, work))
            self._results[key] = task
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def scored(self, cycle: Cycle) -> ScoredSet:
        """The cycle's scored rows. Raises InputError without transcripts."""
        key = ("scored", identity(cycle.hypotheses), identity(cycle.manifest))
        if cycle.hypotheses is None:
            key = (*key, cycle.folder)  # type: ignore[assignment]
        return await self._once(key, lambda: asyncio.to_thread(_scored_cycle, cycle))

    async def board(self, cycle: Cycle) -> Leaderboard:
        """The cycle's leaderboard, from its rows or, if only that is left, from its Markdown."""

        async def work() -> Leaderboard:
            if cycle.hypotheses is None and cycle.leaderboard is not None:
                return await asyncio.to_thread(_read_board, cycle.leaderboard)
            return await asyncio.to_thread(_build_board, await self.scored(cycle))

        return await self._once(("board", *self._sources(cycle)), work)

    async def preflight(self, cycle: Cycle) -> PreflightReport:
        """Pre-flight of the cycle's manifest. Raises InputError without one."""
        return await self._once(
            ("preflight", cycle.folder, identity(cycle.manifest)),
            lambda: asyncio.to_thread(_check, cycle),
        )

    async def gate(self, cycle: Cycle) -> GateResult:
        """The gate of a cycle with the workspace's settings."""
        settings = self.workspace.settings

        async def work() -> GateResult:
            board = await self.board(cycle)
            errors = (await self.preflight(cycle)).errors if cycle.manifest else None
            return await asyncio.to_thread(_gate, cycle, board, errors, settings)

        return await self._once(("gate", *self._sources(cycle), settings), work)

    async def comparison(self, a: Cycle, b: Cycle) -> Comparison:
        """Two cycles side by side; the held-out rows come from the workspace's split."""
        workspace = self.workspace
        splits = tuple(identity(cycle.validation) for cycle in workspace.cycles)

        async def work() -> Comparison:
            sides = [await (self.scored(c) if c.hypotheses else self.board(c)) for c in (a, b)]
            return await asyncio.to_thread(_compare, sides[0], sides[1], workspace, b.number)

        key = ("comparison", *self._sources(a), *self._sources(b), splits, workspace.settings)
        return await self._once(key, work)

    async def figures(self, cycle: Cycle) -> CycleFigures:
        """One line of the Cycles screen."""
        workspace = self.workspace
        splits = tuple(identity(each.validation) for each in workspace.cycles)

        async def work() -> CycleFigures:
            board = await self.board(cycle)
            scored = await self.scored(cycle) if cycle.hypotheses else None
            return await asyncio.to_thread(_figures, board, scored, workspace, cycle.number)

        return await self._once(("figures", *self._sources(cycle), splits), work)

    async def interval(self, cycle: Cycle) -> tuple[float, float] | None:
        """95 % interval of the cycle's KER, None where it cannot be told."""
        return (await self.figures(cycle)).interval

    def _sources(self, cycle: Cycle) -> tuple[object, ...]:
        files = (cycle.hypotheses, cycle.leaderboard, cycle.manifest)
        return (cycle.folder, *(identity(path) for path in files))

    # --- watched runs ------------------------------------------------------------------------

    def watched(self, ref: RunRef) -> WatchedRun | None:
        """The run if it is being watched."""
        return self._runs.get(ref.folder)

    def watch(self, ref: RunRef) -> WatchedRun:
        """Watch a run; the first call starts the worker, later ones return the same run."""
        run = self._runs.get(ref.folder)
        if run is None:
            run = WatchedRun.of(ref, self.workspace.settings)
            self._runs[ref.folder] = run
            self._follow(run)
        return run

    def reconnect(self, ref: RunRef | str) -> None:
        """Follow again after an error (by run or by its name); one that is being followed is left alone."""
        for run in self._runs.values():
            if ref in (run.ref, run.ref.name) and run.error is not None:
                run.error = None
                self._follow(run)

    def trust(self, error: HostKeyError) -> None:
        """Remember a host's key after the operator said yes. Raises InputError for a changed key."""
        from clinasr_tui.remote.trust import remember

        remember(error, self.workspace.settings.known_hosts)

    def _follow(self, run: WatchedRun) -> None:
        self.start_worker(follow(run, self), f"watch {run.ref.name}", "watch")


def _gate_facts(result: GateResult) -> dict[str, Any]:
    return {"gate_passed": result.passed, "gate_reason": result.reasons[0] if result.reasons else ""}


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


def _scored_cycle(cycle: Cycle) -> ScoredSet:
    from clinasr_tui.flywheel.review import scored_cycle

    return scored_cycle(cycle)


def _read_board(path: Path) -> Leaderboard:
    from clinasr_tui.flywheel.leaderboard import read_markdown

    return read_markdown(path)


def _build_board(scored: ScoredSet) -> Leaderboard:
    from clinasr_tui.flywheel.leaderboard import build_leaderboard

    return build_leaderboard(scored)


def _check(cycle: Cycle) -> PreflightReport:
    from clinasr_tui.flywheel.preflight import check_manifest

    if cycle.manifest is None:
        raise InputError("no manifest.jsonl", where=cycle.folder.name, remedy="Build it first (stage build)")
    return check_manifest(cycle.manifest)


def _gate(cycle: Cycle, board: Leaderboard, errors: int | None, settings: Any) -> GateResult:
    from clinasr_tui.flywheel.review import gate_of

    return gate_of(cycle, board, errors, settings)


def _compare(
    a: ScoredSet | Leaderboard, b: ScoredSet | Leaderboard, workspace: Workspace, number: int
) -> Comparison:
    from clinasr_tui.flywheel.review import comparison_of

    return comparison_of(a, b, workspace.held_out(number), workspace.settings)


def _figures(board: Leaderboard, scored: ScoredSet | None, workspace: Workspace, number: int) -> CycleFigures:
    from clinasr_tui.flywheel.review import ker_figures

    every = ker_figures(scored, None) if scored else None
    keys = workspace.held_out(number)
    held = ker_figures(scored, keys) if scored and keys else None
    return CycleFigures(
        rows=board.rows,
        ker=board.metrics["ker"],
        ker_rows=board.ker_rows,
        interval=every.interval if every else None,
        held_out_ker=held.ker if held else None,
        held_out_rows=held.n if held else 0,
        held_out_interval=held.interval if held else None,
    )
