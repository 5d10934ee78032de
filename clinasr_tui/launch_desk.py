"""The app's store for launching: machines, a launch as it goes, runs ended and fetched. No widgets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from clinasr_tui.desk import Desk, defect
from clinasr_tui.errors import ClinasrError, HostKeyError
from clinasr_tui.flywheel.progress import left_text
from clinasr_tui.flywheel.run_marks import lacks_checkpoint
from clinasr_tui.launch.effort import Effort
from clinasr_tui.messages import LaunchChanged, LaunchKeyUnknown, RunLaunched

if TYPE_CHECKING:
    from pathlib import Path

    from textual.message import Message

    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import Cycle, RunRef
    from clinasr_tui.launch.machine import Machine, Site
    from clinasr_tui.launch.plan import Plan
    from clinasr_tui.launch.result import Result


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be launched; `gate` is the note for the record, with the typed override if there is one."""

    cycle: Cycle
    plan: Plan
    host: str | None
    gate: Mapping[str, Any]
    socket: str
    """Where Docker's engine listens there."""


@dataclass(slots=True, kw_only=True)
class Launching(Effort):
    """One launch as it goes."""

    order: Order


@dataclass(slots=True)
class RunWork:
    """A run being ended or fetched, and what is to be said of it; kept when it is over."""

    text: str
    going: bool = True
    error: ClinasrError | None = None


