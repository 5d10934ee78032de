"""What the text of one stream of a run has said so far, since the run's last start.

A stream is a captured console or NeMo's own log. The phrases are those of the stock script with
nemo_toolkit 2.6 and lightning 2.4, measured on recorded runs.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinasr_tui.training.evidence import cancelled_by, ended_by, find_evidence
from clinasr_tui.training.snapshot import Phase, Sample

if TYPE_CHECKING:
    from clinasr_tui.training.console_bulk import Samples

    _Heard = tuple[int | None, bytes, bytes]

MAX_SAMPLES = 1000
UNKNOWN_PIECE = "\u2047"
"""What SentencePiece decodes its unknown token to."""
UNKNOWN_BYTES = UNKNOWN_PIECE.encode()

_DATASET = re.compile(rb"Dataset loaded with (\d{1,12}) files totalling (\d{1,9}(?:\.\d{1,6})?) hours")
_FILTERED = re.compile(rb"(\d{1,12}) files were filtered totalling (\d{1,9}(?:\.\d{1,6})?) hours")
_MAX_STEPS = re.compile(rb"effective maximum steps = (\d{1,12})\b")
_VALIDATION = re.compile(
    rb"Epoch \d{1,9}, global step (\d{1,12}): '([^']{1,80})' (?:reached ([-+.\w]{1,40})|was not in top)"
)
_FIT_STOPPED = re.compile(rb"`Trainer\.fit` stopped: `?(?:max_epochs=(\d{1,9})`)?")
_RATE = re.compile(rb", *(\d{1,9}(?:\.\d{1,9})?)(it/s|s/it)")
_MOST_BLOCKS = 32  # kept for the samples in them
_MAX_TEXT = 2000
_MAX_VALIDATIONS = 10_000
_MAX_DATASETS = 100


@dataclass(slots=True)
class Dataset:
    """A manifest NeMo has loaded: what it kept and what its length filters dropped."""

    files: int
    hours: float
    filtered: int = 0
    filtered_hours: float = 0.0
    counted: bool = False
    """True once the count of dropped files has come too."""


class Facts:
    """Facts of one stream. Text comes as bytes, already cut into messages by the console parser."""

    def __init__(self) -> None:
        self.starts = 0
        self.sample_count = 0
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._heard: deque[tuple[int, Iterable[_Heard]]] = deque()
        self._waiting, self._block, self._blocks = 0, b"", 0
        self.reference: bytes | None = None
        """The message with a sample's reference, while its prediction has not come."""
        self._reset()

    def _reset(self) -> None:
        self.phase = Phase.WAITING
        self.max_epochs: int | None = None
        self.max_steps: int | None = None
        self.log_every: int | None = None
        self.accumulate = 1
        self.precision: str | None = None
        self.tdt = False
        self.datasets: list[Dataset] = []
        self.epoch: int | None = None
        self.batch = 0
        self.batches: int | None = None
        self._counters = b""
        self.validations: list[tuple[int, float]] = []
        self.finished = False
        self._stop: tuple[str, str | None, tuple[int, int]] | None = None
        self._killed: str | None = None
        self.exception: str | None = None
        self.fatal = False
        self.evidence: dict[str, str] = {}
        self._evidence_at: dict[str, tuple[int, int]] = {}
        self.unknown_run = 0
        self.unknown_since: int | None = None
        self._crash: tuple[int, int] | None = None
        self._expects_gpu_line = False
        self._in_config = False
        self._config_section = ""

    def restart(self) -> None:
        """The script has started anew in the same stream: only samples outlive it."""
        self.starts += 1
        self._reset()
        self.phase = Phase.LOADING

    @property
    def samples(self) -> deque[Sample]:
        """Sample predictions, oldest first, bounded. Most are never looked at: decoded on demand."""
        self._decode()
        return self._samples

    @property
    def position(self) -> tuple[int, int]:
        """Epoch and batches done in it, as the last progress bar said; (-1, 0) before the first."""
        return (-1 if self.epoch is None else self.epoch, self.batch)

    @property
    def crashed(self) -> bool:
        """True if an exception was printed and training has not gone on since."""
        return self._crash is not None and self.position <= self._crash

    @property
    def killed(self) -> str | None:
        """Signal that ended the script, by a shell's or scheduler's word; None if training has gone on."""
        return self._killed if self.crashed else None

    @property
    def stop_signal(self) -> str | None:
        """Signal that asked the script to stop, None if training has gone on since."""
        return self._stop[0] if self._stop and not self._went_on(self._stop[2]) else None

    @property
    def stop_reason(self) -> str | None:
        """Who asked it to stop, where that is said."""
        return self._stop[1] if self._stop and not self._went_on(self._stop[2]) else None

    def survived(self, cause: str) -> bool:
        """True if training has gone on since the evidence of a cause."""
        return cause in self._evidence_at and self._went_on(self._evidence_at[cause])

    def _went_on(self, since: tuple[int, int]) -> bool:
        """True if more has been done since a position than the batch that was under way."""
        epoch, batch = self.position
        return epoch > since[0] or (epoch == since[0] and batch > since[1] + 2)

    @property
    def steps_done(self) -> int | None:
        """Optimizer steps done by the last progress bar; None before the first."""
        if self.epoch is None or self.batches is None:
            return None
        return _steps(self.epoch, self.batch, self.batches, self.accumulate)

    @property
    def seconds_per_batch(self) -> float | None:
        """The last bar's own estimate."""
        match = _RATE.search(self._counters)
        rate = float(match[1]) if match else 0.0
        if match is None or rate <= 0:
            return None
        return rate if match[2] == b"s/it" else 1 / rate

    # Progress bars

    def fit_begins(self) -> None:
        """Lightning's first bar ("Training:"): positions seen before belong to an earlier fit."""
        self.epoch, self.batch, self.batches = None, 0, None
        self.phase = Phase.TRAINING

    def progress(self, epoch: int, batch: int, batches: int, counters: bytes) -> None:
        """A training bar. At each epoch's start one bar still has the old epoch's number: not believed.

        `counters` is the bar's last part ("00:07<05:34,  0.15it/s, …").
        """
        self.phase = Phase.TRAINING
        if batch == 0 and epoch == self.epoch:
            return
        self.epoch, self.batch, self.batches, self._counters = epoch, batch, batches, counters

    def validating(self) -> None:
        """A validation bar."""
        self.phase = Phase.VALIDATING

    # NeMo's own messages

    def information(self, text: bytes) -> None:
        """First line of a NeMo information message."""
        if text.startswith(b"WER "):
            self._sample(text)
            return
        if self.phase in (Phase.WAITING, Phase.PULLING, Phase.SLEEPING):
            self.phase = Phase.LOADING
        self._in_config = False
        if text.startswith(b"Hydra config:"):
            self.restart()
            self._expects_gpu_line = self._in_config = True
        elif match := _DATASET.search(text):
            if len(self.datasets) < _MAX_DATASETS:
                self.datasets.append(Dataset(int(match[1]), float(match[2])))
        elif b" were filtered " in text and (match := _FILTERED.search(text)):
            if self.datasets:
                self.datasets[-1].counted = True
                self.datasets[-1].filtered = int(match[1])
                self.datasets[-1].filtered_hours = float(match[2])
        elif text.startswith(b"Using RNNT Loss : tdt"):
            self.tdt = True
        elif text.startswith(b"Sleeping for at least"):
            self.phase = Phase.SLEEPING
        elif text.startswith(b"Checkpoint save for step"):
            self.phase = Phase.SAVING
        else:
            self._max_steps(text)

    def continuation(self, text: bytes) -> None:
        """An indented further line of a NeMo information message, indentation included."""
        if self._in_config:
            self._config(text)
        else:
            self._max_steps(text)

    def problem(self, text: bytes) -> None:
        """A NeMo error message or a line of stderr that may name a cause."""
        self._evidence(text.decode("utf-8", "replace"))

    def _max_steps(self, text: bytes) -> None:
        if match := _MAX_STEPS.search(text):
            self.max_steps = int(match[1])

    def _config(self, line: bytes) -> None:
        """A line of the dumped Hydra configuration (YAML inside a message, indented by four)."""
        text = line[4:].decode("utf-8", "replace")
        key, _, value = text.strip().partition(":")
        value = value.strip()
        if not text.startswith(" "):
            self._config_section = key
        elif self._config_section == "trainer" and text.startswith("  ") and text[2:3] != " ":
            if key == "precision":
                self.precision = value.strip("'\"")
            elif value.isascii() and value.isdigit() and len(value) < 12:
                number = int(value)
                if key == "max_epochs":
                    self.max_epochs = number
                elif key == "log_every_n_steps":
                    self.log_every = number
                elif key == "accumulate_grad_batches":
                    self.accumulate = max(1, number)

    def _sample(self, text: bytes) -> None:
        if text.startswith(b"WER reference:"):
            self.reference = text
        elif self.reference is not None and text.startswith(b"WER predicted:"):
            step = self._sample_step()
            self._hear(1, ((step, self.reference, text),))
            self.reference = None
            if text.isascii():
                self.unknown_run = 0
            else:
                self._count_unknown(_said(text), step)

    def _sample_step(self) -> int | None:
        """Step of a sample that comes now; validation is of the weights after the last step."""
        done = self.steps_done
        return None if done is None else max(0, done - (self.phase is Phase.VALIDATING))

    def _decode(self) -> None:
        while self._heard:
            for step, reference, prediction in self._heard.popleft()[1]:
                self._samples.append(Sample(step, _said(reference), _said(prediction)))
        self._waiting, self._block, self._blocks = 0, b"", 0

    def _hear(self, count: int, samples: Iterable[_Heard]) -> None:
        self.sample_count += count
        if self.phase in (Phase.LOADING, Phase.SAVING):
            self.phase = Phase.TRAINING
        self._heard.append((count, samples))
        self._waiting += count
        while self._waiting - self._heard[0][0] >= MAX_SAMPLES:
            self._waiting -= self._heard.popleft()[0]

    def heard(self, samples: Samples) -> None:
        """Samples of a stretch of console text, none of them with an unknown piece."""
        if len(samples):
            now, accumulate = self._sample_step(), self.accumulate

            def step_of(bar: re.Match[bytes] | None) -> int | None:
                return now if bar is None else _steps(int(bar[1]), int(bar[2]), int(bar[3]), accumulate)

            if samples.block is not self._block:
                self._block, self._blocks = samples.block, self._blocks + 1
            self._hear(len(samples), samples.pairs(MAX_SAMPLES, step_of))
            self.unknown_run = 0
            if self._blocks > _MOST_BLOCKS:
                self._decode()
        self.reference = samples.left

    def _count_unknown(self, prediction: str, step: int | None) -> None:
        if UNKNOWN_PIECE in prediction and not prediction.replace(UNKNOWN_PIECE, "").strip():
            if self.unknown_run == 0:
                self.unknown_since = step
            self.unknown_run += 1
        else:
            self.unknown_run = 0

    # Other lines, mostly of stderr

    def plain(self, text: bytes) -> None:
        """A line that is neither a bar nor NeMo's nor part of a traceback."""
        if self.phase in (Phase.WAITING, Phase.PULLING, Phase.SLEEPING):
            self.phase = Phase.PULLING if _is_pulling(text) else Phase.LOADING
        if match := _VALIDATION.search(text):
            self._validation(match)
        elif match := _FIT_STOPPED.search(text):
            self.finished, self._crash = True, None
            if match[1]:
                self.max_epochs = int(match[1])
        elif b"Signaling Trainer to stop" in text:
            self.finished = True
        elif text.startswith(b"GPU available:"):
            if not self._expects_gpu_line:
                self.restart()
            self._expects_gpu_line = False
        elif b"Detected KeyboardInterrupt" in text:
            self._stopped("SIGINT")
        elif b"Received SIGTERM" in text:
            self._stopped("SIGTERM")
        elif text.startswith(b"Using 16bit Automatic Mixed Precision"):
            self.precision = "16-mixed"
        elif text.startswith(b"Error executing job with overrides"):
            self.fatal = True
        else:
            line = text[:_MAX_TEXT].decode("utf-8", "replace")
            self._ended(line)
            self._evidence(line)

    def _ended(self, text: str) -> None:
        """A shell's or scheduler's word about the end; nothing can be ended that has finished."""
        if self.finished:
            return
        if (scheduler := cancelled_by(text)) is not None:
            self._stopped("SIGTERM", scheduler)
        elif (name := ended_by(text)) in ("SIGTERM", "SIGINT"):
            self._stopped(name)
        elif name is not None:
            self._killed, self._crash = name, self.position

    def _stopped(self, name: str, reason: str | None = None) -> None:
        if self._stop is None or reason is not None:
            self._stop = (name, reason, self.position)

    def _validation(self, match: re.Match[bytes]) -> None:
        self.phase = Phase.SAVING
        if match[2] == b"val_wer" and match[3] and len(self.validations) < _MAX_VALIDATIONS:
            try:
                self.validations.append((int(match[1]) - 1, float(match[3])))
            except ValueError:
                return

    def raised(self, text: bytes) -> None:
        """The last line of a traceback: the exception."""
        self.exception = text[:_MAX_TEXT].decode("utf-8", "replace").strip()
        self._crash = self.position
        if self.exception.startswith("KeyboardInterrupt"):
            self._stopped("SIGINT")
        self._evidence(self.exception)

    def _evidence(self, text: str) -> None:
        found = find_evidence(text)
        if found is not None:
            self.evidence.setdefault(*found)
            self._evidence_at[found[0]] = self.position


def _steps(epoch: int, batch: int, batches: int, accumulate: int) -> int:
    """Optimizer steps done after so many batches of an epoch."""
    per_epoch = -(-batches // accumulate)
    return epoch * per_epoch + min(per_epoch, -(-batch // accumulate))


def _said(text: bytes) -> str:
    """What follows "WER reference:" or "WER predicted:"."""
    return text[14:_MAX_TEXT].decode("utf-8", "replace").strip()


def _is_pulling(text: bytes) -> bool:
    return text.startswith((b"Unable to find image", b"Pulling ")) or b": Pulling" in text
