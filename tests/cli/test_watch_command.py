"""The headless watch as a process on a growing folder: story, JSON events, outcome, Ctrl-C, silence."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from clinasr_tui.cli import main
from tests.support.event_records import scalar

STAMP = "2026-11-22 17:03:05 nemo_logging:393]"
NAN = float("nan")


def info(text):
    return f"[NeMo I {STAMP} {text}\n"


START = (
    info("Hydra config: name: x\n    trainer:\n      max_epochs: 2\n      log_every_n_steps: 1")
    + "GPU available: True (cuda), used: True\n"
    + info("Dataset loaded with 80 files totalling 0.08 hours")
    + info("0 files were filtered totalling 0.00 hours")
    + info('Scheduler "x" \n    will be used during training (effective maximum steps = 40) - ')
    + "\rTraining:   0%|          | 0/20 [00:00<?, ?it/s]\r"
)
FINISH = "\n`Trainer.fit` stopped: `max_epochs=2` reached.\n"


def bar(epoch, batch):
    return f"\rEpoch {epoch}:  50%|#####     | {batch}/20 [00:02<00:08,  4.00it/s]\r"


class Run:
    """A run folder that grows."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.log("")

    def log(self, text):
        with (self.folder / "console.log").open("a") as file:
            file.write(text)

    def writer(self, seconds):
        """A process that has the console open for a while."""
        with (self.folder / "console.log").open("a") as console:
            return subprocess.Popen(
                [sys.executable, "-c", f"import time; time.sleep({seconds})"], stdout=console
            )

    def points(self, first, values, tag="train_loss"):
        with (self.folder / "events.out.tfevents.1.h.1.0").open("ab") as file:
            for step, value in enumerate(values, first):
                file.write(scalar(tag, step, time.time(), value))

    def train(self, pause=0.0):
        """A whole run of two epochs."""
        self.log(START)
        for epoch in range(2):
            time.sleep(pause)
            self.points(20 * epoch, [1.0 / (1 + epoch)] * 20)
            self.log(bar(epoch, 20) + info("WER reference:take it") + info(f"WER predicted:take {epoch}"))
            self.points(20 * epoch + 19, [0.2 - epoch / 10], "val_wer")
        time.sleep(pause)
        self.log(FINISH)
        (self.folder / "rc").write_text("RC x 0\n")


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


@pytest.fixture
def watch():
    """Starts the command; what a failed test leaves of it is ended."""
    started = []

    def start(run, *options):
        argv = [sys.executable, "-m", "clinasr_tui", "watch", str(run.folder), *options]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def answer(process):
    out, err = process.communicate(timeout=40)
    return process.returncode, out, err


def lines_until(process, word, seconds=20.0):
    """Lines of standard output, as they come, up to one with a word in it."""
    found = []
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            found.append(line)
            if word in line:
                return found
    finally:
        timer.cancel()
    raise AssertionError(f"{word!r} was not told: {found}")


def test_the_story_comes_line_by_line_and_ends_with_the_outcome(run, watch):
    process = watch(run)
    run.log(START)
    lines_until(process, "training")
    run.points(0, [1.0] * 20)
    run.log(bar(0, 20) + info("WER reference:take it") + info("WER predicted:\x1b[31mtake it"))
    run.points(19, [0.2], "val_wer")
    told = lines_until(process, "predicted")
    assert any("val WER 0.200 at step 19 (best so far)" in line for line in told)
    assert told[-1] == "  predicted  ␛[31mtake it\n"
    run.log(
        bar(1, 9) + "\nError executing job with overrides: []\nTraceback (most recent call last):\n  File\n"
    )
    run.log("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.\n\n")
    (run.folder / "rc").write_text("RC x 1\n")
    code, out, err = answer(process)
    assert (code, err) == (1, "")
    assert "✖ oom: Out of GPU memory" in out
    assert out.splitlines()[-1].startswith("failed: out of GPU memory (exit code 1)")


def test_a_finished_run_exits_with_zero(run, watch):
    process = watch(run)
    run.train(pause=0.3)
    code, out, err = answer(process)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "finished: 40 steps, val WER 0.100"


def test_events_are_one_object_a_line_each_thing_once(run, watch):
    process = watch(run, "--json", "--follow")
    run.train(pause=0.3)
    code, out, err = answer(process)
    assert (code, err) == (0, "")
    events = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert all(list(event)[:3] == ["schema", "event", "time"] for event in events)
    assert {event["schema"] for event in events} == {"clinasr.watch/1"}
    by = {}
    for event in events:
        by.setdefault(event["event"], []).append(event)
    assert [event["step"] for event in by["point"]] == list(range(40))
    assert [(event["step"], round(event["value"], 3)) for event in by["val_wer"]] == [(19, 0.2), (39, 0.1)]
    assert [event["prediction"] for event in by["sample"]] == ["take 0", "take 1"]
    assert [event["state"] for event in by["contact"]] == ["connected", "closed"]
    assert by["phase"][-1]["phase"] == "finished"
    assert "health" not in by
    assert events[-1]["event"] == "end"
    assert (events[-1]["outcome"], events[-1]["points"], events[-1]["exit_code"]) == ("finished", 40, 0)


