"""Lines of a run's log in a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clinasr_tui.flywheel.files import write_atomically

if TYPE_CHECKING:
    from clinasr_tui.training.log_store import LogStore


def save_lines(log: LogStore, numbers: Sequence[int], path: Path) -> int:
    """Write lines as the run wrote them, without progress bars; returns how many.

    `log` is a frozen copy and `numbers` count from the beginning of the log: what it has forgotten is
    left out. Raises InputError; then nothing stands under the name.
    """
    indices = [number - log.dropped for number in numbers if number >= log.dropped]
    write_atomically(path, log.raw_lines(indices))
    return len(indices)
