"""What a machine has: GPUs, disk, Docker; asked before anything is sent or started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.recipe import Gpu
from clinasr_tui.launch import machine_probe
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.remote import slurm_ask
from clinasr_tui.remote.scripts import ask
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.remote.host import Host

_PATIENCE = 40.0


SLURM_TROUBLE = {
    "missing": ("there is no sbatch", "Name a login node of the cluster (--host), or take another backend"),
    "silent": ("Slurm does not answer ({0})", "See with sinfo there whether its controller is up"),
}
"""What the probe says of Slurm (its own words go into the braces), and what mends it."""


class Site(NamedTuple):
    """What one look is about: disk and engine are those of a folder and a socket, not of a host."""

    host: str | None
    """None is this machine."""
    root: str
    """Where runs keep their files there."""
    socket: str
    """Where its Docker engine listens."""


class Partition(NamedTuple):
    """A partition of a cluster, in Slurm's words."""

    name: str
    is_default: bool
    limit: str
    gres: str
    """Such as "gpu:a100:4"; "" for none."""


class Slurm(NamedTuple):
    """The cluster a machine can submit to."""

    state: str = "missing"
    """"ok", "missing" or "silent"."""
    trouble: str = ""
    partitions: tuple[Partition, ...] = ()

    @property
    def has_gpus(self) -> bool:
        """True if a partition has GPUs."""
        return any("gpu" in one.gres for one in self.partitions)


NO_SLURM = Slurm()


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its probe saw it; sizes in bytes."""

    name: str
    gpus: tuple[Gpu, ...]
    gpu_trouble: str
    """Why no GPU is known; "" if one is."""
    driver: str
    docker: str
    """"ok", "missing", "denied" or "silent": Docker's socket."""
    disk_free: int
    disk_total: int
    folder: str
    """The asked-about folder as an absolute path there."""
    memory: int
    cpus: int
    python: str
    uid: int
    gid: int
    slurm: Slurm = NO_SLURM


async def look(host: Host, folder: str, *, socket: str = DOCKER_SOCKET) -> Machine:
    """Ask an entered host; `folder` is where a run would keep its files. Raises RemoteError."""
    request = {"folder": folder, "socket": socket}
    modules = (slurm_ask, machine_probe)
    return _machine(host.name, await ask(host, modules, request, "machine", _PATIENCE))


def _machine(name: str, answer: dict[str, object]) -> Machine:
    rows = answer["gpus"]
    assert isinstance(rows, list)
    found = [[visible(str(cell)) for cell in row] for row in rows if len(row) == len(machine_probe.QUERY)]
    gpus = tuple(Gpu(row[0], _whole(row[1]), _capability(row[2])) for row in found)
    return Machine(
        name=name,
        gpus=gpus,
        gpu_trouble="" if gpus else visible(str(answer["gpu_trouble"])),
        driver=found[0][3] if found else "",
        docker=str(answer["docker"]),
        disk_free=_whole(answer["disk_free"]),
        disk_total=_whole(answer["disk_total"]),
        folder=str(answer["folder"]),
        memory=_whole(answer["memory"]),
        cpus=_whole(answer["cpus"]),
        python=visible(str(answer["python"])),
        uid=_whole(answer["uid"]),
        gid=_whole(answer["gid"]),
        slurm=_slurm(answer["slurm"]),
    )


def _slurm(answer: object) -> Slurm:
    assert isinstance(answer, dict)
    rows = [[visible(str(cell)) for cell in row] for row in answer["partitions"] if len(row) == 3]
    found = (Partition(name.rstrip("*"), name.endswith("*"), limit, gres) for name, limit, gres in rows)
    return Slurm(str(answer["state"]), visible(str(answer["trouble"])), tuple(dict.fromkeys(found)))


def _whole(value: object) -> int:
    """A whole number; 0 for what nvidia-smi does not know (`[N/A]`)."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return 0


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return _whole(major), _whole(minor)
