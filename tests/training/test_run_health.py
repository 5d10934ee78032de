"""Outcomes and alerts that no recording shows, on made-up runs in the script's own words."""

from __future__ import annotations

import pytest

from clinasr_tui.training.exit_record import ExitRecord, parse_exit
from clinasr_tui.training.run_reader import RunReader
from clinasr_tui.training.snapshot import Level, Outcome, Phase
from tests.support.event_records import scalar

STAMP = "2026-11-22 17:03:05 nemo_logging:393]"
CONFIG = """Hydra config: name: x
    model:
      precision: ignored
    trainer:
      max_epochs: {epochs}
      precision: {precision}
      log_every_n_steps: {every}"""
FINISH = "`Trainer.fit` stopped: `max_epochs=3` reached.\n"
LOGGED = "Traceback (most recent call last):\n  File\nValueError: caught and logged\n\n"
NAN = float("nan")


def info(text):
    return f"[NeMo I {STAMP} {text}\n"


def start(epochs=3, precision="bf16-mixed", every=1, max_steps=60):
    return (
        info(CONFIG.format(epochs=epochs, precision=precision, every=every))
        + "GPU available: True (cuda), used: True\n"
        + info("Using RNNT Loss : tdt")
        + info("Dataset loaded with 80 files totalling 0.08 hours")
        + info("0 files were filtered totalling 0.00 hours")
        + info(f'Scheduler "x" \n    will be used during training (effective maximum steps = {max_steps}) - ')
        + "\rTraining:   0%|          | 0/20 [00:00<?, ?it/s]\r"
    )


def bar(epoch, batch, batches=20):
    return f"\rEpoch {epoch}:  50%|#####     | {batch}/{batches} [00:02<00:08,  4.00it/s]\r"


def crash(line):
    return f"Error executing job with overrides: []\nTraceback (most recent call last):\n  File\n{line}\n\n"


def losses(values, gap=1.0, first=1000.0):
    return b"".join(
        scalar("train_loss", step, first + step * gap, value) for step, value in enumerate(values)
    )


def run(console="", *, rc=None, events=b"", now=None, at=None, close=True):
    reader = RunReader("made up")
    if console:
        reader.feed("console.log", console.encode(), at=at)
    if events:
        reader.feed("events.out.tfevents.1.h.1.0", events, at=at)
    if rc is not None:
        reader.feed("rc", f"RC x {rc}\n".encode(), at=at)
    if close:
        reader.close()
    return reader.snapshot(now)


def ids(snapshot):
    return [alert.id for alert in snapshot.health]


@pytest.mark.parametrize(
    ("console", "rc", "outcome"),
    [
        (start() + bar(2, 20) + FINISH, 0, Outcome.FINISHED),
        (start() + bar(2, 20) + FINISH, None, Outcome.FINISHED),
        (start() + bar(2, 20) + FINISH, 1, Outcome.FAILED),
        (start() + bar(2, 20) + FINISH + crash("OSError: at the end"), None, Outcome.FAILED),
        (start() + bar(2, 20) + LOGGED + FINISH, None, Outcome.FINISHED),
        (start() + bar(1, 9), None, Outcome.RUNNING),
        (start() + bar(1, 9), 0, Outcome.INTERRUPTED),
        (start() + bar(1, 9), 143, Outcome.INTERRUPTED),
        (start() + bar(1, 9), -15, Outcome.INTERRUPTED),
        (start() + bar(1, 9), 130, Outcome.INTERRUPTED),
        (start() + bar(1, 9), 137, Outcome.FAILED),
        (start() + bar(1, 9) + crash("KeyError: 'x'"), None, Outcome.FAILED),
        (
            start() + bar(1, 9) + "Detected KeyboardInterrupt, attempting graceful shutdown ...\n",
            1,
            Outcome.INTERRUPTED,
        ),
        (
            start() + bar(1, 9) + "[rank: 1] Received SIGTERM: 15\n" + crash("KeyError: 'x'"),
            1,
            Outcome.FAILED,
        ),
        (start() + bar(1, 9) + "Signaling Trainer to stop.\n", 0, Outcome.FINISHED),
        ("", 1, Outcome.FAILED),
        ("", 0, Outcome.UNKNOWN),
    ],
)
def test_outcomes(console, rc, outcome):
    snapshot = run(console, rc=rc)
    assert snapshot.outcome is outcome
    assert ("interrupted" in ids(snapshot)) == (outcome is Outcome.INTERRUPTED)
    assert (snapshot.phase is Phase.FAILED) == (outcome in (Outcome.FAILED, Outcome.INTERRUPTED))


