"""From what the operator chose to one evaluation: which model, where, and which cycle it becomes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.evaluation.plan import EvalPlaces, EvalPlan
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.nemo_file import read_nemo
from clinasr_tui.flywheel.tuned_models import FETCHED_NAME
from clinasr_tui.flywheel.workspace import RUN_INFO_FILE, open_cycle, open_workspace
from clinasr_tui.launch.control import handle_of
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.places import DEFAULT_ROOT, file_name, program_here
from clinasr_tui.launch.plan import NEMO_IMAGE, Backend
from clinasr_tui.launch.record import read_record
from clinasr_tui.text import typed_path, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clinasr_tui.flywheel.workspace import Cycle, RunRef

EVALS_FOLDER, EVAL_INFO_FILE = "evals", "eval_info.json"
_PRETRAINED = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_CHECKPOINTS = "run/checkpoints"
_HASHED = 1 << 20


@dataclass(frozen=True, slots=True)
class EvalChoices:
    """What the operator chose; "" and None leave it to the run, the workspace or the machine."""

    model: str = ""
    """A pretrained name or a .nemo file; "" is the model of `run`."""
    run: str = ""
    """The run that made the model."""
    best: bool = False
    """The run's best checkpoint instead of its last weights; made into a .nemo on the run's machine."""
    host: str | None = None
    backend: Backend | None = None
    image: str = ""
    root: str = ""
    python: str = ""
    socket: str = ""
    """Where the machine's Docker engine listens."""
    cpu: bool = False
    batch_size: int = 0
    out_cycle: int | None = None
    general: Path | None = None
    """A general set's manifest, transcribed by the same model to measure forgetting."""
    only_general: bool = False
    """Transcribe nothing but the general set, into the cycle itself."""
    again: bool = False
    """Start from nothing although there are rows of an earlier attempt."""
    retry: bool = False
    """Transcribe the rows anew that have no transcript, and only those, although the evaluation is made."""


class Ground(NamedTuple):
    """What a run was launched with, which serves its evaluation too; "" and None where it does not say."""

    backend: Backend | None = None
    image: str = ""
    python: str = ""
    socket: str = ""


class EvalModel(NamedTuple):
    """The model to evaluate."""

    label: str
    model: str
    identity: str
    """Changes with the model's content, as far as it can be told."""
    on_host: bool = False
    run: str = ""
    trained_on: int | None = None
    """The cycle whose split the run was trained on."""
    best_of: str = ""
    """The run's folder of checkpoints, if the model is to be made of the best one."""
    ground: Ground = Ground()


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

    def plan(self, manifest: Path) -> EvalPlan:
        """How one manifest is transcribed; its name is the same for the same model, manifest and machine."""
        choices, backend, ground = self.choices, self.backend, self.model.ground
        bare = ground.backend is Backend.SLURM and backend is Backend.LOCAL
        known = ground.python if bare or backend is ground.backend else ""
        in_place = backend is Backend.LOCAL and self.host is None
        identity = [self.model.identity, _digest(manifest), self.host or "", str(backend), choices.image]
        mark = hashlib.sha256("\n".join(identity).encode("utf-8", "surrogateescape")).hexdigest()[:10]
        name = f"{file_name(self.model.label)[:32]}-{mark}"
        return EvalPlan(
            EvalPlaces(self.root, self.workspace, self.cycle.number, self._numbered(name)),
            self.model.model,
            on_host=self.model.on_host,
            best_of=self.model.best_of,
            in_place=in_place,
            image=choices.image or ground.image or NEMO_IMAGE,
            backend=backend,
            python=_python(choices.python or known, in_place=in_place),
            cpu=choices.cpu,
            batch_size=choices.batch_size,
            retry=choices.retry,
        )

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


def _python(chosen: str, *, in_place: bool) -> str:
    """The Python that has NeMo; on this machine the one that runs us, where the extra `nemo` is installed."""
    if not in_place:
        return chosen or "python3"
    from clinasr_tui.remote.local import LocalHost

    return program_here(chosen) or LocalHost.python


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
    model, host, root = _model_of(cycle, runs, choices)
    baseline = _is_baseline(cycle, model, choices)
    own = baseline or choices.only_general or choices.out_cycle == cycle.number
    number = cycle.number if own else choices.out_cycle or cycle.number + 1
    target = cycle.folder if own else cycle.folder.parent / f"cycle{number}"
    _expect_no_job(choices.backend or model.ground.backend)
    return Evaluation(cycle, name, model, choices, host, root, number, target, baseline)


def _expect_no_job(backend: Backend | None) -> None:
    if backend is Backend.SLURM:
        raise InputError(
            "eval submits nothing to Slurm",
            remedy="Add --backend local: the login node itself then transcribes, on its CPU without a GPU. "
            "Or fetch the model and name another machine (--host)",
        )


def _is_baseline(cycle: Cycle, model: EvalModel, choices: EvalChoices) -> bool:
    if choices.only_general:
        if choices.general is None:
            raise InputError("no general set is named", remedy="Give --general MANIFEST")
        if cycle.general is not None:
            raise InputError(
                "the general set is transcribed already",
                where=str(cycle.general),
                remedy="Remove it first; --retry then does only the rows that failed",
            )
        return False
    own = choices.out_cycle in (None, cycle.number)
    if cycle.hypotheses is None and own and model.run and choices.out_cycle is None:
        raise InputError(
            "the cycle has no transcripts of a base model yet",
            where=str(cycle.folder),
            remedy=f"Transcribe it with the base first (--model BASE), or make this model's transcripts "
            f"the cycle's own (--out-cycle {cycle.number})",
        )
    if cycle.hypotheses is not None and choices.out_cycle == cycle.number:
        raise InputError(
            f"cycle {cycle.number} has transcripts already: {cycle.hypotheses.name}",
            where=str(cycle.folder),
            remedy="Choose another number",
        )
    return cycle.hypotheses is None and own and not model.run


