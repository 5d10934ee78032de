"""Launch a run: look at the machine, get the image, send what it lacks, check it there, start, detach.

Nothing here decides whether the run may be made (that is the gate's) or spends money (that is consent's).
A launch that fails half-way leaves sent files for the next attempt, and no container.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.flywheel.recipe import objections
from clinasr_tui.launch import data_check
from clinasr_tui.launch.already import running_already
from clinasr_tui.launch.claim import NOBODY, Claim, claim
from clinasr_tui.launch.control import RunHandle
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET, NVIDIA_RUNTIME
from clinasr_tui.launch.engine_on import engine_on
from clinasr_tui.launch.machine import SLURM_TROUBLE, Machine, look
from clinasr_tui.launch.packing import pack
from clinasr_tui.launch.plan import Backend
from clinasr_tui.launch.process_run import ProcessRun
from clinasr_tui.launch.send import Sent, send
from clinasr_tui.launch.slurm import JobRun
from clinasr_tui.remote.scripts import ask, succeeds
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.launch.docker_engine import Engine, ImageFacts, Pulled
    from clinasr_tui.launch.packing import Packed
    from clinasr_tui.launch.places import Places
    from clinasr_tui.launch.plan import Plan
    from clinasr_tui.remote.host import Host

IMAGE_BYTES = 30_000_000_000
"""Room the image takes while it is pulled and unpacked (about 12 GB to download)."""
_CHECK_SECONDS = 600.0
_UNDO_SECONDS = 10
T = TypeVar("T")


class Step(StrEnum):
    """What a launch is doing."""

    LOOK = "looking at the machine"
    IMAGE = "getting the image"
    SEND = "sending"
    CHECK = "checking what was sent"
    START = "starting"


class Progress(NamedTuple):
    """How far a job is: the step (of a launch a `Step`), what is to be said of it, the fraction done."""

    step: str
    text: str = ""
    fraction: float | None = None
    """None if unknown."""
    left: float | None = None
    """Seconds left, where that is known better than by the fraction and the time since the step began."""


Tell = Callable[[Progress], bool]
"""Is told how far it is, now and then from another thread; returns False to cancel (InterruptedError)."""


class Job(Protocol):
    """What can be started on a machine: a training run's plan, or another."""

    @property
    def places(self) -> Places:
        """Where its files are; the root is absolute."""
        ...

    @property
    def image(self) -> str:
        """The container's image."""
        ...

    @property
    def cpu(self) -> bool:
        """True if it wants no GPU."""
        ...

    @property
    def started_by(self) -> list[str]:
        """The command."""
        ...

    @property
    def mounts(self) -> dict[str, str]:
        """Folder on the machine → place in the container."""
        ...


Ship = Callable[[str], Awaitable[T]]
"""Puts everything in place just before the start; is given the image's digest, "" without a container."""


class Prepared(NamedTuple):
    """All that is known of a run just before it is started."""

    plan: Plan
    """With the root as an absolute path."""
    machine: Machine
    packed: Packed
    image: str
    """The image's digest, "" without a container."""
    sent: Sent


class Launched(NamedTuple):
    """A run that was started; `id` is the container's or the process's."""

    prepared: Prepared
    id: str


async def launch(
    plan: Plan,
    split: tuple[Path, Path],
    host: Host,
    tell: Tell,
    about_to_start: Callable[[Prepared], object],
    *,
    socket: str = DOCKER_SOCKET,
    machine: Machine | None = None,
    wanted: Claim = NOBODY,
) -> Launched:
    """Launch `plan` on an entered host. A `~` in its root is the account's home there.

    `machine` is what was seen of it a moment ago, if it was looked at. A new run's folder must be free for
    `wanted`, a resumed run's is its own.

    `split` are train.jsonl and validation.jsonl here. `about_to_start` is called once all is in place, before
    the run is started: the place to write the run's record, so that a run that was started is never unknown.
    Raises RemoteError, UnreachableError (launch again: what was sent is kept), InputError, InterruptedError.
    """
    told(tell, Progress(Step.LOOK))
    machine = machine or await look(host, plan.places.root, socket=socket)
    plan = placed(plan, machine)
    packed = await asyncio.to_thread(pack, *split, plan.places)
    _expect_able(plan, packed, machine)

    async def ship(image: str) -> Prepared:
        if not plan.resume:
            await claim(_handle_for(plan, socket), host, wanted)
        sent = await _ship(plan, packed, host, machine, tell)
        prepared = Prepared(plan, machine, packed, image, sent)
        about_to_start(prepared)
        return prepared

    if plan.backend is Backend.DOCKER:
        return Launched(*await start_container(plan, host, machine, tell, ship, socket))
    await _expect_script(plan, host)
    start = start_job if plan.backend is Backend.SLURM else start_process
    return Launched(*await start(plan, host, tell, ship))


