"""deploy.sh's build against a real Docker engine: mounts, owners, one container from RMIR to archive.

The image is a stand-in under the NIM's name: its riva-build and riva-deploy build nothing, and say so. They
run as user 1000 and fail where a NIM's would: a model that cannot be read, a folder that cannot be written.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinasr_tui.flywheel.deploy_script import write_script
from clinasr_tui.flywheel.deployment import deployment
from clinasr_tui.flywheel.nemo_file import read_nemo
from tests.support.nemo_models import put_model

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd

pytestmark = pytest.mark.dockerd

IMAGE = "nvcr.io/nim/nvidia/parakeet-0.6b-tdt:latest"
PROGRAMS = ("bash", "tar", "gzip", "sleep", "cat", "id", "mkdir", "cp")
BUILD = """\
#!/bin/bash
# A stand-in: this is not riva-build.
set -eu
if [ "$1" = -h ]; then echo 'hydra style'; exit; fi
for part; do case $part in output_path=*) out=${part#*=} ;; source_path=*) source=${part#*=} ;; esac; done
model=${source#*path: }; model=${model%%,*}
cat "$model" > /dev/null
if : 2>/dev/null >> "$model"; then echo 'the model can be written' >&2; exit 1; fi
printf 'stand-in %s %s\\n' "$(id -u)" "$*" > "$out"
"""
DEPLOY = """\
#!/bin/bash
# A stand-in: this is not riva-deploy.
set -eu
[ "$1" = -f ]
mkdir -p "$3/asr"
cp "$2" "$3/asr/model"
"""
WRAPPER = """\
#!/bin/bash
# This engine has no GPU and may raise no limit: what asks for it is left out, all else goes on as it is.
words=()
while [ $# -gt 0 ]; do
  if [ "$1" = --gpus ] || [ "$1" = --ulimit ]; then shift; else words+=("$1"); fi
  shift
done
exec {docker} -H unix://{socket} "${{words[@]}}"
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
        for name, text in (("riva-build", BUILD), ("riva-deploy", DEPLOY)):
            script = tarfile.TarInfo(f"usr/bin/{name}")
            script.mode, script.size = 0o755, len(text)
            tar.addfile(script, io.BytesIO(text.encode()))
        for name in ("data", "data/models"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o755, 1000, 1000
            tar.addfile(folder)
    return buffer.getvalue()


def test_a_model_becomes_an_archive_in_one_container(dockerd: Dockerd, tmp_path: Path) -> None:
    importing = [
        "docker",
        "-H",
        f"unix://{dockerd.socket}",
        "import",
        "--change",
        "USER 1000:1000",
        "-",
        IMAGE,
    ]
    subprocess.run(importing, input=filesystem(), check=True, capture_output=True)
    model = put_model(tmp_path / "cycle 1" / "models" / "it's" / "adapted_model.nemo")
    before = model.read_bytes()
    script = write_script(deployment(read_nemo(model)), tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    docker = subprocess.run(["which", "docker"], check=True, capture_output=True, text=True).stdout.strip()
    (tools / "docker").write_text(WRAPPER.format(docker=docker, socket=dockerd.socket))
    (tools / "docker").chmod(0o755)
    done = subprocess.run(
        [script, "build"],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NGC_API_KEY": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    archive = model.parent / "riva" / "nim_export" / "custom_model.tar.gz"
    with tarfile.open(archive) as tar:
        content = tar.extractfile("asr/model")
        assert content is not None
        said = content.read().decode()
    assert said.startswith("stand-in 1000 --config-path=pkg://servicemaker.configs.asr --config-name=offline")
    assert "decoder=nemo" in said
    assert archive.stat().st_uid == 1000
    assert model.read_bytes() == before
    assert dockerd.docker("ps", "-aq").split() == []
