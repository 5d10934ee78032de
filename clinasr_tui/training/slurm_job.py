"""What Slurm said of a run's job, as a follower on its host has asked it, and what that means for the run.

The run's own exit record is the truth where it is this start's. Slurm knows what the run cannot say: that it
waits, that it was requeued, and why it was ended where nothing was left to write a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clinasr_tui.text import visible

_MAX_TAIL = 1 << 14
SKEW = 30.0
"""Seconds by which the clocks of a cluster's machines may differ."""
_WAITS = {
    "PENDING": "waiting in Slurm's queue",
    "CONFIGURING": "its node is being made ready",
    "SUSPENDED": "suspended by Slurm",
    "STOPPED": "stopped by Slurm",
    "REQUEUED": "requeued by Slurm",
    "REQUEUE_HOLD": "requeued by Slurm and held",
    "REQUEUE_FED": "requeued by Slurm",
    "RESV_DEL_HOLD": "held: its reservation is gone",
    "SPECIAL_EXIT": "requeued by Slurm and held",
}
_STOPPED = {
    "TIMEOUT": "Slurm (time limit)",
    "DEADLINE": "Slurm (deadline)",
    "PREEMPTED": "Slurm (preemption)",
    "CANCELLED": "Slurm (cancelled)",
    "REVOKED": "Slurm (revoked)",
}
_NODE_FAILED = {
    "NODE_FAIL": "the node failed under the job",
    "BOOT_FAIL": "the node could not be started for the job",
}
_ENDED = ("FAILED", "COMPLETED", "OUT_OF_MEMORY")
"""With an exit code."""
_REASONS = {
    "Resources": "the nodes it asks for are busy",
    "Priority": "other jobs are before it",
    "BeginTime": "Slurm starts it later",
    "Dependency": "it waits for another job",
    "JobHeldUser": "held by its owner: scontrol release",
    "JobHeldAdmin": "held by an administrator",
    "PartitionTimeLimit": "it asks for more time than its partition allows, and will not start",
    "PartitionNodeLimit": "it asks for more nodes than its partition has, and will not start",
    "ReqNodeNotAvail": "its nodes are down or reserved",
    "InvalidAccount": "its account may not use this partition",
    "InvalidQOS": "its QOS is not valid here",
}


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job at one moment; times in Unix seconds."""

    id: str
    state: str
    """As Slurm names it; "" once Slurm has forgotten the job."""
    reason: str = ""
    """Why it waits or ended, in Slurm's word."""
    restarts: int = 0
    at: float = 0.0
    """When Slurm said so first."""
    exit_code: int = 0
    submitted: float | None = None
    ended: float | None = None
    """When it ended, or will by its time limit."""
    nodes: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> SlurmJob:
        """From what a host answers; everything in it is somebody else's text. Raises ValueError, KeyError,
        TypeError for what is no answer."""
        status, _, number = str(found.get("exit") or "0:0").partition(":")
        return cls(
            visible(str(found["job"])),
            # "CANCELLED by 1000" is cancelled.
            visible(str(found["state"])).partition(" ")[0],
            visible(str(found.get("reason") or "")),
            int(found.get("restarts") or 0),
            float(found["at"]),
            int(status) or (128 + int(number) if int(number or 0) else 0),
            _moment(found.get("submitted")),
            _moment(found.get("ended")),
            visible(str(found.get("nodes") or "")),
        )

    @property
    def waits(self) -> bool:
        """True while it has nothing to run on."""
        return self.state in _WAITS

    @property
    def lives(self) -> bool:
        """True while Slurm has not said its last word of it."""
        return bool(self.state) and self.state not in (*_STOPPED, *_NODE_FAILED, *_ENDED)

    @property
    def works(self) -> bool:
        """The same, and the run's processes are there or going to be: not only cleaned up after."""
        return self.lives and self.state != "COMPLETING"

    @property
    def stopped_by(self) -> str | None:
        """Who stopped it, for a job that was: "Slurm (time limit)"."""
        return _STOPPED.get(self.state)

    @property
    def ended_by(self) -> str | None:
        """The same, and for a job whose node failed: what ended it from outside."""
        return "Slurm (node failure)" if self.node_failure else self.stopped_by

    @property
    def out_of_memory(self) -> bool:
        """True if it used more memory than Slurm had given it."""
        return self.state == "OUT_OF_MEMORY"

    @property
    def has_exit_code(self) -> bool:
        """True if it ended by itself: `exit_code` is the batch script's, so the run's own."""
        return self.state in _ENDED

    @property
    def node_failure(self) -> str | None:
        """What became of its node, where that ended it."""
        said = _NODE_FAILED.get(self.state)
        return f"Slurm: {said}{f' ({self.nodes})' if self.nodes else ''}" if said else None

    def line(self) -> str:
        """Why it waits: `waiting in Slurm's queue: Resources (the nodes it asks for are busy), job 12`."""
        first = _WAITS.get(self.state, self.state.lower())
        if self.restarts:
            first = f"{first} after restart {self.restarts}"
        meaning = _REASONS.get(self.reason.partition(",")[0], "")
        reason = f": {self.reason}{f' ({meaning})' if meaning else ''}" if self.reason else ""
        return f"{first}{reason}, job {self.id}"


class SlurmReader:
    """Reads the rows; the last one counts."""

    def __init__(self) -> None:
        self._tail = b""
        self.job: SlurmJob | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *rows, tail = (self._tail + data).split(b"\n")
        self._tail = tail[:_MAX_TAIL]
        for row in rows:
            self.job = _parsed(row) or self.job


def _parsed(row: bytes) -> SlurmJob | None:
    try:
        return SlurmJob.of(json.loads(row))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
