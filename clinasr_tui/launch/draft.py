"""A run as it is being set up: the choices so far, what follows from them, what speaks against them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.errors import ClinasrError, InputError
from clinasr_tui.flywheel.base_files import cpu_objection
from clinasr_tui.flywheel.bases import DEFAULT_BASE, base_standing
from clinasr_tui.flywheel.recipe import FP32, PRECISIONS, SETTINGS, Recipe, objections, propose
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.flow import placed
from clinasr_tui.launch.lacks import Lack, lacks
from clinasr_tui.launch.machine import Site
from clinasr_tui.launch.nemo_python import python_of
from clinasr_tui.launch.places import DEFAULT_ROOT
from clinasr_tui.launch.plan import NEMO_IMAGE, Backend
from clinasr_tui.launch.runs import Choices, plan_for, recipe_for
from clinasr_tui.launch.slurm_batch import SlurmOptions
from clinasr_tui.remote.local import LocalHost

if TYPE_CHECKING:
    from clinasr_tui.flywheel.bases import BaseStanding
    from clinasr_tui.flywheel.recipe import Gpu, Objection, Proposal
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.launch.machine import Machine
    from clinasr_tui.launch.plan import Plan


THIS_MACHINE = LocalHost.name


class Field(NamedTuple):
    """Something that can be chosen, with the reason for its value."""

    name: str
    label: str
    why: str


PLACES = (
    Field("host", "machine", "This machine, a rented box (4 rents one), or any host of the ssh config."),
    Field(
        "backend",
        "backend",
        "docker runs NVIDIA's NeMo container, nothing else has to be installed. local starts a process of "
        "its own beside a NeMo checkout. slurm submits a job from a login node, NeMo on the cluster's disk.",
    ),
    Field(
        "cpu", "device", "cpu only tries things out with CTC and RNNT bases: NeMo's TDT loss is CUDA-only."
    ),
    Field("run", "run name", "Its folder is models/<run> of the cycle. Letters, digits, dots, hyphens, _."),
    Field(
        "base",
        "base",
        "The model to tune: a pretrained name or a .nemo file of this machine. Refused: cache-aware "
        "streaming Nemotron bases, which collapse. Adapters are never offered for TDT and RNNT.",
    ),
    Field("root", "folder there", "Runs, audio and the model cache stay below it, so nothing is sent twice."),
    Field("image", "image", "NVIDIA's container that has the stock script; it is pulled if it is not there."),
    Field("socket", "Docker socket", "Where the machine's Docker engine listens: another one if rootless."),
    Field("nemo_root", "NeMo checkout", "Absolute path there of the folder that has examples/asr."),
    Field("python", "Python", "The Python that has NeMo there; on this machine at first our own."),
    Field(
        "slurm",
        "sbatch options",
        "As the cluster asks for them: partition=gpu account=asr time=04:00:00 cpus-per-task=8. Without gres "
        "or gpus one GPU for each device is asked for.",
    ),
)
RECIPE = tuple(Field(*setting) for setting in SETTINGS)
_ONLY = {
    "image": {Backend.DOCKER},
    "socket": {Backend.DOCKER},
    "nemo_root": {Backend.LOCAL, Backend.SLURM},
    "python": {Backend.LOCAL, Backend.SLURM},
    "slurm": {Backend.SLURM},
}
_OF_RESUMED = {"host", "run", "root"}
"""What a resumed run cannot change: its checkpoints are there."""
_RATES = (1e-5, 3e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3)
_DOUBLED = {"batch_size", "accumulate_grad_batches", "warmup_steps"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A run that may be launched. `rows` are those of the training split, 0 while they are not known."""

    cycle: Cycle
    workspace: str
    configured_base: str
    choices: Choices
    host: str | None = None
    rows: int = 0
    machine: Machine | None = None
    """What was seen of the site."""
    judged: BaseStanding | None = None
    """What was found in the file of a base, if that was looked into."""

    @property
    def backend(self) -> Backend:
        """The backend chosen, or docker."""
        return self.choices.backend or Backend.DOCKER

    @property
    def base(self) -> str:
        """The base chosen, the workspace's, or the recommended one; refused ones, too."""
        return self.choices.base or self.configured_base or DEFAULT_BASE

    @property
    def standing(self) -> BaseStanding:
        """What the method says of the base: by what is in its file once that was looked into."""
        known = self.judged is not None and self.judged.name == self.base.strip()
        return self.judged if known and self.judged else base_standing(self.base)

    @property
    def site(self) -> Site:
        """What is to be looked at before a launch."""
        return Site(self.host, self.text("root"), self.text("socket"))

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs seen on the host; a login node's are not the job's."""
        known = self.machine is not None and self.backend is not Backend.SLURM
        return self.machine.gpus if known and self.machine is not None else ()

    @property
    def proposal(self) -> Proposal:
        """The recipe, and why it differs from the published one."""
        return recipe_for(self.choices, self.rows, self.gpus)

    @property
    def recipe(self) -> Recipe:
        """The recipe with what was set by hand."""
        return self.proposal.recipe

    @property
    def steps(self) -> int | None:
        """Optimiser steps; None where they cannot be told."""
        try:
            return self.recipe.steps(self.rows) if self.rows else None
        except (ZeroDivisionError, OverflowError):
            return None

    def plan(self) -> Plan:
        """What would be launched. Raises InputError for choices that cannot be."""
        plan = plan_for(self.cycle, self.workspace, self.choices, self.base, self.recipe, host=self.host)
        return plan if self.machine is None else placed(plan, self.machine)

    def objections(self) -> tuple[Objection, ...]:
        """What speaks against the recipe and against the device, refusals first."""
        found = objections(self.recipe, max(self.rows, 1), self.gpus)
        device = cpu_objection(self.standing) if self.choices.cpu else None
        return found if device is None else tuple(sorted((*found, device), key=lambda one: not one.fatal))

    def lacks(self) -> tuple[Lack, ...]:
        """What the machine lacks, as far as it was looked at."""
        if self.machine is None:
            return ()
        cpu, socket = self.choices.cpu is True, self.text("socket")
        return lacks(self.machine, self.backend, cpu=cpu, socket=socket)

    def refusal(self) -> ClinasrError | None:
        """The first thing that ends a launch before it begins; None if nothing is known."""
        for objection in self.objections():
            if objection.fatal:
                return InputError(f"refused: {objection.message}", remedy="Change the setting")
        for lack in self.lacks():
            if lack.fatal:
                return InputError(lack.what, where=self.host or THIS_MACHINE, remedy=lack.remedy)
        try:
            self.plan()
        except ClinasrError as error:
            return error
        return None

    # --- fields --------------------------------------------------------------------------------

    def places(self) -> tuple[Field, ...]:
        """The fields about where it runs that mean something with this backend."""
        return tuple(one for one in PLACES if self.backend in _ONLY.get(one.name, set(Backend)))

    def is_fixed(self, name: str) -> bool:
        """True for what a resumed run cannot change."""
        return self.choices.resume and name in _OF_RESUMED

    def is_set(self, name: str) -> bool:
        """True for what was chosen by hand."""
        if name in Recipe.__slots__:
            return name in self.choices.settings
        if name == "slurm":
            return bool(self.choices.slurm.items)
        return self.host is not None if name == "host" else bool(getattr(self.choices, name))

    def proposed(self, name: str) -> Any:
        """What a setting is without a choice."""
        recipe = propose(self.rows, self.gpus).recipe
        if self.choices.cpu and name in ("precision", "devices"):
            return FP32 if name == "precision" else 1
        return getattr(recipe, name)

    def text(self, name: str) -> str:
        """A field's value as it is shown and typed."""
        if name in Recipe.__slots__:
            return value_text(getattr(self.recipe, name))
        if name == "run":
            return self.choices.run or self._run()
        shown = {
            "host": self.host or THIS_MACHINE,
            "backend": str(self.backend),
            "cpu": "cpu" if self.choices.cpu else "gpu",
            "base": self.base,
            "root": self.choices.root or DEFAULT_ROOT,
            "image": self.choices.image or NEMO_IMAGE,
            "socket": self.choices.socket or DOCKER_SOCKET,
            "nemo_root": self.choices.nemo_root,
            "python": self.choices.python or python_of("", self.backend, self.host),
            "slurm": str(self.choices.slurm),
        }
        return shown[name]

    def _run(self) -> str:
        try:
            return self.plan().places.run
        except ClinasrError:
            return ""

    def having(self, name: str, value: Any) -> Draft:
        """The draft with a field's value; None takes a choice back. At another site nothing was seen yet."""
        changed = self._changed(name, value)
        return changed if changed.site == self.site else replace(changed, machine=None)

    def _changed(self, name: str, value: Any) -> Draft:
        if name == "host":
            return replace(self, host=value)
        if name in Recipe.__slots__:
            settings = {key: kept for key, kept in self.choices.settings.items() if key != name}
            if value is not None:
                settings[name] = value
            return replace(self, choices=replace(self.choices, settings=settings))
        if name == "slurm":
            value = SlurmOptions.typed(value or "")
        elif value is None and name not in ("backend", "cpu"):
            value = ""
        return replace(self, choices=replace(self.choices, **{name: value}))

    def values(self, name: str) -> tuple[Any, ...]:
        """All values of a field that has only a few; () for one that is typed."""
        if name == "backend":
            submits = self.machine is not None and self.machine.slurm.state != "missing"
            slurm = submits or self.backend is Backend.SLURM
            return tuple(one for one in Backend if slurm or one is not Backend.SLURM)
        return {"precision": PRECISIONS, "cpu": (False, True)}.get(name, ())

    def beside(self, name: str, step: int) -> Any:
        """The value a step on (1) or back (-1); None where there is none."""
        few = self.values(name)
        if few:
            now = next((at for at, one in enumerate(few) if self.shown(name, one) == self.text(name)), 0)
            return few[(now + step) % len(few)]
        if name not in Recipe.__slots__:
            return None
        now = getattr(self.recipe, name)
        if name == "lr":
            rates = [one for one in _RATES if (one > now if step > 0 else one < now)]
            return (rates[0] if step > 0 else rates[-1]) if rates else None
        if name in _DOUBLED:
            return max(1, now * 2 if step > 0 else now // 2)
        least = 0 if name in ("patience", "gradient_clip_val") else 1
        return type(now)(max(least, now + (0.5 if name == "gradient_clip_val" else 1) * step))

    def shown(self, name: str, value: Any) -> str:
        """One of a field's few values as `text` shows it."""
        if name == "cpu":
            return "cpu" if value else "gpu"
        return str(value)


def value_text(value: Any) -> str:
    """A setting as it is read: `3e-4`, `16`, `bf16-mixed`."""
    if isinstance(value, float) and value and not 1e-2 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parsed(name: str, text: str) -> Any:
    """What was typed for a setting of the recipe; "" takes the choice back (None). Raises InputError."""
    text = text.strip()
    if name == "slurm":
        SlurmOptions.typed(text)
    kind = type(getattr(Recipe(), name)) if name in Recipe.__slots__ else str
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise InputError("a whole number" if kind is int else "a number, for example 3e-4") from None
