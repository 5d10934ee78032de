"""Evaluate a model on a cycle: transcribe where NeMo is, and make a cycle of what came back.

A row that could not be transcribed has no hypothesis. It is left out of the transcripts, counted, and named
with the reason in `eval_info.json`: as an empty hypothesis it would be scored as the model's miss.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import ChoiceError, InputError, RemoteError
from clinasr_tui.evaluation.begun import forget_begun, note_begun
from clinasr_tui.evaluation.prepare import EVAL_INFO_FILE, eval_info, made_of
from clinasr_tui.evaluation.rows import keep_rows, rows_of
from clinasr_tui.evaluation.transcription import transcribe
from clinasr_tui.flywheel.files import sha256_of, write_atomically
from clinasr_tui.flywheel.manifest import read_manifest
from clinasr_tui.flywheel.workspace import BASELINE_FILE, GENERAL_FILE, MANIFEST_FILE, REEVAL_FILE
from clinasr_tui.launch.flow import Progress, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinasr_tui.evaluation.prepare import Evaluation, Transcribed
    from clinasr_tui.evaluation.rows import Untranscribed
    from clinasr_tui.evaluation.transcription import Transcripts
    from clinasr_tui.launch.flow import Tell
    from clinasr_tui.remote.host import Host

SCORING = "scoring"
_RESULTS_FILE = "results.csv"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The cycle that was made."""

    folder: Path
    number: int
    untranscribed: tuple[Untranscribed, ...]
    general_untranscribed: tuple[Untranscribed, ...]
    was_there: bool
    """True if an earlier call had made it already."""
    notes: tuple[str, ...]


async def evaluate(
    evaluation: Evaluation,
    connect: Callable[[], Host],
    tell: Tell,
    *,
    leaves: Callable[[], bool] = lambda: False,
) -> Evaluated:
    """Make an evaluation. The same call again goes on where one ended, and repeats nothing.

    One that is made already is left alone, unless `retry` is chosen: then its rows without a transcript are
    done, and the cycle is written anew. `leaves` and errors as `transcription.transcribe`; RemoteError if no
    row could be transcribed; InputError if the cycle to be written is there already and another's.
    """
    evaluation, is_made = await asyncio.to_thread(made_before, evaluation)
    if is_made and not evaluation.choices.retry:
        return Evaluated(evaluation.folder, evaluation.number, (), (), True, ())
    await asyncio.to_thread(note_begun, evaluation)
    for part in evaluation.parts:  # before the first takes its time: what speaks against the second?
        await asyncio.to_thread(_keep, evaluation, part)
    done = [await _transcribed(evaluation, part, connect, tell, leaves) for part in evaluation.parts]
    main = None if evaluation.choices.only_general else done[0]
    general = done[-1] if evaluation.choices.general is not None else None
    told(tell, Progress(SCORING))
    notes = await asyncio.to_thread(write_cycle, evaluation, main, general)
    await asyncio.to_thread(forget_begun, evaluation)
    return Evaluated(
        evaluation.folder,
        evaluation.number,
        tuple(main.heard.untranscribed if main else ()),
        tuple(general.heard.untranscribed if general else ()),
        False,
        tuple(notes),
    )


async def _transcribed(
    evaluation: Evaluation,
    part: Transcribed,
    connect: Callable[[], Host],
    tell: Tell,
    leaves: Callable[[], bool],
) -> Transcripts:
    """One manifest's transcripts, at least one of them."""
    plan = evaluation.plan(part)
    done = await transcribe(
        plan,
        part,
        evaluation.local_folder(plan),
        connect,
        tell,
        host_name=evaluation.host,
        socket=evaluation.socket,
        leaves=leaves,
    )
    _expect_some(done, part.manifest)
    return done


