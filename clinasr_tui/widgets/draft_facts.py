"""What is to be known of a run before it is launched: split, gate, base, machine, length and price."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from clinasr_tui.flywheel.cost import money, run_minutes
from clinasr_tui.launch.draft import THIS_MACHINE
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.launch.draft import Draft
    from clinasr_tui.launch.machine import Machine
    from clinasr_tui.launch.readiness import Readiness

_STANDINGS = {
    "verified": ("✔", "bold $good"),
    "legacy": ("○", "bold"),
    "unverified": ("○", "bold"),
    "refused": ("✖ refused:", "bold $bad"),
}


def facts(
    draft: Draft,
    ready: Readiness | None,
    price: float | None,
    *,
    looking: bool,
    refused: bool,
    width: int,
) -> Content:
    """Four lines and one for each thing the machine lacks; `price` in dollars an hour, None if not known.

    `refused`: gate, split or base were looked at and do not allow a run.
    """
    lines = [
        _gate_line(draft, ready, refused=refused),
        _base_line(draft),
        _machine_line(draft, looking=looking),
    ]
    for lack in draft.lacks():
        style = "bold $bad" if lack.fatal else "$warning"
        lines.append(
            Content.assemble(
                (f"  {'✖' if lack.fatal else '▲'} {visible(lack.what)}", style), f" → {visible(lack.remedy)}"
            )
        )
    lines.append(_length_line(draft, price))
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def _gate_line(draft: Draft, ready: Readiness | None, *, refused: bool) -> Content:
    name = f"cycle {draft.cycle.number}"
    if refused:
        return Content.assemble(
            (name, "bold"), " · ", ("✖ refused: no run can be made of it yet", "bold $bad")
        )
    if ready is None:
        return Content.assemble((name, "bold"), (" · gate and split are being looked at …", "$quiet"))
    held_out = f" · {draft.rows:,} rows to train on"
    if ready.gate.passed:
        return Content.assemble((name, "bold"), held_out, " · ", ("gate ✔ pass", "bold $good"))
    reason = next((one.title for one in ready.gate.criteria if not one.passed), "")
    why = f": {visible(reason)}" if reason else ""
    text = (f"gate ✖ blocked{why}", "bold $bad")
    return Content.assemble((name, "bold"), held_out, " · ", text, (" (smoke run only)", "$quiet"))


def _base_line(draft: Draft) -> Content:
    standing = draft.standing
    name = Path(draft.base).name if draft.base.endswith(".nemo") else draft.base
    mark, style = _STANDINGS[standing.standing]
    return Content.assemble(
        ("base ", "$quiet"), visible(name), "  ", (mark, style), f" {visible(standing.reason)}"
    )


def _machine_line(draft: Draft, *, looking: bool) -> Content:
    name = (visible(draft.host or THIS_MACHINE), "bold")
    if looking:
        return Content.assemble(("on ", "$quiet"), name, (" · looking at the machine …", "$accent"))
    if draft.machine is None:
        return Content.assemble(
            ("on ", "$quiet"), name, (" · not looked at yet: ", "$quiet"), ("m", "bold $accent"), " asks it"
        )
    return Content.assemble(("on ", "$quiet"), name, f" · {machine_text(draft.machine)}")


def machine_text(machine: Machine) -> str:
    """GPUs, disk, Docker and Slurm in a few words."""
    gpus = [
        f"{visible(one.name)} {one.memory_mib / 1024:.0f} GB (compute {'.'.join(map(str, one.capability))})"
        for one in machine.gpus[:1]
    ]
    count = f" × {len(machine.gpus)}" if len(machine.gpus) > 1 else ""
    gpu = f"{gpus[0]}{count}" if gpus else "no GPU"
    slurm = f" · Slurm {machine.slurm.state}" if machine.slurm.state != "missing" else ""
    disk = f"{machine.disk_free / 1e9:.0f} GB free"
    return f"{gpu} · {disk} · Docker {machine.docker}{slurm} · {machine.cpus} CPUs"


def _length_line(draft: Draft, price: float | None) -> Content:
    steps = draft.steps
    if steps is None:
        return Content.styled("its length is not known yet", "$quiet")
    parts: list[Content | str | tuple[str, str]] = [(f"{steps:,} steps", "bold")]
    if not draft.choices.cpu:
        low, high = run_minutes(draft.rows, draft.recipe.max_epochs)
        parts.append((f" · ≈ {low:.0f}–{high:.0f} min (published pace of an L40S)", "$quiet"))
        if price is not None:
            cost = f"{money(price * low / 60)}–{money(price * high / 60)}"
            parts += [" ≈ ", (cost, "bold $accent"), (f" at {money(price)} per hour", "$quiet")]
    return Content.assemble(*parts)
