"""What a machine lacks for a run, and what mends it: from what its probe saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.flywheel.recipe import LEAST_GPU_MIB
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.flow import IMAGE_BYTES
from clinasr_tui.launch.machine import SLURM_TROUBLE
from clinasr_tui.launch.plan import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clinasr_tui.launch.machine import Machine

DOCKER_TROUBLE = {
    "missing": ("no Docker socket at {0}", "Install Docker (docker.io or docker-ce), or use --backend local"),
    "denied": (
        "{0} does not let this account in",
        "Add it to the group docker (`sudo usermod -aG docker $USER`), then log in anew",
    ),
    "silent": ("nobody answers at {0}", "Start it: `sudo systemctl start docker`"),
}
"""What the probe says of Docker's socket (its path goes into the braces), and what mends it."""


class Lack(NamedTuple):
    """Something a run wants and the machine has not; a fatal one ends a launch."""

    what: str
    remedy: str
    fatal: bool


def lacks(machine: Machine, backend: Backend, *, cpu: bool, socket: str = DOCKER_SOCKET) -> tuple[Lack, ...]:
    """What a run with this backend would miss there, the worst first."""
    return tuple(sorted(_found(machine, backend, cpu, socket), key=lambda one: not one.fatal))


def _found(machine: Machine, backend: Backend, cpu: bool, socket: str) -> Iterator[Lack]:
    if backend is Backend.SLURM:
        yield from _of_slurm(machine, cpu)
        return
    if not machine.gpus and not cpu:
        why = f" ({machine.gpu_trouble})" if machine.gpu_trouble else ""
        yield Lack(f"no GPU is known there{why}", "Install the NVIDIA driver, or take another machine", True)
    for gpu in machine.gpus[:1] if not cpu else ():
        if min(one.memory_mib for one in machine.gpus) < LEAST_GPU_MIB:
            size = f"{gpu.memory_mib / 1024:.0f} GB"
            yield Lack(f"{size} of GPU memory may be too little", "16 GB is the least, 24 comfortable", False)
    if backend is Backend.DOCKER:
        if machine.docker in DOCKER_TROUBLE:
            what, remedy = DOCKER_TROUBLE[machine.docker]
            yield Lack(what.format(socket), remedy, True)
        if machine.disk_free < IMAGE_BYTES:
            yield Lack(
                f"{machine.disk_free / 1e9:.0f} GB of disk left",
                f"Unpacking the image takes {IMAGE_BYTES / 1e9:.0f} GB, if it is not there yet",
                False,
            )


def _of_slurm(machine: Machine, cpu: bool) -> Iterator[Lack]:
    """A login node needs no GPU; the cluster's partitions tell what jobs can have."""
    slurm = machine.slurm
    if slurm.state != "ok":
        what, remedy = SLURM_TROUBLE[slurm.state]
        yield Lack(what.format(slurm.trouble), remedy, True)
    elif not cpu and not slurm.has_gpus:
        yield Lack("no partition names GPUs (gres)", "Ask how the cluster shares them out", False)
