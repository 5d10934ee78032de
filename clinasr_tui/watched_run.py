"""A run the app follows: its reader, log and state of contact, and the worker that fills them."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard

from clinasr_tui.errors import ClinasrError, HostKeyError
from clinasr_tui.flywheel.workspace import MIRROR_FOLDER
from clinasr_tui.messages import HostKeyUnknown, RunEnded, RunNotice, RunUpdated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from textual.message import Message

    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.remote.host import SshSettings
    from clinasr_tui.remote.run_watch import Contact, RunWatch, WatchUpdate
    from clinasr_tui.training.log_store import LogStore
    from clinasr_tui.training.snapshot import RunSnapshot, Series


_CALLS_FOR_A_LOOK = {"stalled", "overfit", "loss_explosion"}
"""Warnings that may cost money or a model while nobody looks."""
_LOOK_SECONDS = 15.0


@dataclass(slots=True)
class WatchedRun:
    """One run the app follows. Screens read it; only `follow` writes it."""

    ref: RunRef
    watch: RunWatch
    log: LogStore
    ssh: SshSettings
    contact: Contact
    retry_in: float | None = None
    error: ClinasrError | None = None
    """Why it is not being followed; its remedy is in the line."""
    caught_up: bool = False
    ended: bool = False
    told: set[str] | None = None
    """Ids of the errors the operator need not be called for; None until a running run was read whole."""

    readonly: bool = False
    """True if nothing may be written into the run's folder."""

    @classmethod
    def of(cls, ref: RunRef, settings: Settings, *, readonly: bool = False) -> WatchedRun:
        """The run of a workspace, mirrored in its folder; `readonly`: in a copy of its own."""
        from clinasr_tui.box.access import ssh_for
        from clinasr_tui.remote.run_watch import Contact, RunWatch
        from clinasr_tui.training.log_store import LogStore

        run_dir = ref.run_dir if ref.host is not None else str(ref.folder / ref.run_dir)
        ssh = ssh_for(ref.host, settings.ssh_config, settings.known_hosts)
        watch = RunWatch(
            run_dir,
            host=ref.host,
            name=ref.name,
            mirror=_copied(ref.folder / MIRROR_FOLDER) if readonly else ref.folder / MIRROR_FOLDER,
            ssh=ssh,
        )
        watch.reader.expect(ref.info)
        log = LogStore(watch.mirror_path)
        return cls(ref, watch, log, ssh, Contact.CONNECTING, readonly=readonly)


