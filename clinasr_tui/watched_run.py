"""A run the app follows: its reader, log and state of contact, and the worker that fills them."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clinasr_tui.errors import ClinasrError, HostKeyError
from clinasr_tui.messages import HostKeyUnknown, RunEnded, RunUpdated

if TYPE_CHECKING:
    from textual.message import Message

    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import RunRef
    from clinasr_tui.remote.run_watch import Contact, RunWatch, WatchUpdate
    from clinasr_tui.training.log_store import LogStore


@dataclass(slots=True)
class WatchedRun:
    """One run the app follows. Screens read it; only `follow` writes it."""

    ref: RunRef
    watch: RunWatch
    log: LogStore
    contact: Contact
    retry_in: float | None = None
    error: ClinasrError | None = None
    """Why it is not being followed; its remedy is in the line."""
    caught_up: bool = False
    ended: bool = False

    @classmethod
    def of(cls, ref: RunRef, settings: Settings) -> WatchedRun:
        """The run of a workspace, mirrored in its folder."""
        from clinasr_tui.remote.run_watch import Contact, RunWatch, SshSettings
        from clinasr_tui.training.log_store import LogStore

        run_dir = ref.run_dir if ref.host is not None else str(ref.folder / ref.run_dir)
        watch = RunWatch(
            run_dir,
            host=ref.host,
            name=ref.name,
            mirror=ref.folder / "mirror",
            ssh=SshSettings(config=settings.ssh_config, known_hosts=settings.known_hosts),
        )
        return cls(ref, watch, LogStore(watch.mirror_path), Contact.CONNECTING)


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
    try:
        async with aclosing(run.watch.updates()) as updates:
            async for update in updates:
                _take(run, update)
                owner.set_run_facts(run.ref, *_facts(run))
                owner.post(RunUpdated(name))
        run.ended = True
    except HostKeyError as error:
        run.error = error
        owner.post(HostKeyUnknown(name, error))
    except ClinasrError as error:
        run.error = error
        run.log.note(str(error), Level.ERROR)
    except Exception as error:
        run.error = ClinasrError(f"watching {name} failed: {type(error).__name__}: {error}")
        run.log.note(str(run.error), Level.ERROR)
    owner.post(RunUpdated(name))
    if run.ended:
        owner.post(RunEnded(name))


def _take(run: WatchedRun, update: WatchUpdate) -> None:
    from clinasr_tui.training.snapshot import Level

    run.contact = update.contact
    run.retry_in = update.retry_in
    run.caught_up = run.caught_up or update.caught_up
    if update.note:
        run.log.note(update.note, Level.WARNING)
    if update.lines:
        run.log.append(update.lines)


def _facts(run: WatchedRun) -> tuple[str, str]:
    import time

    snapshot = run.watch.reader.snapshot(time.time())
    return str(snapshot.outcome), progress_text(snapshot)


def progress_text(snapshot: Any) -> str:
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
