"""What was chosen for an evaluation that has begun, kept until it is made: the next start goes on with it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import InputError
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.prepare import EVALS_FOLDER
from clinasr_tui.flywheel.files import write_atomically
from clinasr_tui.launch.plan import Backend
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from clinasr_tui.evaluation.prepare import Evaluation

_FILE = "begun.json"
_TEXTS = {"model", "run", "image", "root", "python", "socket"}


def note_begun(evaluation: Evaluation) -> None:
    """Keep the choices beside the cycle's transcriptions. Raises InputError if that cannot be written."""
    choices = evaluation.choices
    model, general = choices.model, choices.general
    # A path must mean the same wherever the program is started next.
    whole = replace(
        choices,
        model=str(typed_path(model).absolute()) if model.endswith(".nemo") else model,
        general=None if general is None else typed_path(general).absolute(),
        again=False,
    )
    place = evaluation.cycle.folder / EVALS_FOLDER / _FILE
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, (json.dumps(asdict(whole), indent=1, default=str) + "\n").encode())
    except OSError as error:
        what = f"the workspace cannot be written ({error.strerror})"
        raise InputError(what, where=str(place), remedy="Make it writable") from error


def forget_begun(evaluation: Evaluation) -> None:
    """It is made."""
    with suppress(OSError):
        (evaluation.cycle.folder / EVALS_FOLDER / _FILE).unlink()


def begun(folder: Path) -> EvalChoices | None:
    """The choices of the evaluation of a cycle's folder that has begun and is not made; None without one."""
    try:
        said = json.loads((folder / EVALS_FOLDER / _FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    given: dict[str, Any] = {}
    for name in (one.name for one in fields(EvalChoices)):
        value = said.get(name)
        if name in _TEXTS or name == "host":
            given |= {name: value} if isinstance(value, str) else {}
        elif name == "backend":
            given |= {name: Backend(value)} if value in set(Backend) else {}
        elif name == "general":
            given |= {name: Path(value)} if isinstance(value, str) else {}
        elif name in ("batch_size", "out_cycle"):
            given |= {name: value} if type(value) is int and value >= 0 else {}
        elif isinstance(value, bool):
            given[name] = value
    return EvalChoices(**given)
