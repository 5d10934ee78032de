"""Reference and hypotheses, word under word, with every difference marked by characters and colour.

`[x]` is wrong (only the wrong letters where a word is nearly right), `[+x]` was added, `[-]` is
missing. The clinical term stands bold and underlined in the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from clinasr_tui.flywheel.alignment import AlignedSpan, align
from clinasr_tui.text import visible

if TYPE_CHECKING:
    from textual.geometry import Size

TERM = "bold underline"
WRONG = "bold $bad"
LABEL = "$quiet"
_REPEATED = 3
"""More of the same word and nothing else is counted, not repeated."""


class _Cell(NamedTuple):
    """What stands beside reference words `start` to `stop` (equal for an insertion)."""

    start: int
    stop: int
    text: Content


class _Word(NamedTuple):
    text: str
    clinical: bool


class _Line(NamedTuple):
    """One hypothesis: the reference words its alignment saw, and its cells in order."""

    words: tuple[_Word, ...]
    cells: tuple[_Cell, ...]


def mark_word(reference: str, hypothesis: str) -> Content:
    """A wrong word with its wrong letters in brackets: `vancom[i]cin`, `[flew]`."""
    shortest = min(len(reference), len(hypothesis))
    a, b = reference.casefold(), hypothesis.casefold()
    if len(a) != len(reference) or len(b) != len(hypothesis):
        return _bracket(hypothesis)
    head = next((i for i in range(shortest) if a[i] != b[i]), shortest)
    rest = shortest - head
    tail = next((i for i in range(rest) if a[-1 - i] != b[-1 - i]), rest)
    if 2 * (head + tail) < max(len(a), len(b)):
        return _bracket(hypothesis)
    end = len(hypothesis) - tail
    return Content.assemble(
        visible(hypothesis[:head]), _bracket(hypothesis[head:end] or "·"), visible(hypothesis[end:])
    )


def _bracket(text: str, sign: str = "") -> Content:
    return Content.styled(f"[{sign}{visible(text)}]", WRONG)


def mark_hypothesis(reference: str, hypothesis: str, term: str = "") -> Content:
    """The hypothesis on one line with its differences from the reference marked."""
    return Content(" ").join(cell.text for cell in _line(align(reference, hypothesis, term)).cells)


def mark_reference(reference: str, hypothesis: str, term: str = "") -> Content:
    """The reference on one line with the clinical term emphasised."""
    return Content(" ").join(_reference(_line(align(reference, hypothesis, term)).words))


def render_alignment(
    reference: str, hypothesis: str, term: str, width: int, labels: tuple[str, str] = ("ref", "hyp")
) -> list[Content]:
    """Reference over hypothesis, aligned word by word and wrapped to `width` cells."""
    return render_alignments(reference, ((labels[1], hypothesis),), term, width, label=labels[0])


def render_alignments(
    reference: str, hypotheses: Sequence[tuple[str, str]], term: str, width: int, *, label: str = "ref"
) -> list[Content]:
    """Reference over several (label, hypothesis), aligned word by word and wrapped to `width` cells.

    Wrapped blocks follow one another without a blank line; each line begins with its label.
    """
    lines = [_line(align(reference, text, term)) for _, text in hypotheses]
    if len({line.words for line in lines}) > 1:
        # Raw words that normalise to nothing may join their neighbours differently: show pairs instead.
        pairs = ((reference, ((name, text),)) for name, text in hypotheses)
        return [
            line for one, other in pairs for line in render_alignments(one, other, term, width, label=label)
        ]
    names = [visible(name) for name in (label, *(name for name, _ in hypotheses))]
    margin = max((Content(name).cell_length for name in names), default=0) + 2
    room = max(width - margin, 8)
    heads = [Content.styled(name, LABEL).pad_right(margin - Content(name).cell_length) for name in names]
    result: list[Content] = []
    for block in _blocks(_slots(lines), room):
        first = not result
        result += [
            head + line for head, line in zip(heads, block, strict=True) if first or line.plain.strip()
        ]
    return result


def is_exact(reference: str, hypothesis: str) -> bool:
    """True if the hypothesis has every word of the reference and no other."""
    return all(span.kind == "equal" for span in align(reference, hypothesis))


def _line(spans: Sequence[AlignedSpan]) -> _Line:
    words: list[_Word] = []
    cells: list[_Cell] = []
    if not any(span.reference and span.hypothesis for span in spans):
        return _nothing_in_common(spans)
    for span in _pieces_joined(spans):
        expected, heard = span.reference.split(), span.hypothesis.split()
        start = len(words)
        words.extend(_Word(word, span.clinical) for word in expected)
        if expected and len(expected) == len(heard):
            for offset, (one, other) in enumerate(zip(expected, heard, strict=True)):
                text = Content(visible(other)) if span.kind == "equal" else mark_word(one, other)
                cells.append(_Cell(start + offset, start + offset + 1, text))
        elif span.kind == "equal":
            cells.append(_Cell(start, len(words), Content(visible(span.hypothesis))))
        elif len(expected) == 1 and heard:
            cells.append(_Cell(start, len(words), mark_word(expected[0], " ".join(heard))))
        elif not expected:
            cells.append(_Cell(start, start, _bracket(" ".join(heard), "+")))
        else:
            cells.append(_Cell(start, len(words), _bracket(" ".join(heard)) if heard else _bracket("-")))
    return _Line(tuple(words), tuple(cells))


def _pieces_joined(spans: Sequence[AlignedSpan]) -> list[AlignedSpan]:
    """A word heard in pieces (`vanco my sin`) is a wrong word and an added one: show it as one."""
    joined: list[AlignedSpan] = []
    for span in spans:
        before = joined[-1] if joined else None
        if before is not None and {before.kind, span.kind} == {"substitute", "insert"}:
            reference = before.reference or span.reference
            if " " not in reference:
                heard = f"{before.hypothesis} {span.hypothesis}"
                clinical = before.clinical or span.clinical
                joined[-1] = AlignedSpan("substitute", reference, heard, clinical)
                continue
        joined.append(span)
    return joined


def _nothing_in_common(spans: Sequence[AlignedSpan]) -> _Line:
    """One cell for all: there are no words to stand under one another (a collapsed model's `⁇ ⁇ ⁇`)."""
    words = tuple(_Word(word, span.clinical) for span in spans for word in span.reference.split())
    heard = " ".join(span.hypothesis for span in spans if span.hypothesis)
    if not words and not heard:
        return _Line((), ())
    repeated = heard.split()
    if len(repeated) > _REPEATED and len(set(repeated)) == 1:
        heard = f"{repeated[0]} ×{len(repeated)}"
    sign = "" if words else "+"
    return _Line(words, (_Cell(0, len(words), _bracket(heard, sign) if heard else _bracket("-")),))


def _reference(words: Iterable[_Word]) -> list[Content]:
    return [
        Content.styled(visible(word.text), TERM) if word.clinical else Content(visible(word.text))
        for word in words
    ]


def _slots(lines: Sequence[_Line]) -> list[list[Content]]:
    """Columns of the picture: the reference part and, line by line, what stands beside it."""
    words = _reference(lines[0].words) if lines else []
    cuts = set(range(len(words) + 1))
    for line in lines:
        for cell in line.cells:
            cuts.difference_update(range(cell.start + 1, cell.stop))
    found: list[list[Content]] = []
    start = 0
    for stop in sorted(cuts):
        if stop > start:
            found.append(_slot(words, lines, start, stop))
        added = [_between(line, stop) for line in lines]
        if any(added):
            found.append([Content(""), *added])
        start = stop
    return found


def _slot(words: Sequence[Content], lines: Sequence[_Line], start: int, stop: int) -> list[Content]:
    beside = [
        Content(" ").join(
            cell.text
            for cell in line.cells
            if start <= cell.start < stop and not (cell.start == cell.stop == start)
        )
        for line in lines
    ]
    return [Content(" ").join(words[start:stop]), *beside]


def _between(line: _Line, position: int) -> Content:
    return Content(" ").join(c.text for c in line.cells if c.start == c.stop == position)


def _blocks(slots: Iterable[list[Content]], room: int) -> Iterable[list[Content]]:
    """Put slots side by side until `room` cells are full; wider slots are folded."""
    block: list[Content] = []
    used = 0
    for slot in slots:
        for piece in _fold(slot, room):
            wide = max(text.cell_length for text in piece)
            if block and used + 1 + wide > room:
                yield block
                block, used = [], 0
            padded = [text.pad_right(wide - text.cell_length) for text in piece]
            block = [Content(" ").join(pair) for pair in zip(block, padded, strict=True)] if block else padded
            used += wide + (1 if used else 0)
    if block:
        yield block


def _fold(slot: list[Content], room: int) -> list[list[Content]]:
    if max(text.cell_length for text in slot) <= room:
        return [slot]
    parts = [text.wrap(room) if text else [] for text in slot]
    count = max(len(part) for part in parts)
    return [[part[i] if i < len(part) else Content("") for part in parts] for i in range(count)]


class AlignmentView(Widget):
    """Shows one reference and hypothesis, aligned to its own width."""

    DEFAULT_CSS = """
    AlignmentView {
        height: auto;
    }
    """

    reference: reactive[str] = reactive("", layout=True)
    hypothesis: reactive[str] = reactive("", layout=True)
    term: reactive[str] = reactive("", layout=True)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._drawn: tuple[tuple[str, str, str, int], list[Content]] = (("", "", "", -1), [])

    def show(self, reference: str, hypothesis: str, term: str = "") -> None:
        """Show another pair."""
        self.reference, self.hypothesis, self.term = reference, hypothesis, term

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Lines needed at `width` cells."""
        return len(self._lines(width))

    def render(self) -> Content:
        """Draw at the current width."""
        return Content("\n").join(self._lines(self.content_size.width))

    def _lines(self, width: int) -> list[Content]:
        key = (self.reference, self.hypothesis, self.term, width)
        if key != self._drawn[0]:
            shown = self.reference or self.hypothesis
            lines = render_alignment(self.reference, self.hypothesis, self.term, width) if shown else []
            self._drawn = (key, lines)
        return self._drawn[1]
