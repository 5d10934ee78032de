"""Text normalisation and the KER rule, identical to the published recipe (method, section 2).

Unicode NFKD, lower case, every character deleted that is neither a word character, whitespace nor
hyphen, whitespace collapsed to one space, stripped. Punctuation leaves no space behind:
`5 mg/kg` becomes `5 mgkg`. A lone hyphen stays a word.
"""

from __future__ import annotations

import re
import unicodedata

NORMALISER = "nfkd-lower-keep[\\w\\s-]-collapse"
"""Names this normaliser in the signature of a score."""

_DELETED = re.compile(r"[^\w\s\-]")


def _ascii_tables() -> tuple[bytes, bytes]:
    """A `bytes.translate` table and its deleted bytes, derived from the general rule below 0x80.

    Whitespace becomes a plain space: `str.split` and `\\s` know four separators (0x1c–0x1f) that
    `bytes.split` does not.
    """
    table = bytearray(range(256))
    deleted = bytearray()
    for code in range(128):
        character = chr(code)
        if character.isspace():
            table[code] = 0x20
        elif _DELETED.match(character):
            deleted.append(code)
        else:
            table[code] = ord(character.lower())
    return bytes(table), bytes(deleted)


ASCII_TABLE, ASCII_DELETED = _ascii_tables()


def normalise(text: str) -> str:
    """Return `text` as it is scored: words separated by single spaces, no space at either end."""
    if text.isascii():
        return b" ".join(text.encode("ascii").translate(ASCII_TABLE, ASCII_DELETED).split()).decode("ascii")
    folded = unicodedata.normalize("NFKD", text).lower()
    return " ".join(_DELETED.sub("", folded).split())


def contains_term(normalised_hypothesis: str, normalised_term: str) -> bool:
    """True if the term's words occur in order and adjacent in the hypothesis.

    Both must come from `normalise`. An empty term is contained in nothing: such a row has no KER.
    """
    if not normalised_term:
        return False
    return f" {normalised_term} " in f" {normalised_hypothesis} "