def _keep(evaluation: Evaluation, part: Transcribed) -> None:
    """Keep the rows as they were when it was prepared. Raises InputError for rows that cannot be read."""
    kept = keep_rows(part.manifest, part.sha256, evaluation.local_folder(evaluation.plan(part)))
    rows_of(part.manifest, kept)


def made_before(evaluation: Evaluation) -> tuple[Evaluation, bool]:
    """The evaluation as it is written, and True if just this one has been. Reads, blocks.

    The transcripts the cycle has, asked for again, are its own: they are not written as the next cycle.
    Raises InputError if another evaluation stands in its place, and for one that is made and is to be made
    `again` without a number of its own.
    """
    choices, cycle, folder = evaluation.choices, evaluation.cycle, evaluation.folder
    if choices.only_general:
        names = eval_info(cycle.folder).get("general_evaluations")
        return evaluation.as_made(names), False
    own = cycle.hypotheses if choices.out_cycle is None else None
    if own is not None and evaluation.is_made_of(made_of(cycle.folder)):
        baseline = own.name == BASELINE_FILE
        evaluation = replace(evaluation, number=cycle.number, folder=cycle.folder, baseline=baseline)
    elif folder == cycle.folder or not folder.exists() or not any(folder.iterdir()):
        return evaluation, False
    elif not evaluation.is_made_of(made_of(folder)):
        raise _taken(evaluation)
    if choices.again and not choices.retry:
        raise _made_already(evaluation)
    return evaluation.as_made(made_of(evaluation.folder)), True


def _expect_some(transcripts: Transcripts, manifest: Path) -> None:
    heard = transcripts.heard
    if not heard.rows:
        first = heard.untranscribed[0]
        raise RemoteError(
            f"none of {len(heard.untranscribed)} rows could be transcribed, the first: {first.error}",
            where=f"{manifest}:{first.line}",
            remedy="Correct that, then retry (r; --retry)",
        )


