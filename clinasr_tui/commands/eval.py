"""`eval`: transcribe a cycle where NeMo is, score it as the next cycle, compare and decide, in one go."""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.commands.host_options import add_place, add_ssh, from_one, ssh_settings, trusting
from clinasr_tui.commands.output import add_json, add_priority, note, print_json, print_lines, shown, typed
from clinasr_tui.errors import ExitCode
from clinasr_tui.evaluation.choices import EvalChoices
from clinasr_tui.evaluation.prepare import prepare, untranscribed_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinasr_tui.commands.sources import Source
    from clinasr_tui.commands.train_output import Steps
    from clinasr_tui.evaluation.evaluate import Evaluated
    from clinasr_tui.evaluation.prepare import Evaluation
    from clinasr_tui.evaluation.rows import Untranscribed
    from clinasr_tui.remote.host import SshSettings

_NAMED = 5
"""Rows without a transcript that are named; eval_info.json names all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval`."""
    parser.add_argument("cycle", type=Path, metavar="CYCLE")
    parser.add_argument(
        "--model", default="", metavar="FILE|NAME", help="a .nemo file or a pretrained name; or give --run"
    )
    parser.add_argument("--run", default="", metavar="NAME", help="the run that made the model")
    parser.add_argument(
        "--checkpoint",
        choices=("last", "best"),
        default="last",
        help="of --run: its last weights (default), or the checkpoint with the lowest val_wer",
    )
    parser.add_argument("--host", metavar="HOST", help="a host of the ssh config; default: this machine")
    parser.add_argument(
        "--out-cycle", type=from_one, metavar="N", help="write it as cycle N (default: the next one)"
    )
    parser.add_argument(
        "--general",
        type=Path,
        metavar="MANIFEST",
        help="a general set, transcribed too, to measure forgetting",
    )
    parser.add_argument(
        "--only-general", action="store_true", help="only the general set, into CYCLE itself (the base's)"
    )
    parser.add_argument(
        "--retry",
        action="store_true",
        help="of an evaluation that is made: transcribe just the rows anew that have no transcript",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="transcribe every row anew, although an earlier start did some; of an evaluation that is made "
        "that is another cycle (--out-cycle)",
    )
    where = add_place(parser, backend="default: docker on a host, else local", cpu="without a GPU")
    where.add_argument("--batch-size", type=from_one, default=0, metavar="N", help="rows at a time at most")
    add_priority(parser)
    add_ssh(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Exit code 0 once it is scored, whatever the verdict; rows without a transcript are told."""
    from clinasr_tui.commands.train_output import Steps
    from clinasr_tui.evaluation.evaluate import made_before

    evaluation = prepare(args.cycle, _choices(args))
    ssh = ssh_settings(args, args.cycle, evaluation.host)
    for line in _what(made_before(evaluation)[0]):
        note(line)
    with Steps() as steps:
        try:
            work = partial(_evaluate, evaluation, ssh, steps)
            done = asyncio.run(trusting(args, evaluation.host, ssh, work))
        except KeyboardInterrupt:
            note(_interrupted(args, steps.step))
            raise
    _warn(done)
    if args.only_general:
        return _tell_general(args, done)
    return _tell(args, evaluation, done)


def _choices(args: argparse.Namespace) -> EvalChoices:
    return EvalChoices(
        model=args.model,
        run=args.run,
        best=args.checkpoint == "best",
        host=args.host,
        backend=args.backend,
        image=args.image,
        root=args.root,
        python=args.python,
        socket=args.docker_socket,
        cpu=bool(args.cpu),
        batch_size=args.batch_size,
        out_cycle=args.out_cycle,
        general=args.general,
        only_general=args.only_general,
        again=args.again,
        retry=args.retry,
    )


def _what(evaluation: Evaluation) -> list[str]:
    model, where = evaluation.model, evaluation.host or "this machine"
    goal = shown(evaluation.folder)
    if evaluation.choices.only_general:
        kind = "a general set"
    else:
        kind = "a baseline" if evaluation.baseline else f"cycle {evaluation.number}"
    lines = [f"{model.label} on {where} ({evaluation.backend}), as {kind} in {goal}"]
    if evaluation.is_of_unknown_run:
        lines.append(
            "which run made this model is not said (--run): held-out rows are taken from the newest split"
        )
    return lines


def _interrupted(args: argparse.Namespace, step: str) -> str:
    """What has become of it after Ctrl-C at a step."""
    from clinasr_tui.evaluation.transcription import CONTACT

    same = "the same command without --again" if args.again else "the same command"
    if step == CONTACT:
        return f"not followed any more; without contact it could not be ended: {same} follows it again"
    return f"ended: what is transcribed is kept, {same} goes on"


async def _evaluate(evaluation: Evaluation, ssh: SshSettings, steps: Steps) -> Evaluated:
    from clinasr_tui.evaluation.evaluate import evaluate
    from clinasr_tui.remote.hosts import open_host

    return await evaluate(evaluation, lambda: open_host(evaluation.host, ssh), steps.tell)


def _warn(done: Evaluated) -> None:
    if done.was_there:
        note(f"{shown(done.folder)} is this evaluation already: nothing was transcribed")
        lost = untranscribed_in(done.folder)
        if lost:
            note(f"{lost} of its rows have no transcript: --retry transcribes just those")
    for line in done.notes:
        note(f"warning: {line}")
    _name(done.untranscribed, "")
    _name(done.general_untranscribed, " of the general set")


def _name(rows: Sequence[Untranscribed], which: str) -> None:
    if not rows:
        return
    note(f"warning: {len(rows)} rows{which} have no transcript and are in no figure:")
    for row in rows[:_NAMED]:
        note(f"  line {row.line}, {row.audio_filepath}: {row.error}")
    if len(rows) > _NAMED:
        note(f"  and {len(rows) - _NAMED} more; eval_info.json names them")
    note("  once that is mended, the same command with --retry transcribes just these")


def _tell_general(args: argparse.Namespace, done: Evaluated) -> int:
    from clinasr_tui.flywheel.workspace import GENERAL_FILE

    if args.json:
        rows = [row._asdict() for row in done.general_untranscribed]
        print_json("eval", {"folder": str(done.folder), "general_untranscribed": rows})
    else:
        print_lines([f"wrote {shown(done.folder / GENERAL_FILE)}"])
    return ExitCode.OK


def _tell(args: argparse.Namespace, evaluation: Evaluation, done: Evaluated) -> int:
    from clinasr_tui.commands import compare, score
    from clinasr_tui.commands.sources import load_source

    source = load_source(done.folder)
    own = done.folder == evaluation.cycle.folder
    result = None
    if not own:
        sides = {"a": evaluation.cycle.folder, "b": done.folder}
        asked = argparse.Namespace(**sides, held_out=None, general=None, priority=args.priority)
        result = compare.compared(asked)
    if args.json:
        comparison = None if result is None else compare.document(result)
        print_json("eval", {**_document(evaluation, done, source), "comparison": comparison})
        return ExitCode.OK
    lines = score.story(source.board)
    if result is not None:
        title = f"{shown(evaluation.cycle.folder)} → {shown(done.folder)}"
        lines += ["", *compare.story(result, title)]
    print_lines(lines)
    for line in _next(evaluation, done):
        note(line)
    return ExitCode.OK


def _document(evaluation: Evaluation, done: Evaluated, source: Source) -> dict[str, Any]:
    """As `score`, and where it is from."""
    from clinasr_tui.evaluation.prepare import eval_info
    from clinasr_tui.flywheel.leaderboard import to_json

    info = eval_info(done.folder)
    return {
        **to_json(source.board),
        "cycle": done.number,
        "folder": str(done.folder),
        "model": evaluation.model.label,
        "run": evaluation.model.run or None,
        "versions": info.get("versions", {}),
        "untranscribed": info.get("untranscribed", []),
    }


def _next(evaluation: Evaluation, done: Evaluated) -> list[str]:
    from clinasr_tui.flywheel.workspace import GENERAL_FILE

    lines = []
    if evaluation.baseline:
        lines.append(f"next: clinasr-tui gate {typed(done.folder)}")
    elif evaluation.lacks_general and evaluation.choices.general:
        lines.append(
            f"the base's transcripts of the general set are lacking ({shown(evaluation.cycle.folder)}/"
            f"{GENERAL_FILE}): clinasr-tui eval {typed(evaluation.cycle.folder)} --only-general "
            f"--general {typed(evaluation.choices.general)} --model BASE"
        )
    return lines
