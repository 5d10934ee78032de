"""Launch a cycle's run and keep its record in the workspace: what the app and the command line share."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.box.state import BoxBook
from clinasr_tui.errors import ClinasrError, ExitCode, InputError
from clinasr_tui.flywheel.base_files import standing_of
from clinasr_tui.flywheel.bases import DEFAULT_BASE
from clinasr_tui.flywheel.overrides import RUN_NAME
from clinasr_tui.flywheel.recipe import FP32, Recipe, propose
from clinasr_tui.flywheel.split import TRAIN_FILE, VALIDATION_FILE
from clinasr_tui.flywheel.workspace import NOT_STARTED, RUN_INFO_FILE
from clinasr_tui.launch.checkpoints import last_checkpoint
from clinasr_tui.launch.claim import Claim, held, owner_mark
from clinasr_tui.launch.control import handle_of
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.flow import Launched, Prepared, Progress, Step, Tell, launch, placed, told
from clinasr_tui.launch.machine import look
from clinasr_tui.launch.nemo_python import expect_nemo, python_of
from clinasr_tui.launch.places import DEFAULT_ROOT, Places
from clinasr_tui.launch.plan import NEMO_IMAGE, Backend, Plan
from clinasr_tui.launch.record import (
    STARTED,
    UNCLEAR,
    amend_record,
    earlier_start,
    launch_record,
    read_record,
    write_record,
)
from clinasr_tui.launch.slurm_batch import NO_OPTIONS, SlurmOptions
from clinasr_tui.remote.host import UnreachableError
from clinasr_tui.text import typed_path, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clinasr_tui.box.record import BoxRecord
    from clinasr_tui.flywheel.bases import BaseStanding
    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.recipe import Gpu, Proposal
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.launch.machine import Machine
    from clinasr_tui.remote.host import Host

_PRETRAINED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")
OVERRIDE_WORD = "SMOKE"
"""What an operator types to run under a blocked gate; it stays in the run's record."""


class NotReadyError(ClinasrError):
    """A check says no: nothing is sent or started (exit code 1)."""

    exit_code = ExitCode.NO


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator chose for a run; "" and None leave it to the workspace, the machine or, where a run
    is resumed, to what it was started with."""

    run: str = ""
    base: str = ""
    backend: Backend | None = None
    image: str = ""
    root: str = ""
    python: str = ""
    nemo_root: str = ""
    socket: str = ""
    """Where the machine's Docker engine listens."""
    cpu: bool | None = None
    resume: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that were set by hand."""
    slurm: SlurmOptions = NO_OPTIONS
    """Options of sbatch; of a run that is resumed these change those it had."""


def as_before(cycle: Cycle, choices: Choices) -> Choices:
    """The choices of a run that is resumed, what was not chosen now taken from its record.

    Raises InputError if there is no such run, or none that was launched from here.
    """
    if not choices.resume:
        return choices
    record = read_record(cycle.folder / "models" / run_name(cycle, choices.run, resume=True))
    handle_of(record)
    base, settings = record.get("base"), record.get("hyperparameters")
    return replace(
        choices,
        base=choices.base or (base or {}).get("name", ""),
        backend=choices.backend or Backend(record["backend"]),
        image=choices.image or record.get("image") or "",
        root=choices.root or record.get("root") or "",
        python=choices.python or record.get("python") or "",
        nemo_root=choices.nemo_root or record.get("nemo_root") or "",
        socket=choices.socket or record.get("docker_socket") or "",
        cpu=record.get("cpu") is True if choices.cpu is None else choices.cpu,
        settings={**(settings or {}), **choices.settings},
        slurm=SlurmOptions.recorded(record.get("slurm_options")).and_then(choices.slurm),
    )


def host_of(cycle: Cycle, choices: Choices, given: str | None) -> str | None:
    """Where a run goes: the host named, or for one that is resumed its own, where its checkpoints are."""
    if not choices.resume:
        return given
    known = read_record(cycle.folder / "models" / choices.run).get("host")
    if given is not None and given != known:
        raise InputError(
            f"the run {choices.run} has its checkpoints on {visible(str(known or 'this machine'))}",
            where=given,
            remedy="Resume it there, or launch a new run",
        )
    return known if isinstance(known, str) else None


def split_of(cycle: Cycle) -> tuple[Path, Path]:
    """The cycle's train.jsonl and validation.jsonl. Raises InputError if it is not split yet."""
    if cycle.train is None or cycle.validation is None:
        raise InputError(
            f"not split yet: {TRAIN_FILE} and {VALIDATION_FILE} are not both there",
            where=str(cycle.folder),
            remedy=f"Run: clinasr-tui split {shlex.quote(str(cycle.folder / 'manifest.jsonl'))}",
        )
    return cycle.train, cycle.validation


