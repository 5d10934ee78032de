"""A slow scorer that follows the published definitions literally, and texts that are hard to score."""

from __future__ import annotations

import re
import unicodedata

from clinasr_tui.flywheel.scoring import RowScore


def plain(text: str) -> str:
    text = unicodedata.normalize("NFKD", text).lower()
    return re.sub(r"\s+", " ", re.sub(r"[^\w\s\-]", "", text)).strip()


def edits(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]


def slow(reference: str, hypothesis: str, term: str) -> RowScore:
    ref, hyp, wanted = plain(reference), plain(hypothesis), plain(term).split()
    words, heard = ref.split(), hyp.split()
    windows = (heard[at : at + len(wanted)] for at in range(len(heard) - len(wanted) + 1))
    return RowScore(
        wer=edits(words, heard) / max(len(words), 1),
        cer=edits(list(ref), list(hyp)) / max(len(ref), 1),
        ker=(0 if wanted in windows else 1) if wanted else None,
        ser=0 if ref == hyp else 1,
    )


ADVERSARIAL = [
    ("the patient\u2019s dose", "the patient's dose", "patient\u2019s"),
    ("\u201cmetoprolol\u201d 5 mg/kg", "metoprolol 5 mgkg", "5 mg/kg"),
    ("o\ufb03ce \ufb02uid", "office fluid", "o\ufb03ce"),
    ("caf\u00e9 au lait spots", "cafe\u0301 au lait spots", "caf\u00e9"),
    ("a\u00a0b\u2003c\u3000d", "a b  c\td", "b c"),
    ("one\x1ctwo\x1dthree\x85four", "one two three four", "two three"),
    ("in\x00sulin \x1b[31mred", "insulin 31mred", "insulin"),
    ("in\u200bsulin\ufeff", "insulin", "insulin"),
    ("\u5fc3\u8840\u7ba1 \u624b\u8853", "\u5fc3\u81df \u624b\u8853", "\u624b\u8853"),
    ("\u0130STANBUL I \u0131", "istanbul i i", "\u0130stanbul"),
    ("\u03a3\u0391\u03a3 \u03c3", "\u03c3\u03b1\u03c3 \u03c2", "\u03c3\u03b1\u03c2"),
    ("follow - up", "follow up", "follow - up"),
    ("x-ray -- done", "x ray done", "x-ray"),
    ("snake_case _", "snake case", "snake_case"),
    ("", "", "cefazolin"),
    ("", "three extra words", "extra words"),
    ("cefazolin", "", "cefazolin"),
    ("...", "!?", "??"),
    ("short", "a much longer hypothesis than that", "short"),
    ("1.5 mg", "15 mg", "1.5"),
    ("give cefazolin", "give cefa zolin", "cefazolin"),
    ("serum lactate is up", "the serum is up lactate", "serum lactate"),
    ("\u00bd tablet of H\u2082O", "12 tablet of h2o", "\u00bd"),
    ("\U0001d400\U0001d401 test", "ab test", "\U0001d400\U0001d401"),
    ("a " * 90 + "end", "b " * 70 + "end", "end"),
    ("\ud800 lone", "lone", "lone"),
]
