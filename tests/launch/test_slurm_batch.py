"""What is submitted to Slurm: options, quoted once, and the batch script."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.launch.slurm_batch import SlurmOptions, sbatch, script

TEXT = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=12)
KEYS = st.from_regex(r"x[a-z0-9-]{0,8}", fullmatch=True)


@given(st.dictionaries(KEYS, TEXT, max_size=4))
def test_options_are_read_as_they_are_shown_and_given_as_they_are(chosen: dict[str, str]) -> None:
    options = SlurmOptions.of(f"{key}={value}" for key, value in chosen.items())
    assert dict(options.items) == chosen
    assert SlurmOptions.typed(str(options)) == options
    assert SlurmOptions.recorded(chosen) == options
    argv = sbatch("n", "/r", options, devices=1, cpu=True)
    assert argv[1 : 1 + len(chosen)] == [f"--{key}={value}" for key, value in chosen.items()]


@pytest.mark.parametrize(
    "text",
    [
        *("", "=3", "-p", "Partition=gpu", "a b=c", "time=1\n#SBATCH --x", "time=", "output=/x", "signal=9"),
        *("arra=1-3", "outpu=/x", "wra=true", "signa=B:USR1@9", "tasks-per-node=2"),
        *("help", "version", "usage", "vers"),
    ],
)
def test_what_is_no_option_or_is_ours_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        SlurmOptions.of([text])
    with pytest.raises(InputError):
        SlurmOptions.typed('time="1')


@pytest.mark.parametrize(
    "text", ["nodelist=node1", "wait-all-nodes=1", "ntasks-per-core=1", "hold", "exclusive", "export=ALL"]
)
def test_an_option_that_only_looks_like_ours_is_taken(text: str) -> None:
    assert str(SlurmOptions.of([text])) == text


def test_gpus_and_requeue_are_asked_for_unless_they_are_chosen() -> None:
    def asked(*options: str, cpu: bool = False) -> list[str]:
        return sbatch("n", "/r", SlurmOptions.of(options), devices=2, cpu=cpu)

    assert {"--gres=gpu:2", "--requeue", "--signal=B:USR1@120"} <= set(asked())
    assert "--gres=gpu:2" not in asked("gpus-per-node=a100:2")
    assert [one for one in asked("gres=gpu:a100:2") if "gres" in one] == ["--gres=gpu:a100:2"]
    assert not any("gres" in one for one in asked(cpu=True))
    assert "--requeue" not in asked("no-requeue")
    # A forgotten value takes the next word, which must not be the script.
    assert asked("partition")[:3] == ["sbatch", "--partition", "--parsable"]


def test_the_script_becomes_the_wrapper_and_keeps_the_jobs_number(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s $HOME & a "run"'
    folder.mkdir()
    wrapper = ["/usr/bin/python3", "-c", "import sys; print(sys.argv[1])", str(folder / "launch.json")]
    text = script("sft1", str(folder), wrapper)
    for number in ("41", "42"):
        env = {"SLURM_JOB_ID": number, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True, env=env)
        assert done.stdout.strip() == str(folder / "launch.json")
    shown = subprocess.run(
        ["/bin/sh", "-c", script("sft1", str(folder), ["/usr/bin/env"])],
        capture_output=True,
        text=True,
        check=True,
        env={"SLURM_JOB_ID": "41", "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0"},
    ).stdout
    assert [line for line in shown.splitlines() if line.startswith("SLURM")] == ["SLURM_JOB_ID=41"]
    # The number that was submitted stands.
    assert (folder / "slurm.json").read_text() == '{"job": "41"}'
    assert text.splitlines()[-1] == f"exec {shlex.join(wrapper)}"