def run_name(cycle: Cycle, wanted: str, *, resume: bool) -> str:
    """The run's name: the wanted one if it is free (or, to resume, taken), else sft1, sft2, …"""
    models = cycle.folder / "models"
    if not wanted:
        if resume:
            raise InputError("name the run to resume", remedy="Give --run NAME")
        number = 1
        while (models / f"sft{number}").exists() and not _never_started(models / f"sft{number}"):
            number += 1
        return f"sft{number}"
    if not RUN_NAME.fullmatch(wanted):
        raise InputError(
            f"{wanted!r} is no name for a run",
            remedy="Use up to 64 letters, digits, dots, hyphens and underscores",
        )
    known = (models / wanted / RUN_INFO_FILE).exists()
    if resume and not known:
        raise InputError(f"there is no run {wanted} to resume", where=str(models))
    if known and not resume and not _never_started(models / wanted):
        raise _taken(models / wanted)
    return wanted


def _never_started(folder: Path) -> bool:
    """True for a run whose launch failed: its name is free."""
    try:
        return read_record(folder).get("state") == NOT_STARTED
    except InputError:
        return False


class BaseRefusedError(InputError):
    """A base that may not be tuned; `standing` says why."""

    def __init__(self, standing: BaseStanding) -> None:
        what = f"{standing.name} is refused: {standing.reason}"
        super().__init__(what, remedy=f"Take {standing.substitute} instead")
        self.standing = standing


def base_of(choices: Choices, configured: str) -> str:
    """The base to tune. Raises BaseRefusedError for one the method refuses, naming the substitute."""
    base = choices.base or configured or DEFAULT_BASE
    standing = standing_of(base)
    if not standing.allowed:
        raise BaseRefusedError(standing)
    if base.endswith(".nemo") and not typed_path(base).is_file():
        raise InputError("no such model", where=base, remedy="Name a .nemo file or a pretrained model")
    if not base.endswith(".nemo") and not _PRETRAINED.fullmatch(base):
        raise InputError(
            f"{visible(base)!r} is no name of a pretrained model",
            remedy="Name one as the hub does (owner/name), or a .nemo file",
        )
    return base


def recipe_for(choices: Choices, rows: int, gpus: Sequence[Gpu]) -> Proposal:
    """What is proposed for the GPUs, with what was set by hand in its place."""
    known = (name for name in choices.settings if name not in Recipe.__slots__)
    for name in known:
        raise InputError(f"the recipe has no setting {name}")
    proposal = propose(rows, gpus)
    recipe = replace(proposal.recipe, **choices.settings)
    if choices.cpu:
        chosen = choices.settings
        recipe = replace(recipe, precision=chosen.get("precision", FP32), devices=chosen.get("devices", 1))
    return proposal._replace(recipe=recipe)


def plan_for(
    cycle: Cycle, workspace: str, choices: Choices, base: str, recipe: Recipe, *, host: str | None
) -> Plan:
    """The plan of a run; its root may still begin with `~`. On this machine (`host` None) relative paths of
    Python and the NeMo checkout are meant from the current folder."""
    name = run_name(cycle, choices.run, resume=choices.resume)
    backend = choices.backend or Backend.DOCKER
    nemo_root = choices.nemo_root
    if host is None and backend is not Backend.DOCKER:
        nemo_root = str(typed_path(nemo_root).absolute()) if nemo_root else ""
    return Plan(
        Places(choices.root or DEFAULT_ROOT, workspace, cycle.number, name),
        base,
        recipe,
        image=choices.image or NEMO_IMAGE,
        backend=backend,
        python=python_of(choices.python, backend, host),
        nemo_root=nemo_root,
        cpu=choices.cpu is True,
        resume=choices.resume,
        slurm=choices.slurm,
    )


def expect_its_folder(plan: Plan, cycle: Cycle) -> None:
    """Raise InputError if a placed plan would resume a run elsewhere than in its own folder: there it would
    find no checkpoint and start anew."""
    if not plan.resume:
        return
    known = read_record(cycle.folder / "models" / plan.places.run).get("run_dir")
    planned = plan.places.at(plan.places.run_dir)
    if planned != known:
        raise InputError(
            f"the run {plan.places.run} has its checkpoints in {visible(str(known))}",
            where=planned,
            remedy="Resume it there (the workspace's name and --root as they were), or launch a new run",
        )


