"""Two cycles side by side, paired by row, and the decision table's action (method, section 7)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

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
from clinasr_tui.flywheel.leaderboard import METRICS, GroupFigure, Leaderboard, build_leaderboard
from clinasr_tui.flywheel.pairing import Pairing, held_out_rows, pair_rows, row_keys
from clinasr_tui.flywheel.scoring import NO_KER, ScoredSet, Scores
from clinasr_tui.flywheel.vocabulary import SECTION_FIELDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clinasr_tui.flywheel.opinion import Judgement
    from clinasr_tui.flywheel.thresholds import DecisionLimits

_ALL = ("all categories",)

__all__ = [
    "Comparison",
    "Difference",
    "RowPair",
    "Slice",
    "Verdict",
    "compare",
    "compare_leaderboards",
    "to_json",
]


@dataclass(frozen=True, slots=True)
class Slice:
    """One set of paired rows (all, held-out, trained): headline and KER by section field."""

    rows: int
    headline: dict[str, Difference]
    by: dict[str, dict[str, Difference]]


@dataclass(frozen=True, slots=True)
class RowPair:
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
    figures = _PairedFigures(a, b, pairing, seed=seed, resamples=resamples)
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
    story += _left_out(a, b, pairing)
    return Comparison(
        every=every,
        held_out=slice_out,
        trained=figures.slice(~out) if slice_out is not None else None,
        pairs=tuple(map(RowPair, pairing.a, pairing.b, flags)),
        only_a=len(a) - len(pairing.a),
        only_b=len(b) - len(pairing.b),
        fixed=figures.changed(1, 0),
        broken=figures.changed(0, 1),
        still_wrong=figures.changed(1, 1),
        still_right=figures.changed(0, 0),
        priority=tuple(priority),
        verdict=verdict,
        action=ACTIONS[verdict],
        reasons=tuple(story),
        names=names,
        targeted=pooled,
        targeted_held_out=alone,
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
        pooled, names = every.headline["ker"], _ALL
    else:
        pooled = difference(pooled_a.ker, pooled_b.ker, min(pooled_a.n, pooled_b.n))
    verdict = published(pooled, limits)
    story = [
        *verdict_reasons(names, pooled, limits),
        "Only leaderboards are known: no rows to pair, so no interval, no test and no held-out rows.",
        *_beside(every, verdict),
    ]
    if a.rows != b.rows:
        story.append(f"The sets differ in size: {a.rows} and {b.rows} rows.")
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
        reasons=tuple(story),
        names=names,
        targeted=pooled,
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The JSON keys of the `compare` command, without `schema`."""
    every = _slice_json(comparison.every)
    return {
        **every,
        "held_out": comparison.held_out and _slice_json(comparison.held_out),
        "trained": comparison.trained and _slice_json(comparison.trained),
        "priority": list(comparison.priority),
        "verdict": str(comparison.verdict),
        "action": comparison.action,
        "reasons": list(comparison.reasons),
        "changed_rows": {
            kind: len(getattr(comparison, kind)) for kind in ("fixed", "broken", "still_wrong", "still_right")
        },
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
    }


def _slice_json(part: Slice) -> dict[str, Any]:
    return {
        "rows": part.rows,
        "headline": {name: asdict(figure) for name, figure in part.headline.items()},
        "by": {
            field: {value: asdict(figure) for value, figure in groups.items()}
            for field, groups in part.by.items()
        },
    }