def _copied(mirror: Path) -> Path | None:
    """A copy of a run's mirror for this program's time; None where there is none yet."""
    if not mirror.is_dir():
        return None
    import atexit
    import shutil
    import tempfile
    from pathlib import Path

    place = Path(tempfile.mkdtemp(prefix="clinasr-mirror-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(shutil.copytree(mirror, place / MIRROR_FOLDER))


class Owner(Protocol):
    """What `follow` needs of the session."""

    def post(self, message: Message, /) -> object:
        """Send to the app."""

    def set_run_facts(self, ref: RunRef, outcome: str, progress: str) -> None:
        """Tell the stepper."""


async def follow(run: WatchedRun, owner: Owner) -> None:
    """Fill a watched run until it has ended or an error needs the operator. Never raises."""
    from clinasr_tui.training.snapshot import Level

    name = run.ref.name
    looking = asyncio.create_task(_look_now_and_then(run, owner))
    try:
        async with aclosing(run.watch.updates()) as updates:
            async for update in updates:
                _take(run, update)
                snapshot = run.watch.reader.snapshot(time.time())
                owner.set_run_facts(run.ref, str(snapshot.outcome), progress_text(snapshot))
                owner.post(RunUpdated(name))
                for text in news(run, snapshot):
                    owner.post(RunNotice(name, text))
        run.ended = True
        if not run.readonly:
            await asyncio.to_thread(_complete_record, run)
    except HostKeyError as error:
        run.error = error
        owner.post(HostKeyUnknown(name, error))
    except ClinasrError as error:
        run.error = error
        run.log.note(str(error), Level.ERROR)
    except Exception as error:
        run.error = ClinasrError(f"watching {name} failed: {type(error).__name__}: {error}")
        run.log.note(str(run.error), Level.ERROR)
    finally:
        looking.cancel()
    owner.post(RunUpdated(name))
    if run.ended:
        owner.post(RunEnded(name))


async def _look_now_and_then(run: WatchedRun, owner: Owner) -> None:
    """A run that has gone silent sends nothing that would show it."""
    from clinasr_tui.launch.ending import QuietLook

    quiet = QuietLook(run.ref.info, run.ref.host, run.ssh)
    try:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            snapshot = run.watch.reader.snapshot(time.time())
            for text in news(run, snapshot):
                owner.post(RunNotice(run.ref.name, text))
            if not run.readonly:
                quiet.look(snapshot)
    finally:
        await quiet.close()


def _complete_record(run: WatchedRun) -> None:
    """What the end adds to the record of a run that was launched from here."""
    from clinasr_tui.launch.ending import complete_record

    complete_record(run.ref.folder, run.watch.reader.snapshot(), run.watch.mirror_path("exit.json"))


def _take(run: WatchedRun, update: WatchUpdate) -> None:
    from clinasr_tui.training.snapshot import Level

    run.contact = update.contact
    run.retry_in = update.retry_in
    run.caught_up = run.caught_up or update.caught_up
    if update.note:
        run.log.note(update.note, Level.WARNING)
    if update.lines:
        run.log.append(update.lines)


def news(run: WatchedRun, snapshot: RunSnapshot) -> list[str]:
    """What an operator who looks elsewhere is called for: new trouble and the end of a running run.

    What was so when the run was opened is on the screen and no news.
    """
    errors = {
        alert.id: alert.message
        for alert in snapshot.health
        if alert.severity == "error" or alert.id in _CALLS_FOR_A_LOOK
    }
    if run.told is None:
        if run.caught_up and snapshot.outcome == "running":
            run.told = set(errors)
        return []
    found = [text for name, text in errors.items() if name not in run.told]
    run.told.update(errors)
    if snapshot.ended:
        run.told = None
        found.append(f"the run is over: {snapshot.outcome}")
    return found


def progress_text(snapshot: RunSnapshot) -> str:
    """Where a running run is: "epoch 2/3, about 40 s left"; "" once it is over."""
    parts = []
    if snapshot.phase in ("finished", "failed"):
        return ""
    if snapshot.epoch is not None:
        of = f"/{snapshot.max_epochs}" if snapshot.max_epochs else ""
        parts.append(f"epoch {snapshot.epoch + 1}{of}")
    else:
        parts.append(str(snapshot.phase))
    if snapshot.eta_seconds is not None:
        parts.append(f"about {duration_text(snapshot.eta_seconds)} left")
    return ", ".join(parts)


def duration_text(seconds: float) -> str:
    """A length of time to one or two units: 40 s, 3 min, 2 h 5 min."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True, slots=True)
class Glance:
    """What a run's files here say of it without following it."""

    snapshot: RunSnapshot
    loss: Series


_glances: dict[Path, tuple[object, Glance]] = {}


def glance(ref: RunRef) -> Glance | None:
    """Read what there is of a run on this machine: its folder, or the mirror of a run elsewhere.

    None without any. A run whose files did not change is not read again. It may take seconds: call it
    in a thread.
    """
    from clinasr_tui.training.run_reader import read_run_folder

    folder = ref.folder / (ref.run_dir if ref.host is None else MIRROR_FOLDER)
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        known = tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
        held = _glances.get(ref.folder)
        if held is not None and held[0] == known:
            return held[1]
        reader = read_run_folder(folder)
    except (ClinasrError, OSError):
        return None
    found = Glance(reader.snapshot(), reader.train_loss)
    _glances[ref.folder] = (known, found)
    return found


def spent(info: Mapping[str, object], until: float | None) -> float | None:
    """What a run has cost in dollars by `until` (Unix seconds), from its record.

    The price is `price_per_hour`, or that of the consent the box was made with; the time runs from
    `launched_at` to `ended_at` or `until`. None where the record does not tell.
    """
    consent = info.get("consent")
    agreed = consent.get("price_per_hour") if isinstance(consent, dict) else None
    price, start = info.get("price_per_hour", agreed), info.get("launched_at")
    end = info.get("ended_at", until)
    if not (_is_number(price) and _is_number(start) and _is_number(end)) or end < start:
        return None
    return price * (end - start) / 3600


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
