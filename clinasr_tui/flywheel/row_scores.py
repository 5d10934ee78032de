"""Errors and lengths of many rows at once (method, section 2). Imports little: every scoring process does.

Texts are normalised together, as one text with a row a line: one pass of the translation table costs
less than a call for each row. Every row gets one space at either end. Edit distances do not change by
what both sides begin and end with, and a term then occurs as words exactly if it occurs as a text.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import compress
from operator import contains, ne, not_

from clinasr_tui.flywheel.normalise import ASCII_DELETED, ASCII_TABLE, normalise

NO_KER = -1
"""Stands for the KER of a row without a term.

A term of which nothing is left after normalisation (`"!"`) counts as none.
"""

COLUMNS = {
    "word_errors": "i",
    "reference_words": "i",
    "char_errors": "i",
    "reference_chars": "i",
    "ker": "b",
    "ser": "b",
}
"""What is known of a row, and the `array` type it is kept in."""

_SEPARATOR = " \n "
_LINES = bytearray(ASCII_TABLE)
_LINES[ord("\n")] = ord("\n")
_LINE_TABLE = bytes(_LINES)
_TERMS_REMEMBERED = 1 << 16


class _Keywords(dict[str, str]):
    """Normalised terms with a space at either end; "" for a term of which nothing is left."""

    def __missing__(self, term: str) -> str:
        if len(self) >= _TERMS_REMEMBERED:
            self.clear()
        words = normalise(term)
        keyword = self[term] = f" {words} " if words else ""
        return keyword


_keyword = _Keywords().__getitem__


def normalise_all(texts: Sequence[str]) -> list[str]:
    """Every text normalised, with one more space at either end."""
    if not texts:
        return []
    joined = _SEPARATOR.join(texts)
    odd: list[int] = []
    if not joined.isascii() or joined.count("\n") >= len(texts):
        odd = [place for place, text in enumerate(texts) if not text.isascii() or "\n" in text]
        plain = list(texts)
        for place in odd:
            plain[place] = ""
        joined = _SEPARATOR.join(plain)
    lines = f" {joined} ".encode("ascii").translate(_LINE_TABLE, ASCII_DELETED).decode("ascii")
    rows = lines.split("\n")
    if "  " in lines:
        rows = [f" {' '.join(row.split())} " if "  " in row else row for row in rows]
    for place in odd:
        rows[place] = f" {normalise(texts[place])} "
    return rows


def score_texts(
    references: Sequence[str], hypotheses: Sequence[str], terms: Sequence[str]
) -> list[array[int]]:
    """The `COLUMNS` of these rows. Exact: integers only."""
    from rapidfuzz.distance import Levenshtein

    distance = Levenshtein.distance
    refs, hyps = normalise_all(references), normalise_all(hypotheses)
    differs = list(map(ne, refs, hyps))
    words = list(map(str.split, refs))
    heard = map(str.split, compress(hyps, differs))
    word_errors = map(distance, compress(words, differs), heard)
    char_errors = map(distance, compress(refs, differs), compress(hyps, differs))
    keywords = list(map(_keyword, terms))
    ker: Sequence[int] = list(map(not_, map(contains, hyps, keywords)))
    if "" in keywords:
        ker = [miss if keyword else NO_KER for miss, keyword in zip(ker, keywords, strict=True)]
    return [
        array("i", [next(word_errors) if differ else 0 for differ in differs]),
        array("i", map(len, words)),
        array("i", [next(char_errors) if differ else 0 for differ in differs]),
        array("i", [len(row) - 2 for row in refs]),
        array("b", ker),
        array("b", differs),
    ]
