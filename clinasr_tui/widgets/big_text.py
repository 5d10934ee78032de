"""A verdict in letters two lines high."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

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


class BigWords(Widget):
    """Words in large letters with `≠` between; where there is no room, the first alone is large."""

    DEFAULT_CSS = "BigWords { height: 2; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._words: tuple[tuple[str, str], ...] = ()

    def show(self, words: Sequence[tuple[str, str]]) -> None:
        """Each word with its style."""
        self._words = tuple(words)
        self.refresh()

    def render(self) -> Content:
        """Two lines."""
        if not self._words:
            return Content("")
        pictures = [big_text(word, style).split("\n") for word, style in self._words]
        upper, lower = zip(*pictures, strict=True)
        above = Content("     ").join(upper)
        if above.cell_length <= self.size.width:
            return Content("\n").join([above, Content("  ≠  ").join(lower)])
        others = [Content.styled(word, style) for word, style in self._words[1:]]
        return Content("\n").join([upper[0], Content(" ≠ ").join([lower[0], *others])])
