"""The app's store: the workspace as it is on disk, results by file identity, watched runs. No widgets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from clinasr_tui.box_desk import BoxDesk
from clinasr_tui.errors import ClinasrError
from clinasr_tui.eval_desk import EvalDesk
from clinasr_tui.flywheel.stepper import Facts, current_round
from clinasr_tui.flywheel.tuned_models import has_model
from clinasr_tui.flywheel.workspace import RunRef, Workspace, open_workspace
from clinasr_tui.launch_desk import LaunchDesk
from clinasr_tui.messages import EvalChanged, FactsChanged, Problem, WorkChanged, WorkspaceChanged
from clinasr_tui.results import (
    AGAIN,
    COMPARISON,
    PREFLIGHT,
    SCORING,
    SERVING,
    CycleFigures,
    CycleJob,
    Identity,
    Results,
    StoppedError,
    identities,
    identity,
)
from clinasr_tui.watched_run import WatchedRun, follow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from textual.message import Message

    from clinasr_tui.errors import HostKeyError
    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.workspace import Cycle

__all__ = [
    "AGAIN",
    "COMPARISON",
    "PREFLIGHT",
    "SCORING",
    "SERVING",
    "CycleFigures",
    "CycleJob",
    "EvalWish",
    "Identity",
    "Session",
    "StoppedError",
    "identity",
]

T = TypeVar("T")


class EvalWish(NamedTuple):
    """What is to be evaluated: a cycle, with the model of a run ("" leaves it to what is due)."""

    cycle: int
    run: str = ""


class Session(Results):
    """Everything the screens share. `post` sends to the app, `start_worker(coroutine, name, group)` runs."""

    def __init__(
        self,
        workspace: Workspace,
        post: Callable[[Message], object],
        start_worker: Callable[[Coroutine[Any, Any, None], str, str], object],
        *,
        readonly: bool = False,
    ) -> None:
        super().__init__(workspace)
        self.readonly = readonly
        """True if the operator only looks: nothing is launched, ended, rented or written."""
        self.post = post
        self.start_worker = start_worker
        self.facts = Facts()
        self.painted = asyncio.Event()
        """Set once the first picture is on the screen; nothing computes before."""
        self.cycle_in_view: int | None = None
        """Number of the cycle the operator chose; None until then."""
        self.boxes = BoxDesk(workspace.settings, post, start_worker)
        """Rented boxes, which are the operator's, whatever workspace is open."""
        self.launches = LaunchDesk(workspace.settings, post, start_worker)
        self.evaluations = EvalDesk(workspace.settings, post, start_worker)
        self.eval_wish: EvalWish | None = None
        """What the operator wants to evaluate, until Evaluate takes it up."""
        self.compare_wish: tuple[int, int] | None = None
        """Two cycles that Compare is to show next, until it does."""
        self.resume_wish: RunRef | None = None
        """A run the operator wants to resume, until Train takes it up."""
        self.run_wish: Path | None = None
        """Folder of a run that Watch is to show next, until it does."""
        self._seen = identities(workspace)
        self._runs: dict[Path, WatchedRun] = {}

    # --- the workspace -----------------------------------------------------------------------

    async def rescan(self) -> None:
        """Look at the folder again; posts WorkspaceChanged if anything is different."""
        try:
            workspace = await asyncio.to_thread(open_workspace, self.workspace.root)
            seen = await asyncio.to_thread(identities, workspace)
            here = await asyncio.to_thread(_model_is_here, workspace)
        except ClinasrError as error:
            self.post(Problem(str(error)))
            return
        if (workspace, seen) != (self.workspace, self._seen):
            before, now = (current_round(one).run for one in (self.workspace, workspace))
            self.workspace, self._seen = workspace, seen
            if before is not None and (now is None or now.folder != before.folder):
                self.set_facts(run_outcome=None, run_progress="")  # they told of another run
            self.forget_old(seen)
            self.post(WorkspaceChanged())
        self.set_facts(model_here=here)

    def work_changed(self) -> None:
        """Tell the screens."""
        self.post(WorkChanged())

    def start_again(self) -> bool:
        """Start again what was stopped; False if nothing was."""
        stopped = self.forget_stopped()
        if stopped:
            self.post(WorkspaceChanged())
        return stopped

    async def review(self) -> None:
        """Compute what the stepper needs, oldest question first; each answer is posted as it comes."""
        with suppress(StoppedError):  # what comes after it would only start more
            await self._review()

    async def _review(self) -> None:
        turn = current_round(self.workspace)
        base, reeval = turn.base, turn.reeval
        if base is None:
            return
        self.set_facts(model_here=await asyncio.to_thread(_model_is_here, self.workspace))
        if base.manifest is not None:
            await self._fact(self.preflight(base), lambda report: {"preflight_errors": report.errors})
        if not (base.hypotheses or base.leaderboard):
            return
        await self._fact(self.gate(base), _gate_facts)
        if reeval is not None:
            await self._fact(self.comparison(turn.before or base, reeval), _verdict_facts)
        await self._serving_fact(reeval)

    async def _serving_fact(self, reeval: Cycle | None) -> None:
        """What speaks against the service, also that its transcripts cannot be read."""
        against: str | None = None
        if reeval is not None and reeval.serving is not None:
            try:
                found = await self.served(reeval)
                against = "" if found.as_well else found.clause
            except StoppedError:
                raise
            except ClinasrError as error:
                against = error.what
        self.set_facts(serving=against)

    async def _fact(self, work: Awaitable[T], as_facts: Callable[[T], dict[str, Any]]) -> None:
        try:
            found = as_facts(await work)
        except StoppedError:
            raise
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

    # --- watched runs ------------------------------------------------------------------------

    def watched(self, ref: RunRef) -> WatchedRun | None:
        """The run if it is being watched."""
        return self._runs.get(ref.folder)

    def watch(self, ref: RunRef) -> WatchedRun:
        """Watch a run; the first call starts the worker, later ones return the same run."""
        run = self._runs.get(ref.folder)
        if run is None:
            run = WatchedRun.of(ref, self.workspace.settings, readonly=self.readonly)
            self._runs[ref.folder] = run
            self._follow(run)
        elif (run.ref.host, run.ref.run_dir) == (ref.host, ref.run_dir):
            run.ref = ref  # its record may have more by now
        return run

    async def take_launched(self, folder: Path) -> None:
        """A run was started in `folder` of the workspace: follow it, anew if it was resumed, show it next."""
        await self.rescan()
        held = self._runs.get(folder)
        if held is not None and (held.ended or held.error is not None):
            del self._runs[folder]
        self.launches.leave()
        self.launches.works.pop(folder, None)
        self.run_wish = folder

    async def take_evaluated(self) -> None:
        """An evaluation has ended: look for its cycle, and compute what it shows."""
        held = self.evaluations.evaluating
        if held is None or held.going:
            return
        host = held.evaluation.host
        for run in [run for run in self._runs.values() if host is not None and run.ref.host == host]:
            self.stop_box_after(run.ref.name)  # it has waited for the evaluation
        if held.done is None:
            return
        await self.rescan()
        made = self.workspace.cycle(held.done.number)
        before = self.workspace.cycle(held.evaluation.cycle.number)
        if made is None or held.evaluation.choices.only_general:
            return
        if before is None or before.number == made.number or not (before.hypotheses or before.leaderboard):
            before = None
        else:
            self.compare_wish = (before.number, made.number)
        try:
            if before is not None:
                held.change = await self.comparison(before, made)
            held.board = await self.board(made)
        except ClinasrError:  # the screens that show the figures say why there are none
            held.is_unread = True
        self.post(EvalChanged())

    def reconnect(self, ref: RunRef | str) -> None:
        """Follow again after an error (by run or by its name); one that is being followed is left alone."""
        for run in self._runs.values():
            if ref in (run.ref, run.ref.name) and run.error is not None:
                run.error = None
                self._follow(run)

    def stop_box_after(self, name: str) -> None:
        """A run is over: if that was armed, stop its box, unless another run or an evaluation is at it."""
        if self.readonly:
            return
        hosts = {run.ref.host for run in self._runs.values() if not run.ended} | {self.evaluations.host}
        for run in self._runs.values():
            host = run.ref.host
            if run.ref.name == name and run.ended and host and host not in hosts:
                self.boxes.run_ended(host, str(run.watch.reader.snapshot().outcome))

    def trust(self, error: HostKeyError) -> None:
        """Remember a host's key after the operator said yes. Raises InputError for a changed key."""
        from clinasr_tui.remote.trust import remember

        remember(error, self.workspace.settings.known_hosts)

    def _follow(self, run: WatchedRun) -> None:
        self.start_worker(follow(run, self), f"watch {run.ref.name}", "watch")


def _verdict_facts(found: Comparison) -> dict[str, Any]:
    judgement = found.judgement
    return {
        "verdict": str(found.verdict),
        "honest": str(judgement.honest.verdict) if judgement else None,
        "stop": judgement.stop[0] if judgement and judgement.stop else "",
    }


def _model_is_here(workspace: Workspace) -> bool | None:
    """Whether the model that was re-evaluated last is on this machine; None before there is one."""
    reeval = current_round(workspace).reeval
    return None if reeval is None else has_model(workspace, workspace.run_of(reeval.number))


def _gate_facts(result: GateResult) -> dict[str, Any]:
    return {"gate_passed": result.passed, "gate_reason": result.reasons[0] if result.reasons else ""}
