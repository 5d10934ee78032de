"""The five sections: golden figures of the closed loop, a report that comes back as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import InputError
from clinasr_tui.flywheel.leaderboard import (
    GroupFigure,
    Leaderboard,
    TermFigure,
    build_leaderboard,
    ipa_source_gap,
    to_json,
)
from clinasr_tui.flywheel.leaderboard_markdown import read_markdown, to_markdown
from clinasr_tui.flywheel.markdown_cells import escape, row, tables, unescape
from clinasr_tui.flywheel.scoring import score
from tests.support.scored_rows import loop_cycle, loop_held_out, rows, scored

GOLDEN = {
    1: (0.1519, 0.8760, (0.978, 0.925, 0.800, 1.000, 0.700, 0.633), 0.8200),
    2: (0.0211, 0.1440, (0.111, 0.025, 0.100, 0.233, 0.267, 0.233), 0.2800),
}
CATEGORIES = ("drug", "procedure", "anatomy", "condition", "lab", "role")


@pytest.mark.parametrize("cycle", [1, 2])
def test_golden_figures(cycle: int) -> None:
    wer, ker, by_category, held_out_ker = GOLDEN[cycle]
    found = loop_cycle(cycle)
    board = build_leaderboard(found)
    assert (board.rows, board.ker_rows) == (250, 250)
    assert round(board.metrics["wer"], 4) == wer
    assert round(board.metrics["ker"], 4) == ker
    figures = board.by["entity_category"]
    assert tuple(round(figures[name].ker, 3) for name in CATEGORIES) == by_category
    assert [figures[name].n for name in CATEGORIES] == [90, 40, 30, 30, 30, 30]
    keys = loop_held_out()
    columns = found.hypotheses
    held_out = [
        index
        for index, key in enumerate(zip(columns.audio_filepath, columns.term, strict=True))
        if key in keys
    ]
    part = build_leaderboard(score(columns.select(held_out)))
    assert part.rows == 50
    assert round(part.metrics["ker"], 4) == held_out_ker


def test_means_of_rows_and_pooled_figures_differ() -> None:
    board = build_leaderboard(
        scored({"ref": "a b c d", "hyp": "a b c d"}, {"ref": "a", "hyp": "x", "term": "a"})
    )
    assert board.metrics == {"wer": 0.5, "cer": 0.5, "ker": 1.0, "ser": 0.5}
    assert board.corpus == {"wer": 0.2, "cer": 0.125}
    assert (board.rows, board.ker_rows) == (2, 1)


def test_groups_in_order_of_first_appearance_and_terms_worst_first() -> None:
    board = build_leaderboard(
        scored(
            {"ref": "b", "hyp": "b", "term": "b", "category": "lab", "noise": "clean"},
            {"ref": "a", "hyp": "x", "term": "a", "category": "drug", "noise": "snr_5db"},
            {"ref": "a", "hyp": "x", "term": "a", "category": "drug", "noise": "clean"},
            {"ref": "c", "hyp": "x", "term": "c", "category": "", "noise": "clean"},
            {"ref": "c", "hyp": "x", "term": "", "category": "role", "noise": "clean"},
            {"ref": "d", "hyp": "x", "term": "d", "category": "drug", "noise": "clean"},
        )
    )
    assert list(board.by["entity_category"].items()) == [
        ("lab", GroupFigure(0.0, 1)),
        ("drug", GroupFigure(1.0, 3)),
        ("", GroupFigure(1.0, 1)),
        ("role", GroupFigure(None, 0)),
    ]
    assert board.terms == (
        TermFigure("a", 1.0, 2),
        TermFigure("c", 1.0, 1),
        TermFigure("d", 1.0, 1),
        TermFigure("b", 0.0, 1),
    )


def gap_board(**groups: tuple[float | None, int]) -> Leaderboard:
    names = {"own": "override", "mw": "merriam-webster", "g2p": "magpie_g2p"}
    figures = {names[key]: GroupFigure(*figure) for key, figure in groups.items()}
    return Leaderboard(0, 0, {}, {}, {"ipa_source": figures}, ())


def test_gap_in_words() -> None:
    published = ipa_source_gap(gap_board(mw=(0.05, 420), g2p=(0.41, 180)))
    assert published == (
        "merriam-webster 0.050 (n 420) against magpie_g2p 0.410 (n 180): magpie_g2p rows are 0.360 worse."
    )
    assert "0.200 better" in ipa_source_gap(gap_board(mw=(0.3, 5), g2p=(0.1, 5)))
    assert "no difference" in ipa_source_gap(gap_board(mw=(0.3, 5), g2p=(0.3, 9)))
    assert "no merriam-webster rows" in ipa_source_gap(gap_board(g2p=(0.3, 5)))
    assert "no merriam-webster and no magpie_g2p rows" in ipa_source_gap(gap_board())


def test_checked_pronunciations_stand_in_where_no_dictionary_was_asked() -> None:
    assert ipa_source_gap(gap_board(own=(0.912, 125), g2p=(0.76, 125))) == (
        "override 0.912 (n 125) against magpie_g2p 0.760 (n 125): magpie_g2p rows are 0.152 better; "
        "there are no merriam-webster rows."
    )
    assert ipa_source_gap(gap_board(own=(0.9, 5), mw=(0.3, 5), g2p=(0.3, 9))).startswith("merriam-webster")
    assert "no merriam-webster and no magpie_g2p" in ipa_source_gap(gap_board(own=(0.9, 5)))


def test_json_has_the_keys_of_the_score_command() -> None:
    board = build_leaderboard(loop_cycle(2))
    document = to_json(board)
    assert {"rows", "ker_rows", "metrics", "corpus", "by", "terms"} <= document.keys()
    assert document["by"]["noise_level"].keys() == {"clean", "snr_15db", "snr_5db"}
    assert document["by"]["entity_category"]["drug"] == {
        "ker": 10 / 90,
        "n": 90,
        "ci95": list(board.intervals["entity_category"]["drug"]),
    }
    kers = [term["ker"] for term in document["terms"]]
    assert kers == sorted(kers, reverse=True)
    assert json.loads(json.dumps(document)) == document


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "leaderboard_cycle1.md"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("cycle", [1, 2])
def test_a_report_comes_back_as_it_was(tmp_path: Path, cycle: int) -> None:
    board = build_leaderboard(loop_cycle(cycle))
    text = to_markdown(board, title="Leaderboard, cycle 1")
    assert read_markdown(write(tmp_path, text)) == board
    assert to_markdown(build_leaderboard(loop_cycle(cycle)), title="Leaderboard, cycle 1") == text


def test_five_sections_in_order_with_n() -> None:
    text = to_markdown(build_leaderboard(loop_cycle(1)), title="Base")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Base",
        "## 1. Headline",
        "## 2. KER by entity_category",
        "## 3. KER by ipa_source",
        "## 4. KER by noise_level",
        "## 5. Per-term KER, worst first",
    ]
    assert "| KER ★ | 0.8760 | 250 | 0.8080 … 0.9360 |" in text
    assert "| WER | 0.1519 | 250 | – |" in text
    assert "| drug | 0.9778 | 90 | 0.9444 … 1.0000 |" in text
    assert "corpus-level" in text
    assert "no merriam-webster rows" in text
    assert [table.header for table in tables(text)][1:] == [
        ("entity_category", "KER", "n", "95 % interval"),
        ("ipa_source", "KER", "n", "95 % interval"),
        ("noise_level", "KER", "n", "95 % interval"),
        ("term", "KER", "n"),
    ]


def test_without_the_comment_the_tables_are_read(tmp_path: Path) -> None:
    board = build_leaderboard(loop_cycle(1))
    text = to_markdown(board, title="x")
    lines = [line for line in text.splitlines() if not line.startswith("<!--")]
    found = read_markdown(write(tmp_path, "\n".join(lines)))
    assert found.rows == 250
    assert found.metrics["ker"] == 0.876
    assert found.metrics["wer"] == pytest.approx(board.metrics["wer"], abs=5e-5)
    assert found.corpus["wer"] == pytest.approx(board.corpus["wer"], abs=5e-5)
    assert found.by.keys() == board.by.keys()
    assert [term.term for term in found.terms] == [term.term for term in board.terms]


FOREIGN = """\
# Cycle 1: parakeet