def test_events_of_a_resumed_run_and_of_trouble(run, watch):
    run.log(START)
    run.points(0, [1.0] * 5)
    process = watch(run, "--json", "--follow")
    lines_until(process, '"step": 4')
    run.points(3, [0.9, NAN, NAN])
    run.log(bar(0, 6))
    told = [json.loads(line) for line in lines_until(process, '"error"')]
    points = [(event["step"], event["loss"]) for event in told if event["event"] == "point"]
    assert points == [(3, pytest.approx(0.9)), (4, None), (5, None)]
    assert (told[-1]["event"], told[-1]["id"], told[-1]["first_step"]) == ("health", "nan_loss", 4)
    run.points(6, [0.8])
    told = [json.loads(line) for line in lines_until(process, '"warning"')]
    assert told[-1]["id"] == "nan_loss"
    run.log(FINISH)
    (run.folder / "rc").write_text("RC x 0\n")
    code, out, _ = answer(process)
    assert code == 0
    assert json.loads(out.splitlines()[-1])["outcome"] == "finished"


def test_json_without_follow_is_one_document(run, watch):
    run.train()
    code, out, _ = answer(watch(run, "--json"))
    assert code == 0
    assert "event" not in json.loads(out)


@pytest.mark.parametrize("options", [(), ("--json", "--follow")])
def test_ctrl_c_leaves_cleanly_and_the_run_goes_on(run, watch, options):
    run.log(START)
    process = watch(run, *options)
    lines_until(process, "training")
    process.send_signal(signal.SIGINT)
    code, _, err = answer(process)
    assert code == 130
    assert err == "watching has ended; the run itself goes on\n"


def test_a_reader_that_goes_ends_it_quietly(run, watch):
    run.log(START)
    process = watch(run, "--json", "--follow")
    process.stdout.readline()
    process.stdout.close()
    run.points(0, [1.0] * 50)
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_an_old_folder_without_an_end_is_not_called_running(run, capsys):
    run.log(START + bar(0, 9))
    run.points(0, [1.0] * 9)
    assert main(["watch", str(run.folder), "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "running"
    for path in run.folder.iterdir():
        os.utime(path, (time.time() - 9000, time.time() - 9000))
    assert main(["watch", str(run.folder), "--once", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], [alert["id"] for alert in found["health"]]) == ("unknown", ["stalled"])


def test_the_record_beside_the_folder_counts_its_rows(run, capsys):
    run.log(START)
    record = {"run_dir": "run", "data": {"train_rows": 90}}
    (run.folder.parent / "training_run_info.json").write_text(json.dumps(record))
    main(["watch", str(run.folder), "--once", "--json"])
    assert [alert["id"] for alert in json.loads(capsys.readouterr().out)["health"]] == ["rows_dropped"]
    (run.folder.parent / "training_run_info.json").write_text(json.dumps(record | {"run_dir": "another"}))
    main(["watch", str(run.folder), "--once", "--json"])
    assert json.loads(capsys.readouterr().out)["health"] == []


def test_once_and_follow_exclude_each_other(run, capsys):
    with pytest.raises(SystemExit) as left:
        main(["watch", str(run.folder), "--once", "--follow"])
    assert left.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


async def test_silence_is_told_although_nothing_comes(run, monkeypatch, capsys):
    from clinasr_tui.commands import watch as command
    from clinasr_tui.training import stall

    monkeypatch.setattr(command, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(stall, "patience", lambda found: 0.4)
    run.log(START + bar(0, 9))
    run.points(0, [1.0] * 9)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    told = ""
    task = asyncio.create_task(command._watch(parser.parse_args([str(run.folder)])))
    for _ in range(200):
        await asyncio.sleep(0.05)
        told += capsys.readouterr().out
        if "stalled: Nothing new for" in told:
            break
    assert "! stalled: Nothing new for" in told
    run.log(bar(0, 10) + "so it goes on\n")
    for _ in range(200):
        await asyncio.sleep(0.05)
        told += capsys.readouterr().out
        if "stalled: over" in told:
            break
    assert "stalled: over" in told
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_run_whose_process_has_gone_is_not_waited_for(run, monkeypatch, capsys):
    from clinasr_tui.commands import watch as command
    from clinasr_tui.remote import contact
    from clinasr_tui.training import run_reader

    monkeypatch.setattr(contact, "_LOOK_FOR_WRITERS", 0.05)
    monkeypatch.setattr(run_reader, "_LAST_WORDS", 0.2)
    monkeypatch.setattr(command, "_GONE_FOR_GOOD", 0.3)
    monkeypatch.setattr(command, "_LOOK_EVERY", 0.1)
    run.log(START + bar(0, 9))
    process = run.writer(3)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    snapshot = await asyncio.wait_for(command._watch(parser.parse_args([str(run.folder)])), 30)
    process.wait()
    assert (snapshot.outcome, [alert.id for alert in snapshot.health]) == ("unknown", ["crashed"])
    out = capsys.readouterr().out
    assert "✖ crashed: No process writes to this run any more" in out
    assert out.splitlines()[-1] == "the process has gone, at step 9 of 40; nothing says how the run ended"
