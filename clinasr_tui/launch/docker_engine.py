"""One Docker engine, behind its socket: this machine's, or a host's carried over the SSH connection.

Everything here blocks: call it in a thread. Only what the product started is looked at or touched: its
containers carry a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import docker
from docker import errors
from docker.types import DeviceRequest, Mount

from clinasr_tui.errors import RemoteError
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET, NVIDIA_RUNTIME
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from docker.models.containers import Container

LABEL = "io.github.clinasr-tui.run"
"""Label of our containers; its value is the run's folder on the host."""
_TIMEOUT = 60
_NOT_FOUND, _CONFLICT = 404, 409

# A part of the engine's own words, in lower case; what it means; what to do.
_TROUBLE = (
    (
        "could not select device driver",
        "Docker has no NVIDIA runtime here",
        NVIDIA_RUNTIME,
    ),
    ("no space left on device", "its disk is full", "Make room (`docker system df` shows what images take)"),
    (
        "permission denied",
        "this account may not use Docker",
        "Add it to the group docker (`sudo usermod -aG docker $USER`), then log in anew",
    ),
    ("unauthorized", "the registry wants a login", "Run `docker login nvcr.io` there yourself, then again"),
    ("denied", "the registry refuses the image", "Run `docker login nvcr.io` there yourself, then again"),
    (
        "no such host",
        "the registry cannot be reached from there",
        "Check the machine's network, or load the image with `docker load`",
    ),
    ("connection refused", "no Docker daemon answers", "Start it: `sudo systemctl start docker`"),
    ("no such file or directory", "no Docker daemon answers", "Install Docker, or start it"),
)


class EngineFacts(NamedTuple):
    """What matters of an engine before a launch."""

    version: str
    nvidia: bool
    """True if the NVIDIA runtime is known to it."""
    root: str
    """Where it keeps images: the disk that must have room."""


class ImageFacts(NamedTuple):
    """An image that is there; `digest` names its content in the registry, else its local id."""

    digest: str
    size: int


