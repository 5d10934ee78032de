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

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.evaluation.begun import forget_begun, note_begun
from clinasr_tui.evaluation.prepare import EVAL_INFO_FILE, eval_info
from clinasr_tui.evaluation.transcription import transcribe
from clinasr_tui.flywheel.files import write_atomically
from clinasr_tui.flywheel.manifest import read_manifest
from clinasr_tui.flywheel.workspace import BASELINE_FILE, GENERAL_FILE, MANIFEST_FILE, REEVAL_FILE
from clinasr_tui.launch.flow import Progress, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinasr_tui.evaluation.prepare import Evaluation
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
    # Once: with `again` the name is another as soon as it has begun.
    names = await asyncio.to_thread(names_of, evaluation)
    main = general = None
    if not evaluation.choices.only_general:
        main = await _transcribed(evaluation, evaluation.manifest, connect, tell, leaves)
    if evaluation.choices.general is not None:
        general = await _transcribed(evaluation, evaluation.choices.general, connect, tell, leaves)
    told(tell, Progress(SCORING))
    notes = await asyncio.to_thread(write_cycle, evaluation, main, general, names)
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
    manifest: Path,
    connect: Callable[[], Host],
    tell: Tell,
    leaves: Callable[[], bool],
) -> Transcripts:
    """One manifest's transcripts, at least one of them."""
    plan = await asyncio.to_thread(evaluation.plan, manifest)
    done = await transcribe(
        plan,
        manifest,
        evaluation.local_folder(plan),
        connect,
        tell,
        host_name=evaluation.host,
        socket=evaluation.socket,
        leaves=leaves,
    )
    _expect_some(done, manifest)
    return done


def names_of(evaluation: Evaluation) -> list[str]:
    """Names of its transcriptions: the same for the same model, manifests and machine."""
    choices = evaluation.choices
    every = (None if choices.only_general else evaluation.manifest, choices.general)
    return [evaluation.plan(manifest).places.run for manifest in every if manifest is not None]


def made_before(evaluation: Evaluation) -> tuple[Evaluation, bool]:
    """The evaluation as it is written, and True if just this one has been. Reads and hashes, blocks.

    The transcripts the cycle has, asked for again, are its own: they are not written as the next cycle.
    Raises InputError if another evaluation stands in its place.
    """
    choices, cycle, folder = evaluation.choices, evaluation.cycle, evaluation.folder
    names = names_of(evaluation)
    if choices.only_general:
        return evaluation, False
    own = cycle.hypotheses if choices.out_cycle is None else None
    if own is not None and eval_info(cycle.folder).get("evaluations") == names:
        baseline = own.name == BASELINE_FILE
        return replace(evaluation, number=cycle.number, folder=cycle.folder, baseline=baseline), True
    if folder == cycle.folder or not folder.exists() or not any(folder.iterdir()):
        return evaluation, False
    if eval_info(folder).get("evaluations") == names:
        return evaluation, True
    raise _taken(evaluation)


def _expect_some(transcripts: Transcripts, manifest: Path) -> None:
    heard = transcripts.heard
    if not heard.rows:
        first = heard.untranscribed[0]
        raise RemoteError(
            f"none of {len(heard.untranscribed)} rows could be transcribed, the first: {first.error}",
            where=f"{manifest}:{first.line}",
            remedy="Correct that, then retry (r; --retry)",
        )


def write_cycle(
    evaluation: Evaluation, main: Transcripts | None, general: Transcripts | None, names: list[str]
) -> list[str]:
    """Write what came back: a new cycle takes its name once it is whole; remarks for the operator.

    In a cycle that is there the transcripts come last, so that it is scored only once the rest is there.
    """
    target = evaluation.folder
    is_there = target.exists() and any(target.iterdir())
    own = target == evaluation.cycle.folder
    if is_there and not own and eval_info(target).get("evaluations") != names:
        raise _taken(evaluation)  # it came meanwhile
    info = _info(evaluation, main, general, names)
    notes: list[str] = []
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
            notes = _link_audio(evaluation, work)
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
    if main is None:
        return GENERAL_FILE
    manifest = evaluation.manifest
    if not (evaluation.folder / MANIFEST_FILE).exists():
        shutil.copyfile(manifest, work / MANIFEST_FILE)
    write_atomically(work / name, main.heard.rows)
    write_atomically(work / EVAL_INFO_FILE, (json.dumps(info, indent=2, ensure_ascii=False) + "\n").encode())
    _score(work / name, manifest, work, evaluation.number)
    return name


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


def _info(
    evaluation: Evaluation, main: Transcripts | None, general: Transcripts | None, names: list[str]
) -> dict[str, Any]:
    """`eval_info.json`: the model, where it is from, what transcribed, and the rows left out."""
    model = evaluation.model
    found = eval_info(evaluation.folder)
    found |= {"model": model.label, "model_file": model.model, "cycle": evaluation.number}
    if model.run:
        found |= {"run": model.run, "trained_on_cycle": model.trained_on}
    found |= {
        "evaluations": names_of(evaluation),
        "host": evaluation.host,
        "backend": str(evaluation.backend),
    }
    if main is not None:
        heard = main.heard
        found |= {
            "versions": main.versions,
            "rows": len(heard.rows) + len(heard.untranscribed),
            "untranscribed": [row._asdict() for row in heard.untranscribed],
        }
    if general is not None:
        found["general_untranscribed"] = [row._asdict() for row in general.heard.untranscribed]
    return found


def _link_audio(evaluation: Evaluation, work: Path) -> list[str]:
    """Make the copied manifest's relative audio paths lead to the audio: links beside it, no copies."""
    manifest = evaluation.manifest
    tops = {Path(row.audio_filepath).parts[0] for row in read_manifest(manifest)}
    from_folder = manifest.parent.resolve()
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


def _taken(evaluation: Evaluation) -> InputError:
    return InputError(
        "this cycle is there already",
        where=str(evaluation.folder),
        remedy=f"Write another one: as cycle {evaluation.number + 1} (--out-cycle)",
    )


def _unwritable(target: Path, error: OSError) -> InputError:
    return InputError(
        f"the cycle cannot be written ({error.strerror})",
        where=str(target),
        remedy="Make the workspace writable; the transcripts are kept, nothing is done twice",
    )
