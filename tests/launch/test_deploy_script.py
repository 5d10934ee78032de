"""deploy.sh against a real Docker engine: mounts, owners, one container from RMIR to archive, calls repeated.

The image is a stand-in under the NIM's name: its riva-build and riva-deploy build nothing, and its service
serves nothing; all say so. They run as user 1000 and fail where a NIM's would: a model that cannot be read, a
folder that cannot be written. The engine is the operator's by the context that is selected.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.flywheel.deploy_script import write_script
from clinasr_tui.flywheel.deployment import deployment
from clinasr_tui.flywheel.nemo_file import read_nemo
from tests.support.nemo_models import put_model
from tests.support.small_disk import mounted

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd

pytestmark = pytest.mark.dockerd

IMAGE = "nvcr.io/nim/nvidia/parakeet-0.6b-tdt:latest"
STAND_IN = "clinasr-stand-in-nim:latest"
BUILDER, SERVER_NAME = "clinasr-riva-build", "clinasr-asr-nim"
KEY = "nvapi-not-a-key-0815"
PROGRAMS = ("bash", "tar", "gzip", "sleep", "cat", "id", "mkdir", "cp", "mv")
BUILD = """\
#!/bin/bash
# A stand-in: this is not riva-build.
set -eu
if [ "$1" = -h ]; then echo 'hydra style'; exit; fi
for part; do case $part in output_path=*) out=${part#*=} ;; source_path=*) source=${part#*=} ;; esac; done
model=${source#*path: }; model=${model%%,*}
cat "$model" > /dev/null
if : 2>/dev/null >> "$model"; then echo 'the model can be written' >&2; exit 1; fi
: > /riva_build_deploy/began
while [ -e /riva_build_deploy/wait ]; do sleep 0.05; done
if [ -e /riva_build_deploy/fail ]; then exit 1; fi
printf 'stand-in %s %s\\n' "$(id -u)" "$*" > "$out"
"""
DEPLOY = """\
#!/bin/bash
# A stand-in: this is not riva-deploy.
set -eu
[ "$1" = -f ]
mkdir -p "$3/asr"
cp "$2" "$3/asr/model"
if [ -e /riva_build_deploy/engine ]; then cp /riva_build_deploy/engine "$3/asr/"; fi
"""
SERVER = """\
#!/bin/bash
# A stand-in: this is no NIM.
set -eu
if [ "$NIM_TAGS_SELECTOR" = none ]; then echo 'no profile fits'; exit 1; fi
cat /opt/nim/export/custom_model.tar.gz > /dev/null
exec sleep infinity
"""
WRAPPER = """\
#!/bin/bash
# This engine has no GPU and may raise no limit: what asks for it is left out. Nobody is asked for an image
# either: the login is kept as Docker keeps it, and the image is here under another name.
words=()
while [ $# -gt 0 ]; do
  case $1 in --gpus | --ulimit) shift ;; --runtime=nvidia) ;; *) words+=("$1") ;; esac
  shift
done
case "${{words[0]}} ${{words[4]:-}}" in
  '--config login') cat > "${{words[1]}}/config.json"; exit ;;
  '--config pull') exec {docker} "${{words[@]:0:4}}" tag {stand_in} "${{words[5]}}" ;;
