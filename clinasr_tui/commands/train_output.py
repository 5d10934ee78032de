"""What `train` tells: the gate, what is proposed and why, how far the launch is, what to do next."""

from __future__ import annotations

import shlex
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clinasr_tui.commands.output import note, table
from clinasr_tui.commands.progress import StatusLine
from clinasr_tui.flywheel.progress import clock_text, left_text
from clinasr_tui.flywheel.recipe import SETTINGS
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.recipe import Objection, Proposal
    from clinasr_tui.launch.flow import Progress
    from clinasr_tui.launch.machine import Machine
    from clinasr_tui.launch.plan import Plan
    from clinasr_tui.launch.runs import Choices


def gate_lines(gate: GateResult) -> list[str]:
    """Why the gate is blocked."""
    lines = [f"gate: {gate.verdict.upper()}, route: {gate.route}"]
    lines += [
        f"  ✖ {one.title}: {one.measured}, wanted {one.threshold}" for one in gate.criteria if not one.passed
    ]
    return lines + [f"  {reason}" for reason in gate.reasons[:1]]


def proposal_lines(
    machine: Machine, proposal: Proposal, choices: Choices, plan: Plan, against: Sequence[Objection]
) -> list[str]:
    """The machine, every setting with its reason, and what speaks against them."""
    gpus = ", ".join(f"{gpu.name} {gpu.memory_mib / 1024:.0f} GB" for gpu in machine.gpus)
    if plan.script is None:
        has = f"{gpus or f'no GPU ({machine.gpu_trouble})'}"
        serves = f"Docker {machine.docker}"
    else:
        has = ", ".join(f"partition {one.name} {one.gres}".rstrip() for one in machine.slurm.partitions)
        has, serves = has or "no partition", f"Slurm {machine.slurm.state}"
    lines = [
        f"{machine.name}: {has}, {machine.disk_free / 1e9:.0f} GB free, {serves}",
        *(f"  {line}" for line in proposal.notes),
        f"run {plan.places.run} of {plan.base}:",
    ]
    rows = [
        [
            setting.label,
            f"{getattr(plan.recipe, setting.name)}{' (set)' if setting.name in choices.settings else ''}",
            setting.why,
        ]
        for setting in SETTINGS
    ]
    lines += table(rows, left=3)
    return lines + [f"{'✖' if one.fatal else '⚠'} {one.name}: {one.message}" for one in against]


def plan_document(plan: Plan) -> dict[str, Any]:
    """A plan for `--json`."""
    return {
        "command": plan.command,
        "overrides": plan.overrides,
        "image": plan.image if plan.mounts else None,
        "mounts": plan.mounts,
        "run_dir": plan.places.at(plan.places.run_dir),
        "run": plan.places.run,
        "base": plan.base,
        "backend": str(plan.backend),
        "started_by": plan.started_by,
        "script": plan.script,
    }


def plan_lines(plan: Plan) -> list[str]:
    """What would be run, to read and to copy: the command; for Slurm the submission, the script and, below,
    the command that the script's wrapper is told."""
    if plan.script is None:
        return [shlex.join(plan.command)]
    return [shlex.join(plan.started_by), "", *plan.script.splitlines(), "", shlex.join(plan.command)]


def launched_lines(folder: str, host: str | None, gate: Mapping[str, Any]) -> list[str]:
    """What to do next, and what it costs meanwhile."""
    from clinasr_tui.box.words import leaving_line
    from clinasr_tui.flywheel.cost import costs, money
    from clinasr_tui.launch.runs import rented

    folder = shlex.quote(folder)
    lines = [f"watch it:  clinasr-tui watch {folder}", f"end it:    clinasr-tui cancel {folder}"]
    lines.append(f"afterwards: clinasr-tui fetch {folder}")
    if gate.get("override"):
        lines.append(f"a smoke run under a blocked gate ({gate['override']}): its record says so")
    box = rented(host)
    if box is not None:
        low, high = costs(box.offer).run
        lines.append(f"a run of 100 rows costs about {money(low)}–{money(high)} there (published length)")
        lines.append(leaving_line([box], time.time()))
    return lines


class Steps:
    """Tells a launch's progress on standard error: one line a step, and how far it is on a terminal."""

    def __init__(self) -> None:
        self.step = ""
        """The one it is at."""
        self._begun = 0.0
        self._line = StatusLine(seen=sys.stderr.isatty())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.erase()

    def tell(self, now: Progress) -> bool:
        """Never cancels: Ctrl-C does."""
        if now.step != self.step:
            self._line.erase()
            self.step, self._begun = now.step, time.monotonic()
            note(f"{now.step} …")
        if now.text:
            seconds = time.monotonic() - self._begun
            left = left_text(seconds, now.fraction) if now.fraction else ""
            if now.left is not None:
                left = clock_text(now.left)
            self._line.write(visible(f"{now.step}: {now.text}{f', {left} left' if left else ''}"))
        return True
