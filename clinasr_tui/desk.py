"""What the app's stores of remote work share: work told step by step, whose errors become its own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from clinasr_tui.errors import ClinasrError, HostKeyError
from clinasr_tui.flywheel.progress import clock_text, left_text
from clinasr_tui.messages import LaunchKeyUnknown

if TYPE_CHECKING:
    from textual.message import Message

    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.launch.flow import Progress
    from clinasr_tui.remote.host import SshSettings


class Work(Protocol):
    """Work as a desk holds it: whether it goes on, and why it failed."""

    going: bool
    error: ClinasrError | None


@dataclass(slots=True)
class Effort:
    """Work told step by step."""

    steps: list[Progress] = field(default_factory=list)
    """The newest word of each step so far, the step that goes on last."""
    going: bool = True
    error: ClinasrError | None = None
    """Why it ended before it was done; None also if it was cancelled."""
    begun: float = field(default_factory=time.monotonic)
    """When the step that goes on began."""

    @property
    def now(self) -> Progress | None:
        """The newest word."""
        return self.steps[-1] if self.steps else None

    @property
    def left(self) -> str:
        """About how long the step will go on (`0:42`); "" while that is not known."""
        now = self.now
        if now is None or not self.going:
            return ""
        if now.left is not None:
            return clock_text(now.left)
        return left_text(time.monotonic() - self.begun, now.fraction) if now.fraction else ""

    def take(self, now: Progress) -> bool:
        """Note how far it is; never cancels. Called from threads, too."""
        if self.steps and self.steps[-1].step == now.step:
            self.steps[-1] = now
        else:
            self.begun = time.monotonic()
            self.steps.append(now)
        return True


class Desk:
    """`post` sends to the app, `start_worker(coroutine, name, group)` runs."""

    def __init__(
        self,
        settings: Settings,
        post: Callable[[Message], object],
        start_worker: Callable[[Coroutine[Any, Any, None], str, str], object],
    ) -> None:
        self._settings = settings
        self._post = post
        self._start = start_worker

    async def _guarded(
        self,
        held: Work,
        what: str,
        work: Callable[[], Awaitable[None]],
        again: Callable[[], None],
    ) -> None:
        """Do `work`: what goes wrong becomes `held.error`, and a key nobody confirmed is asked about first,
        with `again` once it is. Only cancelling passes."""
        try:
            await work()
        except HostKeyError as error:
            held.error = error
            self._post(LaunchKeyUnknown(error, again))
        except ClinasrError as error:
            held.error = error
        except Exception as error:
            held.error = defect(what, error)
        finally:
            held.going = False

    def _ssh(self, host: str | None) -> SshSettings:
        from clinasr_tui.box.access import ssh_for

        return ssh_for(host, self._settings.ssh_config, self._settings.known_hosts)


def defect(what: str, error: Exception) -> ClinasrError:
    """An error nobody foresaw, as one line."""
    return ClinasrError(f"{what} failed: {type(error).__name__}: {error}")
