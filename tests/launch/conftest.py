"""What the tests of launching share: a split, a NeMo checkout that plays recordings, plans for it, Slurm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinasr_tui.flywheel.recipe import Recipe
from clinasr_tui.launch.places import Places
from clinasr_tui.launch.plan import Backend, Plan
from clinasr_tui.remote.host import Host, SshSettings
from clinasr_tui.remote.hosts import open_host
from tests.support import stand_in_nemo
from tests.support.evaluating import python_with_stand_in
from tests.support.slurm import SlurmCluster

if TYPE_CHECKING:
    from tests.support.sshd import Sshd


@pytest.fixture
def split(tmp_path: Path, demo_data: Path) -> tuple[Path, Path]:
    """A few rows of the demo's split, with their audio."""
    folder = tmp_path / "cycle 1"
    folder.mkdir()
    for name, rows in (("train", 6), ("validation", 2)):
        lines = (demo_data / f"cycle1/{name}.jsonl").read_bytes().splitlines(keepends=True)[:rows]
        (folder / f"{name}.jsonl").write_bytes(b"".join(lines))
        for line in lines:
            audio = json.loads(line)["audio_filepath"]
            (folder / audio).parent.mkdir(exist_ok=True)
            shutil.copy(demo_data / "cycle1" / audio, folder / audio)
    return folder / "train.jsonl", folder / "validation.jsonl"


@pytest.fixture(params=["local", pytest.param("ssh", marks=pytest.mark.sshd)])
def host(request: pytest.FixtureRequest) -> Host:
    """This machine, and the same over a real sshd; not entered yet."""
    if request.param == "local":
        return open_host(None, SshSettings())
    sshd: Sshd = request.getfixturevalue("sshd")
    return open_host("lab", SshSettings(config=sshd.config, known_hosts=sshd.known_hosts))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The machine's folder for runs."""
    return tmp_path / "machine's folder"


@pytest.fixture
def nemo(tmp_path: Path, recordings: Path) -> Path:
    """A checkout whose script plays the recordings, which lie where it looks for them."""
    script = tmp_path / "NeMo/examples/asr/speech_to_text_finetune.py"
    script.parent.mkdir(parents=True)
    plays = tmp_path / "plays"
    plays.mkdir()
    for recording in recordings.iterdir():
        (plays / recording.name).symlink_to(recording)
    source = Path(stand_in_nemo.__file__).read_text()
    script.write_text(source.replace('"/opt/recordings"', repr(str(plays))))
    return tmp_path / "NeMo"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Of an operator with nothing of their own."""
    return {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


@pytest.fixture
def here(two_cycles: Path) -> Path:
    """The workspace with a small split: what is sent is not what these tests are about."""
    for name, rows in (("train", 6), ("validation", 2)):
        path = two_cycles / f"cycle1/{name}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:rows]))
    return two_cycles


@pytest.fixture
def clinasr(here: Path, env: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, run in the workspace."""

    def run(*argv: str, **given: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "clinasr_tui", *argv]
        if "input" not in given:
            given.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=env, cwd=here, timeout=60, **given
        )

    return run


@pytest.fixture
def plan(tmp_path: Path, nemo: Path) -> Callable[[str], Plan]:
    """Plans of runs beside that checkout, without a container or a GPU."""

    def of(run: str) -> Plan:
        return Plan(
            Places(str(tmp_path / "machine"), "demo", 1, run),
            "nvidia/parakeet-tdt-0.6b-v2",
            Recipe(precision="32"),
            backend=Backend.LOCAL,
            python=str(python_with_stand_in(tmp_path)),
            nemo_root=str(nemo),
            cpu=True,
        )

    return of


@pytest.fixture
def no_process_stays(tmp_path: Path) -> Iterator[None]:
    """Ends what runs below the machine's folder."""
    yield
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(tmp_path).encode() + b"/machine" in words:
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture(scope="session")
def cluster() -> Iterator[SlurmCluster]:
    """A Slurm of two nodes."""
    with SlurmCluster() as slurm:
        yield slurm


@pytest.fixture
def slurm(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """The same, found by Slurm's commands; no job stays."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.config))
    yield cluster
    cluster.end_all()
