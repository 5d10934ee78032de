"""From a cycle's files to what a review of it needs: scores, gate, comparison. Reads files, blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clinasr_tui.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from clinasr_tui.flywheel.comparison import Comparison
    from clinasr_tui.flywheel.gate import GateResult
    from clinasr_tui.flywheel.leaderboard import Leaderboard
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.workspace import Cycle, Settings


def scored_file(path: Path, manifest: Path | None, warn: Callable[[str], object] | None = None) -> ScoredSet:
    """Read and score transcripts; a manifest fills fields they lack. Raises InputError."""
    from clinasr_tui.flywheel.hypotheses import fill_from_manifest, read_hypotheses
    from clinasr_tui.flywheel.manifest import read_manifest
    from clinasr_tui.flywheel.scoring import score

    hypotheses = read_hypotheses(path)
    if manifest is not None:
        for warning in fill_from_manifest(hypotheses, read_manifest(manifest)):
            if warn is not None:
                warn(warning)
    return score(hypotheses)


def scored_cycle(cycle: Cycle) -> ScoredSet:
    """A cycle's scored rows. Raises InputError if the cycle has no transcripts."""
    if cycle.hypotheses is None:
        raise InputError(
            "no transcripts (per_sample.json, offline_hyps.jsonl)",
            where=cycle.folder.name,
            remedy="Transcribe the manifest first (the eval stage); the cycle then appears here by itself",
        )
    return scored_file(cycle.hypotheses, cycle.manifest)


def gate_of(
    cycle: Cycle,
    board: Leaderboard,
    preflight_errors: int | None,
    settings: Settings,
    *,
    first_eval: bool | None = None,
) -> GateResult:
    """The gate of a cycle with the workspace's settings; unless told, cycle 1 counts as the first eval."""
    from clinasr_tui.flywheel.bases import DEFAULT_BASE, base_standing
    from clinasr_tui.flywheel.gate import evaluate_gate

    return evaluate_gate(
        board,
        base=base_standing(settings.base or DEFAULT_BASE),
        preflight_errors=preflight_errors,
        priority=settings.priority,
        first_eval=cycle.number <= 1 if first_eval is None else first_eval,
    )


def comparison_of(
    a: ScoredSet | Leaderboard,
    b: ScoredSet | Leaderboard,
    held_out: frozenset[tuple[str, str]] | None,
    settings: Settings,
) -> Comparison:
    """Compare two cycles: row by row where both have rows, else by their leaderboards."""
    from clinasr_tui.flywheel.comparison import compare, compare_leaderboards
    from clinasr_tui.flywheel.leaderboard import build_leaderboard
    from clinasr_tui.flywheel.scoring import ScoredSet

    if isinstance(a, ScoredSet) and isinstance(b, ScoredSet):
        return compare(a, b, held_out=held_out, priority=settings.priority)
    boards = [build_leaderboard(side) if isinstance(side, ScoredSet) else side for side in (a, b)]
    return compare_leaderboards(boards[0], boards[1], priority=settings.priority)


class KerFigures(NamedTuple):
    """KER of some rows: mean over the `n` that have one, 95 % interval (bootstrap over terms)."""

    ker: float | None
    n: int
    interval: tuple[float, float] | None


def ker_figures(scored: ScoredSet, keys: Collection[tuple[str, str]] | None) -> KerFigures:
    """KER of all rows, or of those whose (audio_filepath, term) is in `keys`."""
    from clinasr_tui.flywheel.scoring import NO_KER
    from clinasr_tui.flywheel.stats import ker_interval

    hypotheses, ker = scored.hypotheses, scored.scores.ker
    rows = zip(hypotheses.audio_filepath, hypotheses.term, strict=True)
    chosen = [
        index for index, key in enumerate(rows) if ker[index] != NO_KER and (keys is None or key in keys)
    ]
    if not chosen:
        return KerFigures(None, 0, None)
    mean = sum(ker[index] for index in chosen) / len(chosen)
    return KerFigures(mean, len(chosen), ker_interval(scored, chosen))