def gate_note(result: GateResult, override: str = "") -> dict[str, Any]:
    """The gate as the run's record keeps it. Raises NotReadyError if it is blocked and not overridden."""
    if not result.passed and override != OVERRIDE_WORD:
        failed = [
            f"{one.title} {one.measured}, not {one.threshold}" for one in result.criteria if not one.passed
        ]
        why = "; ".join(failed) or (result.reasons[0] if result.reasons else str(result.route))
        raise NotReadyError(
            f"the gate is blocked: {why}",
            remedy=f"Follow its route ({result.route}); for a smoke run type {OVERRIDE_WORD} at a terminal",
        )
    return {
        "verdict": result.verdict,
        "route": str(result.route),
        "reasons": list(result.reasons),
        "override": override if not result.passed else None,
    }


def rented(host_name: str | None) -> BoxRecord | None:
    """The rented box behind a host's name, if it is one that bills; None also if that cannot be told."""
    try:
        box = BoxBook().find(host_name) if host_name else None
    except ClinasrError:
        return None
    return box if box is not None and box.bills else None


async def launch_run(
    plan: Plan,
    cycle: Cycle,
    host: Host,
    tell: Tell,
    *,
    host_name: str | None,
    gate: Mapping[str, Any],
    socket: str = DOCKER_SOCKET,
    machine: Machine | None = None,
) -> Launched:
    """Launch on an entered host. The record is in the workspace before the run is started, and after a start
    that failed it says so (one of a run that could not be resumed is as before); errors as `flow.launch`, and
    InputError for a run that would be resumed where its checkpoints are not, or if another process launches a
    run of this name.

    The stock script starts a run anew that has none to go on from: `resumed_from` of the record tells which
    it was, None for such a start.
    """
    folder = cycle.folder / "models" / plan.places.run
    with held(folder):
        before = _free_record(folder, resume=plan.resume)
        told(tell, Progress(Step.LOOK))
        machine = machine or await look(host, plan.places.root, socket=socket)
        plan = placed(plan, machine)
        expect_its_folder(plan, cycle)
        if plan.backend is Backend.LOCAL:
            await expect_nemo(plan.python, host)
        more = await _resumed(plan, host, before) if plan.resume else {}
        written = False

        def about_to_start(prepared: Prepared) -> None:
            nonlocal written
            record = launch_record(prepared, host=host_name, gate=gate, box=rented(host_name), socket=socket)
            write_record(folder, {**record, **more})
            written = True

        try:
            done = await launch(
                plan,
                split_of(cycle),
                host,
                tell,
                about_to_start,
                socket=socket,
                machine=machine,
                wanted=_claim(folder, before, host_name),
            )
        except BaseException as error:
            if written and isinstance(error, UnreachableError):
                amend_record(folder, {"state": UNCLEAR, "trouble": str(error)})
            elif written and plan.resume:
                write_record(folder, before)
            elif written:
                amend_record(folder, {"state": NOT_STARTED, "trouble": str(error) or "cancelled"})
            raise
        amend_record(folder, {"state": STARTED, "id": done.id, "started_at": time.time()})
    return done


async def _resumed(plan: Plan, host: Host, before: dict[str, Any]) -> dict[str, Any]:
    """What the record of a run says that is started again: its earlier starts, and what it goes on from."""
    saved = await last_checkpoint(host, plan.places.at(plan.places.run_dir))
    earlier = [*before.get("earlier", ()), earlier_start(before)]
    return {"resumed_from": saved.name if saved else None, "earlier": earlier}


def _claim(folder: Path, before: dict[str, Any], host_name: str | None) -> Claim:
    """Whose the folder on the machine will be; what a launch left there that never started is ours."""
    ours = before.get("state") == NOT_STARTED and before.get("host") == host_name
    return Claim(owner_mark(folder), str(before.get("run_dir") or "") if ours else "")


def _free_record(folder: Path, *, resume: bool) -> dict[str, Any]:
    """The record of an earlier launch of this name. Raises InputError if a run was started meanwhile.

    Whether a run whose start is unclear lives is asked on its machine.
    """
    record = read_record(folder) if (folder / RUN_INFO_FILE).exists() else {}
    if record and not resume and record.get("state") not in (NOT_STARTED, UNCLEAR):
        raise _taken(folder)
    return record


def _taken(folder: Path) -> InputError:
    return InputError(
        f"the run {folder.name} is there already",
        where=str(folder),
        remedy="Choose another name, or --resume it",
    )
