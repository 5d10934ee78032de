"""What fine-tuning cost elsewhere: a general set transcribed by both models (method, section 7).

The general set is any speech outside the manifest's domain, in the transcripts' own format
(`audio_filepath`, `ref`, `hyp`; no terms needed). In a workspace each cycle's stands in
`general_hyps.jsonl`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.comparison import compare
from clinasr_tui.flywheel.decision import by_chance
from clinasr_tui.flywheel.opinion import GeneralChange
from clinasr_tui.flywheel.thresholds import DecisionLimits

if TYPE_CHECKING:
    from clinasr_tui.flywheel.scoring import ScoredSet


def general_change(a: ScoredSet, b: ScoredSet, limits: DecisionLimits | None = None) -> GeneralChange:
    """Compare a general set before and after. Raises InputError if the two share no row."""
    limits = limits or DecisionLimits()
    found = compare(a, b, priority=())
    if not found.pairs:
        raise InputError(
            "the general transcripts share no row",
            where=str(b.hypotheses.path or ""),
            remedy="Transcribe the same general set with both models",
        )
    wer, cer = found.every.headline["wer"], found.every.headline["cer"]
    rose = wer.delta is not None and wer.delta > 0 and not by_chance(wer)
    much = wer.relative is None or wer.relative >= limits.forgetting_relative
    return GeneralChange(wer, cer, len(found.pairs), found.only_a, found.only_b, rose and much)


def to_json(change: GeneralChange) -> dict[str, Any]:
    """The `general` key of the `compare` command."""
    return {
        "rows": change.rows,
        "wer": asdict(change.wer),
        "cer": asdict(change.cer),
        "forgotten": change.forgotten,
        "sentence": change.sentence,
        "only_a": change.only_a,
        "only_b": change.only_b,
    }