def placed(plan: Plan, machine: Machine) -> Plan:
    """The plan with its root as an absolute path of that machine."""
    inside = plan.places.inside if plan.backend is Backend.DOCKER else machine.folder
    return replace(plan, places=plan.places._replace(root=machine.folder, inside=inside))


async def start_process(job: Job, host: Host, tell: Tell, ship: Ship[T]) -> tuple[T, str]:
    """Start a process of its own on an entered host; what `ship` returned, and the process's id."""
    places = job.places
    process = ProcessRun(places.at(places.run_dir))
    if await process.is_alive(host):
        raise running_already(places.run, host.name)
    shipped = await ship("")
    told(tell, Progress(Step.START))
    starting = asyncio.ensure_future(process.start(host, job.started_by, places.run))
    undo = partial(process.end, host, _UNDO_SECONDS, lambda _: None)
    return shipped, await _or_undo(starting, undo)


async def start_job(plan: Plan, host: Host, tell: Tell, ship: Ship[T]) -> tuple[T, str]:
    """Submit a plan to Slurm on an entered host; what `ship` returned, and the job's number."""
    places = plan.places
    job = JobRun(places.at(places.run_dir), places.container)
    if await job.is_alive(host):
        raise running_already(places.run, host.name)
    shipped = await ship("")
    told(tell, Progress(Step.START))
    submitting = asyncio.ensure_future(job.submit(host, plan.started_by, places.run))
    undo = partial(job.end, host, _UNDO_SECONDS, lambda _: None)
    return shipped, await _or_undo(submitting, undo)


def _handle_for(plan: Plan, socket: str) -> RunHandle:
    places, backend = plan.places, plan.backend
    return RunHandle(
        places.run,
        places.at(places.run_dir),
        places.container if backend is Backend.DOCKER else None,
        socket,
        places.container if backend is Backend.SLURM else None,
    )


async def _expect_script(plan: Plan, host: Host) -> None:
    script = plan.files.script
    if not await succeeds(host, ["test", "-f", script]):
        raise RemoteError(
            "NeMo's script is not there",
            where=f"{host.name}:{script}",
            remedy="Name the NeMo checkout by its absolute path (--nemo-root).",
        )


async def _or_undo(starting: asyncio.Future[T], undo: Callable[[], Awaitable[object]]) -> T:
    """What is being started; if this task is cancelled meanwhile, wait for it and undo it."""
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(RemoteError):
            await starting
            await undo()
        raise


async def start_container(
    job: Job, host: Host, machine: Machine, tell: Tell, ship: Ship[T], socket: str
) -> tuple[T, str]:
    """Start a container on an entered host; what `ship` returned, and the container's id."""
    from clinasr_tui.launch.docker_engine import ContainerSpec

    places = job.places
    async with engine_on(host, socket) as engine:
        cancelled = threading.Event()
        try:
            image = await asyncio.to_thread(
                _image, engine, job, machine, lambda now: tell(now) and not cancelled.is_set()
            )
        finally:
            # A thread cannot be cancelled; a pull is told to stop.
            cancelled.set()
        await asyncio.to_thread(_expect_free_name, engine, job)
        shipped = await ship(image.digest)
        told(tell, Progress(Step.START))
        await asyncio.to_thread(_make_way, engine, job)
        spec = ContainerSpec(
            places.container,
            job.image,
            job.started_by,
            places.at(places.run_dir),
            job.mounts,
            gpus=not job.cpu,
        )
        starting = asyncio.ensure_future(asyncio.to_thread(engine.start, spec))
        container = await _or_undo(starting, lambda: asyncio.to_thread(engine.discard, spec.name))
    return shipped, container


def expect_gpu(job: Job, machine: Machine) -> None:
    """Raise RemoteError for a job that wants a GPU where there is none."""
    if not job.cpu and not machine.gpus:
        raise RemoteError(
            f"no GPU is known there ({machine.gpu_trouble})",
            where=machine.name,
            remedy="Install the driver, or choose another machine.",
        )


def expect_slurm(machine: Machine) -> None:
    """Raise RemoteError for a machine from which nothing can be submitted."""
    if machine.slurm.state != "ok":
        what, remedy = SLURM_TROUBLE[machine.slurm.state]
        raise RemoteError(what.format(machine.slurm.trouble), where=machine.name, remedy=f"{remedy}.")