class _PairedFigures:
    """The paired rows' scores as columns, and differences of any part of them (a mask over the pairs)."""

    def __init__(self, a: ScoredSet, b: ScoredSet, pairing: Pairing, *, seed: int, resamples: int) -> None:
        import numpy as np

        from clinasr_tui.flywheel.stats import cluster_ids

        self.everything = np.ones(len(pairing.a), dtype=bool)
        left, right = _row_values(a.scores, pairing.a), _row_values(b.scores, pairing.b)
        self._values = {name: (left[name], right[name]) for name in METRICS}
        self._with_term = (left["ker"] != NO_KER) & (right["ker"] != NO_KER)
        self._clusters = cluster_ids([a.hypotheses.term[index] for index in pairing.a])
        self._fields = {
            name: [a.hypotheses.column(name)[index] for index in pairing.a] for name in SECTION_FIELDS
        }
        self._drawing = {"seed": seed, "resamples": resamples}

    def mask(self, flags: list[bool]) -> NDArray[np.bool_]:
        """Flags a pair as a mask."""
        import numpy as np

        return np.array(flags, dtype=bool)

    def targeted(self, priority: tuple[str, ...]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
        """Pairs of the priority categories and their names; every pair if they have no row with a term."""
        chosen = self.mask([name in priority for name in self._fields["entity_category"]])
        return (chosen, tuple(priority)) if (chosen & self._with_term).any() else (self.everything, _ALL)

    def changed(self, before: int, after: int) -> tuple[int, ...]:
        """Pairs whose KER was `before` in A and is `after` in B."""
        left, right = self._values["ker"]
        return tuple((self._with_term & (left == before) & (right == after)).nonzero()[0].tolist())

    def slice(self, mask: NDArray[np.bool_]) -> Slice:
        """Headline and sections of the pairs in `mask`; values in order of first appearance."""
        by: dict[str, dict[str, Difference]] = {}
        for field, values in self._fields.items():
            here = dict.fromkeys(value for value, inside in zip(values, mask.tolist(), strict=True) if inside)
            numbers = {value: number for number, value in enumerate(here)}
            codes = self._codes(values, numbers)
            by[field] = {
                value: self.difference("ker", mask & (codes == number)) for value, number in numbers.items()
            }
        headline = {name: self.difference(name, mask) for name in METRICS}
        return Slice(int(mask.sum()), headline, by)

    def _codes(self, values: list[str], numbers: dict[str, int]) -> NDArray[np.intp]:
        import numpy as np

        return np.array([numbers.get(value, -1) for value in values], dtype=np.intp)

    def difference(self, metric: str, mask: NDArray[np.bool_]) -> Difference:
        """One metric of the pairs in `mask`, with its interval and, for KER and SER, McNemar's p."""
        from clinasr_tui.flywheel.stats import mcnemar_exact, mean_interval

        chosen = mask & self._with_term if metric == "ker" else mask
        left, right = (values[chosen] for values in self._values[metric])
        n = len(left)
        if n == 0:
            return difference(None, None, 0)
        p = None
        if metric in ("ker", "ser"):
            p = mcnemar_exact(int((left < right).sum()), int((left > right).sum()))
        return difference(
            math.fsum(left.tolist()) / n,
            math.fsum(right.tolist()) / n,
            n,
            ci95=mean_interval(right - left, self._clusters[chosen], **self._drawing),
            p=p,
        )


def _row_values(scores: Scores, indices: tuple[int, ...]) -> dict[str, NDArray[np.float64]]:
    """The four scores of the rows at `indices`, KER being NO_KER where there is none."""
    import numpy as np

    at = np.array(indices, dtype=np.intp)
    words, characters = (
        np.asarray(errors)[at] / np.maximum(np.asarray(lengths)[at], 1)
        for errors, lengths in (
            (scores.word_errors, scores.reference_words),
            (scores.char_errors, scores.reference_chars),
        )
    )
    ker, ser = (np.asarray(column)[at].astype(float) for column in (scores.ker, scores.ser))
    return {"wer": words, "cer": characters, "ker": ker, "ser": ser}


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
    return replace(found, only_a=len(a), only_b=len(b), reasons=(note, *found.reasons))


def _no_held_out(given: Collection[tuple[str, str]] | None) -> str:
    if given:
        return f"None of the held-out rows ({len(given)}) is among the pairs: the split is of other rows."
    return "Held-out rows are not known: the figures may be of rows the model was trained on."


def _beside(every: Slice, verdict: Verdict) -> Iterator[str]:
    """What the verdict on some categories does not say."""
    categories = every.by["entity_category"]
    if clearly_worse(every.headline["wer"]):
        yield f"{sentence(every.headline['wer'], 'WER')}: these rows got worse as a whole."
    for name, figure in categories.items():
        if clearly_worse(figure):
            yield f"{name or '(none)'} got worse: {sentence(figure)}."
    if verdict is Verdict.KEEP:
        yield FORGETTING_NOT_MEASURED


def _left_out(a: ScoredSet, b: ScoredSet, pairing: Pairing) -> Iterator[str]:
    """What pairing left out or took on trust."""
    only_a, only_b = len(a) - len(pairing.a), len(b) - len(pairing.b)
    if only_a or only_b:
        yield f"Left out: rows only in A {only_a}, only in B {only_b}."
    if pairing.by_name:
        yield f"Rows paired by file name, as their folders differ: {pairing.by_name}."
    references = (a.hypotheses.reference, b.hypotheses.reference)
    differ = sum(references[0][i] != references[1][k] for i, k in zip(pairing.a, pairing.b, strict=True))
    if differ:
        yield f"Rows with another reference text in B, whose change is not the model's alone: {differ}."
