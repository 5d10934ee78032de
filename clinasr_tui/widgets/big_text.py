"""A verdict in letters two lines high."""

from __future__ import annotations

from textual.content import Content

_LETTERS = {
    "A": ("▄▀█", "█▀█"),
    "B": ("█▄▄", "█▄█"),
    "C": ("█▀▀", "█▄▄"),
    "D": ("█▀▄", "█▄▀"),
    "E": ("█▀▀", "██▄"),
    "G": ("█▀▀", "█▄█"),
    "H": ("█ █", "█▀█"),
    "K": ("█▄▀", "█ █"),
    "L": ("█  ", "█▄▄"),
    "M": ("█▄ ▄█", "█ ▀ █"),
    "N": ("█▄ █", "█ ▀█"),
    "O": ("█▀█", "█▄█"),
    "P": ("█▀█", "█▀▀"),
    "R": ("█▀█", "█▀▄"),
    "S": ("█▀", "▄█"),
    "U": ("█ █", "█▄█"),
    "W": ("█ █ █", "▀▄▀▄▀"),
    " ": ("  ", "  "),
}


def big_text(word: str, style: str) -> Content:
    """Two lines; a letter without a picture stands as it is on the lower line."""
    pictures = [_LETTERS.get(letter, (" ", letter)) for letter in word.upper()]
    rows = (" ".join(picture[row] for picture in pictures) for row in (0, 1))
    return Content.styled("\n".join(rows), style)
