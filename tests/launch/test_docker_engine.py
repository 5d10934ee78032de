"""Containers through a real Docker engine: started, watched, stopped, and every refusal one clear line."""

from __future__ import annotations

import gc
import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.control import RunHandle, cancel
from clinasr_tui.launch.docker_engine import LABEL, ContainerSpec, ContainerState, Engine, Pulled
from clinasr_tui.remote.host import SshSettings, UnreachableError
from clinasr_tui.remote.hosts import open_host
from tests.support.dockerd import IMAGE, Dockerd
from tests.support.registry import Registry

pytestmark = [
    pytest.mark.dockerd,
    # The SDK never closes the socket of a connection that was refused.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

WAITS = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "open('/work/ready', 'w').close()\n"
    "time.sleep(60)\n"
)


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """Let go of what a test left before the next one is judged."""
    yield
    gc.collect()


@pytest.fixture
def engine(dockerd: Dockerd) -> Iterator[Engine]:
    with Engine(str(dockerd.socket)) as engine:
        yield engine
    for name in dockerd.docker("ps", "-aq").split():
        dockerd.docker("rm", "-f", name)


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    """A run that ends at once with exit code 3."""
    argv = ["python3", "-c", "import sys; sys.exit(3)"]
    return ContainerSpec("run-a", IMAGE, argv, str(tmp_path), {str(tmp_path): "/work"}, gpus=False)


