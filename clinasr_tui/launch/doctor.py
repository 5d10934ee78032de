"""Is all there that training needs: on this machine, and on the one where it is to run."""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui import __version__
from clinasr_tui.box.brev import BrevCli, NotSignedInError
from clinasr_tui.errors import ClinasrError, HostKeyError
from clinasr_tui.flywheel.recipe import LEAST_GPU_MIB
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET, NVIDIA_RUNTIME
from clinasr_tui.launch.engine_on import engine_on
from clinasr_tui.launch.flow import IMAGE_BYTES
from clinasr_tui.launch.lacks import DOCKER_TROUBLE
from clinasr_tui.launch.machine import SLURM_TROUBLE, look
from clinasr_tui.launch.places import DEFAULT_ROOT
from clinasr_tui.launch.plan import NEMO_IMAGE
from clinasr_tui.remote.hosts import open_host

if TYPE_CHECKING:
    from clinasr_tui.launch.machine import Machine
    from clinasr_tui.remote.host import Host, SshSettings

_LIBRARIES = ("textual", "asyncssh", "docker", "numpy")


class Check(NamedTuple):
    """One finding. What is not `needed` may be missing: training elsewhere, or no renting."""

    id: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


def versions() -> Check:
    """This program's version and those of what it stands on."""
    found = [f"clinasr-tui {__version__}", f"Python {sys.version.split()[0]}"]
    missing = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("versions", False, f"not installed: {', '.join(missing)}", "Install clinasr-tui anew")
    return Check("versions", True, ", ".join(found))


async def brev(cli: BrevCli | None = None) -> Check:
    """NVIDIA Brev's command line, which only renting needs."""
    cli = cli or BrevCli()
    if not cli.is_installed:
        remedy = "Only renting a box needs it: any SSH host, or this machine, works without"
        return Check("brev", False, "not installed", remedy, needed=False)
    try:
        version = await cli.version()
        await cli.able()
        boxes = await cli.instances()
    except NotSignedInError as error:
        return Check("brev", False, error.what, error.remedy or "Run: brev login", needed=False)
    except ClinasrError as error:
        return Check("brev", False, error.what, error.remedy or "", needed=False)
    return Check("brev", True, f"{version}, signed in, {len(boxes)} instances", needed=False)


async def machine_checks(
    host_name: str | None, ssh: SshSettings, *, socket: str = DOCKER_SOCKET, root: str = DEFAULT_ROOT
) -> list[Check]:
    """The machine where a run would be: reached, GPU, disk, Docker. Without a host's name, this one.

    Raises HostKeyError for a key that is not confirmed yet; other failures are findings.
    """
    needed = host_name is not None
    try:
        async with await asyncio.to_thread(open_host, host_name, ssh) as host:
            machine = await look(host, root, socket=socket)
            docker = await _docker(host, machine, socket, needed)
    except HostKeyError:
        raise
    except ClinasrError as error:
        return [Check("ssh", False, error.what, error.remedy or "")]
    here = "this machine: no connection is needed, --host HOST checks one"
    reached = f"{host_name} answers, Python {machine.python}" if host_name else here
    # A login node needs neither GPU nor Docker: its cluster's nodes have what jobs need.
    own = needed and not machine.slurm.has_gpus
    checks = [Check("ssh", True, reached), _gpu(machine, own), _disk(machine, needed)]
    return [*checks, docker._replace(needed=own), *_slurm(machine)]


def _slurm(machine: Machine) -> list[Check]:
    """Slurm, where it is there."""
    slurm = machine.slurm
    if slurm.state == "missing":
        return []
    if slurm.state != "ok":
        what, remedy = SLURM_TROUBLE[slurm.state]
        return [Check("slurm", False, what.format(slurm.trouble), remedy, needed=False)]
    told = [
        f"{one.name}{' (default)' if one.is_default else ''}: {one.gres or 'no GPUs named'}, time {one.limit}"
        for one in slurm.partitions
    ]
    detail = "; ".join(told) or "no partition"
    return [Check("slurm", True, f"train --backend slurm can submit: {detail}", needed=False)]


def _gpu(machine: Machine, needed: bool) -> Check:
    if not machine.gpus:
        remedy = "Install the driver" if needed else "Train on a machine with one: --host HOST"
        return Check("gpu", False, machine.gpu_trouble, remedy, needed)
    told = ", ".join(
        f"{gpu.name} {gpu.memory_mib / 1024:.0f} GB (capability {gpu.capability[0]}.{gpu.capability[1]})"
        for gpu in machine.gpus
    )
    detail = f"{told}, driver {machine.driver}"
    if min(gpu.memory_mib for gpu in machine.gpus) < LEAST_GPU_MIB:
        return Check("gpu", False, detail, "The recipe needs 16 GB, 24 is comfortable", needed)
    if min(gpu.capability for gpu in machine.gpus) < (8, 0):
        return Check("gpu", True, detail, "No bf16 on it: train proposes fp32 and half the batch", needed)
    return Check("gpu", True, detail, needed=needed)


def _disk(machine: Machine, needed: bool) -> Check:
    detail = f"{machine.disk_free / 1e9:.0f} of {machine.disk_total / 1e9:.0f} GB free at {machine.folder}"
    if machine.disk_free < IMAGE_BYTES:
        remedy = f"NeMo's image alone takes {IMAGE_BYTES / 1e9:.0f} GB: make room, or name another --root"
        return Check("disk", False, detail, remedy, needed)
    return Check("disk", True, detail, needed=needed)


async def _docker(host: Host, machine: Machine, socket: str, needed: bool) -> Check:
    if machine.docker != "ok":
        detail, remedy = DOCKER_TROUBLE[machine.docker]
        return Check("docker", False, detail.format(socket), remedy, needed)
    try:
        async with engine_on(host, socket) as engine:
            facts = await asyncio.to_thread(engine.facts)
            image = await asyncio.to_thread(engine.image, NEMO_IMAGE)
    except ClinasrError as error:
        return Check("docker", False, error.what, error.remedy or "", needed)
    there = f"{NEMO_IMAGE} is there" if image else f"{NEMO_IMAGE} will be pulled at the first launch"
    detail = f"engine {facts.version}, {there}"
    if machine.gpus and not facts.nvidia:
        return Check("docker", False, f"{detail}, no NVIDIA runtime", NVIDIA_RUNTIME, needed)
    return Check("docker", True, detail, needed=needed)
