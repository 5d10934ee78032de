"""Which model is evaluated and where it lies: a file, a pretrained name, or what a run left there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import ChoiceError, InputError
from clinasr_tui.flywheel.files import sha256_of
from clinasr_tui.flywheel.nemo_file import read_nemo
from clinasr_tui.flywheel.tuned_models import FETCHED_NAME
from clinasr_tui.flywheel.workspace import RUN_INFO_FILE
from clinasr_tui.launch.control import handle_of
from clinasr_tui.launch.places import DEFAULT_ROOT
from clinasr_tui.launch.plan import Backend
from clinasr_tui.launch.record import read_record
from clinasr_tui.text import typed_path, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clinasr_tui.evaluation.choices import EvalChoices
    from clinasr_tui.flywheel.workspace import Cycle, RunRef
    from clinasr_tui.launch.control import RunHandle

_PRETRAINED = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_CHECKPOINTS = "run/checkpoints"


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
    trained_by: RunHandle | None = None
    """The run whose weights these are, where it has them."""


def model_of(
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
            raise ChoiceError(
                "no model is named",
                choice="model",
                remedy="Name a .nemo file, a pretrained model or a run",
                option="--model FILE|NAME, --run NAME",
            )
        return _model_of_run(run, choices)
    if choices.model.endswith(".nemo"):
        if not path.is_file():
            raise ChoiceError(
                "no such model",
                choice="model",
                where=str(path),
                remedy="Name a .nemo file or a pretrained model",
                option="--model FILE|NAME",
            )
        if not read_nemo(path).can_transcribe:
            raise ChoiceError(
                "it cannot transcribe: its config has no validation_ds, and NeMo's transcribe() needs one",
                choice="model",
                where=str(path),
                remedy="Name a model that was saved with a validation_ds",
                option="--model",
            )
        label = name if run and path.name == FETCHED_NAME else path.stem
        mark = sha256_of(path, "model")
        return EvalModel(label, str(path), mark, run=name, trained_on=trained_on), choices.host, root
    if path.exists() or not _PRETRAINED.fullmatch(choices.model):
        raise ChoiceError(
            f"{visible(choices.model)} is neither a .nemo file nor a pretrained model's name",
            choice="model",
            remedy="Name a .nemo file, or a model such as nvidia/parakeet-tdt-0.6b-v2",
            option="--model",
        )
    found = EvalModel(choices.model, choices.model, choices.model, run=name, trained_on=trained_on)
    return found, choices.host, root


def _model_of_run(run: RunRef, choices: EvalChoices) -> tuple[EvalModel, str | None, str]:
    """The last weights of a run: where they lie on its machine, or as they were fetched."""
    fetched = run.folder / FETCHED_NAME
    elsewhere = choices.host is not None and choices.host != run.host
    if fetched.is_file() and (elsewhere or run.host is None) and not choices.best:
        mark = sha256_of(fetched, "model")
        found = EvalModel(run.name, str(fetched), mark, run=run.name, trained_on=run.cycle)
        return found, choices.host, choices.root or DEFAULT_ROOT
    if elsewhere or not (run.folder / RUN_INFO_FILE).is_file():
        raise ChoiceError(
            f"the model of run {run.name} is not here",
            choice="model",
            where=str(run.folder),
            remedy="Fetch it first, or name a .nemo file",
            option="clinasr-tui fetch; --model",
        )
    record = read_record(run.folder)
    try:
        handle = handle_of(record)
    except InputError:
        raise ChoiceError(
            f"run {run.name} was not launched from here: where its model lies is not known",
            choice="model",
            where=str(run.folder),
            remedy="Bring the .nemo here and name it as the model",
            option="--model",
        ) from None
    root = str(record.get("root"))
    checkpoints = f"{handle.run_dir}/{_CHECKPOINTS}"
    if not checkpoints.startswith(f"{root}/") or choices.root not in ("", root):
        raise ChoiceError(
            f"the model of run {run.name} lies below {visible(root)}",
            choice="root",
            remedy="Leave the folder there as it is proposed, or fetch the model and name it",
            option="without --root; --model",
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
        trained_by=handle,
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
