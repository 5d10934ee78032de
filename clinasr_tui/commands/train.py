"""`train`: launch a cycle's fine-tuning run and detach; `--dry-run` only says what would be run."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.commands.consent_prompt import ask_word, is_terminal
from clinasr_tui.commands.host_options import add_place, add_ssh, ssh_settings, trusting
from clinasr_tui.commands.output import add_json, note, print_json, print_lines, shown
from clinasr_tui.commands.progress import progress_line
from clinasr_tui.commands.sources import settings_of, workspace_of
from clinasr_tui.commands.train_output import (
    Steps,
    gate_lines,
    launched_lines,
    plan_document,
    plan_lines,
    proposal_lines,
)
from clinasr_tui.errors import ExitCode, InputError
from clinasr_tui.flywheel.recipe import PRECISIONS, SETTINGS, Recipe
from clinasr_tui.flywheel.workspace import open_cycle
from clinasr_tui.launch.docker_socket import DOCKER_SOCKET
from clinasr_tui.launch.plan import Backend
from clinasr_tui.launch.runs import OVERRIDE_WORD, Choices, as_before, gate_note, host_of
from clinasr_tui.launch.slurm_batch import SlurmOptions

if TYPE_CHECKING:
    from clinasr_tui.flywheel.recipe import Proposal
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.launch.flow import Launched
    from clinasr_tui.launch.machine import Machine
    from clinasr_tui.launch.plan import Plan
    from clinasr_tui.launch.readiness import Readiness
    from clinasr_tui.remote.host import Host, SshSettings

_OPTIONS = {
    "max_epochs": "--epochs",
    "accumulate_grad_batches": "--accumulate",
    "gradient_clip_val": "--gradient-clip",
    "log_every_n_steps": "--log-every",
    "num_nodes": "--nodes",
}
"""Fields of the recipe whose option is not their own name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `train`. None of them opens a blocked gate: that is typed."""
    parser.add_argument("cycle", type=Path, metavar="CYCLE")
    parser.add_argument("--host", metavar="HOST", help="a host of the ssh config; default: this machine")
    parser.add_argument("--dry-run", action="store_true", help="start and send nothing, say what would run")
    parser.add_argument("--run", default="", metavar="NAME", help="the run's name (default: sft1, sft2, …)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's -last checkpoint")
    parser.add_argument("--base", default="", metavar="NAME|FILE.nemo", help="the model to tune")
    recipe = parser.add_argument_group("settings; those not given are proposed for the machine's GPU")
    kinds = {one.name: type(getattr(Recipe(), one.name)) for one in fields(Recipe)}
    for setting in SETTINGS:
        option = _OPTIONS.get(setting.name, "--" + setting.name.replace("_", "-"))
        choices = PRECISIONS if setting.name == "precision" else None
        recipe.add_argument(
            option,
            dest=setting.name,
            type=kinds[setting.name],
            choices=choices,
            metavar=None if choices else setting.name.rsplit("_", 1)[-1].upper(),
            help=setting.why.replace("%", "%%"),
        )
    where = add_place(parser, backend="default: docker", cpu="without a GPU: CTC and RNNT bases")
    where.add_argument("--nemo-root", default="", metavar="DIR", help="NeMo checkout (backend local, slurm)")
    where.add_argument(
        "--slurm-option",
        dest="slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of sbatch, for example partition=gpu, time=04:00:00 (backend slurm); repeatable",
    )
    add_ssh(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once it runs (or was only said), 1 if gate or pre-flight say no, 4 if declined."""
    from clinasr_tui.launch.readiness import readiness

    cycle = open_cycle(args.cycle)
    choices = as_before(cycle, _choices(args))
    if args.slurm and choices.backend is not Backend.SLURM:
        raise InputError("--slurm-option is for Slurm", remedy="Add --backend slurm")
    host_name = host_of(cycle, choices, args.host)
    with progress_line("pre-flight") as progress:
        ready = readiness(cycle, settings_of(args.cycle), choices, progress)
    for line in ready.warnings:
        note(f"warning: {line}")
    override = ""
    if not ready.gate.passed:
        for line in gate_lines(ready.gate):
            note(line)
        if not args.dry_run:
            if is_terminal() and not ask_word(OVERRIDE_WORD, "to make a smoke run all the same"):
                note("cancelled: nothing was sent or started")
                return ExitCode.DECLINED
            override = OVERRIDE_WORD if is_terminal() else ""
    gate = {} if args.dry_run else gate_note(ready.gate, override)
    ssh = ssh_settings(args, args.cycle, host_name)
    job = _Job(args, cycle, choices, ready, host_name, ssh)
    work = job.describe if args.dry_run else lambda: job.launch(gate)
    return asyncio.run(trusting(args, host_name, ssh, work))


