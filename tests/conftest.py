"""What all tests share: the real data's places and the rule about skipping.

A machine without sshd or tmux skips what needs them and says so. Where everything must run (the
CI script sets CLINASR_EVERYTHING=1), a skip is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.children import Children, note_children
from tests.support.dockerd import Dockerd
from tests.support.sshd import Sshd

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "clinasr_tui" / "demo" / "data"
RECORDINGS = ROOT / "tests" / "data" / "recordings"
CLOSED_LOOP = ROOT / "tests" / "data" / "closed_loop"


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the state of whoever runs it: confirmed hosts, rented boxes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    """The child processes that the test starts, asyncio's among them."""
    return note_children(monkeypatch)


@pytest.fixture(scope="session")
def demo_data() -> Path:
    """The bundled cycles and recordings, read only."""
    return DEMO


@pytest.fixture(scope="session")
def closed_loop() -> Path:
    """A cycle before and after tuning whose figures are known, with every fourth row's audio; read only."""
    return CLOSED_LOOP


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Real runs: one that went right, one with the default logging, and those that went wrong."""
    return RECORDINGS


@pytest.fixture
def two_cycles(tmp_path: Path) -> Path:
    """A workspace with both cycles scored; audio is linked, not copied."""
    root = tmp_path / "espeak-demo"
    shutil.copytree(DEMO / "cycle1", root / "cycle1", ignore=shutil.ignore_patterns("audio"))
    (root / "cycle1" / "audio").symlink_to(DEMO / "cycle1" / "audio")
    shutil.copytree(DEMO / "cycle2", root / "cycle2")
    return root


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """OpenSSH's own server on loopback; its host is called "lab"."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        server.trust()
        yield server


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A Docker engine with the image that stands in for NeMo's."""
    with Dockerd() as engine:
        engine.import_stand_in()
        yield engine


@pytest.fixture
def no_container_stays(dockerd: Dockerd) -> object:
    yield
    for name in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skip into a failure where every service is promised."""
    outcome = yield
    report = outcome.get_result()
    promised = os.environ.get("CLINASR_EVERYTHING") and not item.get_closest_marker("may_skip")
    if report.skipped and promised and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where nothing may be: {reason}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a service this machine lacks, with the reason."""
    sbin = "/usr/sbin:/usr/local/sbin:" + os.environ["PATH"]
    needs = {
        "sshd": (shutil.which("sshd", path=sbin), "openssh-server"),
        "tmux": (shutil.which("tmux"), "tmux"),
        "espeak": (shutil.which("espeak-ng"), "espeak-ng"),
        "slurm": (
            os.geteuid() == 0
            and all(shutil.which(one, path=sbin) for one in ("munged", "slurmctld", "slurmd", "sbatch")),
            "slurm-wlm and munge, and root to start them",
        ),
        "dockerd": (os.geteuid() == 0 and shutil.which("dockerd"), "docker.io, and root to start it"),
    }
    for item in items:
        for marker, (found, package) in needs.items():
            if item.get_closest_marker(marker) and not found:
                item.add_marker(pytest.mark.skip(reason=f"{marker} is not installed (package {package})"))
