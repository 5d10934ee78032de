"""The headless watch as a real program, following a folder through OpenSSH's own server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from tests.support.sshd import Sshd, free_port

pytestmark = pytest.mark.sshd


@pytest.fixture
def sshd(tmp_path):
    with Sshd(tmp_path / "sshd") as server:
        yield server


def watch(sshd, folder, *options):
    """Start `clinasr-tui watch FOLDER --host lab`."""
    argv = [sys.executable, "-m", "clinasr_tui", "watch", str(folder), "--host", "lab"]
    places = ["--ssh-config", str(sshd.config), "--known-hosts", str(sshd.known_hosts)]
    return subprocess.Popen(
        [*argv, *places, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process):
    """(exit code, standard output, standard error)."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def write_as_a_run_would(recording, folder, seconds):
    """Write the recorded files in slices, console and event file side by side."""
    files = ["console.log", *(f"run/{path.name}" for path in (recording / "run").glob("events*"))]
    (folder / "run").mkdir()
    slices = 40
    for number in range(slices):
        for name in files:
            data = (recording / name).read_bytes()
            start, stop = len(data) * number // slices, len(data) * (number + 1) // slices
            with (folder / name).open("ab") as out:
                out.write(data[start:stop])
        time.sleep(seconds / slices)


def test_a_run_is_followed_to_its_end_and_mirrored_byte_for_byte(sshd, tmp_path, recordings):
    recording, folder, mirror = recordings / "sft3", tmp_path / "run", tmp_path / "mirror"
    folder.mkdir()
    writer = threading.Thread(target=write_as_a_run_would, args=(recording, folder, 3))
    writer.start()
    process = watch(sshd, folder, "--trust", sshd.fingerprint, "--mirror", str(mirror), "--json")
    code, out, err = answer(process)
    writer.join()
    assert code == 0, err
    found = json.loads(out)
    assert (found["outcome"], found["points"], found["health"]) == ("finished", 150, [])
    assert sshd.fingerprint in err
    for name in ("console.log", *(f"run/{path.name}" for path in (recording / "run").glob("events*"))):
        [mirrored] = mirror.rglob(name)
        assert mirrored.read_bytes() == (recording / name).read_bytes()


def test_the_story_is_told_line_by_line(sshd, recordings):
    sshd.trust()
    code, out, _ = answer(watch(sshd, recordings / "sft3"))
    assert code == 0
    assert out.splitlines()[-1].startswith("finished")


def refusal(process):
    """Standard error of a refusal: one line, exit code 3, nothing on standard output."""
    code, out, err = answer(process)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    return err


def test_a_first_contact_is_refused_with_its_fingerprint(sshd, recordings):
    err = refusal(watch(sshd, recordings / "sft3", "--once", "--json"))
    assert sshd.fingerprint in err
    assert "--trust" in err
    assert not sshd.known_hosts.exists()


def test_a_wrong_fingerprint_trusts_nobody(sshd, recordings):
    refusal(watch(sshd, recordings / "sft3", "--once", "--trust", "SHA256:wrong"))
    assert not sshd.known_hosts.exists()


def test_a_changed_key_is_refused_even_with_trust(sshd, recordings):
    sshd.trust()
    before, old = sshd.known_hosts.read_bytes(), sshd.fingerprint
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    err = refusal(watch(sshd, recordings / "sft3", "--once", "--trust", sshd.fingerprint))
    assert old in err
    assert sshd.fingerprint in err
    assert sshd.known_hosts.read_bytes() == before


def test_a_host_that_refuses(sshd, recordings):
    sshd.config.write_text(sshd.config.read_text().replace(str(sshd.port), str(free_port())))
    assert "refused" in refusal(watch(sshd, recordings / "sft3", "--once"))


def test_a_folder_that_is_not_there(sshd, tmp_path):
    sshd.trust()
    assert "nowhere" in refusal(watch(sshd, tmp_path / "nowhere", "--once"))
