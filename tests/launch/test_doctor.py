"""doctor as a process: what is there is said, what is missing has a remedy, only what is needed counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.dockerd import Dockerd
    from tests.support.sshd import Sshd


def doctor(tmp_path: Path, *argv: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, checks by id, standard error."""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    env["PATH"] = "/usr/bin:/bin"
    command = [sys.executable, "-m", "clinasr_tui", "doctor", "--json", *argv]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL
    )
    checks = json.loads(done.stdout)["checks"] if done.stdout else []
    return done.returncode, {one["id"]: one for one in checks}, done.stderr


def test_this_machine_may_lack_what_a_host_has(tmp_path: Path) -> None:
    code, checks, _ = doctor(tmp_path, "--docker-socket", str(tmp_path / "none"))
    assert code == 0
    listed = [name for name in checks if name != "slurm"]  # only where its commands are installed
    assert listed == ["terminal", "versions", "ssh", "gpu", "disk", "docker", "brev"]
    for one in checks.values():
        assert {"id", "ok", "detail", "remedy"} <= set(one)
        assert one["ok"] or one["remedy"]
    assert not checks["docker"]["ok"]
    assert f"no Docker socket at {tmp_path}/none" in checks["docker"]["detail"]
    assert "clinasr-tui" in checks["versions"]["detail"]


@pytest.mark.sshd
@pytest.mark.dockerd
def test_a_host_must_have_a_gpu_and_docker(tmp_path: Path, sshd: Sshd, dockerd: Dockerd) -> None:
    reach = ["--host", "lab", "--ssh-config", str(sshd.config), "--docker-socket", str(dockerd.socket)]
    code, checks, stderr = doctor(tmp_path, *reach, "--known-hosts", str(tmp_path / "empty"))
    assert (code, checks) == (3, {})
    assert f"--trust {sshd.fingerprint}" in stderr
    code, checks, _ = doctor(tmp_path, *reach, "--known-hosts", str(sshd.known_hosts))
    assert code == 1
    assert checks["ssh"]["ok"]
    assert "nvcr.io/nvidia/nemo:25.11.01 is there" in checks["docker"]["detail"]
    assert checks["docker"]["ok"]
    assert (checks["gpu"]["ok"], checks["gpu"]["needed"]) == (False, True)
    assert checks["gpu"]["detail"] == "nvidia-smi is not installed"


def test_a_host_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    code, checks, _ = doctor(tmp_path, "--host", "nowhere.invalid")
    assert code == 1
    assert not checks["ssh"]["ok"]
    assert "gpu" not in checks
