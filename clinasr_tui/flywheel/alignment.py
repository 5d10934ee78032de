"""Word alignment of a reference with a hypothesis, for showing rows (jiwer supplies it)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from clinasr_tui.flywheel.normalise import normalise

_REACH = 3
"""Words to either side of a misheard term that may belong to what was heard."""

_MOST_PAIRS = 10_000
"""Word pairs looked at to find those that look alike; a longer stretch is paired from its start."""


class AlignedSpan(NamedTuple):
    """A run of words: `kind` is equal, substitute, delete (only reference) or insert (only hypothesis).

    `clinical` is True where the reference words belong to the row's term.
    """

    kind: str
    reference: str
    hypothesis: str
    clinical: bool


class _Chunk(NamedTuple):
    """A run of one kind: reference words `start` to `stop`, hypothesis words `heard` to `heard_stop`."""

    kind: str
    start: int
    stop: int
    heard: int
    heard_stop: int


class _Word(NamedTuple):
    """A word as it is scored, and the raw text it stands for."""

    scored: str
    raw: str


def align(reference: str, hypothesis: str, term: str = "") -> tuple[AlignedSpan, ...]:
    """Align two raw texts by their normalised words.

    Raw text that normalises to nothing (a lone dash) stays with the word before it; a text of nothing
    else is a span of its own, equal to nothing: it costs no error.
    """
    expected, heard = _words(reference), _words(hypothesis)
    clinical = [False] * len(expected)
    for start, stop in _occurrences(expected, term):
        clinical[start:stop] = [True] * (stop - start)
    spans = [
        AlignedSpan(
            part.kind,
            " ".join(word.raw for word in expected[part.start : part.stop]),
            " ".join(word.raw for word in heard[part.heard : part.heard_stop]),
            part.start < part.stop and clinical[part.start],
        )
        for chunk in _chunks(expected, heard)
        for part in _split(chunk, clinical)
    ]
    if not expected and reference.strip():
        spans.insert(0, AlignedSpan("equal", " ".join(reference.split()), "", False))
    if not heard and hypothesis.strip():
        spans.append(AlignedSpan("equal", "", " ".join(hypothesis.split()), False))
    return tuple(spans)


def heard_as(reference: str, hypothesis: str, term: str) -> str | None:
    """What the hypothesis has in place of `term`: "" if dropped, None if the reference lacks the term.

    Normalised, so that the same mishearing counts as the same. A term heard in pieces (`cefa zolin`)
    comes back whole: misheard neighbours join it where most of their letters make it more like the term.
    """
    expected, heard = _words(reference), _words(hypothesis)
    found = next(_occurrences(expected, term), None)
    if found is None:
        return None
    start, stop = found
    places = [place for chunk in _chunks(expected, heard) for place in _places(chunk)]
    inside = [at for at, place in enumerate(places) if start <= place.low < stop and place.high > start]
    first = inside[0] if inside else sum(place.low < start for place in places)
    last = inside[-1] + 1 if inside else first
    before, after = places[max(first - _REACH, 0) : first][::-1], places[last : last + _REACH]
    reach = (_misheard(before), _misheard(after))
    return _most_like(normalise(term), [word.scored for word in heard], (first, last), reach)


class _Place(NamedTuple):
    """Where a hypothesis word stands: reference words `low` to `high` (equal for an insertion)."""

    low: int
    high: int
    kind: str


def _places(chunk: _Chunk) -> list[_Place]:
    """The places of a chunk's hypothesis words; an insertion within a term lies inside it."""
    if chunk.kind == "insert":
        return [_Place(chunk.start, chunk.start, chunk.kind)] * (chunk.heard_stop - chunk.heard)
    return [
        _Place(chunk.start + offset, chunk.start + offset + 1, chunk.kind)
        for offset in range(chunk.heard_stop - chunk.heard)
    ]


def _misheard(places: Sequence[_Place]) -> int:
    """How many of the places, from the first on, are not equal words."""
    return next((count for count, place in enumerate(places) if place.kind == "equal"), len(places))


def _most_like(term: str, words: Sequence[str], window: tuple[int, int], reach: tuple[int, int]) -> str:
    """The words of `window`, widened by up to `reach` words to either side where that pays.

    A letter taken in costs a half, a letter of the term still wrong costs one.
    """
    from rapidfuzz.distance import Levenshtein

    letters = term.replace(" ", "")
    first, last = window
    base = sum(map(len, words[first:last]))
    choices = []
    for left in range(reach[0] + 1):
        for right in range(reach[1] + 1):
            text = "".join(words[first - left : last + right])
            cost = Levenshtein.distance(letters, text) + (len(text) - base) / 2
            choices.append((cost, left + right, left))
    _, wider, left = min(choices)
    return " ".join(words[first - left : last + wider - left])