def write_cycle(evaluation: Evaluation, main: Transcripts | None, general: Transcripts | None) -> list[str]:
    """Write what came back: a new cycle takes its name once it is whole; remarks for the operator.

    In a cycle that is there the transcripts come last, so that it is scored only once the rest is there.
    """
    target = evaluation.folder
    is_there = target.exists() and any(target.iterdir())
    own = target == evaluation.cycle.folder
    if is_there and not own and made_of(target) != evaluation.names:
        raise _taken(evaluation)  # it came meanwhile
    info = _info(evaluation, main, general)
    notes = _changed(evaluation)
    for leftover in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        last = _fill(work, evaluation, main, general, info)
        if is_there:
            for path in sorted(work.iterdir(), key=lambda path: path.name == last):
                path.replace(target / path.name)
        else:
            assert main is not None
            notes += _link_audio(evaluation, main.rows, work)
            work.chmod(0o777 & ~_umask())
            work.rename(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return notes


def _fill(
    work: Path,
    evaluation: Evaluation,
    main: Transcripts | None,
    general: Transcripts | None,
    info: dict[str, Any],
) -> str:
    """Write everything into a folder; the name of the file that makes the cycle a scored one."""
    name = BASELINE_FILE if evaluation.baseline else REEVAL_FILE
    if general is not None:
        write_atomically(work / GENERAL_FILE, general.heard.rows)
    write_atomically(work / EVAL_INFO_FILE, (json.dumps(info, indent=2) + "\n").encode())
    if main is None:
        return GENERAL_FILE
    if not (evaluation.folder / MANIFEST_FILE).exists():
        shutil.copyfile(main.rows, work / MANIFEST_FILE)
    write_atomically(work / name, main.heard.rows)
    _score(work / name, main.rows, work, evaluation.number)
    return name


def _changed(evaluation: Evaluation) -> list[str]:
    """Manifests that are not any more what was transcribed, for the operator."""
    return [
        f"{part.manifest} was changed meanwhile: these are its rows as they were before. Evaluate again "
        "for the new ones"
        for part in evaluation.parts
        if not part.manifest.is_file() or sha256_of(part.manifest, "manifest") != part.sha256
    ]


def _score(transcripts: Path, manifest: Path, folder: Path, number: int) -> None:
    """results.csv and the leaderboard (method, section 2)."""
    from clinasr_tui.flywheel.leaderboard import build_leaderboard
    from clinasr_tui.flywheel.leaderboard_markdown import to_markdown
    from clinasr_tui.flywheel.results import write_results
    from clinasr_tui.flywheel.review import scored_file

    scored = scored_file(transcripts, manifest)
    write_results(scored, folder / _RESULTS_FILE)
    board = to_markdown(build_leaderboard(scored), title=f"Leaderboard, cycle {number}")
    write_atomically(folder / f"leaderboard_cycle{number}.md", board.encode())


def _info(evaluation: Evaluation, main: Transcripts | None, general: Transcripts | None) -> dict[str, Any]:
    """`eval_info.json`: the model, where it is from, what transcribed, and the rows left out.

    Of a general set alone nothing is said of the cycle's own transcripts, which are another evaluation's.
    """
    model = evaluation.model
    found = eval_info(evaluation.folder)
    if general is not None:
        found["general_untranscribed"] = [row._asdict() for row in general.heard.untranscribed]
    if main is None:
        return {**found, "general_model": model.label, "general_evaluations": evaluation.names}
    found |= {"model": model.label, "model_file": model.model, "cycle": evaluation.number}
    if model.run:
        found |= {"run": model.run, "trained_on_cycle": model.trained_on}
    heard = main.heard
    return {
        **found,
        "evaluations": evaluation.names,
        "host": evaluation.host,
        "backend": str(evaluation.backend),
        "versions": main.versions,
        "rows": len(heard.rows) + len(heard.untranscribed),
        "untranscribed": [row._asdict() for row in heard.untranscribed],
    }


def _link_audio(evaluation: Evaluation, rows: Path, work: Path) -> list[str]:
    """Make the copied manifest's relative audio paths lead to the audio: links beside it, no copies."""
    tops = {top for row in read_manifest(rows) for top in Path(row.audio_filepath).parts[:1]}
    from_folder = evaluation.manifest.parent.resolve()
    lost = []
    for top in sorted(tops - {"..", "/"}):
        if top.startswith("~") or not (from_folder / top).exists() or (work / top).exists():
            continue
        goal = os.path.relpath(from_folder / top, evaluation.folder.parent.resolve() / evaluation.folder.name)
        try:
            (work / top).symlink_to(goal)
        except OSError:
            lost.append(top)
    return [f"{MANIFEST_FILE} names audio in {top}, which could not be linked into the cycle" for top in lost]


def _umask() -> int:
    """The process's mask for new files; reading it means setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _taken(evaluation: Evaluation) -> ChoiceError:
    return _another(evaluation, "this cycle is there already", "Write another one")


def _made_already(evaluation: Evaluation) -> ChoiceError:
    what = f"cycle {evaluation.number} is this evaluation already"
    return _another(evaluation, what, "Done again it is another cycle: choose its number")


def _another(evaluation: Evaluation, what: str, remedy: str) -> ChoiceError:
    """With the first number that no cycle has."""
    folders = evaluation.cycle.folder.absolute().parent.glob("cycle*")
    numbers = [int(one.name[5:]) for one in folders if one.name[5:].isdecimal()]
    free = max([*numbers, evaluation.number]) + 1
    return ChoiceError(
        what,
        choice="out_cycle",
        where=str(evaluation.folder),
        remedy=f"{remedy}, {free} is free",
        option=f"--out-cycle {free}",
    )


def _unwritable(target: Path, error: OSError) -> InputError:
    return InputError(
        f"the cycle cannot be written ({error.strerror})",
        where=str(target),
        remedy="Make the workspace writable; the transcripts are kept, nothing is done twice",
    )