def test_interrupted_run_says_where_and_how():
    snapshot = run(start() + bar(1, 9) + "[rank: 0] Received SIGTERM: 15\n", rc=0)
    assert snapshot.headline == "interrupted at step 29 of 60 (exit code 0)"
    (alert,) = snapshot.health
    assert (
        alert.message == "The run was stopped by SIGTERM after 29 of 60 steps (exit code 0, no finish line)."
    )
    assert alert.severity is Level.WARNING
    assert "resume_if_exists" in alert.remedy


def test_stdout_alone_does_not_make_exit_code_zero_an_interruption():
    reader = RunReader()
    reader.feed("stdout.log", (start() + bar(2, 20)).encode())
    reader.feed("rc", b"0\n")
    assert reader.snapshot().outcome is Outcome.FINISHED
    reader = RunReader()
    reader.feed("stdout.log", (start() + bar(1, 20)).encode())
    reader.feed("rc", b"0\n")
    assert reader.snapshot().outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("line", "cause", "words"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "oom", "batch_size=2"),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", "oom", "nvidia-smi"),
        ("OSError: [Errno 28] No space left on device: 'x.ckpt'", "disk_full", "Free space"),
        (
            "RuntimeError: unable to write to file </torch_287_8>: No space left on device (28)",
            "shm",
            "--ipc=host",
        ),
        (
            "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is possible",
            "shm",
            "--ipc=host",
        ),
        ("RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed. ", "oom", "num_workers"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/d/a b.wav'", "missing_audio", "check"),
        (
            "RuntimeError: Failed to parse some lines from manifest files. See logs for more details.",
            "bad_manifest",
            "check",
        ),
        (
            "ValueError: Manifest file /d/t.jsonl has invalid json line structure: {} without proper key.",
            "bad_manifest",
            "check",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/d/train.jsonl'", "bad_manifest", "check"),
    ],
)
def test_causes(line, cause, words):
    snapshot = run(start() + bar(0, 3) + crash(line), rc=1)
    (alert,) = snapshot.health
    assert (alert.id, alert.severity) == (cause, Level.ERROR)
    assert words in alert.remedy
    assert snapshot.headline.startswith("failed: ")


def test_missing_audio_names_the_file():
    line = "FileNotFoundError: [Errno 2] No such file or directory: '/d/a b.wav'"
    assert "/d/a b.wav" in run(crash(line), rc=1).health[0].message


def test_worker_bus_error_line_is_enough():
    line = "ERROR: Unexpected bus error encountered in worker. Caused by insufficient shared memory (shm).\n"
    assert ids(run(start() + line)) == ["shm"]


def test_words_in_a_transcript_prove_nothing():
    said = info("WER reference:No space left on device, CUDA out of memory") + info(
        "WER predicted:MemoryError"
    )
    assert ids(run(start() + bar(0, 1) + said)) == []


def test_crashed_quotes_the_exception_safely_only_where_nothing_is_more_specific():
    snapshot = run(start() + crash("ValueError: \x1b]0;title\x07 stereo"), rc=1)
    assert ids(snapshot) == ["crashed"]
    assert "ValueError: ␛]0;title␇ stereo" in snapshot.health[0].message
    snapshot = run(start(), rc=137)
    assert ids(snapshot) == ["crashed"]
    assert "SIGKILL" in snapshot.health[0].message
    assert ids(run(start(), rc=3)) == ["crashed"]


def test_container_killed_for_memory():
    reader = RunReader()
    reader.feed("console.log", start().encode())
    reader.feed("exit.json", b'{"exit_code": 137, "signal": null, "oom": true}')
    snapshot = reader.snapshot()
    assert (snapshot.outcome, ids(snapshot)) == (Outcome.FAILED, ["oom"])
    assert "not the GPU's" in snapshot.health[0].message


