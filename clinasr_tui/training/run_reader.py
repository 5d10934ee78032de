"""Join everything a run folder says into one timeline: feed bytes, ask for a snapshot."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import InputError
from clinasr_tui.training import health, outcome, run_record
from clinasr_tui.training.console import ConsoleParser
from clinasr_tui.training.event_file import EventFileReader
from clinasr_tui.training.exit_record import MAX_BYTES, ExitRecord, parse_exit
from clinasr_tui.training.findings import Findings
from clinasr_tui.training.gpu import GpuReader, GpuTrack
from clinasr_tui.training.layout import FileKind, kind_of
from clinasr_tui.training.log_lines import LogLine, LogLines
from clinasr_tui.training.run_record import Expected
from clinasr_tui.training.slurm_job import SlurmReader
from clinasr_tui.training.snapshot import Outcome, Phase, RunSnapshot, Sample, Series
from clinasr_tui.training.stall import given_up
from clinasr_tui.training.timeline import Timeline
from clinasr_tui.training.told import Told, join, with_job
from clinasr_tui.training.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clinasr_tui.training.facts import Facts

__all__ = ["LogLine", "LogLines", "RunReader", "read_run_folder"]

MAX_HELD = 100_000
"""Lines of NeMo's log held back while it is not clear whether a console was captured."""
MAX_DEPTH = 3
"""How many folders down a run folder is looked through."""
_CHUNK = 1 << 20
_GPU_FRESH = 30.0  # seconds
_LAST_WORDS = 10.0  # seconds


