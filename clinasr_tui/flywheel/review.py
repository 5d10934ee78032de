"""From a cycle's files to what a review of it needs: scores, gate, comparison. Reads files, blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.workspace import SERVING_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.opinion import GeneralChange
    from clinasr_tui.flywheel.progress import Progress
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.served import Served
    from clinasr_tui.flywheel.settings import Settings
    from clinasr_tui.flywheel.stopping import RunFacts
    from clinasr_tui.flywheel.workspace import Cycle, Workspace


def scored_file(
    path: Path,
    manifest: Path | None,
    warn: Callable[[str], object] | None = None,
    progress: Progress | None = None,
) -> ScoredSet:
    """Read and score transcripts; a manifest fills fields they lack. Raises InputError, InterruptedError."""
    from clinasr_tui.flywheel.score_file import score_file

    return score_file(path, manifest, progress=progress, warn=warn)


class ScoredCycle(NamedTuple):
    """A cycle's scored rows, and what does not fit between its transcripts and its manifest, counted."""

    rows: ScoredSet
    warnings: tuple[str, ...]


def scored_cycle(cycle: Cycle, progress: Progress | None = None) -> ScoredCycle:
    """A cycle's scored rows. Raises InputError without transcripts, InterruptedError if cancelled.

    A manifest that cannot be read is a warning where the transcripts lack nothing it could fill.
    """
    from clinasr_tui.flywheel.manifest_fill import lacking

    if cycle.hypotheses is None:
        raise InputError(
            "no transcripts (per_sample.json, offline_hyps.jsonl)",
            where=cycle.folder.name,
            remedy="Transcribe the manifest first (clinasr-tui eval); the cycle then appears here by itself",
        )
    warnings: list[str] = []
    try:
        rows = scored_file(cycle.hypotheses, cycle.manifest, warnings.append, progress)
    except InputError as error:
        if cycle.manifest is None or not (error.where or "").startswith(str(cycle.manifest)):
            raise
        rows = scored_file(cycle.hypotheses, None, progress=progress)
        if lacking(rows.hypotheses):
            raise
        broken = InputError(f"the rows are not compared with the manifest ({error.what})", where=error.where)
        warnings = [str(broken)]
    repeated = _repeated(rows)
    if repeated:
        warnings.append(f"transcribed twice or more (same audio, same term), every row counts: {repeated:,}")
    return ScoredCycle(rows, tuple(warnings))


def _repeated(scored: ScoredSet) -> int:
    """Rows whose audio and term are those of a row before."""
    import numpy as np

    rows = zip(scored.hypotheses.audio_filepath, scored.hypotheses.term, strict=True)
    # By their hashes: of a million different rows two share one by a chance of one in thirty million.
    hashes = np.fromiter(map(hash, rows), dtype=np.int64, count=len(scored))
    return len(hashes) - len(np.unique(hashes))


def gate_of(
    cycle: Cycle,
    board: Leaderboard,
    preflight_errors: int | None,
    settings: Settings,
    *,
    first_eval: bool | None = None,
) -> GateResult:
    """The gate of a cycle with the workspace's settings; unless told, cycle 1 counts as the first eval."""
    from clinasr_tui.flywheel.base_files import standing_of
    from clinasr_tui.flywheel.bases import DEFAULT_BASE, another_base
    from clinasr_tui.flywheel.gate import evaluate_gate

    base = standing_of(settings.base or DEFAULT_BASE)
    return evaluate_gate(
        board,
        base=base,
        preflight_errors=preflight_errors,
        priority=settings.priority,
        first_eval=cycle.number <= 1 if first_eval is None else first_eval,
        thresholds=settings.gate,
        intervals=board.intervals.get("entity_category", {}),
        scored_model=cycle.model if another_base(cycle.model, base.name) else "",
    )


def comparison_of(
    a: ScoredSet | Leaderboard,
    b: ScoredSet | Leaderboard,
    held_out: frozenset[tuple[str, str]] | None,
    settings: Settings,
    *,
    general: GeneralChange | None = None,
    unmeasured: str = "",
    stop: Iterable[str] = (),
) -> Comparison:
    """Compare two cycles, row by row where both have rows, else by their leaderboards, and weigh it.

    `general` is what became of general speech, or `unmeasured` why that is not known although it was
    looked for; `stop` are the reasons to stop tuning.
    """
    from clinasr_tui.flywheel.comparison import compare, compare_leaderboards
    from clinasr_tui.flywheel.leaderboard import build_leaderboard
    from clinasr_tui.flywheel.scoring import ScoredSet

    limits, priority = settings.decision, settings.priority
    if isinstance(a, ScoredSet) and isinstance(b, ScoredSet):
        found = compare(a, b, held_out=held_out, priority=priority, limits=limits)
    else:
        boards = [build_leaderboard(side) if isinstance(side, ScoredSet) else side for side in (a, b)]
        found = compare_leaderboards(boards[0], boards[1], priority=priority, limits=limits)
    return _weighed(found, settings, general, unmeasured, tuple(stop))


