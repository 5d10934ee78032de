"""What Slurm says of a run's job, asked now and then beside the run folder. It runs on the host.

Its source goes to the host before the follower's, so the same holds for it: standard library, Python 3.6.
"""

# ruff: noqa: PTH116, PTH118, PTH123, RUF005, S603, UP031

import contextlib
import json
import os
import subprocess
import time
from typing import Any

# They go to the host as one script, the follower last.
if __name__ != "__main__":
    from clinasr_tui.remote.slurm_ask import JOB_FILE, forgotten, show, state_of, surroundings, tool

RUNS_EVERY = 30.0  # seconds; the run's own files tell more
WAITS_EVERY = 5.0
ENDS_EVERY = 2.0  # an exit record is there, Slurm's last word is not
FIRST_ANSWER = 5.0  # seconds that what is told first waits for it
OVER = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
    "",  # Slurm has forgotten it
)


class SlurmLoop:
    """Asks for the job whose number is in the run folder, and tells each change as a row of JSON.

    A folder without such a file, and a machine without Slurm, goes without.
    """

    def __init__(self, wanted: "dict[str, Any] | None", have: "dict[str, dict[str, Any]]", root: str) -> None:
        self.path = str(wanted["file"]) if wanted else ""
        self.ident = "scontrol"
        self.offset = int(have.get(self.path, {}).get("offset", 0))
        self.place = os.path.join(root, JOB_FILE)
        self.job = ""
        self.seen: Any = None
        self.child: subprocess.Popen[bytes] | None = None
        self.told: dict[str, Any] = {}
        self.next_ask = 0.0
        self.begun = time.monotonic()
        self.asked = 0.0

    def has_answered(self) -> bool:
        """False while the first answer is still to come: what the files say may not be the last word."""
        self.look()
        waits = bool(self.path and self.job and not self.told)
        return not waits or time.monotonic() - self.begun > FIRST_ANSWER

    def look(self) -> None:
        """Read the job's number; a run that is resumed has a new one."""
        try:
            now = os.stat(self.place)
            stamp = (now.st_mtime_ns, now.st_ino)
            if stamp != self.seen:
                with open(self.place) as stream:
                    self.job = str(json.load(stream)["job"])
                self.seen, self.told, self.next_ask = stamp, {}, 0.0
                if not tool("scontrol"):
                    self.path = ""
        except (OSError, ValueError, KeyError, TypeError):
            return

    def turn(self, over: bool) -> bytes:
        """Ask where it is time; the row to send, b"" for none. Never waits."""
        if not self.path:
            return b""
        now = time.monotonic()
        if self.child is not None:
            return self.answer(now, over)
        if over and self.told.get("state") not in OVER:
            self.next_ask = min(self.next_ask, now + ENDS_EVERY)
        if now >= self.next_ask:
            self.look()
            self.next_ask = now + WAITS_EVERY
            if self.job and (not self.told or self.told["state"] not in OVER):
                self.ask(now)
        return b""

    def ask(self, now: float) -> None:
        """Start the question."""
        argv = show(self.job)
        with contextlib.suppress(OSError):
            self.child = subprocess.Popen(
                [tool(argv[0]) or argv[0]] + argv[1:],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=surroundings(),
            )
            self.asked = now

    def answer(self, now: float, over: bool) -> bytes:
        """The row of an answer that has come and says something new."""
        assert self.child is not None
        if self.child.poll() is None:
            if now - self.asked > 2 * FIRST_ANSWER:
                self.stop()
            return b""
        output, complaint = self.child.communicate()
        code, self.child = self.child.returncode, None
        if code == 0:
            found = state_of(self.job, output.decode("utf-8", "replace").strip())
        elif forgotten(complaint.decode("utf-8", "replace")):
            found = {"job": self.job, "state": ""}
        else:
            return b""
        waits = found["state"] != "RUNNING"
        self.next_ask = now + (ENDS_EVERY if over else WAITS_EVERY if waits else RUNS_EVERY)
        if found == self.told:
            return b""
        self.told = found
        # Begun anew, for the last connection may have been lost inside a row.
        return ("\n%s\n" % json.dumps(dict(found, at=round(time.time(), 3)))).encode()

    def stop(self) -> None:
        """Give up the question."""
        child, self.child = self.child, None
        if child is not None:
            child.kill()
            child.communicate()