def _choices(args: argparse.Namespace) -> Choices:
    settings = {one.name: getattr(args, one.name) for one in SETTINGS if getattr(args, one.name) is not None}
    return Choices(
        run=args.run,
        base=args.base,
        backend=args.backend,
        image=args.image,
        root=args.root,
        python=args.python,
        nemo_root=args.nemo_root,
        socket=args.docker_socket,
        cpu=args.cpu,
        resume=args.resume,
        settings=settings,
        slurm=SlurmOptions.of(args.slurm),
    )


class _Job:
    """One launch, from the connection on."""

    def __init__(
        self,
        args: argparse.Namespace,
        cycle: Cycle,
        choices: Choices,
        ready: Readiness,
        host_name: str | None,
        ssh: SshSettings,
    ) -> None:
        self.args, self.cycle, self.choices, self.ready = args, cycle, choices, ready
        self.host_name, self.ssh = host_name, ssh
        self.socket = choices.socket or DOCKER_SOCKET

    def host(self) -> Host:
        from clinasr_tui.remote.hosts import open_host

        return open_host(self.host_name, self.ssh)

    async def look(self, host: Host) -> tuple[Machine, Proposal, Plan]:
        """Look at the machine, propose for it, and say so."""
        from clinasr_tui.flywheel.base_files import cpu_objection
        from clinasr_tui.flywheel.recipe import objections
        from clinasr_tui.launch.flow import placed
        from clinasr_tui.launch.machine import look
        from clinasr_tui.launch.places import DEFAULT_ROOT
        from clinasr_tui.launch.runs import expect_its_folder, plan_for, recipe_for

        machine = await look(host, self.choices.root or DEFAULT_ROOT, socket=self.socket)
        # A login node's GPUs are not the job's.
        gpus = () if self.choices.backend is Backend.SLURM else machine.gpus
        proposal = recipe_for(self.choices, self.ready.rows, gpus)
        around = workspace_of(self.cycle.folder)
        name = around.name if around else self.cycle.folder.resolve().parent.name
        plan = plan_for(self.cycle, name, self.choices, self.ready.base, proposal.recipe, host=self.host_name)
        plan = placed(plan, machine)
        expect_its_folder(plan, self.cycle)
        device = cpu_objection(self.ready.gate.base) if plan.cpu else None
        against = (
            *objections(proposal.recipe, self.ready.rows, gpus),
            *([device] if device else []),
        )
        for line in proposal_lines(machine, proposal, self.choices, plan, against):
            note(line)
        fatal = next((one for one in against if one.fatal), None)
        if fatal is not None:
            raise InputError(f"{fatal.name}: {fatal.message}", remedy="Change the setting")
        return machine, proposal, plan

    async def describe(self) -> int:
        """`--dry-run`."""
        async with self.host() as host:
            _, proposal, plan = await self.look(host)
        if self.args.json:
            gate = {"verdict": self.ready.gate.verdict, "route": str(self.ready.gate.route)}
            print_json("train", {**plan_document(plan), "notes": list(proposal.notes), "gate": gate})
        else:
            print_lines(plan_lines(plan))
        return ExitCode.OK

    async def launch(self, gate: dict[str, Any]) -> int:
        """Launch and detach."""
        from clinasr_tui.launch.runs import launch_run

        async with self.host() as host:
            machine, _, plan = await self.look(host)
            with Steps() as steps:
                done = await launch_run(
                    plan,
                    self.cycle,
                    host,
                    steps.tell,
                    host_name=self.host_name,
                    gate=gate,
                    socket=self.socket,
                    machine=machine,
                )
        self._say(done, gate)
        return ExitCode.OK

    def _say(self, done: Launched, gate: dict[str, Any]) -> None:
        from clinasr_tui.launch.record import has_started_anew, read_record

        plan = done.prepared.plan
        folder = self.cycle.folder / "models" / plan.places.run
        record = read_record(folder)
        if self.args.json:
            document = {
                **plan_document(plan),
                "run": plan.places.run,
                "folder": str(folder),
                "host": self.host_name,
                "id": done.id,
                "resumed_from": record.get("resumed_from"),
                "image_digest": done.prepared.image or None,
                "gate": gate,
                "sent": {"files": done.prepared.sent.done_files, "bytes": done.prepared.sent.done_bytes},
            }
            print_json("train", document)
        else:
            print_lines([f"{plan.places.run} is started: {plan.places.at(plan.places.run_dir)}"])
        if has_started_anew(record):
            note("it had left no -last checkpoint: it has started anew")
        for line in launched_lines(shown(folder), self.host_name, gate):
            note(line)
