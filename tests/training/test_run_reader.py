"""The run reader says what happened in every recorded run, in any slicing and interleaving."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.training.layout import FileKind, kind_of
from clinasr_tui.training.run_document import to_json
from clinasr_tui.training.run_reader import RunReader, read_run_folder
from clinasr_tui.training.snapshot import Level, Outcome, Phase
from tests.conftest import RECORDINGS
from tests.support.event_records import scalar

SFT3 = RECORDINGS / "sft3"
NAMES = ["sft3", "hot", "kill9", "missing", "oom", "stockdefault"]


def folder_of(name):
    return RECORDINGS / name


def files_of(name):
    root = folder_of(name)
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    return {path: data for path, data in files.items() if kind_of(path)}


def snapshot_of(name):
    return read_run_folder(folder_of(name)).snapshot()


def ids(snapshot):
    return [alert.id for alert in snapshot.health]


def test_sft3_finished_without_any_alert():
    run = snapshot_of("sft3")
    assert (run.outcome, run.phase, run.exit_code) == (Outcome.FINISHED, Phase.FINISHED, None)
    assert (run.points, run.step, run.max_steps, run.epoch, run.max_epochs) == (150, 149, 150, 2, 3)
    assert [(step, round(value, 5)) for step, value in run.val_wer] == [
        (49, 0.08333),
        (99, 0.03472),
        (149, 0.03704),
    ]
    assert run.health == ()
    assert run.headline == "finished: 150 steps, val WER 0.037 (best 0.035 at step 99)"
    assert (run.train_files, run.train_hours, run.validation_files, run.filtered_files) == (200, 0.19, 50, 0)
    assert run.train_loss == pytest.approx(0.11969, abs=1e-5)
    assert run.train_loss_ema == pytest.approx(0.14270, abs=1e-5)
    assert run.learning_rate == pytest.approx(5.0346e-06, rel=1e-4)
    assert run.seconds_per_step == pytest.approx(0.18, abs=0.01)
    assert (run.samples, run.event_files, run.eta_seconds) == (162, 1, None)
    assert run.ended


def test_stockdefault_finished_with_too_few_points():
    run = snapshot_of("stockdefault")
    assert (run.outcome, run.exit_code, run.points, run.step) == (Outcome.FINISHED, 0, 5, 53)
    assert ids(run) == ["no_loss_points"]
    assert run.health[0].message == "5 loss points for 54 steps, log_every_n_steps=10: set 1."


def test_hot_diverged_although_exit_code_zero():
    run = snapshot_of("hot")
    assert (run.outcome, run.phase, run.exit_code) == (Outcome.DIVERGED, Phase.FAILED, 0)
    assert ids(run) == ["nan_loss", "unk_collapse"]
    nan, unk = run.health
    assert (nan.first_step, unk.first_step) == (1, 1)
    assert "53 of 54 points" in nan.message
    assert "learning rate 333" in nan.message
    assert "val WER repeats 47.644" in unk.message
    assert math.isnan(run.train_loss)
    assert run.headline == "diverged: loss is NaN since step 1; exit code 0 hides it"


def test_oom_names_the_process_that_holds_the_card():
    run = snapshot_of("oom")
    assert (run.outcome, run.exit_code, run.points, run.step) == (Outcome.FAILED, 1, 0, None)
    assert ids(run) == ["oom"]
    assert "19.50 MiB of 139.80 GiB free" in run.health[0].message
    assert "Process 3783 holds 138.49 GiB" in run.health[0].remedy
    assert run.headline == "failed: out of GPU memory (exit code 1)"


def test_missing_names_the_file():
    run = snapshot_of("missing")
    assert (run.outcome, run.exit_code, run.step) == (Outcome.FAILED, 1, 0)
    assert ids(run) == ["missing_audio"]
    assert "nope.flac" in run.health[0].message


def test_kill9_two_event_files_are_one_run():
    reader = read_run_folder(RECORDINGS / "kill9")
    run = reader.snapshot()
    assert (run.outcome, run.exit_code, run.event_files) == (Outcome.FAILED, 1, 2)
    assert list(reader.train_loss.steps) == list(range(31))
    assert (run.points, run.step, run.epoch, run.max_steps) == (31, 30, 1, 72)
    assert ids(run) == ["oom"]
    assert "CUBLAS_STATUS_ALLOC_FAILED" in run.health[0].message


@pytest.mark.parametrize("name", NAMES)
def test_the_inner_run_folder_alone_is_understood_too(name):
    run = read_run_folder(folder_of(name) / "run").snapshot()
    assert run.points == snapshot_of(name).points
    assert run.max_steps == snapshot_of(name).max_steps
    assert run.outcome is Outcome.RUNNING
    assert ("nan_loss" in ids(run)) == (name == "hot")
    assert run.headline


@pytest.mark.parametrize("name", NAMES)
def test_without_an_exit_record_text_and_loss_decide(name):
    reader = RunReader()
    for path, data in files_of(name).items():
        if kind_of(path) is not FileKind.EXIT:
            reader.feed(path, data)
    reader.close()
    assert reader.snapshot().outcome is snapshot_of(name).outcome


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_those_of_the_console_not_of_nemos_log(name):
    reader = RunReader()
    lines = []
    for path, data in sorted(files_of(name).items(), reverse=True):  # NeMo's log before the console
        lines += reader.feed(path, data)
    lines += reader.close()
    files = files_of(name)
    assert {line.file for line in lines} <= {"console.log", "stdout.log", "stderr.log"}
    assert any(files[line.file][line.offset :].startswith(b"[NeMo I") for line in lines)
    errors = [line for line in lines if line.level is Level.ERROR]
    assert bool(errors) == (name in {"oom", "missing", "kill9"})


def test_nemos_log_stands_in_where_no_console_was_captured():
    path = "run/nemo_log_globalrank-0_localrank-0.txt"
    data = files_of("sft3")[path]
    reader = RunReader()
    assert reader.feed(path, data[:50_000]) == []
    held = reader.settle()
    later = reader.feed(path, data[50_000:])
    assert len(held) > 100
    assert len(later) > 10
    assert all(data[line.offset : line.offset + line.length].strip() for line in held + later)
    run = reader.snapshot()
    assert (run.samples, run.max_steps, run.outcome) == (162, 150, Outcome.RUNNING)
    assert reader.samples[0].step is None
    # A console that turns up later takes over.
    reader.feed("console.log", b"hello\n")
    assert reader.feed(path, b"[NeMo W 2026-11-22 17:03:05 nemo_logging:405] more\n") == []


def fed(files, cuts, order):
    """Feed slices of all files in a random interleaving that keeps each file's own order."""
    queues = {}
    for path, data in files.items():
        ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
        queues[path] = [data[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]
    reader, lines = RunReader(), []
    while queues:
        path = order.choice(sorted(queues))
        lines += reader.feed(path, queues[path].pop(0))
        if order.random() < 0.05:
            reader.snapshot()
        if not queues[path]:
            del queues[path]
    return reader, lines + reader.close()


@pytest.mark.parametrize("name", NAMES)
@given(cuts=st.lists(st.integers(0, 200_000), max_size=12), seed=st.integers(0, 2**32))
@settings(max_examples=6, deadline=None)
def test_slicing_and_interleaving_do_not_matter(name, cuts, seed):
    files = files_of(name)
    reader, lines = fed(files, cuts, random.Random(seed))
    straight, expected = fed(files, [], random.Random(0))
    assert str(reader.snapshot()) == str(straight.snapshot())
    assert reader.samples == straight.samples
    assert sorted(lines) == sorted(expected)


def test_json_of_a_diverged_run_is_strict_json():
    document = to_json(snapshot_of("hot"))
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again["train_loss"]["last"] is None
    assert again["train_loss"]["finite"] is False
    assert again["train_loss"]["ema"] == pytest.approx(0.35089, abs=1e-5)
    assert again["val_wer"][0] == [17, pytest.approx(47.64423, abs=1e-5)]
    assert again["health"][0].keys() == {"id", "severity", "message", "remedy", "first_step"}
    assert {"phase", "outcome", "epoch", "step", "max_steps", "exit_code", "points"} <= again.keys()
    assert again["outcome"] == "diverged"


def test_nothing_to_tell():
    run = RunReader("new").snapshot(now=1e9)
    assert (run.outcome, run.phase, run.health, run.ended) == (Outcome.UNKNOWN, Phase.WAITING, (), False)
    assert to_json(run)["train_loss"] == {"last": None, "ema": None, "finite": None}


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such run folder"):
        read_run_folder(tmp_path / "nope")


def part_of_sft3(bars):
    """The console up to a progress bar, the events up to the console's last time stamp."""
    files = files_of("sft3")
    console = files["console.log"]
    end = console.index(bars.encode())
    reader = RunReader("sft3")
    reader.feed("console.log", console[: console.index(b"\r", end) + 1])
    return reader


def test_in_the_middle_of_training():
    reader = part_of_sft3("| 12/50 [00:02")
    for step in range(63):
        reader.feed("run/events.out.tfevents.1.h.1.0", scalar("train_loss", step, 1000.0 + step * 0.25, 0.5))
    run = reader.snapshot(now=1000.0 + 63 * 0.25)
    assert (run.outcome, run.phase) == (Outcome.RUNNING, Phase.TRAINING)
    assert (run.epoch, run.step, run.max_steps) == (1, 62, 150)
    assert run.headline == "epoch 2 of 3, step 63 of 150"
    assert run.seconds_per_step == pytest.approx(0.25)
    assert run.eta_seconds == pytest.approx(87 * 0.25 - 0.25)
    assert run.health == ()


def test_console_alone_gives_progress_and_rate():
    run = part_of_sft3("| 12/50 [00:02").snapshot()
    assert (run.epoch, run.step, run.points) == (1, 61, 0)
    assert run.seconds_per_step == pytest.approx(1 / 4.51, rel=0.1)
    assert run.val_wer == ((49, 0.08333),)


def test_events_alone_tell_step_and_epoch():
    reader = RunReader()
    reader.feed(
        "events.out.tfevents.1.h.1.0", scalar("train_loss", 7, 100.0, 0.5) + scalar("epoch", 7, 100.1, 1.0)
    )
    run = reader.snapshot()
    assert (run.outcome, run.phase, run.step, run.epoch, run.points) == (
        Outcome.RUNNING,
        Phase.TRAINING,
        7,
        1,
        1,
    )
    assert reader.series("epoch").at(7) == 1.0
    assert reader.series("nothing") is None


def test_resumed_run_is_where_its_newest_point_is():
    old = b"".join(scalar("train_loss", step, 100.0 + step, 1.0) for step in range(30))
    new = b"".join(scalar("train_loss", step, 500.0 + step, 0.5) for step in range(18, 21))
    for files in ((("a", old), ("b", new)), (("b", new), ("a", old))):
        reader = RunReader()
        for name, data in files:
            reader.feed(f"events.out.tfevents.{name}", data)
        run = reader.snapshot()
        assert (run.points, run.step, run.train_loss) == (30, 20, 0.5)
        assert run.seconds_per_step == pytest.approx(1.0)


def test_a_restart_that_loads_does_not_train_yet():
    reader = RunReader()
    reader.feed("events.out.tfevents.a", scalar("train_loss", 3, 100.0, 1.0))
    reader.feed("stdout.log", b"[NeMo I 2026-11-22 17:03:05 nemo_logging:393] Hydra config: x\n")
    assert reader.snapshot().phase is Phase.TRAINING
    reader.feed("events.out.tfevents.b", scalar("hp_metric", 0, 500.0, -1.0))
    assert reader.snapshot().phase is Phase.LOADING


def test_reset_reads_the_file_from_its_beginning():
    reader = RunReader()
    reader.feed("console.log", b"half a li")
    reader.feed("rc", b"RC x 1\n")
    reader.reset("console.log")
    reader.reset("rc")
    lines = reader.feed("console.log", b"new\n")
    assert [(line.offset, line.length) for line in lines] == [(0, 3)]
    assert reader.snapshot().exit_code is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("console.log", FileKind.CONSOLE),
        ("stdout.log", FileKind.CONSOLE),
        ("stderr.log", FileKind.STDERR),
        ("rc", FileKind.EXIT),
        ("exit.json", FileKind.EXIT),
        ("run/events.out.tfevents.1795366986.vm.26129.0", FileKind.EVENTS),
        ("run/nemo_log_globalrank-0_localrank-0.txt", FileKind.NEMO_LOG),
        ("run/run_0/nemo_log_globalrank-0_localrank-0.txt", None),
        ("run/hparams.yaml", None),
        ("run/checkpoints/rc.nemo", None),
        ("nvidia-smi.csv", FileKind.GPU),
    ],
)
def test_kinds(path, kind):
    assert kind_of(path) is kind
