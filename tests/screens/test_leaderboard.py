"""Leaderboard: five sections, and two keys from a category to the rows."""

from __future__ import annotations

import json
import time

from clinasr_tui.flywheel.progress import report
from clinasr_tui.screens import drill
from clinasr_tui.screens.drill import RowsScreen, TermsScreen
from clinasr_tui.screens.leaderboard import LeaderboardScreen
from clinasr_tui.widgets.line_list import LineList
from tests.support.cycles import put_cycle, terms
from tests.support.driving import lines_of, press, settle, text_of
from tests.support.oracle import percent, shown


def test_picture(cockpit, size, picture):
    assert picture(cockpit, size, ["6"])


def test_picture_of_the_terms(cockpit, size, picture):
    assert picture(cockpit, size, ["6", "enter"])


def test_picture_of_the_rows(cockpit, size, picture):
    assert picture(cockpit, size, ["6", "left_square_bracket", "enter", "enter"])


async def test_the_five_sections_stand_in_the_published_order(loop_cockpit):
    async with loop_cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "left_square_bracket")
        headline = text_of(loop_cockpit.screen, "#headline")
        assert "KER ★ .876 n 250" in headline
        assert "WER .152 n 250" in headline
        assert "corpus-level WER" in headline
        groups = lines_of(loop_cockpit.screen.query_one("#groups", LineList))
        titles = [line for line in groups if line.startswith(("2 ", "3 ", "4 "))]
        assert [title.split()[-1] for title in titles] == ["entity_category", "ipa_source", "noise_level"]
        drug = next(line for line in groups if line.startswith("drug"))
        assert ".978  .94–1.00  n 90" in drug
        terms = lines_of(loop_cockpit.screen.query_one("#terms", LineList))
        assert len(terms) == 50
        kers = [float(line.split("  n ")[0].split()[-1]) for line in terms]
        assert kers == sorted(kers, reverse=True)
        assert "merriam-webster" in text_of(loop_cockpit.screen, "#gap")


async def test_checked_pronunciations_are_set_against_the_fall_through(cockpit, demo_figures):
    checked, guessed = (demo_figures[1].of("ipa_source", source) for source in ("override", "magpie_g2p"))
    async with cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "left_square_bracket")
        groups = lines_of(cockpit.screen.query_one("#groups", LineList))
        for source, part in (("override", checked), ("magpie_g2p", guessed)):
            line = next(line for line in groups if line.startswith(source))
            assert shown(part.ker) in line
            assert line.rstrip().endswith(f"n {len(part.rows)}")
        gap = text_of(cockpit.screen, "#gap")
        assert f"override {checked.ker:.3f} (n {len(checked.rows)})" in gap
        assert f"magpie_g2p {guessed.ker:.3f} (n {len(guessed.rows)})" in gap


async def test_few_rows_show_how_little_they_say(tmp_path, app_on):
    root = tmp_path / "ward"
    rows = terms("drug", 5, 12, each=3, noise="snr_5db") + terms("lab", 2, 5) + terms("role", 9, 90)
    put_cycle(root, 1, rows)
    app = app_on(root)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        lists = app.screen.query_one("#groups", LineList)
        drug, lab, role = lines_of(lists, lists.size.width - 2)[1:4]
        assert drug.startswith("drug")
        assert ".417 .00–.83" in drug
        assert drug.count("─") > role.count("─")
        assert ".400 one term" in lab
        assert role.rstrip().endswith(".100 .00–.24  n 90")


