"""Join everything a run folder says into one timeline: feed bytes, ask for a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from clinasr_tui.training.snapshot import Level, RunSnapshot, Sample, Series


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line for the log view: where its bytes stand in the mirrored file, never the text itself."""

    file: str
    """Name of the file in the run folder, relative, as given to `feed`."""
    offset: int
    length: int
    level: Level


class RunReader:
    """Understands a run from the bytes of its files, in any slicing and interleaving of files.

    Feeding the same bytes in other slices gives the same snapshot.
    """

    def __init__(self, name: str = "") -> None:
        raise NotImplementedError

    def feed(self, file: str, data: bytes, *, at: float | None = None) -> list[LogLine]:
        """Take the next bytes of `file` (relative path); `at` is when they came (Unix seconds).

        Returns the finished console lines worth showing: progress bars are folded away.
        """
        raise NotImplementedError

    def reset(self, file: str) -> None:
        """`file` was truncated or replaced: what comes next is its beginning."""
        raise NotImplementedError

    def close(self) -> list[LogLine]:
        """No more bytes will come: give out unfinished last lines."""
        raise NotImplementedError

    def snapshot(self, now: float | None = None) -> RunSnapshot:
        """What is known; `now` (Unix seconds) lets stalls and ETA be judged, None for a recorded run."""
        raise NotImplementedError

    @property
    def train_loss(self) -> Series:
        """train_loss by step."""
        raise NotImplementedError

    @property
    def val_wer(self) -> Series:
        """val_wer by step."""
        raise NotImplementedError

    @property
    def samples(self) -> list[Sample]:
        """Sample predictions, oldest first, bounded to the newest 1,000."""
        raise NotImplementedError
