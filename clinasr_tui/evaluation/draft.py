"""An evaluation as it is being set up: what is proposed, the choices so far, what it would become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import ChoiceError, InputError
from clinasr_tui.evaluation.begun import begun
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.evaluate import made_before
from clinasr_tui.evaluation.prepare import EVALS_FOLDER, Evaluation, made_of, prepare, untranscribed_in
from clinasr_tui.evaluation.transcription import has_begun, known_python
from clinasr_tui.flywheel.bases import DEFAULT_BASE
from clinasr_tui.flywheel.files import open_input
from clinasr_tui.flywheel.tuned_models import FETCHED_NAME, tuned_models
from clinasr_tui.launch.draft import THIS_MACHINE, Field
from clinasr_tui.launch.places import DEFAULT_ROOT
from clinasr_tui.launch.plan import Backend
from clinasr_tui.nemo_side import NEMO_INSTALL
from clinasr_tui.remote.local import LocalHost
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from clinasr_tui.evaluation.plan import EvalPlan
    from clinasr_tui.flywheel.workspace import Cycle, RunRef, Workspace

FIELDS = (
    Field(
        "model",
        "model",
        "What transcribes: the tuned model of a run (its last weights, or the checkpoint with the lowest "
        "val_wer), a .nemo file of this machine, or a pretrained name. A cycle without transcripts begins "
        "with the base, so that there is something to compare with.",
    ),
    Field(
        "place",
        "machine",
        "Where NeMo runs. A run's model is best heard where it lies: nothing has to be fetched or sent. "
        "Anywhere else it has to be fetched first (F on Watch).",
    ),
    Field(
        "backend",
        "backend",
        "docker runs NVIDIA's NeMo container. local starts a process of a Python that has NeMo.",
    ),
    Field(
        "cpu", "device", "A GPU is used if there is one; a container wants one. A CPU gives the same text."
    ),
    Field("python", "Python", f"The Python there that has NeMo: {NEMO_INSTALL}."),
    Field("image", "image", "NVIDIA's container; it is pulled if it is not there."),
    Field("socket", "Docker socket", "Where the machine's Docker engine listens: another one if rootless."),
    Field("root", "folder there", "Rows, audio and the model cache stay below it, so nothing is sent twice."),
    Field(
        "batch_size",
        "batch size",
        "Rows at a time. Left alone it is 32 on a GPU, 8 on a CPU. What does not fit into memory is halved.",
    ),
    Field(
        "general",
        "general set",
        "A manifest of general speech, transcribed too: did the model forget what it knew? The base's "
        "transcripts of it are wanted as well.",
    ),
    Field(
        "only_general",
        "transcribe",
        "The general set alone goes into the cycle itself: what its base says of it.",
    ),
    Field("out_cycle", "as cycle", "Its number. One that is there already is never overwritten."),
    Field(
        "again",
        "earlier rows",
        "go on: rows an earlier start has done are not done again. start over: everything is done again.",
    ),
)
_PROPOSED = {
    "place": THIS_MACHINE,
    "backend": "by machine",
    "batch_size": "by memory",
    "general": "none",
    "root": DEFAULT_ROOT,
    "out_cycle": "the next one",
}
"""What a field is without a choice, whatever model and machine are."""
_ONLY = {"image": Backend.DOCKER, "socket": Backend.DOCKER, "python": Backend.LOCAL}


class ModelChoice(NamedTuple):
    """A model that can be chosen: a run's, or a file's or pretrained name."""

    label: str
    run: str = ""
    best: bool = False
    model: str = ""


class Standing(NamedTuple):
    """What an evaluation as chosen would be."""

    evaluation: Evaluation
    plan: EvalPlan
    """Of its first transcription."""
    rows: int
    """Of the manifest and of the general set, as far as they are transcribed."""
    made: bool
    """True if just this one is written already."""
    failed: int
    """Its rows without a transcript, if it is."""
    begun: bool
    """True if an earlier start left something to go on with."""
    lacks_nemo: bool
    """True if NeMo is to run in the Python of this program, and is not there."""


@dataclass(frozen=True, slots=True)
class EvalDraft:
    """An evaluation that may be started. Choices are as `prepare` takes them, but for the machine."""

    workspace: Workspace
    cycle: Cycle
    choices: EvalChoices
    place: str = ""
    """The machine chosen, `THIS_MACHINE` or a host; "" is the run's own, else this one."""
    standing: Standing | None = None
    """What it would be, as far as that is known."""

    @property
    def model(self) -> ModelChoice:
        """The model chosen."""
        choices = self.choices
        known = (one for one in models(self.workspace, self.cycle) if _is(one, choices))
        return next(known, ModelChoice(choices.model, choices.run, choices.best, choices.model))

    @property
    def run(self) -> RunRef | None:
        """The run whose model is chosen."""
        name = self.choices.run
        return next((run for run in reversed(self.workspace.runs) if run.name == name), None)

    @property
    def asked(self) -> EvalChoices:
        """The choices as `prepare` takes them. Raises InputError for a model that is not on that machine."""
        place, run, choices = self.place, self.run, self.choices
        choices = replace(choices, host=place if place != THIS_MACHINE else None) if place else choices
        if place != THIS_MACHINE or run is None or run.host is None or choices.model:
            return choices
        fetched = run.folder / FETCHED_NAME
        if choices.best or not fetched.is_file():
            what = "best checkpoint" if choices.best else "model"
            raise ChoiceError(
                f"the {what} of run {run.name} is on {run.host}, not here",
                choice="place",
                remedy=f"Evaluate it on {run.host}"
                + ("" if choices.best else ", or fetch it first (F on Watch)"),
                option=f"--host {run.host}",
            )
        return replace(choices, model=str(fetched))

    # --- fields --------------------------------------------------------------------------------

    def fields(self) -> tuple[Field, ...]:
        """The fields that mean something with what is chosen."""
        backend = self.standing.evaluation.backend if self.standing else self.choices.backend
        shown = (one for one in FIELDS if _ONLY.get(one.name, backend) is backend)
        return tuple(one for one in shown if one.name != "only_general" or self.choices.general is not None)

    def is_fixed(self, name: str) -> bool:
        """Nothing is."""
        return False

    def is_set(self, name: str) -> bool:
        """True for what was chosen by hand."""
        if name in ("place", "model"):
            return name == "place" and bool(self.place)
        return bool(getattr(self.choices, name))

    def having(self, name: str, value: Any) -> EvalDraft:
        """The draft with a field's value; None takes a choice back."""
        choices = self.choices
        if name == "place":
            return replace(self, place=value or "")
        if name == "model":
            one = value or proposal(self.workspace, self.cycle)
            if isinstance(one, str):
                one = ModelChoice(one, model=one)
            return replace(self, choices=replace(choices, run=one.run, best=one.best, model=one.model))
        if value is None:
            value = getattr(EvalChoices(), name)
        changed = replace(choices, **{name: value})
        if name == "general" and value is None:
            changed = replace(changed, only_general=False)
        return replace(self, choices=changed)

    def values(self, name: str) -> tuple[Any, ...]:
        """All values of a field that has only a few; () for one that is typed or a machine's."""
        if name == "model":
            return models(self.workspace, self.cycle)
        few = {
            "backend": (Backend.DOCKER, Backend.LOCAL),
            **dict.fromkeys(("cpu", "only_general", "again"), (False, True)),
        }
        return few.get(name, ())

    def beside(self, name: str, step: int) -> Any:
        """The next number; what has a few values has them in `values`."""
        if name == "batch_size":
            now = self.choices.batch_size or 8
            return max(1, now * 2 if step > 0 else now // 2)
        return None

    def shown(self, name: str, value: Any) -> str:
        """One of a field's few values as `text` shows it."""
        if name == "model":
            return str(value.label)
        words = {
            "cpu": ("GPU if there is one", "CPU"),
            "only_general": ("rows and general set", "only the general set"),
            "again": ("go on", "start over"),
        }
        return words[name][bool(value)] if name in words else str(value)

    def text(self, name: str) -> str:
        """A field's value as it is shown and typed; of what is not chosen, what was found for it."""
        choices, standing = self.choices, self.standing
        if name == "cpu" and not choices.cpu and standing and standing.evaluation.backend is Backend.DOCKER:
            return "GPU"
        if name in ("cpu", "only_general", "again"):
            return self.shown(name, getattr(choices, name))
        if name == "model":
            return self.model.label
        chosen = self.place if name == "place" else getattr(choices, name, None)
        if chosen:
            return str(chosen)
        if standing is not None:
            return _found(name, standing)
        host = self.run.host if self.run is not None else None
        return host if name == "place" and host is not None else _PROPOSED.get(name, "")


def _found(name: str, standing: Standing) -> str:
    """What a field is without a choice."""
    evaluation, plan = standing.evaluation, standing.plan
    found = {
        "place": evaluation.host or THIS_MACHINE,
        "backend": str(evaluation.backend),
        "out_cycle": str(evaluation.number),
        "root": evaluation.root,
        "python": plan.python,
        "image": plan.image,
        "socket": evaluation.socket,
    }
    return found.get(name) or _PROPOSED[name]


def models(workspace: Workspace, cycle: Cycle) -> tuple[ModelChoice, ...]:
    """The models there are: of the cycle's runs, newest first, of other cycles', lone files, the base."""
    newest = workspace.runs[::-1]
    runs = sorted(newest, key=lambda run: run.cycle != cycle.number)
    found = []
    for run in runs:
        of = "" if run.cycle == cycle.number else f", cycle {run.cycle}"
        found.append(ModelChoice(f"{run.name}{of}, last weights", run.name))
        if isinstance(run.info.get("backend"), str):
            found.append(ModelChoice(f"{run.name}{of}, best checkpoint", run.name, best=True))
    names = {run.name for run in runs}
    lone = (one for one in tuned_models(workspace) if one.run not in names)
    found += [ModelChoice(f"{one.run}: {one.path.name}", model=str(one.path)) for one in lone]
    base = workspace.settings.base or DEFAULT_BASE
    label = Path(base).name if base.endswith(".nemo") else base
    return (*found, ModelChoice(f"{label}, the base", model=base))


def _is(one: ModelChoice, choices: EvalChoices) -> bool:
    if choices.model:
        return one.model == choices.model
    return (one.run, one.best) == (choices.run, choices.best)


def proposal(workspace: Workspace, cycle: Cycle, run: str = "") -> ModelChoice:
    """The model that is due: of the run that is asked for, of the cycle's newest one, or before any
    transcripts the base (method, section 3 before 7)."""
    every = models(workspace, cycle)
    if cycle.hypotheses is None and not run:
        return every[-1]
    return next((one for one in every if one.run == run), every[0]) if run else every[0]


def draft_of(workspace: Workspace, cycle: Cycle, run: str = "") -> EvalDraft:
    """What is proposed for a cycle: what has begun and is not made, else the model that is due.

    With the Python that had NeMo last time, if that was on this machine. Reads small files.
    """
    earlier = begun(cycle.folder)
    if earlier is not None and run in ("", earlier.run):
        is_fetched = bool(earlier.run) and Path(earlier.model).name == FETCHED_NAME
        choices = replace(earlier, host=None, model="" if is_fetched else earlier.model)
        return EvalDraft(workspace, cycle, choices, earlier.host or (THIS_MACHINE if is_fetched else ""))
    draft = EvalDraft(workspace, cycle, EvalChoices()).having("model", proposal(workspace, cycle, run))
    known = known_python([one.folder / EVALS_FOLDER for one in workspace.cycles])
    here = draft.run is None or draft.run.host is None
    return draft.having("python", known) if known and here else draft


def assess(draft: EvalDraft) -> Standing:
    """What the evaluation would be. Reads and hashes files, blocks; errors as `prepare`.

    Where another evaluation stands in the place of the next cycle, the number after the last one is taken.
    """
    asked = draft.asked
    evaluation = prepare(draft.cycle.folder, asked)
    cycles = draft.workspace.cycles
    if asked.out_cycle is None and evaluation.folder != evaluation.cycle.folder:
        later = [one for one in cycles if one.number > draft.cycle.number and not one.is_empty]
        made_there = (one.number for one in later if evaluation.is_made_of(made_of(one.folder)))
        same = None if asked.again else next(made_there, None)
        taken = any(one.number == evaluation.number for one in later)
        if same or (taken and not evaluation.is_made_of(made_of(draft.cycle.folder))):
            number = same or max(one.number for one in cycles) + 1
            evaluation = prepare(draft.cycle.folder, replace(asked, out_cycle=number))
    evaluation, made = made_before(evaluation)
    plan = evaluation.plan(evaluation.parts[0])
    return Standing(
        evaluation,
        plan,
        sum(_rows(part.manifest) for part in evaluation.parts),
        made,
        untranscribed_in(evaluation.folder) if made else 0,
        not made
        and any(has_begun(evaluation.cycle.folder / EVALS_FOLDER / name) for name in evaluation.names),
        plan.in_place and plan.python == LocalHost.python and find_spec("nemo") is None,
    )


def _rows(manifest: Path) -> int:
    with open_input(manifest, "manifest") as stream:
        return sum(1 for line in stream if line.strip())


def parsed(name: str, text: str) -> Any:
    """What was typed for a field; "" takes the choice back (None). Raises InputError."""
    text = text.strip()
    if not text:
        return None
    if name in ("batch_size", "out_cycle"):
        if not text.isdecimal() or len(text) > 6 or not int(text):
            raise InputError("a whole number of at least 1")
        return int(text)
    if name == "general":
        path = typed_path(text)
        if not path.is_file():
            raise InputError("there is no such file")
        return path
    return text