esac
exec {docker} "${{words[@]}}"
"""
ANSWERS = """\
#!/bin/bash
# A stand-in for curl: the service is ready once this file is here.
[ -e {healthy} ]
"""


def filesystem() -> bytes:
    """A tar with a shell, tar and the stand-ins, and a /data that user 1000 owns."""
    programs = [Path("/usr/bin") / name for name in PROGRAMS]
    listed = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/") and not word.endswith(":")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        links = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "usr/bin/sh": "bash"}
        for name, target in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for place in {*map(str, programs), *libraries}:
            tar.add(Path(place).resolve(), "usr/" + place.removeprefix("/usr").lstrip("/"))
        for name, text in (("riva-build", BUILD), ("riva-deploy", DEPLOY), ("nim", SERVER)):
            script = tarfile.TarInfo(f"usr/bin/{name}")
            script.mode, script.size = 0o755, len(text)
            tar.addfile(script, io.BytesIO(text.encode()))
        for name in ("data", "data/models"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o755, 1000, 1000
            tar.addfile(folder)
    return buffer.getvalue()


class Machine:
    """A machine that builds and serves: deploy.sh on it, and what it finds in its PATH."""

    def __init__(self, engine: Dockerd, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.model = put_model(folder / "cycle 1" / "models" / "it's" / "adapted_model.nemo")
        self.script = write_script(deployment(read_nemo(self.model)), folder)
        self.artifacts, self.export = (self.model.parent / "riva" / name for name in ("build", "nim_export"))
        self.archive = self.export / "custom_model.tar.gz"
        self.artifacts.mkdir(parents=True)
        self.tools = folder / "tools"
        self.tools.mkdir()
        self.healthy = folder / "healthy"
        docker = subprocess.run(
            ["which", "docker"], check=True, capture_output=True, text=True
        ).stdout.strip()
        self.tool("docker", WRAPPER.format(docker=docker, stand_in=STAND_IN))
        self.tool("curl", ANSWERS.format(healthy=f"'{self.healthy}'"))
        self.tool("sleep", "#!/bin/sh\n")
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "DOCKER_CONFIG": str(folder / "docker"),
            "NGC_API_KEY": KEY,
            "NIM_TAGS_SELECTOR": "",
            "READY_TRIES": "2",
            "TMPDIR": str(self.temporary),
        }
        for words in (["create", "lab", "--docker", f"host=unix://{engine.socket}"], ["use", "lab"]):
            subprocess.run([docker, "context", *words], env=self.environment, check=True, capture_output=True)

    def tool(self, name: str, text: str) -> None:
        """Put a program before the machine's own."""
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start deploy.sh."""
        return subprocess.Popen(
            [self.script, *words],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *words: str, **variables: str) -> tuple[int, str]:
        """Run deploy.sh; how it ended and what it said."""
        process = self.start(*words, **variables)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    def served(self) -> str:
        """What the archive holds."""
        with tarfile.open(self.archive) as tar:
            content = tar.extractfile("asr/model")
            assert content is not None
            return content.read().decode()

    def containers(self) -> list[str]:
        """Names of all containers of the engine."""
        return self.engine.docker("ps", "-a", "--format", "{{.Names}}").split()


@pytest.fixture
def machine(dockerd: Dockerd, tmp_path: Path, no_container_stays: object) -> Machine:
    if not dockerd.docker("images", "-q", STAND_IN).strip():
        command = ["docker", "-H", f"unix://{dockerd.socket}", "import"]
        changes = ["--change", "USER 1000:1000", "--change", 'CMD ["nim"]']
        subprocess.run(
            [*command, *changes, "-", STAND_IN], input=filesystem(), check=True, capture_output=True
        )
    dockerd.docker("tag", STAND_IN, IMAGE)
    return Machine(dockerd, tmp_path)


def wait_for(happened: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.fixture
def building(machine: Machine) -> Iterator[subprocess.Popen[str]]:
    """A build that goes on until its file `wait` is removed."""
    (machine.artifacts / "wait").touch()
    process = machine.start("build")
    wait_for((machine.artifacts / "began").exists)
    yield process
    process.kill()
    (machine.artifacts / "wait").unlink(missing_ok=True)
    process.communicate()


def test_a_model_becomes_an_archive_in_one_container(machine: Machine) -> None:
    before = machine.model.read_bytes()
    code, said = machine.call("build")
    assert code == 0, said
    content = machine.served()
    assert content.startswith(
        "stand-in 1000 --config-path=pkg://servicemaker.configs.asr --config-name=offline"
    )
    assert "decoder=nemo" in content
    assert machine.archive.stat().st_uid == 1000
    assert [path.name for path in machine.export.iterdir()] == [machine.archive.name]
    assert machine.model.read_bytes() == before
    assert machine.containers() == []


@pytest.mark.parametrize(("word", "code"), [("ready", 1), ("serve", 2), ("-h", 2), ("build", 1), ("all", 1)])
def test_another_call_leaves_a_build_alone(
    machine: Machine, building: subprocess.Popen[str], word: str, code: int
) -> None:
    ended, said = machine.call(word)
    assert ended == code, said
    assert word not in ("build", "all") or "clinasr-riva-build runs already" in said
    (machine.artifacts / "wait").unlink()
    _, said = building.communicate(timeout=60)
    assert building.returncode == 0, said
    assert machine.served().startswith("stand-in")
    assert machine.containers() == []


def test_a_build_that_is_ended_leaves_no_container(machine: Machine, building: subprocess.Popen[str]) -> None:
    building.terminate()
    building.communicate(timeout=30)
    assert machine.containers() == []


def test_what_could_not_be_started_is_removed_and_what_has_ended_makes_room(machine: Machine) -> None:
    machine.engine.docker("run", "--name", BUILDER, "--entrypoint", "/bin/bash", IMAGE, "-c", "true")
    assert machine.containers() == [BUILDER]
    code, said = machine.call("build")
    assert code == 0, said
    wrapper = (machine.tools / "docker").read_text()
    machine.tool("docker", wrapper.replace("--gpus | --ulimit) shift", "--ulimit) shift"))
    code, said = machine.call("build")
    assert code != 0
    assert "gpu" in said
    assert machine.containers() == []


def test_a_build_that_failed_leaves_nothing_to_serve(machine: Machine) -> None:
    assert machine.call("build")[0] == 0
    (machine.artifacts / "fail").touch()
    assert machine.call("build")[0] == 1
    code, said = machine.call("serve")
    assert code == 2
    assert "Nothing is built yet" in said
    assert machine.containers() == []


def test_a_full_disk_leaves_no_archive(machine: Machine, tmp_path: Path) -> None:
    (machine.artifacts / "engine").write_bytes(os.urandom(4 << 20))
    with mounted(tmp_path / "small", "1m") as disk:
        code, said = machine.call("build", NIM_EXPORT_PATH=str(disk))
        assert code != 0
        assert "No space left" in said
        assert not (disk / machine.archive.name).exists()
        assert machine.call("serve", NIM_EXPORT_PATH=str(disk))[0] == 2


def test_a_folder_of_another_user_is_changed_by_sudo(machine: Machine) -> None:
    assert machine.call("build")[0] == 0
    for name in ("install", "rm"):
        machine.tool(name, "#!/bin/sh\nexit 1\n")
    (machine.artifacts / "fail").touch()
    code, _ = machine.call("build")
    assert code != 0
    assert machine.archive.exists(), "without sudo nothing could be removed"
    machine.tool(
        "sudo", f'#!/bin/sh\necho "$1" >> {machine.folder}/asked\nPATH={os.environ["PATH"]}\nexec "$@"\n'
    )
    assert machine.call("build")[0] == 1
    assert (machine.folder / "asked").read_text().split() == ["install", "rm"]
    assert not machine.archive.exists()


def test_all_of_it_again_says_at_once_that_it_is_served(machine: Machine) -> None:
    machine.healthy.touch()
    code, said = machine.call()
    assert code == 0, said
    assert "Now check what it serves" in said
    archive = machine.archive.stat()
    for word in ("all", "serve"):
        code, said = machine.call(word)
        assert code == 1
        assert "clinasr-asr-nim runs already" in said
        assert "docker rm --force clinasr-asr-nim" in said
    assert machine.archive.stat() == archive
    assert machine.containers() == [SERVER_NAME]


def test_a_service_that_ended_is_noticed_and_makes_room(machine: Machine) -> None:
    machine.healthy.touch()
    code, said = machine.call(NIM_TAGS_SELECTOR="none")
    wait_for(lambda: not machine.engine.docker("ps", "-q").split())
    code, said = machine.call("ready")
    assert code == 1
    assert "docker logs clinasr-asr-nim" in said
    assert "no profile fits" in machine.engine.docker("logs", SERVER_NAME)
    assert machine.call("serve")[0] == 0
    assert machine.call("ready")[0] == 0


def test_waiting_ends_when_the_service_does(machine: Machine) -> None:
    assert machine.call("build")[0] == 0
    assert machine.call("serve")[0] == 0
    machine.tool("sleep", "#!/bin/sh\ndocker kill clinasr-asr-nim\n")
    code, said = machine.call("ready", READY_TRIES="1000000")
    assert code == 1
    assert "It does not run" in said


def test_a_service_that_never_answers_is_not_waited_for_without_end(machine: Machine) -> None:
    assert machine.call("build")[0] == 0
    assert machine.call("serve")[0] == 0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        machine.tool("curl", f'#!/bin/bash\nexec /usr/bin/curl "${{@/:9000/:{port}}}"\n')
        code, said = machine.call("ready", READY_TRIES="1")
    assert code == 1
    assert "It is not ready" in said


def test_without_curl_nothing_is_waited_for(machine: Machine) -> None:
    for name in ("bash", "env"):
        (machine.tools / name).symlink_to(f"/usr/bin/{name}")
    (machine.tools / "curl").unlink()
    for words in (["ready"], []):
        code, said = machine.call(*words, PATH=str(machine.tools))
        assert code == 2
        assert "curl is not here" in said
    assert machine.containers() == []


def test_the_image_comes_to_the_engine_in_use_and_the_login_is_gone_before_the_build(
    machine: Machine,
) -> None:
    machine.engine.docker("rmi", IMAGE)
    (machine.artifacts / "wait").touch()
    process = machine.start("build")
    wait_for((machine.artifacts / "began").exists)
    assert list(machine.temporary.iterdir()) == []
    (machine.artifacts / "wait").unlink()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    kept = [
        path for path in machine.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]
    assert kept == []
