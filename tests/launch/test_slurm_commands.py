"""train, watch, cancel, fetch, eval and doctor of a run that goes through Slurm, as an operator runs them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.slurm import SlurmCluster

pytestmark = pytest.mark.slurm
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def clinasr(here: Path, slurm: SlurmCluster, tmp_path: Path) -> Command:
    env = {**slurm.env, "HOME": str(tmp_path / "home"), "XDG_STATE_HOME": str(tmp_path / "state")}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "clinasr_tui", *argv]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=env,
            cwd=here,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def on_slurm(tmp_path: Path, nemo: Path) -> list[str]:
    """Options of `train` for the stand-in."""
    place = ["--root", str(tmp_path / "cluster"), "--nemo-root", str(nemo), "--python", "/usr/bin/python3"]
    return ["--backend", "slurm", "--precision", "32", *place]


def record_of(here: Path, run: str) -> dict[str, Any]:
    found = json.loads((here / f"cycle1/models/{run}/training_run_info.json").read_text())
    assert isinstance(found, dict)
    return found


def test_a_dry_run_says_what_is_then_submitted(
    clinasr: Command, on_slurm: list[str], slurm: SlurmCluster, tmp_path: Path
) -> None:
    options = ["--run", "sft3", "--slurm-option", "partition=debug", "--slurm-option", "comment=a b"]
    plain = clinasr("train", "cycle1", "--dry-run", *on_slurm, *options)
    assert plain.returncode == 0, plain.stderr
    assert "partition debug gpu:2" in plain.stderr
    first, _, *script, _, command = plain.stdout.splitlines()
    assert not (tmp_path / "cluster").exists()
    document = json.loads(clinasr("train", "cycle1", "--dry-run", "--json", *on_slurm, *options).stdout)
    assert document["started_by"] == shlex.split(first)
    assert document["script"].splitlines() == script
    assert document["command"] == shlex.split(command)
    assert (document["image"], document["mounts"]) == (None, {})
    assert document["run_dir"] == f"{tmp_path}/cluster/espeak-demo/runs/sft3"
    assert {"--gres=gpu:1", "--partition=debug", "--comment=a b", "--requeue"} <= set(document["started_by"])

    launched = json.loads(clinasr("train", "cycle1", "--json", *on_slurm, *options).stdout)
    assert launched["started_by"] == document["started_by"]
    assert slurm("scontrol", "write", "batch_script", launched["id"], "-") == document["script"]
    spec = json.loads(Path(launched["run_dir"], "launch.json").read_text())
    assert spec["argv"] == document["command"]


def test_a_run_is_launched_watched_and_fetched(clinasr: Command, on_slurm: list[str], here: Path) -> None:
    launched = clinasr("train", "cycle1", *on_slurm, "--run", "sft3", "--slurm-option", "time=30")
    assert launched.returncode == 0, launched.stderr
    record = record_of(here, "sft3")
    assert (record["backend"], record["container"]) == ("slurm", None)
    assert (record["job_name"], record["slurm_options"]) == ("clinasr-espeak-demo-sft3", {"time": "30"})
    watched = clinasr("watch", "cycle1/models/sft3", "--json", "--follow")
    assert watched.returncode == 0, watched.stderr
    end = json.loads(watched.stdout.splitlines()[-1])
    assert (end["outcome"], end["exit_code"]) == ("finished", 0)
    assert end["job"]["id"] == record["id"]
    fetched = clinasr("fetch", "cycle1/models/sft3", "--json")
    assert fetched.returncode == 0, fetched.stderr
    assert (here / "cycle1/models/sft3/adapted_model.nemo").read_bytes().startswith(b"stand-in model")
    assert record_of(here, "sft3")["outcome"] == "finished"


def test_a_waiting_run_is_said_and_cancelled(
    clinasr: Command, on_slurm: list[str], slurm: SlurmCluster, here: Path
) -> None:
    clinasr("train", "cycle1", *on_slurm, "--run", "held", "--slurm-option", "hold")
    seen = clinasr("watch", "cycle1/models/held", "--once")
    assert seen.returncode == 0
    assert "waiting in Slurm's queue: JobHeldUser (held by its owner: scontrol release)" in seen.stdout
    document = json.loads(clinasr("watch", "cycle1/models/held", "--once", "--json").stdout)
    assert (document["phase"], document["outcome"]) == ("queued", "running")
    assert document["job"] == {
        "id": slurm.number("clinasr-espeak-demo-held"),
        "state": "PENDING",
        "reason": "JobHeldUser",
        "restarts": 0,
    }
    refused = clinasr("fetch", "cycle1/models/held")
    assert refused.returncode == 1
    assert "the run is going on" in refused.stderr
    ended = clinasr("cancel", "cycle1/models/held", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "held is over" in ended.stdout
    assert slurm.states() == {}
    assert record_of(here, "held")["outcome"] == "interrupted"
    assert clinasr("watch", "cycle1/models/held", "--once").returncode == 1


def test_a_cancelled_run_resumes_with_its_own_options_and_more_time(
    clinasr: Command, on_slurm: list[str], here: Path, slurm: SlurmCluster
) -> None:
    options = ["--slurm-option", "time=30", "--slurm-option", "partition=debug"]
    assert clinasr("train", "cycle1", *on_slurm, "--run", "wait-a", *options).returncode == 0
    folder = Path(record_of(here, "wait-a")["run_dir"])
    slurm.until((folder / "run/checkpoints").exists)
    ended = clinasr("cancel", "cycle1/models/wait-a", "--yes", "--json")
    assert [one["file"] for one in json.loads(ended.stdout)["saved"]], ended.stderr
    seen = clinasr("watch", "cycle1/models/wait-a", "--once")
    assert "--run wait-a --resume --slurm-option time=" in seen.stderr
    again = clinasr("train", "cycle1", "--run", "wait-a", "--resume", "--slurm-option", "time=60")
    assert again.returncode == 0, again.stderr
    assert record_of(here, "wait-a")["slurm_options"] == {"time": "60", "partition": "debug"}
    assert clinasr("watch", "cycle1/models/wait-a").returncode == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ["--slurm-option", "output=x"],
            "output cannot be chosen: console and errors go into the run folder",
        ),
        (["--slurm-option", "-p gpu"], "'-p gpu' is no option of sbatch"),
        (["--backend", "local", "--slurm-option", "time=3"], "--slurm-option is for Slurm"),
    ],
)
def test_what_cannot_be_asked_of_slurm_is_one_line(
    clinasr: Command, on_slurm: list[str], argv: list[str], said: str
) -> None:
    done = clinasr("train", "cycle1", *on_slurm, *argv)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_eval_says_that_it_submits_nothing(clinasr: Command, on_slurm: list[str], here: Path) -> None:
    done = clinasr("eval", "cycle1", "--model", "nvidia/parakeet-tdt-0.6b-v2", "--backend", "slurm")
    assert done.returncode == 2
    assert "nothing is submitted to Slurm to be transcribed. Take the backend local" in done.stderr
    clinasr("train", "cycle1", *on_slurm, "--run", "sft3")
    of_run = clinasr("eval", "cycle1", "--run", "sft3")
    assert of_run.returncode == 2
    assert "nothing is submitted to Slurm" in of_run.stderr


def test_doctor_tells_of_the_partitions(clinasr: Command) -> None:
    checks = {one["id"]: one for one in json.loads(clinasr("doctor", "--json").stdout)["checks"]}
    assert checks["slurm"]["ok"]
    assert "debug (default): gpu:2, time infinite; short: gpu:2, time 10:00" in checks["slurm"]["detail"]
