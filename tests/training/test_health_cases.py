"""Each trouble an operator must hear of, and beside it the near misses that must not alarm."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.layout import GPU_LIVE
from clinasr_tui.training.run_reader import RunReader
from clinasr_tui.training.snapshot import Level, Outcome
from tests.support.event_records import scalar

STAMP = "2026-11-22 17:03:05 nemo_logging:393]"
FINISH = "`Trainer.fit` stopped: `max_epochs=3` reached.\n"
NAN = float("nan")
BEGAN = 1000.0


def info(text):
    return f"[NeMo I {STAMP} {text}\n"


def start(max_steps=300, every=1, train=80, filtered=0):
    return (
        info(f"Hydra config: name: x\n    trainer:\n      max_epochs: 3\n      log_every_n_steps: {every}")
        + "GPU available: True (cuda), used: True\n"
        + info("Using RNNT Loss : tdt")
        + info(f"Dataset loaded with {train} files totalling 0.08 hours")
        + info(f"{filtered} files were filtered totalling 0.00 hours")
        + info(f'Scheduler "x" \n    will be used during training (effective maximum steps = {max_steps}) - ')
        + "\rTraining:   0%|          | 0/100 [00:00<?, ?it/s]\r"
    )


def bar(epoch, batch, batches=100):
    return f"\rEpoch {epoch}:  50%|#####     | {batch}/{batches} [00:02<00:08,  4.00it/s]\r"


def validating(batch=1, batches=4):
    return f"\rValidation DataLoader 0:  25%|##   | {batch}/{batches} [00:00<00:00,  5.60it/s]\r"


def said(reference, prediction):
    return info("") + "    \n" + info(f"WER reference:{reference}") + info(f"WER predicted:{prediction}")


def crash(line):
    return f"Error executing job with overrides: []\nTraceback (most recent call last):\n  File\n{line}\n\n"


def losses(values, gap=1.0, first=BEGAN, tag="train_loss"):
    return b"".join(scalar(tag, step, first + step * gap, value) for step, value in enumerate(values))


def gpu_rows(utils, apart=2):
    rows = []
    for number, util in enumerate(utils):
        minute, second = divmod(number * apart, 60)
        hour, minute = divmod(minute, 60)
        when = f"2026/11/22 {hour:02}:{minute:02}:{second:02}.000"
        rows.append(f"0, NVIDIA H200, {util}, 4198, 143771, 38, 120.5, {when}\n")
    return "".join(rows).encode()


def run(console="", *, events=b"", gpu=b"", rc=None, at=BEGAN, now=None, info=None):
    reader = RunReader("made up")
    if info:
        reader.expect(info)
    if console:
        reader.feed("console.log", console.encode(), at=at)
    if events:
        reader.feed("events.out.tfevents.1.h.1.0", events, at=at)
    if gpu:
        reader.feed(GPU_LIVE, gpu, at=now)
    if rc is not None:
        reader.feed("rc", f"{rc}\n".encode(), at=at)
    return reader.snapshot(now)


def ids(snapshot):
    return [alert.id for alert in snapshot.health]


def noisy(count, level, spread=0.5, seed=1):
    """Losses of small batches around a level: log-normal, as recorded runs have them."""
    dice = random.Random(seed)
    return [level(step) * math.exp(dice.gauss(0, spread)) for step in range(count)]


# NaN


def test_one_bad_point_is_a_warning_until_the_next_one():
    once = run(start() + bar(0, 3), events=losses([1.0, 0.9, NAN]))
    assert [(alert.id, alert.severity, alert.first_step) for alert in once.health] == [
        ("nan_loss", Level.WARNING, 2)
    ]
    assert "loss is NaN" not in once.headline
    twice = run(start() + bar(0, 4), events=losses([1.0, 0.9, NAN, NAN]))
    assert twice.health[0].severity is Level.ERROR
    assert run(start() + bar(0, 4), events=losses([1.0, NAN, NAN, 0.9])).health[0].severity is Level.WARNING


# Loss explosion


def test_loss_explosion_is_named_with_its_step_and_level():
    values = noisy(100, lambda step: 2.0 - step / 70) + noisy(60, lambda _: 30.0)
    rates = losses([2e-2] * 160, tag="learning_rate")
    snapshot = run(start() + bar(1, 60), events=losses(values) + rates)
    (alert,) = snapshot.health
    assert (alert.id, alert.severity) == ("loss_explosion", Level.WARNING)
    assert 100 <= alert.first_step <= 103
    assert "it began at" in alert.message
    assert "learning rate 0.02" in alert.message
    assert "gradient_clip_val 1.0" in alert.remedy


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(noisy(400, lambda _: 0.3, 0.8), id="noise around a level"),
        pytest.param(noisy(400, lambda step: 2.0 / (1 + step / 20), 0.8), id="falling and noisy"),
        pytest.param(
            noisy(30, lambda _: 1.0, 0.1) + [9.0] * 12 + noisy(100, lambda _: 0.8, 0.2), id="spike"
        ),
        pytest.param(noisy(25, lambda _: 1.0, 0.1) + [8.0] * 12, id="in a warm-up's spike"),
        pytest.param(noisy(300, lambda step: 0.02 if step < 200 else 0.036, 0.3), id="tiny losses"),
        pytest.param(noisy(300, lambda step: 2.0 if step < 20 else 0.2 if step < 200 else 0.9, 0.3),
                     id="rises, but stays below where it began"),
        pytest.param([1.0] * 200 + [1000.0], id="one outlier"),
        pytest.param([0.0] * 300, id="zero"),
    ],
)  # fmt: skip
def test_no_explosion(values):
    assert ids(run(start(max_steps=900) + bar(0, 50), events=losses(values))) == []


def test_an_explosion_that_comes_back_is_over():
    values = [1.0] * 100 + [30.0] * 60 + [1.0] * 100
    assert ids(run(start(max_steps=900) + bar(2, 60), events=losses(values))) == []


# UNK collapse


def test_a_single_unknown_token_or_sample_is_no_collapse():
    console = start() + bar(0, 3)
    for prediction in ("hold the \u2047 until", "\u2047"):
        console += said("hold the drug until", prediction) * 2 + said("hold it", "hold it")
    assert ids(run(console + said("a", "\u2047 b") * 5)) == []


# Overfit


def wers(values, spread=100):
    return b"".join(
        scalar("val_wer", spread * (n + 1) - 1, BEGAN + spread * (n + 1), v) for n, v in enumerate(values)
    )


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.2, 0.1, 0.11, 0.12], ["overfit"]),
        ([0.2, 0.100, 0.101, 0.102], []),
        ([0.2, 0.010, 0.011, 0.012], []),
        ([0.2, 0.1, 0.13], []),
        ([0.2, 0.1, 0.13, 0.12], []),
        ([0.3, 0.2, 0.1], []),
        ([0.2, 0.1, NAN, 0.2], []),
    ],
)
def test_overfit_is_a_rise_beyond_noise(values, found):
    falling = losses([2.0 - step / 300 for step in range(100 * len(values))])
    snapshot = run(start(max_steps=900) + bar(2, 99), events=falling + wers(values))
    assert ids(snapshot) == found


# Causes, killed, terminated

CAUSES = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "oom", "GPU memory"),
    ("torch.cuda.OutOfMemoryError: CUDA out of memory.", "oom", "GPU memory"),
    ("RuntimeError: CUDA driver error: out of memory", "oom", "GPU memory"),
    ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "oom", "GPU memory"),
    ("MemoryError: Unable to allocate 3.00 GiB for an array", "oom", "not the GPU's"),
    ("OSError: [Errno 12] Cannot allocate memory", "oom", "not the GPU's"),
    ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", "oom", "not the GPU's"),
    ("RuntimeError: PytorchStreamWriter failed writing file data/0: file write failed", "disk_full", "full"),
    ("OSError: [Errno 122] Disk quota exceeded: 'x.ckpt'", "disk_full", "full"),
    ("RuntimeError: unable to mmap 128 bytes from file </torch_1_2>: Cannot allocate", "shm", "hared"),
    ("RuntimeError: Too many open files. Communication with the workers is no longer", "shm", "open files"),
    ("RuntimeError: received 0 items of ancdata", "shm", "open files"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "cause", "words"), CAUSES)
def test_causes_are_told_apart(line, cause, words):
    snapshot = run(start() + bar(0, 3) + crash(line), rc=1)
    assert ids(snapshot) == [cause]
    assert words in snapshot.health[0].message
    assert snapshot.health[0].remedy
    assert snapshot.health[0].first_step == 2


@pytest.mark.parametrize(
    ("line", "outcome", "found", "words"),
    [
        ("Killed", Outcome.FAILED, "crashed", "killed (SIGKILL)"),
        ("run.sh: line 7: 4711 Killed                  python x.py", Outcome.FAILED, "crashed", "SIGKILL"),
        ("srun: error: node1: task 0: Killed", Outcome.FAILED, "crashed", "SIGKILL"),
        ("Segmentation fault (core dumped)", Outcome.FAILED, "crashed", "SIGSEGV"),
        ("Fatal Python error: Bus error", Outcome.FAILED, "crashed", "SIGBUS"),
        ("traceback : Signal 9 (SIGKILL) received by PID 77", Outcome.FAILED, "crashed", "SIGKILL"),
        ("srun: error: node1: task 0: Out Of Memory", Outcome.FAILED, "oom", "not the GPU's"),
        ("Terminated", Outcome.INTERRUPTED, "interrupted", "by SIGTERM"),
        (
            "slurmstepd: error: *** JOB 42 ON n1 CANCELLED AT 2026-11-22T17:00:00 DUE TO TIME LIMIT ***",
            Outcome.INTERRUPTED,
            "interrupted",
            "by Slurm (time limit)",
        ),
        (
            "slurmstepd: error: *** STEP 42.0 ON n1 CANCELLED AT 2026-11-22T17:00:00 DUE TO PREEMPTION ***",
            Outcome.INTERRUPTED,
            "interrupted",
            "by Slurm (preemption)",
        ),
    ],
)
def test_killed_and_terminated_without_an_exit_record(line, outcome, found, words):
    snapshot = run(start() + bar(0, 30) + f"\n{line}\n")
    assert (snapshot.outcome, ids(snapshot)) == (outcome, [found])
    assert words in snapshot.health[0].message


def test_slurms_time_limit_asks_for_more_time():
    line = "slurmstepd: error: *** JOB 4 ON n CANCELLED AT 2026-11-22T17:00:00 DUE TO TIME LIMIT ***"
    assert run(start() + bar(0, 30) + f"\n{line}\n", rc=143).health[0].remedy.startswith("Ask for more time")


def test_out_of_memory_counts_before_the_cancelling_that_follows_it():
    lines = (
        "slurmstepd: error: Detected 1 oom_kill event in StepId=42.0. Some of the step tasks have been OOM "
        "Killed.\nslurmstepd: error: *** STEP 42.0 ON n1 CANCELLED AT 2026-11-22T17:00:00 ***\n"
    )
    snapshot = run(start() + bar(0, 30) + "\n" + lines)
    assert (snapshot.outcome, ids(snapshot)) == (Outcome.FAILED, ["oom"])


@pytest.mark.parametrize(
    "text",
    [
        said("the clot was Killed", "Killed"),
        said("CUDA out of memory", "No space left on device"),
        said("Terminated", "Segmentation fault"),
        "Killed by the dose of the drug\n",
        "He was Terminated\n",
        "UserWarning: set expandable_segments to avoid CUDA out of memory errors\n",
        info("Killed"),
    ],
)
def test_words_that_prove_nothing(text):
    snapshot = run(start() + bar(0, 30) + "\n" + text + bar(0, 31))
    assert (snapshot.outcome, ids(snapshot)) == (Outcome.RUNNING, [])


def test_trouble_the_training_outlived_is_a_warning_and_no_end():
    for line in ("Killed", "Terminated"):
        assert run(start() + bar(0, 30) + f"\n{line}\n" + bar(0, 40)).outcome is Outcome.RUNNING
    full = run(start() + bar(0, 30) + "\nOSError: [Errno 28] No space left on device\n" + bar(0, 60))
    assert [(alert.id, alert.severity) for alert in full.health] == [("disk_full", Level.WARNING)]
    assert full.health[0].message.endswith("Training went on since.")
    now = run(start() + bar(0, 30) + "\nOSError: [Errno 28] No space left on device\n" + bar(0, 31))
    assert now.health[0].severity is Level.ERROR


def test_a_word_after_the_finish_line_ends_nothing():
    console = start(max_steps=3, train=3) + bar(2, 100) + "\n" + FINISH + "Killed\n"
    assert run(console, events=losses([1.0] * 300)).outcome is Outcome.FINISHED


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hydra.errors.MissingConfigException: Cannot find primary config 'x'", "--config-path"),
        ("hydra.errors.ConfigCompositionException: Key 'x' is not in struct", "plus"),
        ("_pickle.UnpicklingError: Weights only load failed.", "save_best_model"),
        ("NotImplementedError: TDT is not yet implemented for non CUDA computation.", "GPU"),
        ("ValueError: something else", "log"),
    ],
)
def test_known_crashes_have_their_cure(line, words):
    (alert,) = run(crash(line), rc=1).health
    assert alert.id == "crashed"
    assert words in alert.remedy


# Rows


def test_rows_the_script_did_not_read_are_counted_against_the_record():
    info_ = {"data": {"train_rows": 82, "validation_rows": 20}}
    (alert,) = run(start(train=80), info=info_).health
    assert (alert.id, alert.message) == (
        "rows_dropped",
        "The script read 80 training rows, the manifest of this run has 82.",
    )
    both = run(start(train=80, filtered=1), info=info_).health[0].message
    assert "1 training file (0.00 h) was dropped" in both
    assert "read 81 training rows" in both
    assert ids(run(start(train=80, filtered=2), info={"data": {"train_rows": 80}})) == ["rows_dropped"]


@pytest.mark.parametrize(
    "record", [{}, {"data": None}, {"data": {"train_rows": "82"}}, {"data": {"train_rows": 80}}]
)
def test_rows_that_agree_or_are_not_known_are_no_trouble(record):
    assert ids(run(start(train=80), info=record)) == []


def test_rows_are_not_judged_between_the_two_lines_that_count_them():
    half = start().partition("0 files were")[0].rpartition("[NeMo")[0]
    assert "Dataset loaded" in half
    assert ids(run(half, info={"data": {"train_rows": 82}})) == []


def test_the_record_in_the_run_folder_counts_too():
    reader = RunReader()
    for byte in b'{"run": "x", "data": {"train_rows": 82}}':
        reader.feed("training_run_info.json", bytes([byte]))
    reader.feed("console.log", start(train=80).encode())
    assert ids(reader.snapshot()) == ["rows_dropped"]
    reader.reset("training_run_info.json")
    reader.feed("training_run_info.json", b'{"data": {"train_rows": 80}}')
    assert ids(reader.snapshot()) == []


# Stall, GPU, unknown

STEADY = losses([1.0] * 30, gap=2.0)
TRAINING = start() + bar(0, 30)


@pytest.mark.parametrize(
    ("utils", "silence", "found"),
    [
        ([], 130, ["stalled"]),
        ([0] * 100, 130, ["stalled"]),
        ([90] * 100, 130, []),
        ([90] * 100, 190, ["stalled"]),
        ([90] * 5 + [0] * 95, 130, ["stalled"]),
        (["[N/A]"] * 100, 130, ["stalled"]),
        ([0] * 100, 50, []),
    ],
)
def test_a_stall_is_silence_without_gpu_work(utils, silence, found):
    snapshot = run(TRAINING, events=STEADY, gpu=gpu_rows(utils), at=2000.0, now=2000.0 + silence)
    assert ids(snapshot) == found


def test_a_stall_says_what_is_known_of_the_gpu():
    idle = run(TRAINING, events=STEADY, gpu=gpu_rows([0] * 100), at=2000.0, now=2130.0).health[0]
    assert "no GPU work for 3 min" in idle.message
    busy = run(TRAINING, events=STEADY, gpu=gpu_rows([99] * 100), at=2000.0, now=2190.0).health[0]
    assert "although the GPU is busy" in busy.message
    assert "GPU" not in run(TRAINING, events=STEADY, at=2000.0, now=2130.0).health[0].message


@pytest.mark.parametrize(
    ("console", "silence"),
    [
        pytest.param(start() + bar(0, 100), 500, id="end of an epoch, validation about to start"),
        pytest.param(start() + bar(0, 100) + validating(), 500, id="validating"),
        pytest.param(start() + info("Sleeping for at least 60 seconds to wait for model download to finish."),
                     1700, id="sleeping"),
        pytest.param(info("Hydra config: name: x"), 1700, id="loading"),
        pytest.param("Unable to find image 'nvcr.io/nvidia/nemo' locally\n", 7000, id="pulling"),
        pytest.param(start() + bar(2, 100) + FINISH, 7000, id="finished well, then quiet"),
    ],
)  # fmt: skip
def test_a_pause_is_no_stall(console, silence):
    events = STEADY if "Epoch" in console else b""
    gpu = gpu_rows([0] * 200)
    snapshot = run(console, events=events, gpu=gpu, at=2000.0, now=2000.0 + silence)
    assert "stalled" not in ids(snapshot)


def test_silence_is_not_judged_where_contact_is_lost():
    reader = RunReader()
    reader.heard_at = 0.0
    reader.feed("console.log", TRAINING.encode(), at=2000.0)
    reader.feed("events.out.tfevents.1.h.1.0", STEADY, at=2000.0)
    assert ids(reader.snapshot(99_000.0)) == []
    reader.heard_at = 2010.0
    assert ids(reader.snapshot(99_000.0)) == []
    reader.heard_at = 2500.0
    assert ids(reader.snapshot(99_000.0)) == ["stalled"]


def test_after_hours_of_silence_running_is_no_longer_claimed():
    snapshot = run(TRAINING, events=STEADY, at=2000.0, now=2000.0 + 3 * 3600)
    assert (snapshot.outcome, ids(snapshot)) == (Outcome.UNKNOWN, ["stalled"])
    assert "nothing says whether or how the run ended" in snapshot.headline
    busy = run(TRAINING, events=STEADY, gpu=gpu_rows([90] * 400), at=2000.0, now=2000.0 + 3 * 3600)
    assert busy.outcome is Outcome.RUNNING


def slow(minutes=20, gap=2.0):
    count = int(minutes * 60 / gap)
    return start(max_steps=count * 3) + bar(0, 90), losses([1.0] * count, gap=gap), BEGAN + count * gap


@pytest.mark.parametrize(
    ("utils", "found"),
    [
        ([4, 8, 12] * 150, ["low_gpu"]),
        ([4, 30, 60] * 150, []),
        ([4] * 100, []),
        ([90] * 300 + [0] * 140, []),
        (["[N/A]"] * 400, []),
    ],
)
def test_low_gpu_use_is_judged_over_ten_minutes(utils, found):
    console, events, end = slow()
    snapshot = run(console, events=events, gpu=gpu_rows(utils), at=end, now=end + 1)
    assert ids(snapshot) == found


def test_low_gpu_use_of_a_short_rest_or_outside_training_is_nothing():
    idle = gpu_rows([3] * 400)
    console, events, end = slow()
    near_end = console.replace("effective maximum steps = 1800", "effective maximum steps = 610")
    assert ids(run(near_end, events=events, gpu=idle, at=end, now=end + 1)) == []
    assert ids(run(console + validating(), events=events, gpu=idle, at=end, now=end + 1)) == []
    short, few, end = slow(minutes=5)
    assert ids(run(short, events=few, gpu=idle, at=end, now=end + 1)) == []


# Healthy runs of any shape


def healthy_steps(dice, batches, epochs, gap, pause):
    """A healthy run step by step: when, its event records, its console, how long nothing more came."""
    total, wall, wer = batches * epochs, BEGAN, 0.3
    began, spread = dice.choice([0.4, 2.0, 30.0]), dice.choice([0.1, 0.5, 0.8])
    for step in range(total):
        wall += gap * dice.uniform(0.7, 1.6)
        level = began * (0.2 + 0.8 * math.exp(-3 * step / total)) * math.exp(dice.gauss(0, spread))
        text = bar(step // batches, step % batches + 1, batches)
        if dice.random() < 0.2:
            text += said("take the drug", dice.choice(["take \u2047 drug", "take a drug", "\u2047 drug"]))
        yield wall, scalar("train_loss", step, wall, level), text, gap
        if (step + 1) % batches == 0:
            yield wall, b"", validating(), pause
            wall += pause
            wer *= dice.uniform(0.8, 1.04)
            yield wall, scalar("val_wer", step, wall, wer), "", gap


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(4, 60),
    st.integers(1, 5),
    st.sampled_from([0.2, 1.0, 7.0, 40.0]),
    st.floats(0, 500),
)
def test_a_healthy_run_never_alarms(seed, batches, epochs, gap, pause):
    reader = RunReader()
    reader.feed("console.log", start(max_steps=batches * epochs).encode(), at=BEGAN)
    steps = healthy_steps(random.Random(seed), batches, epochs, gap, pause)
    for number, (wall, record, text, quiet) in enumerate(steps):
        reader.feed("events.out.tfevents.1.h.1.0", record, at=wall)
        reader.feed("console.log", text.encode(), at=wall)
        reader.feed(GPU_LIVE, gpu_rows([0 if quiet == pause else 60] * 3), at=wall)
        if number % 5 == 0 or quiet == pause:
            assert ids(reader.snapshot(wall + quiet)) == []
    reader.feed("console.log", FINISH.encode(), at=wall)
    reader.feed("rc", b"0\n", at=wall)
    ended = reader.snapshot(wall + 10**6)
    assert (ended.outcome, [name for name in ids(ended) if name != "no_loss_points"]) == (
        Outcome.FINISHED,
        [],
    )
