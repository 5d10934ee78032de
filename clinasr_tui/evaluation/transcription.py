"""One transcription on a machine: sent, started detached, followed, its rows fetched and checked.

It survives whatever happens to the connection and to this program: the same call finds it again by its
folder, follows it if it still goes on, fetches what is complete, and starts it again where it ended, which
repeats no row.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import ChoiceError, ClinasrError, InputError, RemoteError
from clinasr_tui.evaluation.follow import exit_record, failure, follow
from clinasr_tui.evaluation.rows import Heard, PackedRows, keep_rows, pack_rows, unpack_rows
from clinasr_tui.evaluation.told import Reading
from clinasr_tui.flywheel.files import write_atomically
from clinasr_tui.flywheel.workspace import MIRROR_FOLDER, REEVAL_FILE
from clinasr_tui.launch.control import RunHandle, cancel, is_alive, settle_by_name
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.fetch import open_folder
from clinasr_tui.launch.flow import (
    Progress,
    Step,
    Tell,
    expect_gpu,
    start_container,
    start_process,
    told,
)
from clinasr_tui.launch.machine import Machine, look
from clinasr_tui.launch.nemo_python import expect_nemo
from clinasr_tui.launch.plan import Backend
from clinasr_tui.launch.send import Sent, send
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.remote.mirror import Mirror
from clinasr_tui.remote.scripts import succeeds

if TYPE_CHECKING:
    from clinasr_tui.evaluation.plan import EvalPlan
    from clinasr_tui.evaluation.prepare import Transcribed
    from clinasr_tui.remote.host import Host

RECORD_FILE = "evaluation.json"
CONTACT, FETCHING = "seeking contact", "fetching"
_LONGEST_WAIT = 30
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Transcripts:
    """What a transcription gave."""

    heard: Heard
    versions: dict[str, str]
    """Of NeMo, torch, Python, and the device's name."""
    rows: Path
    """The manifest as it was transcribed."""


async def transcribe(
    plan: EvalPlan,
    part: Transcribed,
    folder: Path,
    connect: Callable[[], Host],
    tell: Tell,
    *,
    host_name: str | None = None,
    socket: str = DOCKER_SOCKET,
    leaves: Callable[[], bool] = lambda: False,
) -> Transcripts:
    """Transcribe a manifest as planned; what is known of it is kept in `folder` of the workspace.

    `connect` gives the host, not yet entered. Contact that is lost is sought again for as long as it takes.
    Cancelling the task ends the transcription, unless `leaves` says that it is to go on unwatched; what it
    has done is kept. Raises UnreachableError only where there never was contact, RemoteError, InputError,
    InterruptedError if `tell` returns False.
    """
    name = plan.places.run
    mirror = Mirror(folder / MIRROR_FOLDER, f"{host_name or ''}:{name}")
    if mirror.shared:
        raise InputError("this evaluation is followed by another process already", where=str(folder))
    try:
        work = _Work(plan, part, folder, mirror, tell, socket, host_name, leaves)
        failures = 0
        while True:
            try:
                async with await asyncio.to_thread(connect) as host:
                    return await work.over(host)
            except UnreachableError as error:
                if not work.began:
                    raise
                failures = 1 if work.has_spoken() else failures + 1
                await _wait(tell, error, min(2 ** (failures - 1), _LONGEST_WAIT))
    finally:
        mirror.close()


async def _wait(tell: Tell, error: UnreachableError, seconds: int) -> None:
    for left in range(seconds, 0, -1):
        what = f"contact lost ({error.what}): it goes on there, next try in {left} s"
        told(tell, Progress(CONTACT, what))
        await asyncio.sleep(1)


