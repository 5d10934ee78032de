"""From what the operator chose to one evaluation: the model, the machine, and which cycle it becomes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import ChoiceError, InputError
from clinasr_tui.evaluation.models import model_of
from clinasr_tui.evaluation.plan import EvalPlaces, EvalPlan
from clinasr_tui.flywheel.files import sha256_of
from clinasr_tui.flywheel.workspace import open_cycle, open_workspace
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.nemo_python import python_of
from clinasr_tui.launch.places import file_name
from clinasr_tui.launch.plan import NEMO_IMAGE, Backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.evaluation.choices import EvalChoices
    from clinasr_tui.evaluation.models import EvalModel
    from clinasr_tui.flywheel.workspace import Cycle

EVALS_FOLDER, EVAL_INFO_FILE = "evals", "eval_info.json"
_ATTEMPT = re.compile(r"(?<=-[0-9a-f]{10})-[0-9]+$")


class Transcribed(NamedTuple):
    """One manifest of an evaluation, as it was when that was prepared."""

    manifest: Path
    sha256: str
    """Of its bytes."""
    name: str
    """Of its transcription: the same for the same model, rows and machine, but for the attempt's number."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation, ready to be made."""

    cycle: Cycle
    workspace: str
    model: EvalModel
    choices: EvalChoices
    host: str | None
    root: str
    number: int
    """The cycle it is written as."""
    folder: Path
    """Of that cycle."""
    baseline: bool
    """True if it becomes the transcripts of the cycle itself."""
    parts: tuple[Transcribed, ...] = ()
    """The cycle's rows, then the general set, as far as they are transcribed. Neither a file that changes nor
    an attempt that begins makes others of them."""

    @property
    def names(self) -> list[str]:
        """Names of its transcriptions."""
        return [part.name for part in self.parts]

    def is_made_of(self, names: object) -> bool:
        """True for the transcriptions of the same model, rows and machine, whichever attempt gave them."""
        return isinstance(names, list) and _unnumbered(names) == _unnumbered(self.names)

    def as_made(self, names: object) -> Evaluation:
        """The same, with the attempts that gave what is made, if `names` are such."""
        if not (isinstance(names, list) and self.is_made_of(names)):
            return self
        parts = (part._replace(name=str(name)) for part, name in zip(self.parts, names, strict=True))
        return replace(self, parts=tuple(parts))

    @property
    def manifest(self) -> Path:
        """What is transcribed."""
        assert self.cycle.manifest is not None
        return self.cycle.manifest

    @property
    def is_of_unknown_run(self) -> bool:
        """True if it is not said which run made the model: held-out rows are those of the newest split."""
        return not (self.baseline or self.choices.only_general or self.model.run)

    @property
    def lacks_general(self) -> bool:
        """True if forgetting cannot be told: the base's transcripts of the general set are not there."""
        choices = self.choices
        wanted = choices.general is not None and not choices.only_general
        return wanted and not self.baseline and self.cycle.general is None

    @property
    def backend(self) -> Backend:
        """The one chosen, else the run's, else Docker on a host and none here."""
        default = Backend.DOCKER if self.host else Backend.LOCAL
        return self.choices.backend or self.model.ground.backend or default

    @property
    def socket(self) -> str:
        """Where Docker listens there."""
        return self.choices.socket or self.model.ground.socket or DOCKER_SOCKET

    def plan(self, part: Transcribed) -> EvalPlan:
        """How one manifest is transcribed."""
        choices, backend, ground = self.choices, self.backend, self.model.ground
        bare = ground.backend is Backend.SLURM and backend is Backend.LOCAL
        known = ground.python if bare or backend is ground.backend else ""
        in_place = backend is Backend.LOCAL and self.host is None
        places = EvalPlaces(self.root, self.workspace, self.cycle.number, part.name)
        return EvalPlan(
            places,
            self.model.model,
            audio=self._audio_folder(part.manifest, places),
            trained_by=self.model.trained_by,
            on_host=self.model.on_host,
            best_of=self.model.best_of,
            in_place=in_place,
            image=choices.image or ground.image or NEMO_IMAGE,
            backend=backend,
            python=python_of(choices.python or known, backend, self.host),
            cpu=choices.cpu,
            batch_size=choices.batch_size,
            retry=choices.retry,
        )

    def _audio_folder(self, manifest: Path, places: EvalPlaces) -> str:
        """Below the root there: other manifests' audio never takes the place of the cycle's."""
        folder = manifest.parent.resolve()
        if folder == self.cycle.folder.resolve():
            return places.data
        mark = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:10]
        return f"{file_name(self.workspace)}/audio/{file_name(folder.name)}-{mark}"

    def part_of(self, manifest: Path) -> Transcribed:
        """A manifest as it is now. Reads it, blocks; raises InputError."""
        digest = sha256_of(manifest, "manifest")
        identity = [self.model.identity, digest, self.host or "", str(self.backend), self.choices.image]
        mark = hashlib.sha256("\n".join(identity).encode("utf-8", "surrogateescape")).hexdigest()[:10]
        name = f"{file_name(self.model.label)[:32]}-{mark}"
        return Transcribed(manifest, digest, self._numbered(name))

    def _numbered(self, name: str) -> str:
        """The newest attempt's name, with `again` one further."""
        folder = self.cycle.folder / EVALS_FOLDER
        number = 1
        while (folder / _attempt(name, number + 1)).exists():
            number += 1
        if self.choices.again and (folder / _attempt(name, number)).exists():
            number += 1
        return _attempt(name, number)

    def local_folder(self, plan: EvalPlan) -> Path:
        """Where this workspace keeps what it knows of the transcription."""
        return self.cycle.folder / EVALS_FOLDER / plan.places.run


