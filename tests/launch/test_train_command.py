"""train, cancel and fetch as an operator runs them: processes, a real Docker engine, a real sshd."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import nemo_models
from tests.support.nemo_models import put_model
from tests.support.operator import Operator

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd

pytestmark = pytest.mark.dockerd
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PROMPT = "Type SMOKE to make a smoke run all the same"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return tmp_path / "machine"


@pytest.fixture
def on_docker(machine: Path, dockerd: Dockerd) -> object:
    """Options of `train` for the stand-in: no GPU, the tests' own engine and folder."""
    yield ["--cpu", "--root", str(machine), "--docker-socket", str(dockerd.socket)]
    for name in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", name)


def until(holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def record_of(here: Path, run: str) -> dict[str, Any]:
    found = json.loads((here / f"cycle1/models/{run}/training_run_info.json").read_text())
    assert isinstance(found, dict)
    return found


# --- what would run -----------------------------------------------------------------------------------


def test_a_dry_run_says_the_exact_command_and_sends_nothing(clinasr: Command, machine: Path) -> None:
    plain = clinasr("train", "cycle1", "--dry-run", "--root", str(machine), "--lr", "1e-4", "--epochs", "5")
    assert plain.returncode == 0, plain.stderr
    (line,) = plain.stdout.splitlines()
    words = shlex.split(line)
    assert words[:2] == ["python3", "/opt/NeMo/examples/asr/speech_to_text_finetune.py"]
    assert {"model.optim.lr=0.0001", "trainer.max_epochs=5", "trainer.log_every_n_steps=1"} <= set(words)
    found = clinasr(
        "train", "cycle1", "--dry-run", "--json", "--root", str(machine), "--lr", "1e-4", "--epochs=5"
    )
    document = json.loads(found.stdout)
    assert next(iter(document)) == "schema"
    assert document["schema"] == "clinasr.train/1"
    assert document["command"] == words
    assert document["overrides"] == words[2:]
    assert document["image"] == "nvcr.io/nvidia/nemo:25.11.01"
    assert document["mounts"] == {str(machine): "/clinasr"}
    assert document["run_dir"] == f"{machine}/espeak-demo/runs/sft1"
    assert "3e-4 moves the terms in 3 epochs" in plain.stderr
    assert not machine.exists()


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--base", "nvidia/nemotron-speech-streaming-en-0.6b"], 2, "is refused: SFT of a cache-aware"),
        (["--lr", "2"], 2, "the learning rate is above 0 and below 1"),
        (["--nodes", "2"], 2, "a run launched from here uses one machine"),
        (["--base", "base.nemo (6 M parameters)"], 2, "is no name of a pretrained model"),
        (["--run", "../x"], 2, "is no name for a run"),
        (["--resume"], 2, "name the run to resume"),
        (["--resume", "--run", "none"], 2, "there is no run none to resume"),
        (["--precision", "fp8"], 2, "invalid choice"),
        (["--base", "gone.nemo"], 2, "no such model"),
    ],
)
def test_what_makes_no_run_is_one_line(
    clinasr: Command, here: Path, argv: list[str], code: int, said: str
) -> None:
    done = clinasr("train", "cycle1", "--cpu", "--root", str(here / "m"), *argv)
    assert done.returncode == code
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (here / "m").exists()


def test_a_tdt_file_is_refused_on_a_cpu_before_anything_is_sent(clinasr: Command, here: Path) -> None:
    base = put_model(here / "base.nemo", nemo_models.TDT)
    done = clinasr("train", "cycle1", "--cpu", "--root", str(here / "m"), "--base", str(base))
    assert done.returncode == 2
    assert "this base has a TDT loss, which NeMo has for CUDA only" in done.stderr.splitlines()[-1]
    assert not (here / "m").exists()
    named = clinasr("train", "cycle1", "--cpu", "--root", str(here / "m"), "--dry-run")
    assert named.returncode == 0
    assert "by its name a TDT base" in named.stderr


def test_a_python_named_from_the_current_folder_is_found_from_the_runs(clinasr: Command, here: Path) -> None:
    argv = ("--backend", "local", "--python", "venv/bin/python", "--nemo-root", "NeMo", "--cpu", "--json")
    done = clinasr("train", "cycle1", "--dry-run", "--root", str(here / "m"), *argv)
    document = json.loads(done.stdout)
    script = f"{here}/NeMo/examples/asr/speech_to_text_finetune.py"
    assert document["command"][:2] == [f"{here}/venv/bin/python", script]
    assert document["started_by"][0] == f"{here}/venv/bin/python"


