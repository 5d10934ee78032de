"""Messages from the session's workers to the app and from the app to the screen that is shown.

None of them bubbles: the app hands each on by itself, so a screen's handler ends its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from clinasr_tui.errors import HostKeyError


class News(Message, bubble=False):
    """One of a kind says all: a later one replaces those that wait."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, type(self))


@dataclass
class WorkspaceChanged(News, bubble=False):
    """A file of the workspace came, went or changed."""


@dataclass
class FactsChanged(News, bubble=False):
    """A background result that the stepper shows is known now."""


@dataclass
class WorkChanged(News, bubble=False):
    """Long work has begun or ended; the session's `jobs` are what goes on."""


@dataclass
class RunUpdated(Message, bubble=False):
    """A watched run has news; read them from the session's `WatchedRun`."""

    run: str

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunUpdated) and message.run == self.run


@dataclass
class RunEnded(Message, bubble=False):
    """Nothing more will come from a watched run."""

    run: str


@dataclass
class RunNotice(Message, bubble=False):
    """A watched run got into trouble or ended: call the operator, wherever they look."""

    run: str
    text: str


@dataclass
class HostKeyUnknown(Message, bubble=False):
    """A host showed a key that is not confirmed; `error.changed` tells a changed key."""

    run: str
    error: HostKeyError


@dataclass
class BoxChanged(News, bubble=False):
    """There is news of a rented box, its cost or offers; read them from the session's `boxes`."""


@dataclass
class BoxKeyUnknown(Message, bubble=False):
    """A box showed a key that is not confirmed; `error.changed` tells a changed key."""

    name: str
    error: HostKeyError


@dataclass
class LaunchChanged(News, bubble=False):
    """A launch, the end or the fetching of a run goes on; read it from the session's `launches`."""


@dataclass
class RunLaunched(Message, bubble=False):
    """A run was started; `folder` is its folder of the workspace."""

    run: str
    folder: Path
    anew: bool = False
    """True if it was to be resumed and had left no checkpoint."""


@dataclass
class LaunchKeyUnknown(Message, bubble=False):
    """A machine to launch on showed a key that is not confirmed; `again` goes on once it is."""

    error: HostKeyError
    again: Callable[[], None]


@dataclass
class EvalChanged(News, bubble=False):
    """An evaluation goes on; read it from the session's `evaluations`."""


@dataclass
class EvalEnded(Message, bubble=False):
    """The evaluation is made, has failed or was ended."""


@dataclass
class Problem(Message, bubble=False):
    """One line the operator must see; the app keeps running."""

    text: str
