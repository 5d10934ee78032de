"""Run a function over the parts of a job in processes of their own.

The workers are fresh interpreters: a process with threads (the app) cannot be forked safely. They
stay out of the terminal's process group, so Ctrl-C reaches only this process, which ends them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread, main_thread
from typing import Any, Generic, TypeVar, cast

from clinasr_tui.flywheel.progress import Progress, report

T = TypeVar("T")

# A worker looks for modules where this process does. The library's own folder comes last: next to an
# installed package stand others that may shadow the standard library's.
_ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = (
    f"import sys; sys.path[:] = {[*sys.path, _ROOT]!r}\n"
    "from clinasr_tui.flywheel.part_worker import serve\nserve()"
)


def processes() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_parts(
    function: Callable[..., T],
    parts: Sequence[tuple[Any, ...]],
    *,
    progress: Progress | None,
    work: str,
    meanwhile: Callable[[], object] | None = None,
) -> list[T]:
    """`function(*part, progress=…)` for every part at the same time; the results in the parts' order.

    `function` is one of a module (workers import it by name); arguments and results are pickled. What
    it raises is raised here. `progress` hears of the parts' mean fraction and may cancel the `work`
    (raises InterruptedError). A worker that cannot start or is killed costs time only: its part is
    done here.

    A process whose main thread asks has nothing else to do: it does the first part itself. Any other
    thread only waits, for it would take the interpreter from the main one (the app's). `meanwhile` is
    called before the wait.
    """
    job = _Job[T](len(parts), progress, work)
    here = 1 if current_thread() is main_thread() else 0
    workers: list[_Worker] = []
    try:
        for number, part in enumerate(parts[here:], here):
            task = (function.__module__, function.__qualname__, part)
            workers.append(_Worker(number, task, job.events))
        if here and parts:
            job.done(0, function(*parts[0], progress=job.begun))
        if meanwhile is not None:
            meanwhile()
        job.wait()
        for number in job.lost:
            job.done(number, function(*parts[number], progress=None))
    finally:
        for worker in workers:
            worker.end()
    return [job.results[number] for number in range(len(parts))]


class _Job(Generic[T]):
    """What has become of the parts so far."""

    def __init__(self, parts: int, progress: Progress | None, work: str) -> None:
        self.events: SimpleQueue[tuple[int, str, Any]] = SimpleQueue()
        """From the workers: part, kind, value."""
        self.results: dict[int, T] = {}
        self.lost: list[int] = []
        """Parts whose worker is gone."""
        self._fractions = [0.0] * parts
        self._progress = progress
        self._work = work

    def done(self, number: int, result: T) -> None:
        """Take a part's result."""
        self.results[number] = result
        self._tell(number, 1.0)

    def begun(self, fraction: float) -> bool:
        """Progress of the part that is done here. Raises what a worker raised meanwhile."""
        while not self.events.empty():
            self._hear()
        self._tell(0, fraction)
        return True

    def wait(self) -> None:
        """Until every part is done or lost."""
        while len(self.results) + len(self.lost) < len(self._fractions):
            self._hear()

    def _hear(self) -> None:
        number, kind, value = self.events.get()
        if kind == "result":
            self.done(number, cast("T", value))
        elif kind == "error":
            raise value
        elif kind == "lost":
            self.lost.append(number)
        else:
            self._tell(number, value)

    def _tell(self, number: int, fraction: float) -> None:
        self._fractions[number] = max(self._fractions[number], fraction)
        report(self._progress, sum(self._fractions) / len(self._fractions), self._work)


class _Worker:
    """One process and the thread that listens to it: events are (part, kind, value)."""

    def __init__(self, number: int, task: tuple[Any, ...], events: SimpleQueue[tuple[int, str, Any]]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603  (this Python, our own module)
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        self._thread = Thread(target=self._listen, args=(number, task, events), daemon=True)
        self._thread.start()

    def _listen(self, number: int, task: tuple[Any, ...], events: SimpleQueue[tuple[int, str, Any]]) -> None:
        kind, value = "progress", None
        try:
            assert self._process is not None
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            with self._process.stdin as stdin:
                pickle.dump(task, stdin)
            while kind == "progress":
                kind, value = pickle.load(self._process.stdout)  # noqa: S301  (written by our own child)
                events.put((number, kind, value))
        except Exception:  # whatever became of it, its part must be done
            events.put((number, "lost", None))

    def end(self) -> None:
        """Stop the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