class RunReader:
    """Understands a run from the bytes of its files, in any slicing and interleaving of files.

    Feeding the same bytes in other slices gives the same snapshot.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._timeline = Timeline()
        self._events: dict[str, EventFileReader] = {}
        self._streams: dict[str, ConsoleParser] = {}
        self._exits: dict[str, bytearray] = {}
        self._gpus: dict[str, GpuReader] = {}
        self._gpu_at: float | None = None
        self._writers = Writers()
        self._slurm = SlurmReader()
        self._record = bytearray()
        self._expected = Expected()
        self._damaged_before = 0
        self._held = LogLines()
        self._settled = False
        self._first_at: float | None = None
        self._last_at: float | None = None
        self.heard_at: float | None = None
        """Unix seconds of the last sign of life of the host the bytes come from: what lies after it is not
        the run's silence. None if they come from no host."""

    def feed(self, file: str, data: bytes, *, at: float | None = None) -> LogLines:
        """Take the next bytes of `file` (relative path); `at` is when they came (Unix seconds).

        Returns the finished console lines worth showing: progress bars are folded away. Lines of
        NeMo's own log are held back until it is clear that no console was captured (`settle`).
        """
        kind = kind_of(file)
        if kind in (FileKind.GPU, FileKind.WRITERS, FileKind.SLURM):
            self._feed_beside(file, kind, data, at)
            return LogLines()
        if at is not None:
            self._first_at = at if self._first_at is None else min(at, self._first_at)
            self._last_at = at if self._last_at is None else max(at, self._last_at)
        if kind is FileKind.EVENTS:
            reader = self._events.get(file)
            if reader is None:
                reader = self._events[file] = EventFileReader()
            self._timeline.add(reader.feed(data))
        elif kind is FileKind.EXIT:
            record = self._exits.setdefault(file, bytearray())
            record += data[: MAX_BYTES - len(record)]
        elif kind is FileKind.RECORD:
            self._record += data[: run_record.MAX_BYTES - len(self._record)]
            self._expected = run_record.parse_expected(self._record)
        elif kind in (FileKind.CONSOLE, FileKind.STDERR, FileKind.NEMO_LOG):
            parser = self._streams.get(file)
            if parser is None:
                parser = self._streams[file] = ConsoleParser(file)
            return self._shown(kind, parser.feed(data))
        return LogLines()

    def _feed_beside(self, file: str, kind: FileKind, data: bytes, at: float | None) -> None:
        """What a follower saw beside the run's own files: no news of the run itself."""
        if kind is FileKind.WRITERS:
            self._writers.feed(data, at)
        elif kind is FileKind.SLURM:
            self._slurm.feed(data)
        else:
            self._gpus.setdefault(file, GpuReader()).feed(data)
            self._gpu_at = at if at is not None else self._gpu_at

    def _shown(self, kind: FileKind, lines: LogLines) -> LogLines:
        if kind is not FileKind.NEMO_LOG:
            return lines
        self._held.take(lines)
        self._held.keep_last(MAX_HELD)
        return self._release()

    def _release(self) -> LogLines:
        if not self._settled:
            return LogLines()
        held, self._held = self._held, LogLines()
        return LogLines() if self._has_console else held

    def settle(self) -> LogLines:
        """All that was there at the start has been fed: without a console among it, NeMo's log stands in.

        Returns the lines held back so far.
        """
        self._settled = True
        return self._release()

    def reset(self, file: str) -> None:
        """`file` was truncated or replaced: what comes next is its beginning.

        Points of an event file stay, merged by step with what comes.
        """
        reader = self._events.pop(file, None)
        if reader is not None:
            self._damaged_before += reader.damaged
            self._events[file] = EventFileReader()
        self._streams.pop(file, None)
        self._exits.pop(file, None)
        self._gpus.pop(file, None)
        if kind_of(file) is FileKind.WRITERS:
            self._writers = Writers()
        if kind_of(file) is FileKind.SLURM:
            self._slurm = SlurmReader()
        if kind_of(file) is FileKind.RECORD:
            self._record.clear()
        self._held = self._held.without(file)

    def close(self) -> LogLines:
        """No more bytes will come: give out unfinished last lines."""
        lines = LogLines()
        for file, parser in self._streams.items():
            last = parser.close()
            if kind_of(file) is FileKind.NEMO_LOG:
                self._held.take(last)
            else:
                lines.take(last)
        lines.take(self.settle())
        return lines

    @property
    def _has_console(self) -> bool:
        return any(kind_of(file) is FileKind.CONSOLE for file in self._streams)

    def _main_stream(self) -> str | None:
        """The stream with bars and samples: console.log before stdout.log before NeMo's own log."""
        ranks = {FileKind.CONSOLE: 0, FileKind.NEMO_LOG: 2}
        candidates = []
        for file in self._streams:
            kind = kind_of(file)
            if kind in ranks:
                rank = ranks[kind] + (PurePosixPath(file).name == "stdout.log")
                candidates.append((rank, file))
        return min(candidates)[1] if candidates else None

    def _facts(self) -> Facts | None:
        main = self._main_stream()
        return self._streams[main].facts if main is not None else None

    def _exit_record(self) -> ExitRecord | None:
        """The exit record; our launcher's exit.json before an `rc` file."""
        for file in sorted(self._exits, key=lambda name: (not name.endswith(".json"), name)):
            record = parse_exit(file, bytes(self._exits[file]))
            if record is not None:
                return record
        return None

    def _told(self) -> Told:
        main = self._main_stream()
        names = [file for file in sorted(self._streams) if kind_of(file) is FileKind.STDERR]
        if main is not None:
            names.insert(0, main)
        ends = [file for file in names if PurePosixPath(file).name in ("console.log", "stderr.log")]
        facts = [self._streams[file].facts for file in names]
        main_facts = facts[0] if facts else None
        told = join(main_facts, facts, self._exit_record(), hears_end=bool(ends))
        told.expected_train, told.expected_validation = self._expected
        with_job(told, self._slurm.job)
        return told

    def expect(self, info: Mapping[str, object]) -> None:
        """Take what the run's record (`training_run_info.json`, parsed) says of its manifests."""
        self._expected = run_record.expected(info)

    def snapshot(self, now: float | None = None) -> RunSnapshot:
        """What is known; `now` (Unix seconds) lets stalls and ETA be judged, None for a recorded run.

        Nothing is judged beyond `heard_at`: a lost contact is no stall.
        """
        if now is not None and self.heard_at is not None:
            now = min(now, self.heard_at)
        timeline, told = self._timeline, self._told()
        timeline.loss_watch.update()
        step, epoch = _position(timeline, told)
        first, start, last = self._times()
        rhythm = timeline.rhythm(told.steps_per_epoch, start)
        loss = timeline.newest("train_loss")
        has_points = bool(timeline.loss) and timeline.loss.newest_wall >= start
        bad = loss is not None and not math.isfinite(loss)
        ended = outcome.decide(told, loss_is_bad=bad, step=step, has_points=has_points)
        phase = outcome.phase_of(told, ended, has_points)
        silence = None if now is None or last is None else now - last
        per_step = rhythm.per_step or told.main.seconds_per_batch
        gpus = self.gpu if now is not None and now - (self._gpu_at or 0.0) < _GPU_FRESH else ()
        found = Findings(told, timeline, ended, phase, step, rhythm, silence, gpus)
        eta = _eta(found, rhythm.overall or per_step)
        # Its processes need not be this machine's; Slurm knows whether they live.
        in_slurm = told.job is not None and told.job.lives
        gone = ended is Outcome.RUNNING and not in_slurm and self._gone(now)
        found = dataclasses.replace(found, eta=None if gone else eta, gone=gone)
        snapshot = RunSnapshot(
            name=self.name,
            phase=phase,
            outcome=Outcome.UNKNOWN if given_up(found) else ended,
            epoch=epoch,
            max_epochs=told.max_epochs if told.max_epochs and told.max_epochs > 0 else None,
            step=step,
            max_steps=told.max_steps,
            exit_code=told.exit.code if told.exit else None,
            points=len(timeline.loss),
            train_loss=loss,
            train_loss_ema=timeline.loss_watch.average,
            val_wer=_val_wer(timeline, told),
            learning_rate=timeline.newest("learning_rate"),
            seconds_per_step=per_step,
            eta_seconds=found.eta,
            started=first,
            last_activity=last,
            samples=told.main.sample_count,
            event_files=len(self._events),
            health=health.alerts(found),
            damaged=self._damaged_before + sum(map(self.damaged, self._events)),
            job=told.job,
            **_files(told),
        )
        return dataclasses.replace(snapshot, headline=outcome.headline(snapshot))

    def _gone(self, now: float | None) -> bool:
        """True if the last writer has gone for good, so far as can be told: an exit record may follow it."""
        at = self._writers.gone_at
        if now is None or at is None or now - at < _LAST_WORDS:
            return False
        return self._last_at is None or self._last_at <= at

    def _times(self) -> tuple[float | None, float, float | None]:
        """Unix seconds: the first event, the beginning of the newest event file, the last news."""
        first = [one.first_wall for one in self._events.values() if one.first_wall is not None]
        latest = [one.last_wall for one in self._events.values() if one.last_wall is not None]
        last = self._last_at if self._last_at is not None else max(latest, default=None)
        return min(first, default=self._first_at), max(first, default=0.0), last

    @property
    def gpu(self) -> tuple[GpuTrack, ...]:
        """GPUs of the machine the run is on, by index, from the file that tells most; () without any."""
        readers = sorted(self._gpus.items(), key=lambda item: (-item[1].count, item[0]))
        return readers[0][1].tracks if readers else ()

    def damaged(self, file: str) -> int:
        """Records and stretches of an event file that had to be skipped; 0 for any other file."""
        reader = self._events.get(file)
        return reader.damaged if reader else 0

    @property
    def train_loss(self) -> Series:
        """train_loss by step."""
        return self._timeline.loss

    @property
    def val_wer(self) -> Series:
        """val_wer by step."""
        return self._timeline.val_wer

    @property
    def samples(self) -> list[Sample]:
        """Sample predictions, oldest first, bounded to the newest 1,000."""
        facts = self._facts()
        return list(facts.samples) if facts else []

    @property
    def sample_count(self) -> int:
        """Sample predictions so far, also those no longer kept."""
        facts = self._facts()
        return facts.sample_count if facts else 0

    def series(self, tag: str) -> Series | None:
        """Any scalar of the event files by its tag, None if it was never logged."""
        return self._timeline.series.get(tag)