## 1. Headline

| Model | WER | CER | KER ★ | SER | Rows |
|:--|--:|--:|--:|--:|--:|
| parakeet | 7.1% | 2.5% | **0.51** | 0.9 | 1,245 |

## KER by `entity_category`

| Category | KER | n |
|---|---|---|
| `drug` | 0.857 | 14 |
| lab | n/a | 0 |

## KER by `ipa_source`

```
ipa_source           KER     n
merriam-webster      0.05    420
magpie_g2p           0.41    180
```

## Worst terms

| Term | n | KER |
|---|---|---|
| a \\| b | 3 | 1.0 |
"""


def test_another_tools_report(tmp_path: Path) -> None:
    board = read_markdown(write(tmp_path, FOREIGN.replace("\n", "\r\n")))
    assert (board.rows, board.ker_rows) == (1245, 1245)
    assert board.metrics == pytest.approx({"wer": 0.071, "cer": 0.025, "ker": 0.51, "ser": 0.9})
    assert board.by["entity_category"] == {"drug": GroupFigure(0.857, 14), "lab": GroupFigure(None, 0)}
    assert board.by["ipa_source"]["magpie_g2p"] == GroupFigure(0.41, 180)
    assert board.terms == (TermFigure("a | b", 1.0, 3),)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_markdown(write(tmp_path, text))
    return str(caught.value).replace(str(tmp_path), "")


def test_bad_reports_name_the_line(tmp_path: Path) -> None:
    assert "leaderboard_cycle1.md:1: no headline" in refused(tmp_path, "just text\n")
    assert "md:13: 'high' is no figure" in refused(tmp_path, FOREIGN.replace("0.857", "high"))
    assert "md:13: '85.7' is above 1" in refused(tmp_path, FOREIGN.replace("0.857", "85.7"))
    assert "md:11: this table has no column n" in refused(tmp_path, FOREIGN.replace("KER | n |", "KER | m |"))
    assert "md:13: 'many' is no count" in refused(tmp_path, FOREIGN.replace("| 14 |", "| many |"))
    with pytest.raises(InputError, match="cannot be read"):
        read_markdown(tmp_path / "none.md")
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_markdown(tmp_path / "binary.md")


@pytest.mark.parametrize(
    "payload",
    ["{", "[]", "{}", '{"version":2}', '{"version":1,"rows":1e999}', "[" * 5000],
)
def test_broken_comment(tmp_path: Path, payload: str) -> None:
    text = FOREIGN + f"\n<!-- clinasr-tui:leaderboard {payload} -->\n"
    assert "md:30: the recorded figures cannot be read" in refused(tmp_path, text)


def test_a_comment_that_tells_other_figures_than_the_tables_is_refused(tmp_path: Path) -> None:
    text = to_markdown(build_leaderboard(loop_cycle(1)), title="x")
    assert "disagree" in refused(tmp_path, text.replace("| drug | 0.9778 |", "| drug | 0.1111 |"))


HOSTILE = [
    "",
    "(none)",
    "a|b",
    "a\\|b",
    "\\",
    "\n",
    " a ",
    "-->",
    "<!-- x -->",
    "\u202eabc",
    "\x1b[2J",
    "# h",
]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=12) | st.sampled_from(HOSTILE))
def test_any_text_comes_back_from_a_cell(text: str) -> None:
    cell = escape(text)
    assert cell.isprintable()
    (table,) = tables(f"{row('term', 'KER', 'n')}\n{row('---', '---:', '---:')}\n{row(cell, '1', '2')}")
    assert [unescape(found) for found in table.rows[0][1]] == [text, "1", "2"]


def test_hostile_values_come_back(tmp_path: Path) -> None:
    values = [*HOSTILE, "\ud800", "<!-- clinasr-tui:leaderboard {} -->", "*b*", "`c`", "~~", "x--", "->"]
    given_rows = [
        {"ref": "w", "hyp": "v", "term": f"w{value}", "category": value, "noise": value} for value in values
    ]
    board = build_leaderboard(score(rows(*given_rows)))
    text = to_markdown(board, title="a\n<!-- clinasr-tui:leaderboard {} -->\n|x|")
    assert sum(line.startswith("<!--") for line in text.splitlines()) == 1
    assert read_markdown(write(tmp_path, text)) == board


def test_no_rows(tmp_path: Path) -> None:
    board = build_leaderboard(score(rows()))
    assert board.metrics == {"wer": None, "cer": None, "ker": None, "ser": None}
    assert read_markdown(write(tmp_path, to_markdown(board, title="empty"))) == board


def test_signature_names_the_rules_and_versions() -> None:
    signature = build_leaderboard(loop_cycle(1)).signature
    names = {"normaliser", "aggregation", "ker", "interval", "seed", "rapidfuzz", "numpy", "clinasr-tui"}
    assert set(signature) == names
    assert all(signature.values())
