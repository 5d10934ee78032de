"""What one launch is to run: command, container and the files around them, from the operator's choices."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.flywheel.overrides import SCRIPT, SCRIPT_FOLDER, RunFiles, command, overrides
from clinasr_tui.flywheel.split import TRAIN_FILE, VALIDATION_FILE
from clinasr_tui.launch.places import LAUNCH_FILE, WRAPPER_FILE, Places, model_place
from clinasr_tui.launch.send import Item
from clinasr_tui.launch.slurm_batch import NO_OPTIONS, SCRIPT_FILE, SlurmOptions, sbatch, script, spec_of_job
from clinasr_tui.nemo_side import run_and_record
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from clinasr_tui.flywheel.recipe import Gpu, Recipe
    from clinasr_tui.launch.machine import Machine

NEMO_IMAGE = "nvcr.io/nvidia/nemo:25.11.01"


class Backend(StrEnum):
    """What starts the run on its machine."""

    DOCKER = "docker"
    LOCAL = "local"
    """A process of its own beside a NeMo checkout, without a container."""
    SLURM = "slurm"
    """A job of a cluster, submitted from a login node, beside a NeMo checkout on its shared disk."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One launch. `base` is a pretrained name or the path of a .nemo on this machine."""

    places: Places
    base: str
    recipe: Recipe
    image: str = NEMO_IMAGE
    backend: Backend = Backend.DOCKER
    python: str = "python3"
    """The Python that has NeMo, as the run sees it."""
    nemo_root: str = ""
    """A NeMo checkout, as the run sees it; "" is the container's."""
    cpu: bool = False
    resume: bool = False
    slurm: SlurmOptions = NO_OPTIONS
    """Options of sbatch."""

    @property
    def goes_on(self) -> bool:
        """Whether the script looks for a checkpoint to go on from: a job may be started again by Slurm."""
        return self.resume or self.backend is Backend.SLURM

    def gpus_of(self, machine: Machine) -> tuple[Gpu, ...]:
        """The GPUs it will have, as far as they are known: a login node's are not the job's."""
        return () if self.backend is Backend.SLURM else machine.gpus

    @property
    def base_file(self) -> Path | None:
        """The base's file, if it is one."""
        return typed_path(self.base) if self.base.endswith(".nemo") else None

    @property
    def base_place(self) -> str:
        """Where a base's file goes, relative to the root."""
        assert self.base_file is not None
        return model_place(self.places.workspace, self.base_file)

    @property
    def files(self) -> RunFiles:
        """The run's files as its process sees them."""
        places = self.places
        files = RunFiles(
            places.seen(f"{places.split}/{TRAIN_FILE}"),
            places.seen(f"{places.split}/{VALIDATION_FILE}"),
            places.seen(places.nemo_dir),
        )
        root = self.nemo_root.rstrip("/")
        return files._replace(script=f"{root}/{SCRIPT_FOLDER}/{SCRIPT}") if root else files

    @property
    def base_name(self) -> str:
        """The base as the script is told it."""
        return self.base if self.base_file is None else self.places.seen(self.base_place)

    @property
    def overrides(self) -> list[str]:
        """The script's Hydra overrides."""
        run = self.places.run
        return overrides(self.recipe, self.base_name, self.files, name=run, resume=self.goes_on, cpu=self.cpu)

    @property
    def command(self) -> list[str]:
        """The script's whole command."""
        return command(
            self.recipe,
            self.base_name,
            self.files,
            name=self.places.run,
            resume=self.goes_on,
            cpu=self.cpu,
            python=self.python,
        )

    @property
    def mounts(self) -> dict[str, str]:
        """Folder on the machine → place in the container; nothing without one."""
        return {self.places.root: self.places.inside} if self.backend is Backend.DOCKER else {}

    @property
    def wrapped(self) -> list[str]:
        """The wrapper that keeps the streams and the exit record."""
        run = self.places.run_dir
        python = "python3" if self.backend is Backend.DOCKER else self.python
        return [
            python,
            self.places.seen(f"{run}/{WRAPPER_FILE}"),
            self.places.seen(f"{run}/{LAUNCH_FILE}"),
        ]

    @property
    def started_by(self) -> list[str]:
        """What the backend starts: the wrapper, or what submits it."""
        if self.backend is not Backend.SLURM:
            return self.wrapped
        places, devices = self.places, self.recipe.devices
        return sbatch(places.container, places.at(places.run_dir), self.slurm, devices=devices, cpu=self.cpu)

    @property
    def script(self) -> str | None:
        """The batch script, for Slurm."""
        if self.backend is not Backend.SLURM:
            return None
        return script(self.places.run, self.places.at(self.places.run_dir), self.wrapped)

    def launch_spec(self, owner: tuple[int, int]) -> dict[str, Any]:
        """What the wrapper is told; `owner` is the operator's user and group on the machine."""
        places = self.places
        return {
            "argv": self.command,
            "folder": places.seen(places.run_dir),
            "env": places.env,
            "lock": places.seen("gpu.lock"),
            "owner": list(owner),
            "own": [places.seen(places.run_dir), places.seen("cache")],
            **(spec_of_job() if self.backend is Backend.SLURM else {}),
        }

    def launch_items(self, owner: tuple[int, int]) -> list[Item]:
        """The wrapper, what it is told, and the base if it is a file."""
        places = self.places
        spec = json.dumps(self.launch_spec(owner), indent=1).encode()
        items = [
            Item(f"{places.run_dir}/{WRAPPER_FILE}", inspect.getsource(run_and_record).encode()),
            Item(f"{places.run_dir}/{LAUNCH_FILE}", spec),
        ]
        if self.script is not None:
            items.append(Item(f"{places.run_dir}/{SCRIPT_FILE}", self.script.encode()))
        if self.base_file is not None:
            items.append(Item(self.base_place, self.base_file))
        return items