def _expect_able(plan: Plan, packed: Packed, machine: Machine) -> None:
    """Refuse what cannot work on this machine before anything is sent."""
    if plan.backend is Backend.SLURM:
        expect_slurm(machine)
    else:
        expect_gpu(plan, machine)
    if plan.recipe.num_nodes > 1:
        raise InputError(
            "nodes: a run launched from here uses one machine", remedy="Set it to 1, or use a cluster."
        )
    for objection in objections(plan.recipe, packed.train.rows, plan.gpus_of(machine)):
        if objection.fatal:
            raise InputError(f"{objection.name}: {objection.message}", remedy="Change the recipe.")


def _image(engine: Engine, job: Job, machine: Machine, tell: Tell) -> ImageFacts:
    """The image, pulled if it is not there."""
    told(tell, Progress(Step.IMAGE))
    if not job.cpu and not engine.facts().nvidia:
        raise RemoteError(
            "Docker has no NVIDIA runtime there",
            where=machine.name,
            remedy=f"{NVIDIA_RUNTIME}.",
        )
    found = engine.image(job.image)
    if found is not None:
        return found
    if machine.disk_free < IMAGE_BYTES:
        raise RemoteError(
            f"the image {job.image} needs {IMAGE_BYTES / 1e9:.0f} GB to unpack, its disk has "
            f"{machine.disk_free / 1e9:.0f} GB left",
            where=machine.name,
            remedy="Make room, or take a machine with a larger disk.",
        )

    begun = time.monotonic()

    def pulled(now: Pulled) -> bool:
        size = f"{now.done / 1e9:.1f} of {now.total / 1e9:.1f} GB{_rate(now.done, begun)}"
        text = size if now.total else now.status
        return tell(Progress(Step.IMAGE, text, now.done / now.total if now.total else None))

    return engine.pull(job.image, pulled)


def _expect_free_name(engine: Engine, job: Job) -> None:
    """Raise RemoteError while an earlier start of this run is running, and for a container that is somebody
    else's."""
    name = job.places.container
    engine.expect_ours(name)
    state = engine.state(name)
    if state is not None and state.run_folder != job.places.at(job.places.run_dir):
        raise RemoteError(
            f"a container named {name} is there already, of a run in {visible(state.run_folder)}",
            where=name,
            remedy="Give the run another name.",
        )
    if state is not None and state.running:
        raise running_already(job.places.run, name)


def _make_way(engine: Engine, job: Job) -> None:
    """Remove the container of an earlier start, once nothing is lacking for the next one."""
    _expect_free_name(engine, job)
    engine.remove(job.places.container)


async def _ship(plan: Plan, packed: Packed, host: Host, machine: Machine, tell: Tell) -> Sent:
    """Send what is lacking and check it where the run will read it."""
    items = [*packed.items, *plan.launch_items((machine.uid, machine.gid))]

    begun = time.monotonic()

    def sending(now: Sent) -> bool:
        size = f"{now.done_bytes / 1e6:.1f} of {now.bytes / 1e6:.1f} MB{_rate(now.done_bytes, begun)}"
        text = f"{size}, {now.there} files are there already" if now.there else size
        return tell(Progress(Step.SEND, text, now.done_bytes / now.bytes if now.bytes else 1.0))

    told(tell, Progress(Step.SEND))
    sent = await send(host, plan.places.root, items, sending)
    told(tell, Progress(Step.CHECK))
    manifests = [packed.train.path, packed.validation.path]
    request = {"root": plan.places.root, "inside": plan.places.inside, "manifests": manifests}
    answer = await ask(host, (data_check,), request, "checked", _CHECK_SECONDS)
    _expect_sound(answer, packed, machine)
    return sent


def _rate(done: int, begun: float) -> str:
    """How fast it goes, once that can be told."""
    seconds = time.monotonic() - begun
    return f" at {done / seconds / 1e6:.1f} MB/s" if done and seconds > 1 else ""


def _expect_sound(answer: dict[str, Any], packed: Packed, machine: Machine) -> None:
    """Raise RemoteError for the first thing the run would stumble over."""
    if answer.get("problems"):
        manifest, line, what = answer["first"][0]
        more = answer["problems"] - 1
        raise RemoteError(
            f"{visible(str(what))}" + (f" (and {more} more)" if more else ""),
            where=f"{machine.name}:{visible(str(manifest))}:{line}",
            remedy="Run `clinasr-tui check` on the split here.",
        )
    if answer.get("rows") != [packed.train.rows, packed.validation.rows]:
        raise RemoteError("the split that arrived has other rows than the one here", where=machine.name)


def told(tell: Tell, progress: Progress) -> None:
    """Tell how far a launch is. Raises InterruptedError if it is cancelled."""
    if not tell(progress):
        raise InterruptedError(f"the launch was cancelled while {progress.step}")