def _attempt(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _unnumbered(names: Sequence[object]) -> list[str]:
    return [_ATTEMPT.sub("", str(name)) for name in names]


def prepare(folder: Path, choices: EvalChoices) -> Evaluation:
    """Look at the cycle and the model, decide what the evaluation becomes. Reads files, blocks.

    A cycle without transcripts takes a base model's as its own (`per_sample.json`); else they become the next
    cycle. Raises InputError for what cannot be evaluated, and for a cycle that is there already.
    """
    cycle = open_cycle(folder)
    if cycle.manifest is None and not choices.only_general:
        raise InputError("no manifest: there is nothing to transcribe", where=str(folder))
    around = cycle.folder.absolute().parent
    try:
        workspace = open_workspace(around)
        name, runs = workspace.name, workspace.runs
    except InputError:
        name, runs = around.name, cycle.runs
    model, host, root = model_of(cycle, runs, choices)
    baseline = _is_baseline(cycle, model, choices)
    own = baseline or choices.only_general or choices.out_cycle == cycle.number
    number = cycle.number if own else choices.out_cycle or cycle.number + 1
    target = cycle.folder if own else cycle.folder.parent / f"cycle{number}"
    _expect_no_job(choices.backend or model.ground.backend)
    found = Evaluation(cycle, name, model, choices, host, root, number, target, baseline)
    every = (None if choices.only_general else found.manifest, choices.general)
    return replace(found, parts=tuple(found.part_of(one) for one in every if one is not None))


def _expect_no_job(backend: Backend | None) -> None:
    if backend is Backend.SLURM:
        raise ChoiceError(
            "nothing is submitted to Slurm to be transcribed",
            choice="backend",
            remedy="Take the backend local: the login node then transcribes, on its CPU without a GPU. "
            "Or fetch the model and name another machine",
            option="--backend local; fetch, --host",
        )


def _is_baseline(cycle: Cycle, model: EvalModel, choices: EvalChoices) -> bool:
    if choices.only_general:
        if choices.general is None:
            raise ChoiceError(
                "no general set is named",
                choice="general",
                remedy="Name its manifest",
                option="--general MANIFEST",
            )
        if cycle.general is not None and not choices.retry:
            raise ChoiceError(
                "the general set is transcribed already",
                choice="only_general",
                where=str(cycle.general),
                remedy="To do it anew, remove it first",
                option="--retry does just the rows that failed",
            )
        return False
    own = choices.out_cycle in (None, cycle.number)
    if cycle.hypotheses is None and own and model.run and choices.out_cycle is None:
        raise ChoiceError(
            "the cycle has no transcripts of a base model yet",
            choice="model",
            where=str(cycle.folder),
            remedy=f"Transcribe it with the base first, or make this model's transcripts its own: as cycle "
            f"{cycle.number}",
            option=f"--model BASE; --out-cycle {cycle.number}",
        )
    if cycle.hypotheses is not None and choices.out_cycle == cycle.number:
        raise ChoiceError(
            f"cycle {cycle.number} has transcripts already: {cycle.hypotheses.name}",
            choice="out_cycle",
            where=str(cycle.folder),
            remedy="Choose another number",
            option="--out-cycle",
        )
    return cycle.hypotheses is None and own and not model.run


def eval_info(folder: Path) -> dict[str, Any]:
    """What a cycle's folder says of its evaluation; {} if nothing."""
    try:
        found = json.loads((folder / EVAL_INFO_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def made_of(folder: Path) -> object:
    """Names of the transcriptions a cycle was made of, as its folder says; None if it does not."""
    return eval_info(folder).get("evaluations")


def untranscribed_in(folder: Path) -> int:
    """How many rows of a cycle, and of its general set, have no transcript as its evaluation says."""
    info = eval_info(folder)
    lists = (info.get(name) for name in ("untranscribed", "general_untranscribed"))
    return sum(len(rows) for rows in lists if isinstance(rows, list))
