"""What the app's stores of remote work share: errors become the work's own, an unknown key is asked about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from clinasr_tui.errors import ClinasrError, HostKeyError
from clinasr_tui.messages import LaunchKeyUnknown

if TYPE_CHECKING:
    from textual.message import Message

    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.remote.host import SshSettings


class Work(Protocol):
    """Work as a desk holds it: whether it goes on, and why it failed."""

    going: bool
    error: ClinasrError | None


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
