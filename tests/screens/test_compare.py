"""Compare: both cycles, the held-out rows beside all, the decision, and the rows behind it."""

from __future__ import annotations

from clinasr_tui.screens.compare import CompareScreen
from clinasr_tui.screens.drill import RowsScreen, TermsScreen
from clinasr_tui.widgets.line_list import LineList
from tests.support.driving import lines_of, press, settle, text_of
from tests.support.oracle import percent, shown


def test_picture(cockpit, size, picture):
    assert picture(cockpit, size, ["7"])


def test_picture_of_the_held_out_rows(cockpit, size, picture):
    assert picture(cockpit, size, ["7", "h"])


def test_picture_of_row_pairs(cockpit, size, picture):
    assert picture(cockpit, size, ["7", "enter", "enter"])


async def test_the_decision_and_both_honest_figures(loop_cockpit):
    async with loop_cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        headline = lines_of(loop_cockpit.screen.query_one("#headline", LineList))
        ker = next(line for line in headline if line.startswith("KER"))
        assert ker.split()[:5] == ["KER", "★", ".876", "→", ".144"]
        assert "−84 %" in ker
        assert "p < .001" in ker
        at = next(i for i, line in enumerate(headline) if line.startswith("held-out rows (n 50)"))
        assert ".820" in headline[at + 1]
        assert ".280" in headline[at + 1]
        decision = text_of(loop_cockpit.screen, "#decision")
        assert "0.978 → 0.111" in decision
        assert "0.820 → 0.280" in decision
        groups = lines_of(loop_cockpit.screen.query_one("#groups", LineList))
        drug = next(line for line in groups if line.startswith("drug"))
        assert "★" in drug
        assert "n 90" in drug
        counts = text_of(loop_cockpit.screen, "#changes")
        assert "fixed 183" in counts
        assert "broken 0" in counts


async def test_a_published_keep_that_general_speech_contradicts(cockpit, demo_figures, held_out):
    before, after = demo_figures[1], demo_figures[2]
    parts = [(one.among(held_out).ker, one.of("entity_category", "drug").ker) for one in (before, after)]
    (held_before, drug_before), (held_after, drug_after) = parts
    async with cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        headline = lines_of(cockpit.screen.query_one("#headline", LineList))
        ker = next(line for line in headline if line.startswith("KER"))
        assert ker.split()[2:5] == [shown(before.ker), "→", shown(after.ker)]
        assert percent(before.ker, after.ker) in ker
        at = next(i for i, line in enumerate(headline) if line.startswith("held-out rows (n 50)"))
        assert headline[at + 1].split()[2:5] == [shown(held_before), "→", shown(held_after)]
        decision = " ".join(text_of(cockpit.screen, "#decision").split())
        assert "WORSE, not KEEP" in decision
        assert "the model has forgotten" in decision
        assert f"{drug_before:.3f} → {drug_after:.3f}" in decision
        assert f"{held_before:.3f} → {held_after:.3f}" in decision
        fixed = sum(a and not b for a, b in zip(before.missed, after.missed, strict=True))
        assert f"fixed {fixed}" in text_of(cockpit.screen, "#changes")


async def test_keys_choose_the_rows(cockpit, demo_figures, held_out):
    base = demo_figures[1]
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "h")
        headline = lines_of(cockpit.screen.query_one("#headline", LineList))
        assert shown(base.among(held_out).ker) in headline[1]
        assert any(line.startswith("all rows (n 250)") for line in headline)
        await press(pilot, "t")
        assert "n 200" in str(cockpit.screen.query_one("#headline-panel").border_title)
        assert any(
            "held-out rows" in line for line in lines_of(cockpit.screen.query_one("#headline", LineList))
        )
        await press(pilot, "a")
        assert shown(base.ker) in lines_of(cockpit.screen.query_one("#headline", LineList))[1]


async def test_two_keys_lead_to_row_pairs(cockpit):
    async with cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "h", "enter")
        assert isinstance(cockpit.screen, TermsScreen)
        terms = lines_of(cockpit.screen.query_one("#drill-terms", LineList))
        assert sum(int(line.split(" n ")[1]) for line in terms) == 18
        await press(pilot, "enter")
        assert isinstance(cockpit.screen, RowsScreen)
        rows = lines_of(cockpit.screen.query_one("#rows", LineList))
        assert all("held-out" in line for line in rows)
        shown = text_of(cockpit.screen, "#row")
        assert "c1 " in shown
        assert "c2 " in shown
        await press(pilot, "escape", "escape")
        assert isinstance(cockpit.screen, CompareScreen)


async def test_fixed_rows_open_as_terms(cockpit):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7")
        cockpit.screen.query_one("#groups", LineList).move_to("change:fixed")
        await press(pilot, "enter", "enter")
        rows = lines_of(cockpit.screen.query_one("#rows", LineList))
        assert rows
        assert all("fixed" in line for line in rows)


async def test_brackets_choose_the_sides(cockpit):
    async with cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "right_square_bracket")
        assert "cycle 2 base + sft3  →  cycle 2" in text_of(cockpit.screen, "#sides")
        await press(pilot, "left_square_bracket", "left_curly_bracket")
        assert "cycle 1 base  →  cycle 1 base" in text_of(cockpit.screen, "#sides")
        await press(pilot, "right_curly_bracket")
        assert "cycle 1 base  →  cycle 2 base + sft3" in text_of(cockpit.screen, "#sides")
