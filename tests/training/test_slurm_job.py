"""What Slurm says of a run's job, weighed against what the run has left itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.layout import SLURM_LIVE, SLURM_LOG
from clinasr_tui.training.run_document import to_json
from clinasr_tui.training.run_reader import RunReader
from clinasr_tui.training.slurm_job import SlurmJob, SlurmReader
from clinasr_tui.training.snapshot import Outcome, Phase, RunSnapshot

SUBMITTED = 1000.0


def row(state: str, at: float = 2000.0, **more: object) -> bytes:
    found = {"at": at, "job": "7", "state": state, "submitted": SUBMITTED, "exit": "0:0", **more}
    return b"\n" + json.dumps(found).encode() + b"\n"


def left(code: int | None, ended: float, **more: object) -> bytes:
    return json.dumps({"exit_code": code, "ended": ended, **more}).encode()


def seen(
    *rows: bytes, console: bytes = b"", errors: bytes = b"", record: bytes = b"", log: bytes = b""
) -> RunSnapshot:
    reader = RunReader("sft1")
    for file, data in (
        ("stdout.log", console),
        ("stderr.log", errors),
        (SLURM_LOG, log),
        ("exit.json", record),
        (SLURM_LIVE, b"".join(rows)),
    ):
        if data:
            reader.feed(file, data, at=1500.0)
    return reader.snapshot(2100.0)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Resources", "waiting in Slurm's queue: Resources (the nodes it asks for are busy), job 7"),
        ("Priority", "waiting in Slurm's queue: Priority (other jobs are before it), job 7"),
        (
            "ReqNodeNotAvail,",
            "waiting in Slurm's queue: ReqNodeNotAvail, (its nodes are down or reserved), job 7",
        ),
        ("SomethingNew", "waiting in Slurm's queue: SomethingNew, job 7"),
        ("", "waiting in Slurm's queue, job 7"),
    ],
)
def test_a_waiting_job_says_why(reason, said):
    found = seen(row("PENDING", reason=reason))
    assert (found.outcome, found.phase, found.headline) == (Outcome.RUNNING, Phase.QUEUED, said)
    assert found.health == ()
    assert to_json(found)["job"] == {"id": "7", "state": "PENDING", "reason": reason or None, "restarts": 0}


def test_a_job_that_waits_again_is_not_what_its_earlier_start_left():
    record, errors = left(0, 1900.0, asked="SIGTERM"), b"Received SIGTERM\n"
    found = seen(row("PENDING", reason="BeginTime", restarts=2), record=record, errors=errors)
    assert found.headline.startswith("waiting in Slurm's queue after restart 2: BeginTime")
    assert (found.exit_code, found.outcome, found.health) == (None, Outcome.RUNNING, ())


def test_an_exit_record_after_the_last_word_of_a_queue_is_the_truth():
    found = seen(row("PENDING"), record=left(1, 2500.0))
    assert (found.outcome, found.exit_code) == (Outcome.FAILED, 1)


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETING", "COMPLETED", ""])
def test_the_runs_own_record_stands_whatever_slurm_says(state):
    found = seen(row(state), record=left(0, 1900.0, asked="SIGTERM"), errors=b"x\n")
    assert (found.outcome, found.exit_code) == (Outcome.INTERRUPTED, 0)


def test_a_record_of_before_the_job_was_submitted_is_an_earlier_starts():
    assert seen(row("FAILED", exit="127:0"), record=left(0, 900.0)).exit_code == 127


@pytest.mark.parametrize(
    ("state", "by"),
    [
        ("TIMEOUT", "Slurm (time limit)"),
        ("PREEMPTED", "Slurm (preemption)"),
        ("CANCELLED by 1000", "Slurm (cancelled)"),
        ("DEADLINE", "Slurm (deadline)"),
    ],
)
def test_a_job_that_was_stopped_says_by_what_and_how_it_goes_on(state, by):
    for record in (b"", left(0, 1990.0, asked="SIGTERM")):
        found = seen(row(state), console=b"[NeMo I] x\n", errors=b"x\n", record=record)
        assert found.outcome is Outcome.INTERRUPTED
        (alert,) = found.health
        assert f"stopped by {by}" in alert.message
        assert ("--slurm-option time=" in alert.remedy) is (state == "TIMEOUT")
        assert "resume" in alert.remedy


def test_a_finished_run_is_finished_though_its_job_ran_into_the_limit():
    errors = b"`Trainer.fit` stopped: `max_epochs=3` reached.\n"
    found = seen(row("TIMEOUT"), errors=errors, record=left(0, 1990.0))
    assert found.outcome is Outcome.FINISHED


def test_the_wrappers_reason_is_told_where_slurm_has_forgotten_the_job():
    record = left(0, 1900.0, asked="SIGTERM", reason="Slurm (time limit)")
    (alert,) = seen(row(""), record=record, errors=b"x\n").health
    assert "by Slurm (time limit)" in alert.message


def test_slurms_own_log_tells_the_end_where_nobody_asked_in_time():
    line = b"slurmstepd-n1: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-23T00:28:37 DUE TO TIME LIMIT ***\n"
    found = seen(console=b"[NeMo I] x\n", errors=b"x\n", log=line)
    assert found.outcome is Outcome.INTERRUPTED
    assert "by Slurm (time limit)" in found.health[0].message


@pytest.mark.parametrize(("state", "said"), [("NODE_FAIL", "the node failed under the job (gpu[3-4])")])
def test_a_node_that_failed_is_said(state, said):
    found = seen(row(state, nodes="gpu[3-4]"), console=b"[NeMo I] x\n")
    assert found.outcome is Outcome.FAILED
    assert said in found.health[0].message


def test_a_node_that_failed_but_let_the_run_save_is_said():
    found = seen(row("NODE_FAIL"), errors=b"x\n", record=left(0, 1990.0, asked="SIGTERM"))
    assert found.outcome is Outcome.INTERRUPTED
    assert "stopped by Slurm (node failure)" in found.health[0].message


def test_a_job_out_of_memory_and_one_that_left_only_a_code():
    memory = seen(row("OUT_OF_MEMORY", exit="0:125"))
    assert memory.outcome is Outcome.FAILED
    assert memory.health[0].id == "oom"
    assert "--mem" in memory.health[0].message + memory.health[0].remedy
    assert seen(row("FAILED", exit="0:9")).exit_code == 137


def test_a_running_job_that_is_silent_for_hours_is_not_given_up():
    reader = RunReader("sft1")
    reader.feed("stdout.log", b"[NeMo I] x\n", at=0.0)
    assert reader.snapshot(90_000.0).outcome is Outcome.UNKNOWN
    reader.feed(SLURM_LIVE, row("RUNNING"), at=0.0)
    assert reader.snapshot(90_000.0).outcome is Outcome.RUNNING


@settings(max_examples=60)
@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=8))
def test_rows_may_come_in_any_slices_and_with_anything_between(noise, cuts):
    data = row("PENDING") + b"\n" + noise.replace(b"{", b"") + row("RUNNING", at=2001.0)
    reader, place = SlurmReader(), 0
    for cut in [*cuts, len(data)]:
        reader.feed(data[place : place + cut])
        place += cut
    assert reader.job == SlurmJob("7", "RUNNING", at=2001.0, submitted=SUBMITTED)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["at", "job", "state", "exit", "restarts", "reason"]),
        st.one_of(st.none(), st.text(max_size=9), st.integers(), st.lists(st.none()), st.floats()),
    )
)
def test_no_row_breaks_the_reader(found):
    reader = RunReader()
    reader.feed(SLURM_LIVE, json.dumps(found).encode() + b"\n")
    assert "\x1b" not in reader.snapshot(1.0).headline