def test_nan_while_running_and_recovered():
    running = run(start() + bar(0, 3), events=losses([1.0, NAN, NAN]))
    assert running.outcome is Outcome.RUNNING
    assert (ids(running), running.health[0].first_step) == (["nan_loss"], 1)
    assert running.health[0].remedy.startswith("Stop the run")
    assert "loss is NaN since step 1" in running.headline
    over = run(start() + bar(2, 20) + FINISH, events=losses([1.0, NAN, 0.5] + [0.4] * 57))
    assert (over.outcome, ids(over), over.health[0].severity) == (
        Outcome.FINISHED,
        ["nan_loss"],
        Level.WARNING,
    )


def test_infinite_loss_diverges_too():
    assert run(start() + bar(2, 20) + FINISH, events=losses([1.0, float("inf")])).outcome is Outcome.DIVERGED


def unknown_samples(count, text="\u2047  \u2047"):
    pairs = (
        info("") + "    \n" + info("WER reference:a b") + info(f"WER predicted: {text}") for _ in range(count)
    )
    return "".join(bar(0, 2 + number) + pair for number, pair in enumerate(pairs))


def test_unk_collapse_needs_three_in_a_row():
    assert ids(run(start() + unknown_samples(2))) == []
    (alert,) = run(start() + unknown_samples(3)).health
    assert (alert.id, alert.first_step) == ("unk_collapse", 2)
    assert "parakeet-tdt-0.6b-v2" in alert.remedy
    assert ids(run(start() + unknown_samples(3) + unknown_samples(1, "fine again"))) == []


def test_few_points_are_foreseen():
    snapshot = run(start(every=10, max_steps=54) + bar(0, 3), events=b"")
    assert ids(snapshot) == ["no_loss_points"]
    assert snapshot.health[0].message == "5 loss points for 54 steps, log_every_n_steps=10: set 1."
    assert ids(run(start(every=10, max_steps=600) + bar(0, 3))) == []
    short = run(start(every=10, max_steps=9) + bar(0, 9, 9) + FINISH, rc=0)
    assert short.health[0].message == "No loss points for 9 steps, log_every_n_steps=10: set 1."
    gone = run(start(max_steps=60) + bar(2, 20) + FINISH, rc=0)
    assert "event file" in gone.health[0].remedy


def test_rows_dropped_are_counted():
    dropped = info("Dataset loaded with 48 files totalling 0.05 hours") + info(
        "1 files were filtered totalling 0.01 hours"
    )
    snapshot = run(start(max_steps=60) + dropped)
    assert ids(snapshot) == ["rows_dropped"]
    assert snapshot.health[0].message.startswith("1 validation file (0.01 h) was dropped")
    assert snapshot.filtered_files == 1


def test_half_precision_with_tdt():
    assert ids(run(start(precision="16-mixed"))) == ["fp16_tdt"]
    assert ids(run(start(precision="bf16-mixed"))) == []


def overfitting(wers, slope=-0.01):
    wer = b"".join(scalar("val_wer", 19 + 20 * n, 1019.5 + 20 * n, value) for n, value in enumerate(wers))
    return losses([2.0 + slope * step for step in range(20 * len(wers))]) + wer


def test_overfit_is_wer_up_twice_while_loss_falls():
    console = start(max_steps=80) + bar(3, 20)
    snapshot = run(console, events=overfitting([0.3, 0.1, 0.2, 0.25]))
    assert ids(snapshot) == ["overfit"]
    assert snapshot.health[0].first_step == 39
    assert "0.100 → 0.200 → 0.250" in snapshot.health[0].message
    assert ids(run(console, events=overfitting([0.3, 0.1, 0.2, 0.19]))) == []
    assert ids(run(console, events=overfitting([0.3, 0.1, 0.2, 0.25], slope=0.01))) == []


def test_stall_is_judged_by_the_runs_own_rhythm():
    events = losses([1.0] * 30, gap=2.0)
    console = start() + bar(1, 9)
    assert ids(run(console, events=events, at=2000.0, now=2055.0)) == []
    assert ids(run(console, events=events, at=2000.0, now=2061.0)) == ["stalled"]
    assert ids(run(console, events=events, at=2000.0)) == []
    assert ids(run(console + FINISH, events=events, at=2000.0, now=9999.0)) == []


