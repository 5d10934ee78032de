"""A Docker engine private to the tests, and an image that stands in for NeMo's under its name.

The image holds this machine's Python and, in the place of NeMo's fine-tuning script, one that plays recorded
runs: it is not NeMo, and says so (`STAND_IN`).
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from tests.support import stand_in_nemo

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / "tests/data/recordings"
STAND_IN_ASR = ROOT / "tests/support/stand_in_asr"
SCRIPT = "/opt/NeMo/examples/asr/speech_to_text_finetune.py"
IMAGE = "nvcr.io/nvidia/nemo:25.11.01"
STAND_IN = "stand-in for the NeMo image: this machine's Python, no NeMo"
PYTHON = Path("/usr/bin/python3")


class Dockerd:
    """Use as a context manager; `socket` is where it listens. Nothing outside its folder is changed."""

    def __init__(self, *extra: str) -> None:
        # Socket paths are limited to 108 bytes, which pytest's folders exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
        self.socket = self.folder / "docker.sock"
        self._extra = extra
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Dockerd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        listed = self.docker("ps", "-aq", check=False)
        if listed.split():
            self.docker("rm", "-f", *listed.split(), check=False)
        self.stop()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((one for one in mounts if one.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        (self.folder / "run/containerd/containerd.pid").unlink(missing_ok=True)
        paths = ["--data-root", self.folder / "root", "--exec-root", self.folder / "run"]
        network = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"]
        command = [
            "dockerd",
            *paths,
            "--pidfile",
            self.folder / "pid",
            "-H",
            f"unix://{self.socket}",
            *network,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, command), *self._extra], stdout=log, stderr=log, start_new_session=True
            )
        limit = time.monotonic() + 20
        while not self.docker("version", "--format", "{{.Server.Version}}", check=False).strip():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon; with `--live-restore` its containers go on."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Standard output of a docker command against this engine."""
        command = ["docker", "-H", f"unix://{self.socket}", *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True).stdout

    def import_stand_in(self, tag: str = IMAGE) -> None:
        """Make the stand-in image, under NeMo's name unless told another."""
        self.import_image(tag, _root_filesystem(), STAND_IN)

    def import_image(self, tag: str, root: bytes, message: str = "") -> None:
        """Make an image of a tar."""
        command = ["docker", "-H", f"unix://{self.socket}", "import", "-m", message, "-", tag]
        subprocess.run(command, input=root, check=True, stdout=subprocess.DEVNULL)

    def save(self, tag: str) -> bytes:
        """What `docker save` gives of an image."""
        command = ["docker", "-H", f"unix://{self.socket}", "save", tag]
        return subprocess.run(command, check=True, capture_output=True).stdout


def _root_filesystem() -> bytes:
    """A tar with Debian's Python, its libraries and a shell."""
    python = PYTHON.resolve()
    library = Path("/usr/lib") / python.name
    programs = [python, Path("/usr/bin/dash"), Path("/usr/bin/sleep")]
    modules = sorted((library / "lib-dynload").glob("*.so"))
    listed = subprocess.run(["ldd", *programs, *modules], check=True, capture_output=True, text=True).stdout
    words = {word for line in listed.splitlines() for word in line.split() if word.startswith("/")}
    # A word with a colon is the file asked about.
    libraries = {Path(word) for word in words if ".so" in word and not word.endswith(":")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, target in (
            ("bin", "usr/bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib64"),
            ("sbin", "usr/sbin"),
        ):
            _link(tar, name, target)
        for folder in ("tmp", "proc", "sys", "dev", "etc", "root", "usr", "opt"):
            _folder(tar, folder)
        _link(tar, "usr/bin/python3", python.name)
        _link(tar, "usr/bin/sh", "dash")
        # The loader is asked for where it stands in the program, not where it really lies.
        found = {
            place: path.resolve() for path in (*programs, *libraries) for place in (path, path.resolve())
        }
        placed = {str(place).removeprefix("/usr").lstrip("/"): real for place, real in found.items()}
        for place, real in placed.items():
            tar.add(real, f"usr/{place}")
        tar.add(library, str(library).lstrip("/"), filter=_needed)
        tar.add(Path(stand_in_nemo.__file__), SCRIPT.lstrip("/"))
        # Where Debian's Python looks by itself: a transcription finds the stand-ins for nemo and torch.
        tar.add(STAND_IN_ASR, "usr/lib/python3/dist-packages", filter=_needed)
        for recording in RECORDINGS.iterdir():
            if recording.is_dir():
                tar.add(recording, f"opt/recordings/{recording.name}")
    return buffer.getvalue()


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    skipped = ("__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-")
    return None if any(part.startswith(skipped) for part in Path(member.name).parts[3:]) else member


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    tar.addfile(member)


def _folder(tar: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    tar.addfile(member)