def test_errors_in_the_split_are_the_checks_no(clinasr: Command, here: Path) -> None:
    with (here / "cycle1/validation.jsonl").open("a") as stream:
        stream.write('{"audio_filepath": "audio/gone.wav", "text": "x", "duration": 1.0, "term": "x"}\n')
    done = clinasr("train", "cycle1", "--dry-run")
    assert done.returncode == 1
    assert "validation.jsonl:3: pre-flight found" in done.stderr


def test_a_cycle_that_is_not_split_says_how(clinasr: Command) -> None:
    done = clinasr("train", "cycle2")
    assert done.returncode == 2
    assert "not split yet" in done.stderr
    assert "clinasr-tui split" in done.stderr


# --- a blocked gate -----------------------------------------------------------------------------------


@pytest.fixture
def blocked(here: Path) -> Path:
    """A workspace whose priority is a category the baseline knows too few rows of."""
    (here / "clinasr.toml").write_text('[gate]\npriority = ["drug"]\nmin_rows = 1000\n')
    return here


@pytest.mark.parametrize("given", [None, "SMOKE\n", "yes\nSMOKE\n"])
def test_a_blocked_gate_cannot_be_passed_by_a_pipe(
    clinasr: Command, blocked: Path, on_docker: list[str], machine: Path, given: str | None
) -> None:
    kind = {"input": given} if given else {"stdin": subprocess.DEVNULL}
    done = clinasr("train", "cycle1", *on_docker, **kind)
    assert done.returncode == 1
    assert "the gate is blocked" in done.stderr
    assert not machine.exists()
    assert not (blocked / "cycle1/models").exists()


@pytest.mark.parametrize("keys", [("\r",), ("y", "\r"), ("s", "m", "o", "k", "e", "\r"), ("SMOKE", "\r")])
def test_anything_but_the_typed_word_declines(
    blocked: Path, env: dict[str, str], on_docker: list[str], machine: Path, keys: tuple[str, ...]
) -> None:
    operator = Operator(["train", str(blocked / "cycle1"), *on_docker], env)
    operator.wait_for(PROMPT)
    operator.settle()
    operator.type(*keys)
    assert operator.end() == 4, operator.seen
    assert "nothing was sent or started" in operator.seen
    assert not machine.exists()


def test_the_typed_word_makes_a_smoke_run_and_stays_in_its_record(
    clinasr: Command, blocked: Path, env: dict[str, str], on_docker: list[str]
) -> None:
    operator = Operator(["train", str(blocked / "cycle1"), *on_docker, "--run", "sft3-smoke"], env)
    operator.wait_for(PROMPT)
    operator.settle()
    operator.type(*"SMOKE", "\r")
    assert operator.end(40) == 0, operator.seen
    assert "a smoke run under a blocked gate" in operator.seen
    gate = record_of(blocked, "sft3-smoke")["gate"]
    assert (gate["verdict"], gate["override"]) == ("blocked", "SMOKE")
    watched = clinasr("watch", "cycle1/models/sft3-smoke")
    assert watched.returncode == 0, watched.stderr
    assert "finished: 150 steps" in watched.stdout
    assert "clinasr-tui fetch cycle1/models/sft3-smoke" in watched.stderr
    record = record_of(blocked, "sft3-smoke")
    assert (record["state"], record["outcome"]) == ("ended", "finished")
    assert record["gate"] == gate


def test_a_run_that_has_told_its_end_is_fetched_once_its_process_has_left(
    clinasr: Command, here: Path, on_docker: list[str]
) -> None:
    """`watch` ends with the finish line; a script that fetches next must not be sent away."""
    assert clinasr("train", "cycle1", "--run", "lingers-a", *on_docker).returncode == 0
    watched = clinasr("watch", "cycle1/models/lingers-a")
    assert watched.returncode == 0, watched.stderr
    assert not (Path(record_of(here, "lingers-a")["run_dir"]) / "exit.json").exists()
    fetched = clinasr("fetch", "cycle1/models/lingers-a")
    assert fetched.returncode == 0, fetched.stderr
    assert record_of(here, "lingers-a")["exit_code"] == 0


# --- launch, cancel, resume, fetch --------------------------------------------------------------------


