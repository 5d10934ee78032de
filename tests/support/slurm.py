"""A Slurm of its own: munged, slurmctld and two nodes of this machine, each with two GPUs that are none."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.sshd import free_port

CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={controller}
SlurmdPort={nodes}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SlurmdParameters=config_overrides
MinJobAge={age}
KillWait=3
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node1} CPUs=8 RealMemory=4000 Gres=gpu:2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={node2} CPUs=8 RealMemory=4000 Gres=gpu:2
PartitionName=debug Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=node1 MaxTime=10 State=UP
PartitionName=urgent Nodes=node1,node2 PriorityTier=10 State=UP
"""
GRES = """\
AutoDetect=off
NodeName=node1 Name=gpu File={folder}/gpu[0-1]
NodeName=node2 Name=gpu File={folder}/gpu[2-3]
"""


class SlurmCluster:
    """Use as a context manager; `config` is what SLURM_CONF names."""

    def __init__(self, *, age: int = 3600) -> None:
        # munged's socket is limited to 108 bytes, which pytest's folders exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.config = self.folder / "slurm.conf"
        self._age = age
        """Seconds after which an ended job is forgotten."""
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def env(self) -> dict[str, str]:
        """The environment in which Slurm's commands find this cluster."""
        return {**os.environ, "SLURM_CONF": str(self.config)}

    def __enter__(self) -> SlurmCluster:
        for name in ("state", "spool-node1", "spool-node2"):
            (self.folder / name).mkdir()
        for number in range(4):
            os.mknod(self.folder / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        ports = {name: free_port() for name in ("controller", "nodes", "node1", "node2")}
        host = socket.gethostname().partition(".")[0]
        self.config.write_text(CONFIG.format(folder=self.folder, host=host, age=self._age, **ports))
        (self.folder / "gres.conf").write_text(GRES.format(folder=self.folder))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        places = {"socket": "munge.sock", "key-file": key.name, "pid-file": "munged.pid"}
        places |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        munge = [f"--{name}={self.folder / file}" for name, file in places.items()]
        self._start("munged", "--foreground", "--force", *munge)
        self._start("slurmctld", "-D")
        for node in ("node1", "node2"):
            self._start("slurmd", "-D", "-N", node)
        argv = ("sinfo", "--noheader", "--Node", "--partition=debug", "--format=%T")
        self.until(lambda: self(*argv, check=False).split() == ["idle", "idle"])
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *argv: str) -> None:
        with (self.folder / "daemons.log").open("ab") as log:
            daemon = subprocess.Popen(argv, stdout=log, stderr=log, env=self.env, start_new_session=True)
        self._daemons.append(daemon)

    def until(self, holds: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait until something holds."""
        limit = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > limit:
                raise RuntimeError((self.folder / "daemons.log").read_text()[-2000:])
            time.sleep(0.1)

    def __call__(self, *argv: str, check: bool = True) -> str:
        """Standard output of one of Slurm's commands."""
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=self.env)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def states(self) -> dict[str, str]:
        """State by job name of the jobs that are not over."""
        lines = self("squeue", "--noheader", "--format=%j %T").splitlines()
        return dict(line.split() for line in lines)

    def number(self, name: str) -> str:
        """The number of the newest job of that name."""
        argv = ("squeue", "--noheader", "--states=all", "--sort=-i", f"--name={name}", "--format=%i")
        return self(*argv).split()[0]

    def end_all(self) -> None:
        """End every job, and wait until its processes have gone."""
        jobs = self("squeue", "--noheader", "--format=%i", check=False).split()
        if jobs:
            self("scancel", "--signal=KILL", "--full", *jobs, check=False)
            self("scancel", *jobs, check=False)
            self.until(lambda: not self("squeue", "--noheader", check=False).strip())