class _Work:
    """The state of one call of `transcribe`, over any number of connections."""

    def __init__(
        self,
        plan: EvalPlan,
        part: Transcribed,
        folder: Path,
        mirror: Mirror,
        tell: Tell,
        socket: str,
        host_name: str | None,
        leaves: Callable[[], bool],
    ) -> None:
        self.plan, self.part, self.folder, self.mirror = plan, part, folder, mirror
        self.tell, self.socket, self.host_name, self.leaves = tell, socket, host_name, leaves
        self.reading = Reading()
        self.before = b""
        self.began = False
        """It was asked to start, or found at work: from now on a lost contact is only that."""
        self._heard = 0

    def has_spoken(self) -> bool:
        """True if something has come since this was last asked."""
        before, self._heard = self._heard, sum(map(self.mirror.size, ("stdout.log", "stderr.log")))
        return self._heard != before

    async def over(self, host: Host) -> Transcripts:
        """All of it over one connection, from wherever it stands."""
        told(self.tell, Progress(Step.LOOK))
        machine = await look(host, self.plan.places.root, socket=self.socket)
        plan = self.plan.placed(machine)
        places = plan.places
        run_dir = places.at(places.run_dir)
        container = places.container if plan.backend is Backend.DOCKER else None
        handle = RunHandle(places.run, run_dir, container, self.socket)
        packed = await asyncio.to_thread(self._packed, plan)
        if not await is_alive(handle, host):
            if await self._was_done(host, handle):
                found = await self._collected(host, run_dir, packed)
                if self.began or not (plan.retry and found.heard.untranscribed):
                    return found
            elif self.began:
                raise failure(self.mirror, self.reading.told.refused, f"{host.name}:{run_dir}")
            await self._start(plan, packed, host, machine)
        self.began = True
        try:
            return await self._followed(host, handle, packed)
        except asyncio.CancelledError:
            if not self.leaves():
                await self._end(handle, host)
            raise
        except InputError as error:
            raise await self._no_place_here(error, handle, host) from error

    async def _end(self, handle: RunHandle, host: Host) -> None:
        """Tell it to end; where that cannot be told, say so."""
        try:
            await cancel(handle, host, seconds=_STOP_SECONDS)
        except RemoteError as error:
            self.tell(Progress(CONTACT, f"it could not be told to end ({error.what}): it goes on there"))

    async def _no_place_here(self, error: InputError, handle: RunHandle, host: Host) -> InputError:
        """What it says cannot be kept here: the cycle was deleted, or this machine's disk does not serve."""
        cycle = self.folder.parent.parent
        if cycle.is_dir():
            remedy = f"What is transcribed is kept on {host.name}: mend that, then start it again"
            return InputError(error.what, where=error.where, remedy=remedy)
        await self._end(handle, host)
        what = "the cycle was deleted while it was evaluated"
        return InputError(what, where=str(cycle), remedy=f"The transcription was told to end on {host.name}")

    def _kept(self) -> Path:
        return keep_rows(self.part.manifest, self.part.sha256, self.folder)

    def _packed(self, plan: EvalPlan) -> PackedRows:
        return pack_rows(
            self.part.manifest,
            plan.places,
            in_place=plan.in_place,
            audio_folder=plan.audio,
            kept=self._kept(),
        )

    async def _was_done(self, host: Host, handle: RunHandle) -> bool:
        """True if an earlier start has done all rows; what it left is mirrored."""
        if not self.began and not (self.folder / RECORD_FILE).exists():
            return False
        if self.began:
            await settle_by_name(handle, host)
        try:
            ended = await follow(
                host, handle.run_dir, self.mirror, self.reading, lambda _: True, before=self.before
            )
        except UnreachableError:
            raise
        except ClinasrError:
            return False  # its folder is gone
        return ended and self._is_complete()

    def _is_complete(self) -> bool:
        return exit_record(self.mirror).get("exit_code") == 0 and self.reading.told.ended

    async def _start(self, plan: EvalPlan, packed: PackedRows, host: Host, machine: Machine) -> None:
        expect_able(plan, machine)
        if plan.backend is Backend.LOCAL:
            await expect_nemo(plan.python, host)
        await _expect_trained(plan, host)

        async def ship(image: str) -> None:
            items = [*packed.audio, *plan.items(packed.manifest, (machine.uid, machine.gid))]
            told(self.tell, Progress(Step.SEND))
            await send(host, plan.places.root, items, self._sending)
            self._record(plan, image)
            # An earlier start's record would be taken for this one's end.
            await succeeds(host, ["rm", "-f", "--", f"{plan.places.at(plan.places.run_dir)}/exit.json"])
            self.before = self.mirror.content("exit.json")
            self.began = True

        if plan.backend is Backend.DOCKER:
            await start_container(plan, host, machine, self.tell, ship, self.socket)
        else:
            await start_process(plan, host, self.tell, ship)

    def _sending(self, now: Sent) -> bool:
        text = f"{now.done_bytes / 1e6:.1f} of {now.bytes / 1e6:.1f} MB, {now.there} files are there already"
        return self.tell(Progress(Step.SEND, text, now.done_bytes / now.bytes if now.bytes else 1.0))

    def _record(self, plan: EvalPlan, image: str) -> None:
        """What is needed to find it again, before it is started."""
        places = plan.places
        document: dict[str, Any] = {
            "schema": "clinasr.evaluation/1",
            "name": places.run,
            "host": self.host_name,
            "run_dir": places.at(places.run_dir),
            "root": places.root,
            "backend": str(plan.backend),
            "container": places.container if plan.mounts else None,
            "image": plan.image if plan.mounts else None,
            "image_digest": image or None,
            "python": plan.python,
            "cpu": plan.cpu,
            "model": plan.model,
            "manifest": str(self.part.manifest),
            "started_at": time.time(),
        }
        write_atomically(self.folder / RECORD_FILE, (json.dumps(document, indent=2) + "\n").encode())

    async def _followed(self, host: Host, handle: RunHandle, packed: PackedRows) -> Transcripts:
        async def is_gone() -> bool:
            if await is_alive(handle, host):
                return False
            return not await settle_by_name(handle, host) and not await succeeds(
                host, ["test", "-e", f"{handle.run_dir}/exit.json"]
            )

        ended = await follow(
            host,
            handle.run_dir,
            self.mirror,
            self.reading,
            self.tell,
            before=self.before,
            is_gone=is_gone,
        )
        if not (ended and self._is_complete()):
            raise failure(self.mirror, self.reading.told.refused, f"{host.name}:{handle.run_dir}")
        return await self._collected(host, handle.run_dir, packed)

    async def _collected(self, host: Host, run_dir: str, packed: PackedRows) -> Transcripts:
        """Fetch the rows and check them against the manifest."""
        told(self.tell, Progress(FETCHING))
        place = self.folder / REEVAL_FILE
        async with open_folder(host, run_dir) as there:
            file = next((one for one in there.files if one.path == REEVAL_FILE), None)
            if file is None:
                raise RemoteError("its transcripts are not there", where=f"{host.name}:{run_dir}")
            await there.fetch(file, place)
        heard = await asyncio.to_thread(unpack_rows, place, packed)
        found = exit_record(self.mirror).get("versions")
        versions = {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
        return Transcripts(heard, {**versions, **self.reading.told.versions}, self._kept())


def has_begun(folder: Path) -> bool:
    """True if a transcription was started before, as `folder` of the workspace says."""
    return (folder / RECORD_FILE).exists()


def known_python(folders: Iterable[Path]) -> str:
    """The Python that last transcribed on this machine, as what is in `folders` says; "" if none did."""
    found = []
    for place in (place for folder in folders for place in folder.glob(f"*/{RECORD_FILE}")):
        with suppress(OSError, ValueError, RecursionError):
            said = json.loads(place.read_bytes())
            if isinstance(said, dict) and said.get("host") is None and said.get("backend") == Backend.LOCAL:
                found.append((place.stat().st_mtime_ns, str(said.get("python", ""))))
    return max(found, default=(0, ""))[1]


def expect_able(plan: EvalPlan, machine: Machine) -> None:
    """Refuse what cannot work there before anything is sent. Without a container a CPU serves too."""
    if plan.backend is Backend.DOCKER:
        expect_gpu(plan, machine)


async def _expect_trained(plan: EvalPlan, host: Host) -> None:
    """Raise ChoiceError for a run that still trains; on a GPU the transcription waits for it by itself."""
    run = plan.trained_by
    if run is not None and plan.cpu and await is_alive(run, host):
        raise ChoiceError(
            f"run {run.run} still trains: its weights change",
            choice="cpu",
            where=host.name,
            remedy="Evaluate it once it has ended; left to the machine's own device it waits for that",
            option="without --cpu",
        )
