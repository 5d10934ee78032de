"""Two cycles side by side, paired by row, and the decision table's action (method, section 7)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from clinasr_tui.flywheel.decision import (
    ACTIONS,
    FORGETTING_NOT_MEASURED,
    Difference,
    Verdict,
    clearly_worse,
    difference,
    held_out_reasons,
    published,
    sentence,
    verdict_reasons,
)
from clinasr_tui.flywheel.leaderboard import (
    METRICS,
    GroupFigure,
    Leaderboard,
    build_leaderboard,
    signature,
)
from clinasr_tui.flywheel.paired_figures import ALL, PairedFigures, Slice
from clinasr_tui.flywheel.pairing import (
    Pairing,
    differing_references,
    file_name,
    held_out_rows,
    pair_rows,
    row_keys,
)
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    from clinasr_tui.flywheel.opinion import Judgement
    from clinasr_tui.flywheel.scoring import ScoredSet
    from clinasr_tui.flywheel.thresholds import DecisionLimits

_NAMED = 3
"""Rows named of those that were left out."""

__all__ = [
    "Comparison",
    "Difference",
    "RowPair",
    "Slice",
    "Verdict",
    "compare",
    "compare_leaderboards",
    "got_worse",
    "to_json",
]


class RowPair(NamedTuple):
    """One row in both cycles: indices into set A and set B."""

    a: int
    b: int
    held_out: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything Compare shows. Paired parts are None/empty when only leaderboards are known."""

    every: Slice
    held_out: Slice | None
    trained: Slice | None
    pairs: tuple[RowPair, ...]
    only_a: int
    only_b: int
    fixed: tuple[int, ...]
    """Indices into `pairs`: term missed in A, heard in B."""
    broken: tuple[int, ...]
    still_wrong: tuple[int, ...]
    still_right: tuple[int, ...]
    priority: tuple[str, ...]
    verdict: Verdict
    """The published table on the priority categories, all rows."""
    action: str
    """What to do next, one sentence."""
    reasons: tuple[str, ...]
    """Why, figures included; the held-out rows' own verdict where it differs."""
    names: tuple[str, ...] = ()
    """What the verdict is of: the priority categories, or all where those have no row with a term."""
    targeted: Difference | None = None
    """KER of those rows; None if nothing was compared."""
    targeted_held_out: Difference | None = None
    """KER of the held-out ones among them; None if which rows were held out is not known."""
    notes: tuple[str, ...] = ()
    """Those of the reasons that are about the rows: what was left out, what was taken on trust."""
    left_out_a: tuple[int, ...] = ()
    """Rows of A (counted from 0) that B does not have; not listed where nothing was paired."""
    left_out_b: tuple[int, ...] = ()
    signature: dict[str, str] = field(default_factory=dict)
    """Normaliser, aggregation, KER rule, interval, test, library versions, seed: what makes it repeatable."""
    judgement: Judgement | None = None
    """The published verdict beside the honest one; None until both are weighed (`review`)."""


def compare(
    a: ScoredSet,
    b: ScoredSet,
    *,
    held_out: Collection[tuple[str, str]] | None = None,
    priority: tuple[str, ...] = ("drug",),
    seed: int = 42,
    resamples: int = 10_000,
    limits: DecisionLimits | None = None,
) -> Comparison:
    """Compare two scored sets, rows matched on (audio_filepath, term).

    `held_out` holds the (audio_filepath, term) keys of rows the tuned model was not trained on.
    Every figure is of the paired rows. Sets that share no row are compared by their leaderboards.
    """
    pairing = pair_rows(a.hypotheses, b.hypotheses)
    if not pairing.a:
        return _without_pairs(a, b, priority, limits)
    figures = PairedFigures(a, b, pairing, seed=seed, resamples=resamples)
    keys = row_keys(a.hypotheses)
    flags = held_out_rows([keys[index] for index in pairing.a], held_out or ())
    out = figures.mask(flags)
    every = figures.slice(figures.everything)
    slice_out = figures.slice(out) if any(flags) else None
    targeted, names = figures.targeted(priority)
    pooled = figures.difference("ker", targeted)
    verdict = published(pooled, limits)
    story = [*verdict_reasons(names, pooled, limits)]
    alone = None
    if slice_out is not None:
        alone = figures.difference("ker", targeted & out)
        story += held_out_reasons(names, alone, slice_out.headline["ker"])
    else:
        story.append(_no_held_out(held_out))
    story += _beside(every, verdict)
    left_out = pairing.left_out(len(a), len(b))
    notes = tuple(_left_out(a, b, pairing, left_out))
    return Comparison(
        every=every,
        held_out=slice_out,
        trained=figures.slice(~out) if slice_out is not None else None,
        pairs=tuple(map(RowPair._make, zip(pairing.a, pairing.b, flags, strict=True))),
        only_a=len(left_out[0]),
        only_b=len(left_out[1]),
        fixed=figures.changed(1, 0),
        broken=figures.changed(0, 1),
        still_wrong=figures.changed(1, 1),
        still_right=figures.changed(0, 0),
        priority=tuple(priority),
        verdict=verdict,
        action=ACTIONS[verdict],
        reasons=(*story, *notes),
        names=names,
        targeted=pooled,
        targeted_held_out=alone,
        notes=notes,
        left_out_a=left_out[0],
        left_out_b=left_out[1],
        signature=_paired_signature(resamples, seed),
    )


