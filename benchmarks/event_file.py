"""Reading an event file of a million scalars, beside TensorBoard's EventAccumulator if it is there.

Seven tags a step, as the stock script logs them. Ours keeps every point; the accumulator is told to keep
every scalar too (by default it keeps 10,000 a tag). Both are timed from process start to the series.
Then 1,000 events are appended to a run that is followed: how long until they are in its series.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Measured, has_module, report, whole
from clinasr_tui.training.crc32c import masked_crc32c
from clinasr_tui.training.event_proto import simple_shape
from clinasr_tui.training.run_reader import RunReader

SCALARS = 1_000_000
RUNS = 3
APPENDS = 50
TAGS = (
    "train_loss",
    "learning_rate",
    "global_step",
    "training_batch_wer",
    "train_backward_timing in s",
    "train_step_timing in s",
    "epoch",
)
NAME = "events.out.tfevents.1795366986.box.1.0"
OURS = """
import sys
from pathlib import Path
from clinasr_tui.training.run_reader import read_run_folder
reader = read_run_folder(Path(sys.argv[1]))
found = sum(len(reader.series(tag)) for tag in sys.argv[3:])
assert found == int(sys.argv[2]), found
"""
ACCUMULATOR = """
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
found = sum(len(events.Scalars(tag)) for tag in sys.argv[3:])
assert found == int(sys.argv[2]), found
"""


def records(count: int, first_step: int = 0) -> Iterator[bytes]:
    """As many records, step by step."""
    shapes = [simple_shape(tag) or b"" for tag in TAGS]
    for number in range(count):
        step, tag = divmod(number, len(TAGS))
        step += first_step
        wall = 1_795_366_986.0 + step * 0.2 + tag * 1e-4
        head = b"\x09" + struct.pack("<d", wall) + (b"\x10" + varint(step) if step else b"")
        payload = head + shapes[tag] + struct.pack("<f", 1 / (1 + step % 1000))
        length = struct.pack("<Q", len(payload))
        checks = struct.pack("<I", masked_crc32c(length)), struct.pack("<I", masked_crc32c(payload))
        yield length + checks[0] + payload + checks[1]


def varint(value: int) -> bytes:
    """Protobuf's variable-length form of a whole number."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def appends() -> list[float]:
    """Seconds for each 1,000 events appended to a followed run, numpy not loaded."""
    reader, found = RunReader(), []
    for number in range(APPENDS):
        data = b"".join(records(1000, number * 143))
        start = time.perf_counter()
        reader.feed(NAME, data)
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Measure in turn and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rivals", default=sys.executable, help="a Python that has tensorboard")
    rivals = arguments.parse_args().rivals
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / NAME).open("wb") as out:
            out.writelines(records(SCALARS))
        print(f"{(Path(folder) / NAME).stat().st_size / 1e6:.0f} MB, {SCALARS:,} scalars of {len(TAGS)} tags")
        has_rival = has_module(rivals, "tensorboard")
        ours: list[Measured] = []
        other: list[Measured] = []
        for _ in range(RUNS):
            ours.append(whole([sys.executable, "-c", OURS, folder, str(SCALARS), *TAGS]))
            if has_rival:
                other.append(whole([rivals, "-c", ACCUMULATOR, folder, str(SCALARS), *TAGS]))
    if has_rival:
        report("clinasr-tui", ours, "EventAccumulator", other)
    else:
        print(f"clinasr-tui: {statistics.median(run.seconds for run in ours) * 1000:.0f} ms")
    found = sorted(appends())
    middle, worst = statistics.median(found) * 1000, found[-1] * 1000
    print(f"append 1,000 events: median {middle:.1f} ms, worst {worst:.0f} ms")


if __name__ == "__main__":
    main()