def test_a_validation_pause_or_a_download_is_no_stall():
    events = losses([1.0] * 30, gap=2.0)
    validating = (
        start() + bar(1, 20) + "\rValidation DataLoader 0:  25%|##   | 1/4 [00:00<00:00,  5.60it/s]\r"
    )
    assert ids(run(validating, events=events, at=2000.0, now=2500.0)) == []
    assert ids(run(validating, events=events, at=2000.0, now=2700.0)) == ["stalled"]
    sleeping = info("Hydra config: name: x") + info(
        "Sleeping for at least 60 seconds to wait for model download to finish."
    )
    snapshot = run(sleeping, at=2000.0, now=3700.0)
    assert (snapshot.phase, ids(snapshot)) == (Phase.SLEEPING, [])
    assert "not a hang" in snapshot.headline


def test_failure_of_an_earlier_start_in_stderr_is_not_this_ones():
    reader = RunReader()
    head = info(CONFIG.format(epochs=3, precision="bf16-mixed", every=1))
    reader.feed("stdout.log", head.encode())
    reader.feed("stderr.log", ("GPU available: True\n" + crash("OSError: CUDA out of memory")).encode())
    assert reader.snapshot().outcome is Outcome.FAILED
    reader.feed("stdout.log", head.encode())
    assert reader.snapshot().outcome is Outcome.RUNNING
    assert reader.snapshot().health == ()


@pytest.mark.parametrize(
    ("name", "data", "record"),
    [
        ("rc", b"RC hot 0\n", ExitRecord(0)),
        ("rc", b"137", ExitRecord(137)),
        ("rc", b"", None),
        ("rc", b"RC hot", None),
        ("exit.json", b'{"exit_code": 1, "oom": false}', ExitRecord(1)),
        ("exit.json", b'{"exit_code": null, "signal": "SIGTERM"}', ExitRecord(-15)),
        ("exit.json", b'{"exit_code": null, "signal": 9, "oom": true}', ExitRecord(-9, True)),
        ("exit.json", b'{"exit_code": 0, "asked": "SIGTERM"}', ExitRecord(0, asked="SIGTERM")),
        ("exit.json", b'{"exit_code": 0, "asked": "rm -rf"}', ExitRecord(0)),
        ("exit.json", b'{"exit_code": 1', None),
        ("exit.json", b'{"exit_code": true}', None),
        ("exit.json", b"[" * 60_000, None),
        ("exit.json", b'{"exit_code": null}', None),
        ("exit.json", b'{"exit_code": null, "gone": true, "reason": "x"}', ExitRecord(None, reason="x")),
        ("exit.json", b'{"exit_code": null, "gone": true, "signal": 9}', ExitRecord(-9)),
    ],
)
def test_exit_records(name, data, record):
    assert parse_exit(name, data) == record
    if record is not None and record.code:
        assert (record.signal_name is not None) == (record.code != 1)


def of_launcher(stdout, record):
    """A run of our launcher whose standard error stayed empty."""
    reader = RunReader("launched")
    reader.feed("stdout.log", stdout.encode())
    reader.feed("exit.json", record)
    reader.close()
    return reader.snapshot()


@pytest.mark.parametrize(("batch", "epoch"), [(10, 0), (20, 2)])
def test_a_run_told_to_end_was_interrupted_though_its_exit_code_is_zero(batch, epoch):
    said = start() + bar(epoch, batch)
    ended = of_launcher(said, b'{"exit_code": 0, "asked": "SIGTERM"}')
    assert ended.outcome is Outcome.INTERRUPTED
    assert "stopped by SIGTERM" in ended.health[0].message
    assert of_launcher(said, b'{"exit_code": 0, "asked": null}').outcome is not Outcome.INTERRUPTED


def test_a_run_that_was_told_to_end_after_its_last_step_has_finished():
    ended = of_launcher(start() + bar(2, 20) + FINISH, b'{"exit_code": 0, "asked": "SIGTERM"}')
    assert ended.outcome is Outcome.FINISHED