class LaunchDesk(Desk):
    """Everything screens know of launching. Nothing here decides whether a run may be made: an order carries
    the gate's note.
    """

    def __init__(
        self,
        settings: Settings,
        post: Callable[[Message], object],
        start_worker: Callable[[Coroutine[Any, Any, None], str, str], object],
    ) -> None:
        super().__init__(settings, post, start_worker)
        self.machines: dict[Site, Machine] = {}
        """What was seen of each site."""
        self.troubles: dict[Site, ClinasrError] = {}
        """Why a site could not be looked at."""
        self.looking: set[Site] = set()
        self.launching: Launching | None = None
        self.works: dict[Path, RunWork] = {}
        """By the run's folder of the workspace."""
        self._task: asyncio.Task[Any] | None = None
        self._fetches: dict[Path, asyncio.Task[Any]] = {}

    # --- looking -------------------------------------------------------------------------------

    def look(self, site: Site) -> None:
        """Ask a machine what it has."""
        if site not in self.looking:
            self.looking.add(site)
            self.troubles.pop(site, None)
            self._start(self._look(site), f"look at {site.host}", "launch")
            self._post(LaunchChanged())

    def look_further(self, site: Site) -> None:
        """Look at a site nobody looked at yet, if another one of its host was."""
        if site not in self.machines and any(known.host == site.host for known in self.machines):
            self.look(site)

    async def _look(self, site: Site) -> None:
        from clinasr_tui.launch.machine import look
        from clinasr_tui.remote.hosts import open_host

        self.machines.pop(site, None)
        try:
            async with await asyncio.to_thread(open_host, site.host, self._ssh(site.host)) as host:
                self.machines[site] = await look(host, site.root, socket=site.socket)
        except HostKeyError as error:
            self.troubles[site] = error
            self._post(LaunchKeyUnknown(error, partial(self.look, site)))
        except ClinasrError as error:
            self.troubles[site] = error
        except Exception as error:
            self.troubles[site] = defect("looking at the machine", error)
        finally:
            self.looking.discard(site)
            self._post(LaunchChanged())

    # --- launching -----------------------------------------------------------------------------

    def launch(self, order: Order) -> None:
        """Begin a launch; one at a time."""
        if self.launching is None or not self.launching.going:
            self.launching = Launching(order=order)
            self._start(self._launch(self.launching), f"launch {order.plan.places.run}", "launch")
            self._post(LaunchChanged())

    def again(self) -> None:
        """Begin the launch that failed once more: what was sent is kept."""
        if self.launching is not None:
            self.launch(self.launching.order)

    def cancel(self) -> None:
        """Stop the launch that goes on: what was being started is undone."""
        if self._task is not None and self.launching is not None and self.launching.going:
            self._task.cancel()

    def leave(self) -> None:
        """Forget a launch that is over."""
        if self.launching is not None and not self.launching.going:
            self.launching = None
            self._post(LaunchChanged())

    async def _launch(self, launching: Launching) -> None:
        self._task = asyncio.current_task()
        try:
            await self._guarded(launching, "the launch", partial(self._started, launching), self.again)
        finally:
            self._task = None
            self._post(LaunchChanged())

    async def _started(self, launching: Launching) -> None:
        from clinasr_tui.launch.record import has_started_anew, read_record
        from clinasr_tui.launch.runs import launch_run
        from clinasr_tui.remote.hosts import open_host

        order = launching.order
        folder = order.cycle.folder / "models" / order.plan.places.run
        async with await asyncio.to_thread(open_host, order.host, self._ssh(order.host)) as host:
            await launch_run(
                order.plan,
                order.cycle,
                host,
                launching.take,
                host_name=order.host,
                gate=order.gate,
                socket=order.socket,
            )
        anew = has_started_anew(await asyncio.to_thread(read_record, folder))
        self._post(RunLaunched(order.plan.places.run, folder, anew))

    # --- ending and fetching -------------------------------------------------------------------

    def end(self, ref: RunRef) -> None:
        """Ask a run to end, and wait until it has saved what it can."""
        self._begin(ref, self._end, "asking the run to end …")

    def fetch(self, ref: RunRef) -> None:
        """Bring a run's result here and check it; its checkpoints too if all else is here and they count."""
        self._begin(ref, self._fetch, "asking what there is …")

    def stop_fetching(self, ref: RunRef) -> bool:
        """Stop a fetch that goes on (another one goes on from there); False if there is none."""
        task = self._fetches.get(ref.folder)
        return task.cancel() if task is not None else False

    def _begin(
        self, ref: RunRef, work: Callable[[RunRef, RunWork], Coroutine[Any, Any, None]], text: str
    ) -> None:
        held = self.works.get(ref.folder)
        if held is None or not held.going:
            self.works[ref.folder] = RunWork(text)
            again = partial(self._begin, ref, work, text)
            self._start(self._work(ref, work, again), f"work on {ref.name}", "launch")
            self._post(LaunchChanged())

    async def _work(
        self,
        ref: RunRef,
        work: Callable[[RunRef, RunWork], Coroutine[Any, Any, None]],
        again: Callable[[], None],
    ) -> None:
        held = self.works[ref.folder]
        try:
            await self._guarded(held, f"work on {ref.name}", partial(work, ref, held), again)
        except asyncio.CancelledError:
            held.text = "stopped; what is here is kept, fetching again goes on from it"
            raise
        finally:
            self._fetches.pop(ref.folder, None)
            self._post(LaunchChanged())

    async def _end(self, ref: RunRef, work: RunWork) -> None:
        from clinasr_tui.launch.control import STOP_SECONDS, cancel, handle_of
        from clinasr_tui.launch.record import read_record
        from clinasr_tui.remote.hosts import open_host

        handle = handle_of(await asyncio.to_thread(read_record, ref.folder))

        def waited(seconds: float) -> None:
            work.text = f"waiting for the -last checkpoint: {seconds:.0f} s (killed after {STOP_SECONDS} s)"
            self._post(LaunchChanged())

        async with await asyncio.to_thread(open_host, ref.host, self._ssh(ref.host)) as host:
            ended = await cancel(handle, host, tell=waited)
            saved = await _saved(host, handle.run_dir)
        first = "the run has ended" if ended else "the run was over already"
        work.text = f"{first}; {saved}"

    async def _fetch(self, ref: RunRef, work: RunWork) -> None:
        from clinasr_tui.launch.record import read_record
        from clinasr_tui.launch.result import fetch_result

        task = asyncio.current_task()
        if task is not None:
            self._fetches[ref.folder] = task
        begun: dict[str, tuple[float, int]] = {}

        def told(now: Any) -> bool:
            since, start = begun.setdefault(now.path, (time.monotonic(), now.done))
            seconds, got = time.monotonic() - since, now.done - start
            rate = f" at {got / seconds / 1e6:.1f} MB/s" if seconds > 1 else ""
            left = left_text(seconds, got / (now.total - start)) if got and now.total > start else ""
            size = f"{now.done / 1e6:.1f} of {now.total / 1e6:.1f} MB"
            work.text = f"fetching {now.path}: {size}{rate}{f', {left} left' if left else ''}"
            self._post(LaunchChanged())
            return True

        again = lacks_checkpoint(await asyncio.to_thread(read_record, ref.folder))
        result = await fetch_result(ref.folder, self._ssh(ref.host), told, checkpoints=again)
        work.text = _fetched(result, checkpoints=again)


def _fetched(result: Result, *, checkpoints: bool) -> str:
    """What a fetch brought, and what it left."""
    left = "" if result.is_complete else "its checkpoint is only there, F again brings it; "
    model = "adapted_model.nemo (the last weights)" if result.model else "no model was left by the run"
    best = result.best
    where = "on the machine" if result.left else "in checkpoints"
    named = f"; best checkpoint: {best.name} ({where})" if best is not None else ""
    too = " and its checkpoints" if checkpoints else ""
    return f"{left}here and checked: {model}, {result.files} other files{too}{named}"


async def _saved(host: Any, run_dir: str) -> str:
    """What a run that was ended left to go on from."""
    from clinasr_tui.launch.checkpoints import last_checkpoint

    last = await last_checkpoint(host, run_dir)
    if last is None:
        return "it saved no -last checkpoint: it can only be started anew"
    return f"saved: {last.name} ({last.file.size / 1e6:.1f} MB); U goes on from it"