def _position(timeline: Timeline, told: Told) -> tuple[int | None, int | None]:
    """0-based step and epoch, from whichever of event files and progress bars is further on."""
    step, done = timeline.step, told.main.steps_done
    logged = timeline.newest("epoch")
    epoch = int(logged) if logged is not None and math.isfinite(logged) else None
    if done:
        return (done - 1 if step is None else max(step, done - 1)), told.main.epoch
    return step, epoch if epoch is not None else told.main.epoch


def _val_wer(timeline: Timeline, told: Told) -> tuple[tuple[int, float], ...]:
    """From the event files; from the console's lines where there is no event file."""
    if timeline.val_wer:
        return tuple(zip(timeline.val_wer.steps, timeline.val_wer.values, strict=True))
    return tuple(told.validations)


def _eta(found: Findings, pace: float | None) -> float | None:
    """Seconds left at the pace so far, less what has passed since the last step."""
    trains = found.phase in (Phase.TRAINING, Phase.VALIDATING, Phase.SAVING)
    if found.outcome is not Outcome.RUNNING or not trains:
        return None
    if found.step is None or found.told.max_steps is None or pace is None:
        return None
    left = max(0, found.told.max_steps - found.step - 1) * pace
    return max(0.0, left - min(max(0.0, found.silence or 0.0), pace))


def _files(told: Told) -> dict[str, Any]:
    """What the script said about the manifests it loaded."""
    train, validation = told.train_set, told.validation_set
    if train is None:
        return {}
    return {
        "train_files": train.files,
        "train_hours": train.hours,
        "validation_files": validation.files if validation else None,
        "filtered_files": train.filtered + (validation.filtered if validation else 0),
    }


def read_run_folder(folder: Path) -> RunReader:
    """Read all that is in a local run folder. Raises InputError if there is no such folder."""
    if not folder.is_dir():
        raise InputError("there is no such run folder", where=str(folder), remedy="Name a run's folder.")
    reader = RunReader(folder.resolve().name)
    for path in _watched_files(folder):
        try:
            with path.open("rb") as file:
                while data := file.read(_CHUNK):
                    reader.feed(path.relative_to(folder).as_posix(), data)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    reader.close()
    return reader


def _watched_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    level = [folder]
    for _ in range(MAX_DEPTH + 1):
        children = [child for one in level for child in sorted(one.iterdir())]
        found += [
            path for path in children if path.is_file() and kind_of(path.relative_to(folder).as_posix())
        ]
        level = [path for path in children if path.is_dir() and not path.is_symlink()]
    return found