def _weighed(
    found: Comparison,
    settings: Settings,
    general: GeneralChange | None,
    unmeasured: str,
    stop: tuple[str, ...],
) -> Comparison:
    from clinasr_tui.flywheel.decision import FORGETTING_NOT_MEASURED
    from clinasr_tui.flywheel.judgement import judge, reasons

    judgement = judge(found, general=general, stop=stop, limits=settings.decision, thresholds=settings.gate)
    known = general is not None or unmeasured
    rest = [line for line in found.reasons[1:] if not known or line != FORGETTING_NOT_MEASURED]
    if unmeasured:
        rest.append(f"{unmeasured[:1].upper()}{unmeasured[1:]}.")
    return replace(found, judgement=judgement, reasons=(*found.reasons[:1], *reasons(judgement), *rest))


def general_between(a: Path, b: Path, settings: Settings) -> GeneralChange:
    """What became of general speech, from both models' transcripts of one set. Raises InputError."""
    from clinasr_tui.flywheel.forgetting import general_change

    return general_change(scored_file(a, None), scored_file(b, None), settings.decision)


def general_of(a: Cycle, b: Cycle, settings: Settings) -> tuple[GeneralChange | None, str]:
    """The same from two cycles' general_hyps.jsonl; beside it why it could not be measured, or ""."""
    if a.general is None or b.general is None:
        lacking = a if a.general is None else b
        if a.general is b.general:
            return None, ""
        return None, f"no general_hyps.jsonl in {lacking.folder.name}: forgetting cannot be told"
    try:
        return general_between(a.general, b.general, settings), ""
    except InputError as error:
        return None, f"forgetting is not measured: {error}"


def served_of(
    offline: ScoredSet | Leaderboard,
    heard: ScoredSet | Leaderboard,
    held_out: frozenset[tuple[str, str]] | None,
    settings: Settings,
) -> Served:
    """What serving changed: a model's offline rows against those through its service."""
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.served import served

    rows = len(offline) if isinstance(offline, ScoredSet) else offline.rows
    return served(comparison_of(offline, heard, held_out, settings), rows, settings.decision)


def serving_change(
    cycle: Cycle, offline: ScoredSet, workspace: Workspace, progress: Progress | None = None
) -> Served:
    """What serving changed of a cycle's `offline` rows. Raises InputError, InterruptedError."""
    if cycle.serving is None:
        raise InputError(
            f"no {SERVING_FILE}",
            where=cycle.folder.name,
            remedy="Transcribe the manifest through the service (the eval stage with ASR_ENDPOINT)",
        )
    heard = scored_file(cycle.serving, cycle.manifest, progress=progress)
    return served_of(offline, heard, workspace.held_out(cycle.number), workspace.settings)


def stop_of(
    workspace: Workspace,
    newest_first: Iterable[tuple[Cycle, ScoredSet | Leaderboard]],
    run: RunFacts | None,
) -> tuple[str, ...]:
    """Why tuning should stop after the first cycle of `newest_first`: it and those before, with figures."""
    from clinasr_tui.flywheel.stopping import stop_reasons, tuning_history

    settings = workspace.settings
    changes = tuning_history(newest_first, workspace, settings.priority, settings.decision)
    return tuple(stop_reasons(changes, run, settings.decision))


class KerFigures(NamedTuple):
    """KER of some rows: mean over the `n` that have one, 95 % interval (bootstrap over terms)."""

    ker: float | None
    n: int
    interval: tuple[float, float] | None


def ker_figures(scored: ScoredSet, keys: Collection[tuple[str, str]]) -> KerFigures:
    """KER of the rows whose (audio_filepath, term) is in `keys`."""
    from clinasr_tui.flywheel.scoring import NO_KER
    from clinasr_tui.flywheel.stats import ker_interval

    hypotheses, ker = scored.hypotheses, scored.scores.ker
    rows = zip(hypotheses.audio_filepath, hypotheses.term, strict=True)
    chosen = [index for index, key in enumerate(rows) if ker[index] != NO_KER and key in keys]
    if not chosen:
        return KerFigures(None, 0, None)
    mean = sum(ker[index] for index in chosen) / len(chosen)
    return KerFigures(mean, len(chosen), ker_interval(scored, chosen))