def compare_leaderboards(
    a: Leaderboard,
    b: Leaderboard,
    *,
    priority: tuple[str, ...] = ("drug",),
    limits: DecisionLimits | None = None,
) -> Comparison:
    """Compare two cycles of which only the leaderboards are known: no pairs, intervals or p.

    `n` is then the smaller of the two sides'.
    """
    every = Slice(
        rows=min(a.rows, b.rows),
        headline={
            name: difference(
                a.metrics.get(name),
                b.metrics.get(name),
                min(a.ker_rows, b.ker_rows) if name == "ker" else min(a.rows, b.rows),
            )
            for name in METRICS
        },
        by={field: _by_group(a.by.get(field, {}), b.by.get(field, {})) for field in SECTION_FIELDS},
    )
    pooled_a, pooled_b = _pooled(a, priority), _pooled(b, priority)
    names = tuple(priority)
    if pooled_a.ker is None or pooled_b.ker is None:
        pooled, names = every.headline["ker"], ALL
    else:
        pooled = difference(pooled_a.ker, pooled_b.ker, min(pooled_a.n, pooled_b.n))
    verdict = published(pooled, limits)
    without = "Only leaderboards are known: no rows to pair, so no interval, no test and no held-out rows."
    notes = [f"The sets differ in size: {a.rows} and {b.rows} rows."] if a.rows != b.rows else []
    notes += _scored_otherwise(a, b)
    story = (*verdict_reasons(names, pooled, limits), without, *_beside(every, verdict), *notes)
    return Comparison(
        every=every,
        held_out=None,
        trained=None,
        pairs=(),
        only_a=0,
        only_b=0,
        fixed=(),
        broken=(),
        still_wrong=(),
        still_right=(),
        priority=tuple(priority),
        verdict=verdict,
        action=ACTIONS[verdict],
        reasons=story,
        names=names,
        targeted=pooled,
        notes=(without, *notes),
        signature=_common_signature(a, b),
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The JSON keys of the `compare` command, without `schema`."""
    held_out, trained = comparison.held_out, comparison.trained
    return {
        **comparison.every.as_json(),
        "held_out": held_out and held_out.as_json(),
        "trained": trained and trained.as_json(),
        "priority": list(comparison.priority),
        "verdict": str(comparison.verdict),
        "action": comparison.action,
        "reasons": list(comparison.reasons),
        "changed_rows": {
            kind: len(getattr(comparison, kind)) for kind in ("fixed", "broken", "still_wrong", "still_right")
        },
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
        "left_out": {"a": list(comparison.left_out_a), "b": list(comparison.left_out_b)},
        "signature": dict(comparison.signature),
    }


def _by_group(a: dict[str, GroupFigure], b: dict[str, GroupFigure]) -> dict[str, Difference]:
    nothing = GroupFigure(None, 0)
    sides = {value: (a.get(value, nothing), b.get(value, nothing)) for value in (*a, *b)}
    return {value: difference(one.ker, two.ker, min(one.n, two.n)) for value, (one, two) in sides.items()}


def _pooled(board: Leaderboard, priority: tuple[str, ...]) -> GroupFigure:
    """KER of all rows of the priority categories."""
    groups = board.by.get("entity_category", {})
    known = [
        (figure.ker, figure.n) for name in priority if (figure := groups.get(name)) and figure.ker is not None
    ]
    n = sum(count for _, count in known)
    return GroupFigure(math.fsum(ker * count for ker, count in known) / n if n else None, n)


def _without_pairs(
    a: ScoredSet, b: ScoredSet, priority: tuple[str, ...], limits: DecisionLimits | None
) -> Comparison:
    boards = build_leaderboard(a), build_leaderboard(b)
    found = compare_leaderboards(*boards, priority=priority, limits=limits)
    note = "No row stands in both sets: the figures are of different rows."
    reasons, notes = (note, *found.reasons), (note, *found.notes)
    return replace(found, only_a=len(a), only_b=len(b), reasons=reasons, notes=notes)


def _no_held_out(given: Collection[tuple[str, str]] | None) -> str:
    if given:
        return f"None of the held-out rows ({len(given)}) is among the pairs: the split is of other rows."
    return "Held-out rows are not known: the figures may be of rows the model was trained on."


def _beside(every: Slice, verdict: Verdict) -> Iterator[str]:
    """What the verdict on some categories does not say."""
    yield from got_worse(every)
    if verdict is Verdict.KEEP:
        yield FORGETTING_NOT_MEASURED


def got_worse(every: Slice) -> Iterator[str]:
    """What got worse beyond chance: the words as a whole, the terms of a category."""
    categories = every.by["entity_category"]
    if clearly_worse(every.headline["wer"]):
        yield f"{sentence(every.headline['wer'], 'WER')}: these rows got worse as a whole."
    for name, figure in categories.items():
        if clearly_worse(figure):
            yield f"{name or '(none)'} got worse: {sentence(figure)}."


def _left_out(
    a: ScoredSet, b: ScoredSet, pairing: Pairing, left_out: tuple[Sequence[int], Sequence[int]]
) -> Iterator[str]:
    """What pairing left out or took on trust."""
    if left_out[0] or left_out[1]:
        sides = zip("AB", (a, b), left_out, strict=True)
        names = "; ".join(f"{name}: {_some(side, rows)}" for name, side, rows in sides if rows)
        yield f"Left out: rows only in A {len(left_out[0])}, only in B {len(left_out[1])} ({names})."
    if pairing.by_name:
        yield f"Rows paired by file name, as their folders differ: {pairing.by_name}."
    differ = differing_references(a.hypotheses, b.hypotheses, pairing)
    if differ:
        yield f"Rows with another reference text in B, whose change is not the model's alone: {differ}."


def _some(scored: ScoredSet, rows: Sequence[int]) -> str:
    names = [file_name(scored.hypotheses.audio_filepath[row]) or "(no audio)" for row in rows[:_NAMED]]
    return ", ".join([*names, "…"] if len(rows) > _NAMED else names)


def _paired_signature(resamples: int, seed: int) -> dict[str, str]:
    return {
        **signature(resamples=resamples, seed=seed),
        "pairs": "same audio file and term",
        "interval": f"95 % of the difference, percentile bootstrap over terms, {resamples} resamples, "
        "a row's two scores drawn together",
        "test": "exact McNemar, two-sided",
    }


def _common_signature(a: Leaderboard, b: Leaderboard) -> dict[str, str]:
    """What both sides were made with; where they differ, both, and where one is silent, the other's."""
    sides = {key: (a.signature.get(key), b.signature.get(key)) for key in (*a.signature, *b.signature)}
    return {
        key: next(filter(None, both)) if None in both or both[0] == both[1] else f"A: {both[0]}; B: {both[1]}"
        for key, both in sides.items()
    }


def _scored_otherwise(a: Leaderboard, b: Leaderboard) -> Iterator[str]:
    """Rules by which the two sides were not scored alike."""
    for key in ("normaliser", "aggregation", "ker"):
        one, two = a.signature.get(key), b.signature.get(key)
        if one is not None and two is not None and one != two:
            yield f"The sides were not scored alike, {key}: {one} and {two}; score both sides again."
