"""What a transcription tells on its standard output, line by line, as progress."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clinasr_tui.launch.flow import Progress
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.remote.mirror import Mirror

TRANSCRIBING = "transcribing"
_LOG = "stdout.log"
_PIECE = 1 << 18
_QUEUED = b"clinasr-tui: queued"


@dataclass(slots=True)
class Told:
    """How far the transcription's last start is; it begins anew with each start."""

    total: int = 0
    done: int = 0
    resumed: int = 0
    """Rows that were there before this start."""
    errors: int = 0
    """Rows of this start that have no transcript."""
    seconds: float = 0.0
    rtf: float | None = None
    """Real-time factor: seconds of work a second of audio."""
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    last: str = ""
    """The last note."""
    refused: str = ""
    ended: bool = False

    def take(self, line: bytes) -> None:
        """One line; what is none of the script's own means nothing."""
        if line.startswith(_QUEUED):
            self.last = "waiting: another run uses this machine's GPUs"
            return
        try:
            said = json.loads(line)
            kind = said["t"]
        except (ValueError, RecursionError, KeyError, TypeError):
            return
        match kind:
            case "start":
                self._start(said)
            case "progress" | "end":
                self._progress(said)
                self.ended = kind == "end"
            case "note":
                self.last = visible(str(said.get("message")))
            case "refused":
                self.refused = visible(str(said.get("message")))
            case _:
                pass

    def _start(self, said: dict[str, Any]) -> None:
        self.total, self.resumed = _whole(said, "total"), _whole(said, "resumed")
        self.done = self.resumed
        self.device, self.last = visible(str(said.get("device", ""))), ""
        versions = said.get("versions")
        if isinstance(versions, dict):
            self.versions = {visible(str(key)): visible(str(value)) for key, value in versions.items()}

    def _progress(self, said: dict[str, Any]) -> None:
        self.total, self.done = _whole(said, "total"), _whole(said, "done")
        self.resumed, self.errors = _whole(said, "resumed"), _whole(said, "errors")
        self.seconds = _number(said, "seconds") or 0.0
        self.rtf = _number(said, "rtf")

    @property
    def left(self) -> float | None:
        """Seconds left at this start's rate; None before it has done a row."""
        own = self.done - self.resumed
        return self.seconds * (self.total - self.done) / own if own > 0 else None

    @property
    def progress(self) -> Progress:
        """For whoever shows it."""
        if not self.total:
            return Progress(TRANSCRIBING, self.last or "loading the model")
        parts = [f"{self.done:,} of {self.total:,} rows"]
        if self.device:
            parts.append(f"on {self.device}")
        if self.rtf:
            parts.append(f"{1 / self.rtf:,.0f}× real time" if self.rtf < 0.1 else f"RTF {self.rtf:.2f}")
        if self.errors:
            parts.append(f"{self.errors} without a transcript")
        if self.last:
            parts.append(self.last)
        return Progress(TRANSCRIBING, ", ".join(parts), self.done / self.total, self.left)


class Reading:
    """Reads the mirrored log as it grows; a new start's log begins anew."""

    def __init__(self) -> None:
        self.told = Told()
        self._name = ""
        self._offset = 0
        self._rest = b""

    def take(self, mirror: Mirror) -> bool:
        """Read what is new; True if there was something."""
        name = mirror.name(_LOG)
        if name != self._name:
            self.told, self._name, self._offset, self._rest = Told(), name, 0, b""
        size, begun = mirror.size(_LOG), self._offset
        while self._offset < size:
            data = mirror.read(name, self._offset, min(_PIECE, size - self._offset))
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self.told.take(line)
        return self._offset > begun


def _whole(said: dict[str, Any], key: str) -> int:
    value = said.get(key)
    return value if isinstance(value, int) and value >= 0 else 0


def _number(said: dict[str, Any], key: str) -> float | None:
    value = said.get(key)
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else None