def _words(text: str) -> list[_Word]:
    """The scored words of a text with the raw text each stands for."""
    words: list[_Word] = []
    waiting = ""
    for token in text.split():
        scored = normalise(token).split()
        if len(scored) == 1:
            words.append(_Word(scored[0], waiting + token))
            waiting = ""
        elif scored:
            # Some characters come apart into a space and a mark: such a token is shown as scored.
            words.extend(_Word(word, word) for word in scored)
        elif words:
            words[-1] = _Word(words[-1].scored, f"{words[-1].raw} {token}")
        else:
            waiting += f"{token} "
    return words


def _occurrences(words: Sequence[_Word], term: str) -> Iterator[tuple[int, int]]:
    """Where the term's words stand in order and adjacent, from left to right, not overlapping."""
    wanted = normalise(term).split()
    at = 0
    while wanted and at + len(wanted) <= len(words):
        if [word.scored for word in words[at : at + len(wanted)]] == wanted:
            yield at, at + len(wanted)
            at += len(wanted)
        else:
            at += 1


def _chunks(expected: Sequence[_Word], heard: Sequence[_Word]) -> list[_Chunk]:
    if not expected or not heard:
        kind = "delete" if expected else "insert"
        return [_Chunk(kind, 0, len(expected), 0, len(heard))] if expected or heard else []
    from jiwer import process_words

    output = process_words(_joined(expected), _joined(heard))
    chunks: list[_Chunk] = []
    for kind, group in groupby(output.alignments[0], key=lambda chunk: chunk.type == "equal"):
        run = list(group)
        first, last = run[0], run[-1]
        edges = (first.ref_start_idx, last.ref_end_idx, first.hyp_start_idx, last.hyp_end_idx)
        chunks += [_Chunk("equal", *edges)] if kind else _pair_alike(expected, heard, *edges)
    return chunks


def _joined(words: Sequence[_Word]) -> str:
    return " ".join(word.scored for word in words)


def _pair_alike(
    expected: Sequence[_Word], heard: Sequence[_Word], start: int, stop: int, heard_from: int, heard_stop: int
) -> list[_Chunk]:
    """The chunks of a stretch without an equal word, words that look alike paired.

    jiwer takes any of the alignments with the fewest errors; here that number is the longer side's
    words whichever words of it are left over, so the choice is free.
    """
    longer_is_heard = heard_stop - heard_from > stop - start
    sides = (
        [word.scored for word in expected[start:stop]],
        [word.scored for word in heard[heard_from:heard_stop]],
    )
    taken = _partners(*sides) if longer_is_heard else _partners(*sides[::-1])
    left_over = "insert" if longer_is_heard else "delete"
    chunks: list[_Chunk] = []
    at, heard_at = start, heard_from
    for kind, group in groupby(taken):
        size = len(list(group))
        to = at + (size if kind or not longer_is_heard else 0)
        heard_to = heard_at + (size if kind or longer_is_heard else 0)
        chunks.append(_Chunk("substitute" if kind else left_over, at, to, heard_at, heard_to))
        at, heard_at = to, heard_to
    return chunks


def _partners(shorter: Sequence[str], longer: Sequence[str]) -> list[bool]:
    """Which words of `longer` to pair with those of `shorter`, in order, so that they look most alike."""
    from rapidfuzz.distance import Levenshtein

    spare = len(longer) - len(shorter)
    if not spare or len(shorter) * spare > _MOST_PAIRS:
        return [at < len(shorter) for at in range(len(longer))]
    # best[i][k]: likeness of the first i words paired when k words of `longer` were passed over.
    best = [[0.0] * (spare + 1) for _ in range(len(shorter) + 1)]
    for i, word in enumerate(shorter):
        for k in range(spare + 1):
            paired = best[i][k] + Levenshtein.normalized_similarity(word, longer[i + k])
            best[i + 1][k] = max(paired, best[i + 1][k - 1] if k else 0.0)
    taken = [False] * len(longer)
    k = spare
    for i in range(len(shorter), 0, -1):
        while k and best[i][k] == best[i][k - 1]:
            k -= 1
        taken[i - 1 + k] = True
    return taken


def _split(chunk: _Chunk, clinical: Sequence[bool]) -> Iterator[_Chunk]:
    """Cut a chunk where its reference words pass from clinical to not or back."""
    if chunk.start == chunk.stop:
        yield chunk
    start = chunk.start
    for at in range(chunk.start + 1, chunk.stop + 1):
        if at == chunk.stop or clinical[at] != clinical[start]:
            heard, heard_stop = (
                min(chunk.heard + edge - chunk.start, chunk.heard_stop) for edge in (start, at)
            )
            yield _Chunk(chunk.kind, start, at, heard, heard_stop)
            start = at
