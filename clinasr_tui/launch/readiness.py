"""May this cycle be trained on now: base, split, gate and pre-flight, before anything is connected to."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.launch.runs import NotReadyError, base_of, split_of

if TYPE_CHECKING:
    from pathlib import Path

    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.progress import Progress
    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.workspace import Cycle
    from clinasr_tui.launch.runs import Choices


class Readiness(NamedTuple):
    """What was found of a cycle that may be trained on; a blocked gate still wants the typed override."""

    base: str
    gate: GateResult
    split: tuple[Path, Path]
    rows: int
    """Rows of the training split."""
    warnings: tuple[str, ...]
    """What pre-flight says of the split beside errors, a line each side."""


def readiness(
    cycle: Cycle, settings: Settings, choices: Choices, progress: Progress | None = None
) -> Readiness:
    """Look at a cycle. Reads files, blocks.

    Raises InputError for a base the method refuses, a cycle that is not split or not scored, NotReadyError
    where pre-flight finds errors in the split, InterruptedError if `progress` returns False.
    """
    from clinasr_tui.flywheel.preflight import check_manifest
    from clinasr_tui.flywheel.review import gate_of

    base = base_of(choices, settings.base)
    split = split_of(cycle)
    errors = None
    if cycle.manifest is not None:
        errors = check_manifest(cycle.manifest, progress=progress).errors
    gate = gate_of(cycle, _board(cycle, progress), errors, replace(settings, base=base))
    rows, warnings = [], []
    for side in split:
        report = check_manifest(side, progress=progress)
        if not report.ok:
            first = next((one for one in report.problems if one.severity == "error"), None)
            raise NotReadyError(
                f"pre-flight found {report.errors} error{'s' if report.errors > 1 else ''}"
                + (f", the first: {first.message}" if first else ""),
                where=f"{side}:{first.line}" if first else str(side),
                remedy=f"See all: clinasr-tui check {shlex.quote(str(side))}",
            )
        if report.warnings:
            warnings.append(f"{side}: {report.warnings} warnings (clinasr-tui check names them)")
        rows.append(report.rows)
    return Readiness(base, gate, split, rows[0], tuple(warnings))


def _board(cycle: Cycle, progress: Progress | None) -> Leaderboard:
    """The cycle's figures, from its transcripts or the leaderboard that is all an old cycle has left."""
    from clinasr_tui.flywheel.leaderboard import build_leaderboard
    from clinasr_tui.flywheel.leaderboard_markdown import read_markdown
    from clinasr_tui.flywheel.review import scored_cycle

    if cycle.hypotheses is None and cycle.leaderboard is not None:
        return read_markdown(cycle.leaderboard)
    if cycle.hypotheses is None:
        raise InputError(
            "no transcripts (per_sample.json, offline_hyps.jsonl): the gate cannot be judged",
            where=str(cycle.folder),
            remedy="Transcribe and score the manifest first: clinasr-tui eval CYCLE --model BASE",
        )
    return build_leaderboard(scored_cycle(cycle, progress).rows)