class Pulled(NamedTuple):
    """How far a pull is, in bytes; the total grows while layers become known."""

    done: int
    total: int
    status: str


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A run's container: detached, named, labelled."""

    name: str
    image: str
    argv: Sequence[str]
    run_folder: str
    """The run's folder on the host, kept as the label's value."""
    mounts: Mapping[str, str]
    """Host folder → place in the container, writable."""
    env: Mapping[str, str] = field(default_factory=dict)
    gpus: bool = True
    memory: int | None = None
    """Bytes the container may use; None for all."""


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as the engine sees it; times are Unix seconds, None where they have not come."""

    name: str
    status: str
    exit_code: int | None
    oom_killed: bool
    started: float | None
    ended: float | None
    run_folder: str

    @property
    def running(self) -> bool:
        """True while its process lives."""
        return self.status in ("running", "paused", "restarting")


class Engine:
    """A Docker engine at a Unix socket; use as a context manager. Every failure is a RemoteError."""

    def __init__(self, socket: str = DOCKER_SOCKET, where: str = "this machine") -> None:
        self._where = where
        self._socket = socket
        self._client: docker.DockerClient | None = None

    def open(self) -> None:
        """Connect."""
        with self._told("Docker cannot be used"):
            self._client = docker.DockerClient(
                base_url=f"unix://{self._socket}", timeout=_TIMEOUT, version="auto"
            )

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _docker(self) -> docker.DockerClient:
        assert self._client is not None, "open the engine first"
        return self._client

    def facts(self) -> EngineFacts:
        """What the engine says of itself."""
        with self._told("Docker cannot be asked"):
            info: dict[str, Any] = self._docker.info()
        runtimes = info.get("Runtimes") or {}
        return EngineFacts(
            visible(str(info.get("ServerVersion", ""))),
            "nvidia" in runtimes or bool(info.get("CDISpecDirs") and _has_nvidia_device(info)),
            str(info.get("DockerRootDir", "")),
        )

    def image(self, name: str) -> ImageFacts | None:
        """The image if it is there."""
        with self._told(f"the image {name} cannot be looked at"):
            try:
                found = self._docker.images.get(name)
            except errors.ImageNotFound:
                return None
        attributes: dict[str, Any] = found.attrs or {}
        digests = [str(one) for one in attributes.get("RepoDigests") or ()]
        return ImageFacts(digests[0] if digests else str(found.id), int(attributes.get("Size") or 0))

    def pull(self, name: str, tell: Callable[[Pulled], bool]) -> ImageFacts:
        """Pull an image; `tell` returns False to cancel (InterruptedError)."""
        layers: dict[str, tuple[int, int]] = {}
        repository, _, tag = name.rpartition(":")
        with self._told(f"the image {name} cannot be pulled"):
            stream: Iterator[dict[str, Any]] = self._docker.api.pull(
                repository or tag, tag=tag if repository else "latest", stream=True, decode=True
            )
            for line in stream:
                if "error" in line:
                    raise errors.APIError(str(line["error"]))
                detail = line.get("progressDetail") or {}
                if line.get("status") == "Downloading" and "total" in detail:
                    layers[str(line.get("id"))] = (int(detail.get("current", 0)), int(detail["total"]))
                elif line.get("status") == "Download complete" and (known := layers.get(str(line.get("id")))):
                    layers[str(line["id"])] = (known[1], known[1])
                done, total = (
                    (sum(column) for column in zip(*layers.values(), strict=True)) if layers else (0, 0)
                )
                if not tell(Pulled(done, total, visible(str(line.get("status", ""))))):
                    raise InterruptedError(f"the pull of {name} was cancelled")
        found = self.image(name)
        if found is None:
            raise RemoteError(f"the image {name} is not there after the pull", where=self._where)
        return found

    def start(self, spec: ContainerSpec) -> str:
        """Create and start a container; its id. One that cannot start is removed again."""
        mounts = [
            Mount(target=inside, source=outside, type="bind") for outside, inside in spec.mounts.items()
        ]
        gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if spec.gpus else None
        with self._told(f"the container {spec.name} cannot be started"):
            try:
                container = self._docker.containers.create(
                    spec.image,
                    list(spec.argv),
                    name=spec.name,
                    labels={LABEL: spec.run_folder},
                    mounts=mounts,
                    environment=dict(spec.env),
                    device_requests=gpus,
                    # DataLoader workers hand tensors over in shared memory: Docker's 64 MB kills them.
                    ipc_mode="host",
                    # As process 1 Python would ignore SIGTERM.
                    init=True,
                    network_mode="host",
                    detach=True,
                    mem_limit=spec.memory,
                    memswap_limit=spec.memory,
                    ulimits=[docker.types.Ulimit(name="memlock", soft=-1, hard=-1)] if spec.gpus else [],
                )
            except errors.APIError as error:
                if error.status_code == _CONFLICT:
                    raise RemoteError(
                        f"a container named {spec.name} is there already",
                        where=self._where,
                        remedy="Give the run another name, or remove that container if its run is over.",
                    ) from error
                if isinstance(error, errors.ImageNotFound):
                    raise RemoteError(
                        f"the image {spec.image} is not there",
                        where=self._where,
                        remedy=f"Pull it: docker pull {spec.image}",
                    ) from error
                raise
            try:
                container.start()
            except errors.APIError:
                with suppress(errors.APIError):
                    container.remove(force=True)
                raise
        return str(container.id)

    def state(self, name: str) -> ContainerState | None:
        """A container of ours by name; None if there is none."""
        with self._told(f"the container {name} cannot be looked at"):
            try:
                found = self._docker.containers.get(name)
            except errors.NotFound:
                return None
        return _state(found) if LABEL in found.labels else None

    def expect_ours(self, name: str) -> None:
        """Raise RemoteError for a container of that name that is not one of ours."""
        with self._told(f"the container {name} cannot be looked at"):
            self._ours(name)

    def ours(self) -> list[ContainerState]:
        """All containers of ours, running or not."""
        with self._told("containers cannot be listed"):
            found = self._docker.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
            return [_state(container) for container in found]

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to a run; nothing if it is over."""
        with self._told(f"the container {name} cannot be signalled"):
            container = self._ours(name)
            if container is None or not _state(container).running:
                return
            try:
                container.kill(signal)
            except errors.APIError as error:
                if error.status_code != _CONFLICT:  # it has just ended
                    raise

    def remove(self, name: str) -> None:
        """Remove a container of ours whose run is over; nothing if it is not there."""
        with self._told(f"the container {name} cannot be removed"):
            container = self._ours(name)
            if container is not None:
                container.remove(v=True)

    def discard(self, name: str) -> None:
        """Kill and remove a container of ours; nothing if it is not there."""
        with self._told(f"the container {name} cannot be removed"):
            container = self._ours(name)
            if container is not None:
                container.remove(v=True, force=True)

    def _ours(self, name: str) -> Container | None:
        try:
            found = self._docker.containers.get(name)
        except errors.NotFound:
            return None
        if LABEL not in found.labels:
            raise RemoteError(
                f"a container named {name} is there already and is not one of ours",
                where=self._where,
                remedy="Give the run another name, or remove that container yourself.",
            )
        return found

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn the SDK's and the socket's errors into one line with a remedy."""
        try:
            yield
        except errors.APIError as error:
            raise self._trouble(what, str(error.explanation or error), error.status_code) from error
        except (errors.DockerException, OSError) as error:
            if isinstance(error, InterruptedError):
                raise
            raise self._trouble(what, str(error), None) from error

    def _trouble(self, what: str, said: str, status: int | None) -> RemoteError:
        words = visible(" ".join(said.split()))[:300]
        for part, meaning, remedy in _TROUBLE:
            if part in words.lower():
                return RemoteError(f"{what}: {meaning} ({words})", where=self._where, remedy=f"{remedy}.")
        kind = RemoteError if status is not None else UnreachableError
        return kind(f"{what}: {words}", where=self._where)


def _has_nvidia_device(info: Mapping[str, Any]) -> bool:
    devices = info.get("DiscoveredDevices") or ()
    return any("nvidia.com/gpu" in str(device) for device in devices)


def _state(container: Container) -> ContainerState:
    attributes: dict[str, Any] = container.attrs or {}
    state: dict[str, Any] = attributes.get("State") or {}
    status = str(state.get("Status", ""))
    over = status in ("exited", "dead")
    return ContainerState(
        name=str(container.name),
        status=status,
        exit_code=int(state.get("ExitCode", 0)) if over else None,
        oom_killed=state.get("OOMKilled") is True,
        started=_unix(state.get("StartedAt")),
        ended=_unix(state.get("FinishedAt")) if over else None,
        run_folder=str(container.labels.get(LABEL, "")),
    )


def _unix(text: object) -> float | None:
    """Docker's time stamp (nanoseconds, `0001-01-01…` for never) as Unix seconds."""
    if not isinstance(text, str) or text.startswith("0001"):
        return None
    main, _, rest = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{main}.{rest[:6]:0<6}+00:00").timestamp()
    except ValueError:
        return None
