"""Where a run keeps its files on its machine, and the same places as its container sees them."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from pathlib import Path

INSIDE = "/clinasr"
"""Where the container sees the root folder."""
DEFAULT_ROOT = "~/clinasr"
LAUNCH_FILE, WRAPPER_FILE = "launch.json", "run_and_record.py"
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


def file_name(text: str) -> str:
    """A workspace's name as part of a path or a container's name."""
    return _ODD.sub("-", text).strip("-.")[:48] or "workspace"


def program_here(name: str) -> str:
    """A program of this machine, named from the current folder: a run starts in another one.

    A virtual environment's link is not followed; a bare name stays one.
    """
    return str(typed_path(name).absolute()) if "/" in name else name


def model_place(workspace: str, model: Path) -> str:
    """Where a .nemo file of this machine goes, relative to the root there.

    Each file has a place of its own, and so has each state of it: what another run or evaluation waits to
    load there is never replaced. Many models share a name (`fetch` gives the same one to all).
    """
    try:
        now = model.stat()
        state = f"{now.st_size}\n{now.st_mtime_ns}"
    except OSError:
        state = ""
    mark = hashlib.sha256(f"{model.absolute()}\n{state}".encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{file_name(workspace)}/bases/{file_name(model.stem)}-{mark}.nemo"


class Places(NamedTuple):
    """Paths relative to the root; `at` and `seen` make them whole.

    root/gpu.lock, root/cache/              shared by all runs of the machine
    root/<workspace>/cycle<N>/              audio, each content under a name of its own
    root/<workspace>/runs/<run>/            stdout.log, stderr.log, exit.json, launch.json
    root/<workspace>/runs/<run>/data/       the split as sent for this run
    root/<workspace>/runs/<run>/run/        NeMo's own: event file, checkpoints
    """

    root: str
    """Absolute, on the machine."""
    workspace: str
    cycle: int
    run: str
    inside: str = INSIDE
    """The root as the run's process sees it; the root itself where there is no container."""

    @property
    def data(self) -> str:
        """The cycle's audio."""
        return f"{file_name(self.workspace)}/cycle{self.cycle}"

    @property
    def run_dir(self) -> str:
        """The run's folder, which is the one that is watched."""
        return f"{file_name(self.workspace)}/runs/{self.run}"

    @property
    def split(self) -> str:
        """The run's split: what is launched later never takes its place."""
        return f"{self.run_dir}/data"

    @property
    def nemo_dir(self) -> str:
        """NeMo's folder: on a resume it moves every other file it finds there, so none of ours may be."""
        return f"{self.run_dir}/run"

    @property
    def container(self) -> str:
        """The container's name."""
        return f"clinasr-{file_name(self.workspace)}-{self.run}"

    def at(self, path: str) -> str:
        """A relative path on the machine."""
        return f"{self.root}/{path}"

    def seen(self, path: str) -> str:
        """The same as the run's process sees it."""
        return f"{self.inside}/{path}"

    @property
    def env(self) -> dict[str, str]:
        """Caches in one place, so that no run downloads what another has."""
        cache = self.seen("cache")
        return {
            "HF_HOME": f"{cache}/huggingface",
            "NEMO_CACHE_DIR": f"{cache}/nemo",
            "TORCH_HOME": f"{cache}/torch",
            "XDG_CACHE_HOME": cache,
        }