async def test_two_keys_lead_from_a_category_to_rows_and_back(loop_cockpit):
    async with loop_cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "enter")
        assert isinstance(loop_cockpit.screen, TermsScreen)
        said = str(loop_cockpit.screen.query_one("#drill-panel").border_subtitle)
        assert said == "KER .111 · 95 % .06–.18 · n 90"
        assert "esomprazole ×2" in text_of(loop_cockpit.screen, "#heard")
        assert "right ×3" in text_of(loop_cockpit.screen, "#heard")
        await press(pilot, "enter")
        assert isinstance(loop_cockpit.screen, RowsScreen)
        assert "n 5" in text_of(loop_cockpit.screen, "#term-figures")
        assert len(lines_of(loop_cockpit.screen.query_one("#rows", LineList))) == 5
        assert "esomeprazole" in text_of(loop_cockpit.screen, "#row")
        await press(pilot, "right_square_bracket")
        assert "piperacillin" in text_of(loop_cockpit.screen, "TitleLine")
        await press(pilot, "escape", "escape")
        assert isinstance(loop_cockpit.screen, LeaderboardScreen)


async def test_escape_stops_the_counting_of_a_large_term_before_it_goes_back(cockpit, monkeypatch):
    def endless(drill, rows, progress):
        while True:
            time.sleep(0.005)
            report(progress, 0.5, "counting")

    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        monkeypatch.setattr(drill, "heard_text", endless)
        await pilot.press("6", "enter")
        while not (isinstance(cockpit.screen, TermsScreen) and cockpit.screen.awaited()):
            await pilot.pause(0.01)
        await press(pilot, "escape")
        assert isinstance(cockpit.screen, TermsScreen)
        assert "it was stopped" in text_of(cockpit.screen, "#heard")
        await press(pilot, "escape")
        assert isinstance(cockpit.screen, LeaderboardScreen)


async def test_the_number_key_goes_back_to_the_first_level(cockpit):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "enter", "enter", "1", "6")
        assert isinstance(cockpit.screen, RowsScreen)
        await press(pilot, "6")
        assert isinstance(cockpit.screen, LeaderboardScreen)


async def test_tab_and_enter_open_a_term_at_once(loop_cockpit):
    async with loop_cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "tab", "down", "enter")
        assert isinstance(loop_cockpit.screen, RowsScreen)
        assert "pharmacist" in text_of(loop_cockpit.screen, "TitleLine")


async def test_untrusted_text_is_shown_and_not_interpreted(two_cycles, app_on):
    path = two_cycles / "cycle2" / "offline_hyps.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["term"] == "apixaban":
            row.update(term="[red]x\x1b[31m", ref="take [red]x\x1b[31m now", hyp="take [bold]\x07 now")
    path.write_text("\n".join(json.dumps(row) for row in rows))
    app = app_on(two_cycles)
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "6", "tab")
        lines = app.screen.query_one("#terms", LineList)
        lines.move_to("[red]x\x1b[31m")
        assert any(line.startswith("[red]x␛[31m") for line in lines_of(lines))
        await press(pilot, "enter")
        row = text_of(app.screen, "#row")
        assert "[red]x␛[31m" in row
        assert "␇" in row
        assert "\x1b" not in app.export_screenshot()


async def test_a_cycle_with_only_its_leaderboard_has_figures_but_no_rows(two_cycles, app_on, demo_figures):
    base, tuned = demo_figures[1].ker, demo_figures[2].ker
    from clinasr_tui.flywheel.leaderboard import build_leaderboard
    from clinasr_tui.flywheel.leaderboard_markdown import to_markdown
    from clinasr_tui.flywheel.review import scored_file

    hyps = two_cycles / "cycle2" / "offline_hyps.jsonl"
    board = build_leaderboard(scored_file(hyps, None))
    (two_cycles / "cycle2" / "leaderboard_cycle2.md").write_text(to_markdown(board, title="cycle 2"))
    hyps.unlink()
    app = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "6")
        assert f"KER ★ {shown(tuned)} n 250" in text_of(app.screen, "#headline")
        await press(pilot, "enter")
        assert "its rows are gone" in text_of(app.screen, "ProblemLine")
        await press(pilot, "7")
        assert percent(base, tuned) in " ".join(lines_of(app.screen.query_one("#headline", LineList)))
        await press(pilot, "h")
        assert "held-out is not known" in text_of(app.screen, "ProblemLine")
        await press(pilot, "enter")
        assert "only leaderboards are known" in text_of(app.screen, "ProblemLine")
