"""What one transcription is to run: places, command and the files around it."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.flywheel.workspace import MANIFEST_FILE, REEVAL_FILE
from clinasr_tui.launch.places import LAUNCH_FILE, WRAPPER_FILE, Places, file_name, model_place
from clinasr_tui.launch.plan import NEMO_IMAGE, Backend
from clinasr_tui.launch.send import Item
from clinasr_tui.nemo_side import audio_check, export_checkpoint, run_and_record, transcribe
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from clinasr_tui.launch.control import RunHandle
    from clinasr_tui.launch.machine import Machine

SPEC_FILE, SCRIPT_FILE = "spec.json", "transcribe.py"
EXPORT_FILE, AUDIO_FILE = "export_checkpoint.py", "audio_check.py"
"""Beside the script, which imports them by these names."""


class EvalPlaces(Places):
    """The places of a transcription: root/<workspace>/evals/<name>/ holds its files, logs and rows."""

    __slots__ = ()

    @property
    def run_dir(self) -> str:
        """The folder of this transcription."""
        return f"{file_name(self.workspace)}/evals/{self.run}"

    @property
    def container(self) -> str:
        """The container's name."""
        return f"clinasr-{file_name(self.workspace)}-eval-{self.run}"


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """One transcription.

    `model` is a pretrained name, a .nemo here, or (`on_host`) the place of one below the root there.
    """

    places: EvalPlaces
    model: str
    audio: str = ""
    """Folder below the root for audio that is sent."""
    trained_by: RunHandle | None = None
    """The run whose weights these are, if they lie where it has them: they change while it trains."""
    on_host: bool = False
    in_place: bool = False
    """True on this machine without a container: audio and model are read where they are."""
    image: str = NEMO_IMAGE
    backend: Backend = Backend.DOCKER
    python: str = "python3"
    """The Python that has NeMo, as the transcription sees it."""
    cpu: bool = False
    best_of: str = ""
    """A run's folder of checkpoints below the root there: the model is made of the best one first."""
    batch_size: int = 0
    """Rows at a time at most; 0 leaves it to the script, which halves what does not fit."""
    retry: bool = False
    """Transcribe the rows anew that failed before; the others stay."""

    def placed(self, machine: Machine) -> EvalPlan:
        """The plan with its root as an absolute path of that machine."""
        inside = self.places.inside if self.backend is Backend.DOCKER else machine.folder
        return replace(self, places=self.places._replace(root=machine.folder, inside=inside))

    @property
    def sent_model(self) -> Path | None:
        """The model's file here, if it has to be sent."""
        sent = self.model.endswith(".nemo") and not self.on_host and not self.in_place
        return typed_path(self.model) if sent else None

    @property
    def model_place(self) -> str:
        """Where a model that is sent goes, relative to the root: where training has it as a base."""
        assert self.sent_model is not None
        return model_place(self.places.workspace, self.sent_model)

    @property
    def model_name(self) -> str:
        """The model as the script is told it."""
        if self.on_host:
            return self.places.seen(self.model)
        if self.sent_model is not None:
            return self.places.seen(self.model_place)
        return str(typed_path(self.model).absolute()) if self.model.endswith(".nemo") else self.model

    @property
    def mounts(self) -> dict[str, str]:
        """Folder on the machine → place in the container; nothing without one."""
        return {self.places.root: self.places.inside} if self.backend is Backend.DOCKER else {}

    @property
    def started_by(self) -> list[str]:
        """What the backend starts: the wrapper that keeps the streams and the exit record."""
        return [self._wrapper_python, self._seen(WRAPPER_FILE), self._seen(LAUNCH_FILE)]

    @property
    def _wrapper_python(self) -> str:
        return "python3" if self.backend is Backend.DOCKER else self.python

    def _seen(self, name: str) -> str:
        return self.places.seen(f"{self.places.run_dir}/{name}")

    @property
    def _made(self) -> list[str]:
        """Folders of what is made there beside the rows."""
        return [self.model.rpartition("/")[0]] if self.best_of else []

    @property
    def spec(self) -> dict[str, Any]:
        """What the script is told."""
        return {
            "model": self.model_name,
            "manifest": self._seen(MANIFEST_FILE),
            "out": self._seen(REEVAL_FILE),
            "batch_size": self.batch_size,
            "device": "cpu" if self.cpu else "auto",
            "retry": self.retry,
            **({"best_of": self.places.seen(self.best_of)} if self.best_of else {}),
        }

    def launch_spec(self, owner: tuple[int, int]) -> dict[str, Any]:
        """What the wrapper is told; `owner` is the operator's user and group on the machine."""
        places = self.places
        in_container = self.backend is Backend.DOCKER
        return {
            "argv": [self.python, self._seen(SCRIPT_FILE), self._seen(SPEC_FILE)],
            "folder": places.seen(places.run_dir),
            # Without a container the operator's own caches serve.
            "env": places.env if in_container else {},
            # Training and transcribing follow each other on a GPU; a CPU is shared.
            "lock": "" if self.cpu else places.seen("gpu.lock"),
            "owner": list(owner),
            "own": [places.seen(place) for place in (places.run_dir, "cache", *self._made)],
        }

    def items(self, manifest: bytes, owner: tuple[int, int]) -> list[Item]:
        """The scripts, what they are told, the rewritten manifest, and the model if it has to be sent."""
        files = {
            WRAPPER_FILE: inspect.getsource(run_and_record).encode(),
            SCRIPT_FILE: inspect.getsource(transcribe).encode(),
            EXPORT_FILE: inspect.getsource(export_checkpoint).encode(),
            AUDIO_FILE: inspect.getsource(audio_check).encode(),
            LAUNCH_FILE: json.dumps(self.launch_spec(owner), indent=1).encode(),
            SPEC_FILE: json.dumps(self.spec, indent=1).encode(),
            MANIFEST_FILE: manifest,
        }
        items = [Item(f"{self.places.run_dir}/{name}", content) for name, content in files.items()]
        if self.sent_model is not None:
            items.append(Item(self.model_place, self.sent_model))
        return items
