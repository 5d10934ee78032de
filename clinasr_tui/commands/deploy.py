"""`deploy`: hand a tuned model to a Riva NIM, or ask whether one is ready."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.commands.output import add_json, note, print_json, print_lines, shown
from clinasr_tui.errors import ExitCode, InputError
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from clinasr_tui.flywheel.deployment import Deployment
    from clinasr_tui.flywheel.nemo_file import NemoFile
    from clinasr_tui.remote.nim_health import NimHealth


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `deploy`. The NGC key has none: it is only ever named."""
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.nemo")
    parser.add_argument("--container-id", default="", metavar="ID", help="default: by the model's decoder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write deploy.sh there")
    parser.add_argument("--force", action="store_true", help="replace another deploy.sh that is there")
    parser.add_argument("--check", metavar="HOST:PORT", help="ask a running NIM whether it is ready")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 if it can be handed over (with --check: is ready), 1 if not, 3 if no NIM answers."""
    from clinasr_tui.flywheel.deployment import deployment
    from clinasr_tui.flywheel.nemo_file import read_nemo

    if args.model is None and args.check is None:
        raise InputError("no model is named", remedy="Give a .nemo file, or --check HOST:PORT")
    if args.model is None and (args.out or args.container_id):
        raise InputError("--out and --container-id are about a model", remedy="Give a .nemo file")
    plan = None if args.model is None else deployment(read_nemo(args.model), args.container_id)
    script = _script(plan, args)
    health = None
    if args.check is not None:
        from clinasr_tui.remote.nim_health import nim_health

        health = nim_health(args.check)
    if args.json:
        print_json("deploy", {**_plan_document(plan, script), "health": _health_document(health)})
    else:
        if plan is not None:
            print_lines(_story(plan))
        if health is not None:
            print_lines([_health_line(health)])
        _say_next(plan, script)
    return ExitCode.NO if (plan and plan.refused) or (health and not health.ready) else ExitCode.OK


def _script(plan: Deployment | None, args: argparse.Namespace) -> Path | None:
    """Write the script if it was asked for and the model can be handed over."""
    from clinasr_tui.flywheel.deploy_script import write_script

    if plan is None or args.out is None or plan.refused:
        return None
    return write_script(plan, args.out, force=args.force)


def _plan_document(plan: Deployment | None, script: Path | None) -> dict[str, Any]:
    from clinasr_tui.flywheel.deploy_script import checklist, deploy_commands, offline_cycle, to_set
    from clinasr_tui.flywheel.tuned_models import base_of

    if plan is None:
        return {}
    model, family = plan.model, plan.family
    return {
        "model": str(model.path),
        "decoder": str(model.decoder),
        "riva_decoder": family.riva_decoder if family else None,
        "family": family.name if family else None,
        "container_id": plan.container_id or None,
        "image": plan.image or None,
        "source_path": plan.source_path or None,
        "commands": [
            {"id": one.id, "does": one.does, "command": list(one.argv), "shell": one.shell}
            for one in deploy_commands(plan)
        ],
        "warnings": list(plan.warnings),
        "refused": plan.refused or None,
        "set": list(to_set()) if family else [],
        "afterwards": list(checklist(offline_cycle(model.path))) if family else [],
        "script": None if script is None else str(script),
        "vocabulary": model.vocabulary,
        "sample_rate": model.sample_rate,
        "streaming": model.streaming,
        "size": model.size,
        "nemo_version": model.nemo_version or None,
        "weights": model.weights,
        "target": model.target or None,
        "base": base_of(model.path) or None,
    }


def _health_document(health: NimHealth | None) -> dict[str, Any] | None:
    return None if health is None else health._asdict()


def _health_line(health: NimHealth) -> str:
    if health.ready:
        return f"{health.address} is ready"
    return f"{health.address} is not ready: it answers {health.status}, {health.said}"


def _story(plan: Deployment) -> list[str]:
    from clinasr_tui.flywheel.deploy_script import checklist, deploy_commands, offline_cycle
    from clinasr_tui.flywheel.deployment import described

    lines = [f"{shown(plan.model.path)}: {described(plan.model)}", *_origin(plan.model)]
    if plan.family is None:
        return [*lines, f"not to be handed over: {plan.refused}"]
    lines.append(f"NIM family {plan.family.name}: decoder={plan.family.riva_decoder}, {plan.image}")
    for number, one in enumerate(deploy_commands(plan), 1):
        lines += ["", f"{number} {one.id}: {one.does}", f"  {one.shell}"]
    lines += ["", "mind:", *(f"- {line}" for line in plan.warnings)]
    return [*lines, "", "afterwards:", *(f"- {line}" for line in checklist(offline_cycle(plan.model.path)))]


def _origin(model: NemoFile) -> list[str]:
    """The model's class and what it was tuned from, as far as file and run record say."""
    from clinasr_tui.flywheel.tuned_models import base_of

    base = base_of(model.path)
    facts = (f"class {model.target}" if model.target else "", f"tuned from {visible(base)}" if base else "")
    return [", ".join(one for one in facts if one)] if any(facts) else []


def _say_next(plan: Deployment | None, script: Path | None) -> None:
    from clinasr_tui.flywheel.deploy_script import to_set

    if script is not None:
        note(f"written: {shown(script)}. Set before it runs:")
        for line in to_set():
            note(f"  {line}")
    elif plan is not None and not plan.refused:
        note("--out DIR writes all of it as deploy.sh")