def until(holds: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


def ended(engine: Engine, name: str) -> ContainerState:
    def over() -> bool:
        state = engine.state(name)
        return state is not None and not state.running and state.ended is not None

    until(over, f"{name} never ended")
    state = engine.state(name)
    assert state is not None
    return state


def test_a_run_ends_with_its_exit_code_and_times(engine: Engine, spec: ContainerSpec, tmp_path: Path) -> None:
    before = time.time()
    engine.start(spec)
    state = ended(engine, "run-a")
    assert (state.exit_code, state.oom_killed, state.run_folder) == (3, False, str(tmp_path))
    assert state.started is not None
    assert state.ended is not None
    assert before - 1 <= state.started <= state.ended <= time.time() + 1
    assert [one.name for one in engine.ours()] == ["run-a"]
    engine.remove("run-a")
    assert engine.state("run-a") is None
    engine.remove("run-a")


def test_arguments_arrive_as_they_are(engine: Engine, spec: ContainerSpec, tmp_path: Path) -> None:
    words = ["a b", "$HOME", "'quoted' \"twice\"", "x='/a b/c'", ";rm -rf", "ä"]
    code = "import json, sys, os; json.dump([sys.argv[1:], os.environ['HF_HOME']], open('/work/said', 'w'))"
    engine.start(replace(spec, argv=["python3", "-c", code, *words], env={"HF_HOME": "/work/cache dir"}))
    ended(engine, "run-a")
    assert json.loads((tmp_path / "said").read_text()) == [words, "/work/cache dir"]


def test_a_signal_asks_a_run_to_end(engine: Engine, spec: ContainerSpec, tmp_path: Path) -> None:
    engine.start(replace(spec, argv=["python3", "-c", WAITS]))
    until((tmp_path / "ready").exists, "the run never started")
    engine.kill("run-a", "SIGTERM")
    assert ended(engine, "run-a").exit_code == 0
    engine.kill("run-a", "SIGTERM")
    engine.kill("no-such-run")


async def test_a_run_that_will_not_end_is_killed_and_settled(
    engine: Engine, spec: ContainerSpec, tmp_path: Path, dockerd: Dockerd
) -> None:
    deaf = WAITS.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    engine.start(replace(spec, argv=["python3", "-c", deaf]))
    until((tmp_path / "ready").exists, "the run never started")
    handle, waited = RunHandle("a", str(tmp_path), "run-a", str(dockerd.socket)), []
    async with open_host(None, SshSettings()) as host:
        assert await cancel(handle, host, seconds=1, tell=waited.append)
        assert not await cancel(handle, host)
    assert max(waited) >= 1
    assert json.loads((tmp_path / "exit.json").read_text())["exit_code"] == 137


def test_out_of_memory_is_told(engine: Engine, spec: ContainerSpec) -> None:
    hungry = ["python3", "-c", "x = []\nwhile True: x.append(bytearray(1 << 20))"]
    engine.start(replace(spec, argv=hungry, memory=64 << 20))
    state = ended(engine, "run-a")
    assert (state.exit_code, state.oom_killed) == (137, True)


def test_a_taken_name_is_one_line_and_the_first_run_is_left_alone(
    engine: Engine, spec: ContainerSpec, tmp_path: Path
) -> None:
    engine.start(replace(spec, argv=["python3", "-c", WAITS]))
    with pytest.raises(RemoteError, match="a container named run-a is there already"):
        engine.start(spec)
    state = engine.state("run-a")
    assert state is not None
    assert state.running


def test_missing_nvidia_runtime_names_the_fix_and_leaves_nothing(engine: Engine, spec: ContainerSpec) -> None:
    with pytest.raises(
        RemoteError, match=r"Docker has no NVIDIA runtime here .*nvidia-ctk runtime configure"
    ):
        engine.start(replace(spec, gpus=True))
    assert engine.ours() == []
    assert not engine.facts().nvidia


def test_a_missing_image_names_the_pull(engine: Engine, spec: ContainerSpec) -> None:
    with pytest.raises(RemoteError, match=r"the image no/such:1 is not there.*docker pull no/such:1"):
        engine.start(replace(spec, image="no/such:1"))
    assert engine.image("no/such:1") is None


def test_the_image_is_named_by_its_content(engine: Engine) -> None:
    found = engine.image(IMAGE)
    assert found is not None
    assert found.digest.startswith("sha256:")
    assert found.size > 1 << 20


@pytest.fixture
def registry(dockerd: Dockerd) -> Iterator[Registry]:
    """A registry with an image of 3 MB that has its own name and content."""
    dockerd.docker("rmi", "-f", "own:1", check=False)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo("own")
        member.size = 3 << 20
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    dockerd.import_image("own:1", layer.getvalue())
    saved = dockerd.save("own:1")
    dockerd.docker("rmi", "own:1")
    with Registry(saved, "nvidia/nemo", "25.11.01") as served:
        yield served


def test_an_image_is_pulled_with_progress_and_named_by_its_digest(engine: Engine, registry: Registry) -> None:
    name, told = f"{registry.address}/nvidia/nemo:25.11.01", []
    assert engine.image(name) is None
    found = engine.pull(name, lambda now: told.append(now) is None)
    assert found == engine.image(name)
    assert found.digest == f"{registry.address}/nvidia/nemo@{registry.digest}"
    assert found.size >= 3 << 20
    assert told[-1].done == told[-1].total > 3 << 20
    assert [now.done for now in told] == sorted(now.done for now in told)


def test_a_pull_can_be_cancelled(engine: Engine, registry: Registry) -> None:
    name = f"{registry.address}/nvidia/nemo:25.11.01"
    with pytest.raises(InterruptedError, match="was cancelled"):
        engine.pull(name, lambda now: not now.total)
    assert engine.image(name) is None


def test_a_pull_without_a_registry_is_one_line(engine: Engine) -> None:
    told: list[Pulled] = []
    with pytest.raises(
        RemoteError, match=r"the image 127.0.0.1:9/nemo:1 cannot be pulled: no Docker|refused"
    ):
        engine.pull("127.0.0.1:9/nemo:1", lambda pulled: told.append(pulled) is None)


def test_a_command_that_is_not_in_the_image_ends_at_once(engine: Engine, spec: ContainerSpec) -> None:
    engine.start(replace(spec, argv=["no-such-program"]))
    assert ended(engine, "run-a").exit_code == 127


def test_a_missing_folder_is_told(engine: Engine, spec: ContainerSpec, tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"run-a cannot be started: .*/gone"):
        engine.start(replace(spec, mounts={str(tmp_path / "gone"): "/work"}))


def test_containers_of_others_are_never_touched(engine: Engine, dockerd: Dockerd) -> None:
    dockerd.docker("run", "-d", "--network=none", "--name", "theirs", IMAGE, "sleep", "60")
    assert engine.ours() == []
    assert engine.state("theirs") is None
    for act in (engine.kill, engine.remove, engine.discard):
        with pytest.raises(RemoteError, match="theirs is there already and is not one of ours"):
            act("theirs")
    assert "theirs" in dockerd.docker("ps", "--format", "{{.Names}}")


def test_no_daemon_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="no Docker daemon answers"), Engine(str(tmp_path / "none.sock")):
        pass


def test_a_daemon_that_goes_away_is_contact_lost(spec: ContainerSpec) -> None:
    with Dockerd("--live-restore") as daemon:
        daemon.import_stand_in()
        with Engine(str(daemon.socket)) as engine:
            engine.start(replace(spec, argv=["python3", "-c", WAITS]))
            daemon.stop()
            with pytest.raises((UnreachableError, RemoteError), match="run-a cannot be looked at"):
                engine.state("run-a")
            daemon.start()
            state = engine.state("run-a")
            assert state is not None
            assert state.running
            engine.discard("run-a")
            assert engine.state("run-a") is None


def test_the_label_carries_the_run_folder(engine: Engine, spec: ContainerSpec, dockerd: Dockerd) -> None:
    engine.start(spec)
    (shown,) = json.loads(dockerd.docker("inspect", "run-a"))
    assert shown["Config"]["Labels"] == {LABEL: spec.run_folder}