@pytest.mark.sshd
def test_launch_cancel_resume_and_fetch_over_ssh(
    clinasr: Command, here: Path, machine: Path, on_docker: list[str], sshd: Sshd
) -> None:
    sshd.known_hosts.unlink()
    reach = ["--ssh-config", str(sshd.config), "--known-hosts", str(sshd.known_hosts)]
    train = ["train", "cycle1", "--run", "wait-ssh", *reach]
    refused = clinasr(*train, "--host", "lab", *on_docker)
    assert refused.returncode == 3
    assert f"--trust {sshd.fingerprint}" in refused.stderr
    assert not machine.exists()

    done = clinasr(*train, "--host", "lab", "--trust", sshd.fingerprint, *on_docker)
    assert done.returncode == 0, done.stderr
    assert "clinasr-tui watch cycle1/models/wait-ssh" in done.stderr
    folder = Path(record_of(here, "wait-ssh")["run_dir"])
    until((folder / "run").exists, "the run never began")
    going_on = clinasr("fetch", "cycle1/models/wait-ssh", *reach)
    assert going_on.returncode == 1
    assert "the run is going on" in going_on.stderr
    assert clinasr(*train, "--resume").returncode == 3

    nobody = clinasr("cancel", "cycle1/models/wait-ssh", *reach)
    assert nobody.returncode == 2
    assert "Add --yes" in nobody.stderr
    ended = clinasr("cancel", "cycle1/models/wait-ssh", "--yes", *reach)
    assert ended.returncode == 0, ended.stderr
    assert "saved: wait-ssh--val_wer=0.0833-epoch=1-last.ckpt" in ended.stderr
    assert "clinasr-tui train cycle1 --run wait-ssh --resume" in ended.stderr
    record = record_of(here, "wait-ssh")
    assert (record["state"], record["outcome"], record["exit_code"]) == ("ended", "interrupted", 0)
    assert clinasr("cancel", "cycle1/models/wait-ssh", "--yes", *reach).returncode == 1

    logs = clinasr("fetch", "cycle1/models/wait-ssh", "--json", *reach)
    document = json.loads(logs.stdout)
    assert (logs.returncode, document["model"]) == (1, None)
    assert [Path(one["file"]).name for one in document["left_on_machine"]] == [
        "wait-ssh--val_wer=0.0833-epoch=1-last.ckpt"
    ]
    assert (document["deletable"], document["not_fetched"]) == (False, ["wait-ssh"])
    assert "wait-ssh (its checkpoint is only there: --checkpoints)" in logs.stderr
    with_it = clinasr("fetch", "cycle1/models/wait-ssh", "--checkpoints", "--json", *reach)
    assert json.loads(with_it.stdout)["deletable"] is True
    assert "lab can be deleted without loss" in with_it.stderr

    elsewhere = clinasr(*train, "--resume", "--host", "other")
    assert "has its checkpoints on lab" in elsewhere.stderr
    again = clinasr(*train, "--resume")
    assert again.returncode == 0, again.stderr
    until((folder / "exit.json").exists, "it never ended")
    record = record_of(here, "wait-ssh")
    assert "exp_manager.resume_if_exists=true" in record["overrides"]
    assert len(record["earlier"]) == 1

    fetched = clinasr("fetch", "cycle1/models/wait-ssh", "--json", *reach)
    assert fetched.returncode == 0, fetched.stderr
    assert "lab can be deleted without loss" in fetched.stderr
    document = json.loads(fetched.stdout)
    model = here / "cycle1/models/wait-ssh/adapted_model.nemo"
    assert document["deletable"] is True
    assert document["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert document["best_checkpoint"] == {"file": "wait-ssh--val_wer=0.0353-epoch=1.ckpt", "val_wer": 0.0353}
    record = record_of(here, "wait-ssh")
    assert (record["state"], record["outcome"], record["exit_code"]) == ("ended", "finished", 0)
    assert record["result"]["model"]["weights"] == "last"
    assert record["versions"]["python"]
    assert record["end"]["points"] == 150
    machinery = ("pid.json", "child.json", "claim.json", "run_and_record.py")
    for file in folder.rglob("*"):
        if file.is_file() and "checkpoints" not in file.parts and file.name not in machinery:
            copies = [path for path in model.parent.rglob("*") if path.name.split("~")[0] == file.name]
            assert any(copy.read_bytes() == file.read_bytes() for copy in copies), file


def test_ctrl_c_during_a_launch_leaves_no_container_and_no_half_sent_file(
    here: Path, env: dict[str, str], on_docker: list[str], dockerd: Dockerd, machine: Path
) -> None:
    for said in ("looking at", "sending", "checking", "starting"):
        command = [
            sys.executable,
            "-m",
            "clinasr_tui",
            "train",
            "cycle1",
            "--run",
            f"wait-{said[:4]}",
            *on_docker,
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=here) as run:
            assert run.stderr is not None
            for line in run.stderr:
                if line.startswith(said):
                    run.send_signal(signal.SIGINT)
                    break
            run.stderr.read()
            code = run.wait(30)
        if code == 0:  # it was started before the signal came
            assert record_of(here, f"wait-{said[:4]}")["state"] == "started"
            continue
        assert code == 130
        assert dockerd.docker("ps", "-aq") == ""
    sent = [path for path in machine.rglob("*") if path.is_file() and path.suffix in (".wav", ".jsonl")]
    source = {path.name: path.read_bytes() for path in (here / "cycle1/audio").iterdir()}
    assert all(path.read_bytes() == source[path.name] for path in sent if path.suffix == ".wav")
