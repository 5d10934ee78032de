"""Run one command, keep both its streams in files, and leave an exit record whatever happens to it.

    python3 run_and_record.py SPEC.json

SPEC holds {"argv": [..], "folder": str, "cwd": str, "env": {name: value}, "lock": str, "owner": [uid, gid],
"own": [str], "ends": {signal: why}}. In `folder` it writes stdout.log, stderr.log and at the end exit.json:

    {"exit_code": n, "signal": name or null, "oom": bool, "asked": name or null, "started": t, "ended": t,
     "queued_seconds": s, "versions": {package: version}, "reason": text or null}

`exit_code` is as a shell gives it (128 + n for signal n), `asked` the signal this script was sent and passed
on, times are Unix seconds, `versions` those of NeMo and its ground. With `lock` (a file) it waits until
no other run holds it: runs on one machine follow each other. At the end everything under `own` belongs to
`owner`. Logs and record of an earlier start in the same folder move to start_<n>/ first. child.json names the
command's process, for whoever looks when this one has gone. Its own exit code is the command's. A signal of
`ends` is passed on as SIGTERM, and its reason recorded.
"""

# It also runs under old Pythons of old images: no `X | Y`, no pathlib where os does.
# ruff: noqa: PTH102, PTH103, PTH104, PTH105, PTH110, PTH118, PTH123, UP031, SIM115

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

LOGS = ("stdout.log", "stderr.log", "exit.json")
PACKAGES = ("nemo_toolkit", "torch", "lightning", "pytorch-lightning", "lhotse")
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Where a container's kernel counts what it killed for lack of memory: control groups 2 and 1.
OOM_COUNTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


class Run:
    """One command and what is known of its end."""

    def __init__(self, spec: "dict[str, Any]") -> None:
        self.spec = spec
        self.folder = str(spec["folder"])
        self.child: Any = None
        self.over = False
        self.asked: str | None = None
        self.reason: str | None = None
        self.ends = dict(spec.get("ends", {}))
        self.started = time.time()
        self.queued = 0.0

    def run(self) -> int:
        """Run the command; its exit code."""
        os.makedirs(self.folder, exist_ok=True)
        keep_earlier(self.folder)
        for number in PASSED_ON:
            signal.signal(number, self.pass_on)
        for name in self.ends:
            signal.signal(getattr(signal, name), self.pass_on)
        kills = oom_kills()
        code = 128 + signal.SIGTERM
        try:
            with open(self.path("stdout.log"), "ab", 0) as out, open(self.path("stderr.log"), "ab", 0) as err:
                lock = self.wait_for_turn(out)
                if self.asked is None:
                    code = self.command(out, err, lock)
                if lock is not None:
                    lock.close()
        finally:
            oom = code == 128 + signal.SIGKILL and oom_kills() > kills
            self.record(code, oom)
            self.give_back()
        return code

    def path(self, name: str) -> str:
        """A file of the run folder."""
        return os.path.join(self.folder, name)

    def wait_for_turn(self, out: "Any") -> "Any":
        """Hold the lock; says that it waits, and ends waiting when it is asked to end."""
        if not self.spec.get("lock"):
            return None
        lock = open(str(self.spec["lock"]), "ab")
        begun = time.monotonic()
        while self.asked is None:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not self.queued:
                out.write(b"clinasr-tui: queued: another run uses this machine's GPUs\n")
            time.sleep(0.2)
            self.queued = time.monotonic() - begun
        if self.queued:
            out.write(b"clinasr-tui: waited %d s for the runs before\n" % self.queued)
        return lock

    def command(self, out: "Any", err: "Any", lock: "Any") -> int:
        """Run it to its end; the exit code as a shell gives it. The lock is held while it lives."""
        env = dict(os.environ, **self.spec.get("env", {}))
        try:
            self.child = subprocess.Popen(  # noqa: S603 (what the operator launched)
                self.spec["argv"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.spec.get("cwd") or self.folder,
                env=env,
                pass_fds=() if lock is None else (lock.fileno(),),
                start_new_session=True,
            )
        except OSError as error:
            err.write(
                ("clinasr-tui: cannot start %s: %s\n" % (self.spec["argv"][0], error.strerror)).encode()
            )
            return 127 if isinstance(error, FileNotFoundError) else 126
        with open(self.path("child.json"), "w") as stream:
            json.dump({"pid": self.child.pid, "begun": begun(self.child.pid)}, stream)
        if self.asked is not None:
            self.signal_child(getattr(signal, self.asked))
        # Until it is reaped its id is nobody else's.
        os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT)
        self.over = True
        if self.asked is not None:
            # A worker that outlives it would hold its GPU while the next run begins.
            with contextlib.suppress(OSError):
                os.killpg(self.child.pid, signal.SIGKILL)
        code = int(self.child.wait())
        return code if code >= 0 else 128 - code

    def pass_on(self, number: int, _: object) -> None:
        """Tell the command what we were told: it may save a checkpoint first."""
        name = signal.Signals(number).name
        if name in self.ends:
            self.reason, number = self.ends[name], signal.SIGTERM
        self.asked = signal.Signals(number).name
        self.signal_child(number)

    def signal_child(self, number: int) -> None:
        """Only the command itself: it ends its workers in order. What outlives it then is killed."""
        if self.child is not None and not self.over:
            os.kill(self.child.pid, number)

    def record(self, code: int, oom: bool) -> None:
        """Write the exit record, whole or not at all."""
        number = code - 128
        known = number > 0 and number in signal.Signals.__members__.values()
        document = {
            "exit_code": code,
            "signal": signal.Signals(number).name if known else None,
            "oom": oom,
            "asked": self.asked,
            "started": self.started,
            "ended": time.time(),
            "queued_seconds": round(self.queued, 1),
            "versions": versions(),
            "reason": self.reason,
        }
        with open(self.path("exit.json.new"), "w") as stream:
            json.dump(document, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(self.path("exit.json.new"), self.path("exit.json"))

    def give_back(self) -> None:
        """What root wrote in a container belongs to the operator."""
        owner = self.spec.get("owner")
        if not owner or os.geteuid() != 0:
            return
        for place in self.spec.get("own", []):
            for folder, folders, files in os.walk(str(place)):
                for name in [folder] + [os.path.join(folder, one) for one in folders + files]:
                    with contextlib.suppress(OSError):
                        os.lchown(name, int(owner[0]), int(owner[1]))


def keep_earlier(folder: str) -> None:
    """Move what an earlier start left out of the way: its record would be believed."""
    found = [name for name in LOGS if os.path.exists(os.path.join(folder, name))]
    if not found:
        return
    number = 0
    while os.path.exists(os.path.join(folder, "start_%d" % number)):
        number += 1
    place = os.path.join(folder, "start_%d" % number)
    os.mkdir(place)
    for name in found:
        os.rename(os.path.join(folder, name), os.path.join(place, name))


def begun(pid: int) -> str:
    """When a process began, in the kernel's ticks: tells it from a later one with the same id."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def versions() -> "dict[str, str]":
    """What the command most likely ran with: the packages of this script's own Python."""
    found = {"python": sys.version.split()[0]}
    try:
        from importlib import metadata
    except ImportError:
        return found
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def oom_kills() -> int:
    """How many processes the kernel has killed in this control group for lack of memory; 0 if unknown."""
    for place in OOM_COUNTS:
        with contextlib.suppress(OSError, ValueError, IndexError), open(place) as stream:
            for line in stream:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


if __name__ == "__main__":
    with open(sys.argv[1]) as spec:
        sys.exit(Run(json.load(spec)).run())