def _model_of(
    cycle: Cycle, runs: tuple[RunRef, ...], choices: EvalChoices
) -> tuple[EvalModel, str | None, str]:
    """The model, the host it is evaluated on, and the root folder there."""
    if choices.best and (choices.model or not choices.run):
        raise InputError("the best checkpoint is a run's", remedy="Give --run NAME, and no --model")
    path = typed_path(choices.model)
    run = _run_of(runs, choices.run or _run_around(cycle, path))
    root = choices.root or DEFAULT_ROOT
    trained_on = run.cycle if run else None
    name = run.name if run else ""
    if not choices.model:
        if run is None:
            raise InputError("no model is named", remedy="Give --model FILE|NAME, or --run NAME")
        return _model_of_run(run, choices)
    if choices.model.endswith(".nemo"):
        if not path.is_file():
            raise InputError(
                "no such model", where=str(path), remedy="Name a .nemo file or a pretrained model"
            )
        if not read_nemo(path).can_transcribe:
            raise InputError(
                "it cannot transcribe: its validation_ds is null, and NeMo's transcribe() fails with that",
                where=str(path),
                remedy="Save the model with a validation_ds",
            )
        label = name if run and path.name == FETCHED_NAME else path.stem
        return EvalModel(label, str(path), _digest(path), run=name, trained_on=trained_on), choices.host, root
    if path.exists() or not _PRETRAINED.fullmatch(choices.model):
        raise InputError(
            f"{visible(choices.model)} is neither a .nemo file nor a pretrained model's name",
            remedy="Name a .nemo file, or a model such as nvidia/parakeet-tdt-0.6b-v2",
        )
    found = EvalModel(choices.model, choices.model, choices.model, run=name, trained_on=trained_on)
    return found, choices.host, root


def _model_of_run(run: RunRef, choices: EvalChoices) -> tuple[EvalModel, str | None, str]:
    """The last weights of a run: where they lie on its machine, or as they were fetched."""
    fetched = run.folder / FETCHED_NAME
    elsewhere = choices.host is not None and choices.host != run.host
    if fetched.is_file() and (elsewhere or run.host is None) and not choices.best:
        found = EvalModel(run.name, str(fetched), _digest(fetched), run=run.name, trained_on=run.cycle)
        return found, choices.host, choices.root or DEFAULT_ROOT
    if elsewhere or not (run.folder / RUN_INFO_FILE).is_file():
        raise InputError(
            f"the model of run {run.name} is not here",
            where=str(run.folder),
            remedy="Fetch it first (clinasr-tui fetch), or name a .nemo file with --model",
        )
    record = read_record(run.folder)
    try:
        handle = handle_of(record)
    except InputError:
        raise InputError(
            f"run {run.name} was not launched from here: where its model lies is not known",
            where=str(run.folder),
            remedy="Bring the .nemo here and name it as the model (--model)",
        ) from None
    root = str(record.get("root"))
    checkpoints = f"{handle.run_dir}/{_CHECKPOINTS}"
    if not checkpoints.startswith(f"{root}/") or choices.root not in ("", root):
        raise InputError(
            f"the model of run {run.name} lies below {visible(root)}",
            remedy="Leave --root out, or fetch the model and name it with --model",
        )
    label = f"{run.name}-best" if choices.best else run.name
    place = f"{handle.run_dir}/best/{label}.nemo" if choices.best else f"{checkpoints}/{handle.run}.nemo"
    found = EvalModel(
        label,
        place.removeprefix(f"{root}/"),
        f"{place}\n{record.get('launched_at')}",
        on_host=True,
        run=run.name,
        trained_on=run.cycle,
        best_of=checkpoints.removeprefix(f"{root}/") if choices.best else "",
        ground=_ground(record),
    )
    return found, run.host, root


def _ground(record: Mapping[str, Any]) -> Ground:
    texts = (record.get(name) for name in ("image", "python", "docker_socket"))
    backend = next((one for one in Backend if one == record["backend"]), None)
    return Ground(backend, *(text if isinstance(text, str) else "" for text in texts))


def _run_of(runs: tuple[RunRef, ...], name: str) -> RunRef | None:
    if not name:
        return None
    found = next((run for run in reversed(runs) if run.name == name), None)
    if found is None:
        known = ", ".join(run.name for run in runs) or "none"
        raise InputError(f"there is no run {visible(name)} in this workspace", remedy=f"Known: {known}")
    return found


def _run_around(cycle: Cycle, model: Path) -> str:
    """The run in whose folder of the workspace a model lies; "" if in none."""
    folder = model.absolute().parent
    return next((run.name for run in cycle.runs if run.folder.absolute() == folder), "")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open_input(path, "file") as stream:
        while chunk := stream.read(_HASHED):
            digest.update(chunk)
    return digest.hexdigest()


def eval_info(folder: Path) -> dict[str, Any]:
    """What a cycle's folder says of its evaluation; {} if nothing."""
    try:
        found = json.loads((folder / EVAL_INFO_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def untranscribed_in(folder: Path) -> int:
    """How many rows of a cycle, and of its general set, have no transcript as its evaluation says."""
    info = eval_info(folder)
    lists = (info.get(name) for name in ("untranscribed", "general_untranscribed"))
    return sum(len(rows) for rows in lists if isinstance(rows, list))
