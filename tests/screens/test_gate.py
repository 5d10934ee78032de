"""Gate: the verdict, every criterion, and what to do where one does not hold."""

from __future__ import annotations

from clinasr_tui.flywheel.leaderboard import build_leaderboard
from clinasr_tui.flywheel.review import scored_file
from tests.support.cycles import hyps, put_cycle, terms, write
from tests.support.driving import press, settle, text_of


def test_picture(cockpit, size, picture):
    assert picture(cockpit, size, ["3"])


def test_picture_of_a_blocked_gate(cockpit, size, picture):
    assert picture(cockpit, size, ["3", "right_square_bracket"])


async def test_the_baseline_passes_with_its_figures(cockpit, two_cycles, demo_figures):
    drug = demo_figures[1].of("entity_category", "drug")
    board = build_leaderboard(scored_file(two_cycles / "cycle1" / "per_sample.json", None))
    low, high = board.intervals["entity_category"]["drug"]
    async with cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        criteria = text_of(cockpit.screen, "#criteria")
        assert f"{drug.ker:.3f} (95 % {low:.2f}–{high:.2f}, n {len(drug.rows)})" in criteria
        assert "> 0.300" in criteria
        assert "250" in criteria
        assert "≥ 100" in criteria
        assert "✖" not in criteria
        assert "nvidia/parakeet-tdt-0.6b-v2" in criteria
        assert "Fine-tune this base" in text_of(cockpit.screen, "#route")
        assert "0.513 → 0.128" in text_of(cockpit.screen, "#published")


async def test_brackets_change_the_cycle_and_stop_at_the_ends(loop_cockpit):
    async with loop_cockpit.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "3", "left_square_bracket")
        assert "cycle 1" in text_of(loop_cockpit.screen, "TitleLine")
        await press(pilot, "right_square_bracket", "right_square_bracket")
        assert "cycle 2" in text_of(loop_cockpit.screen, "TitleLine")
        criteria = text_of(loop_cockpit.screen, "#criteria")
        assert "0.111 (95 % 0.06–0.18, n 90)" in criteria
        assert "✖" in criteria
        assert "✖" in text_of(loop_cockpit.screen, "#route")
        await press(pilot, "6")
        assert "cycle 2" in text_of(loop_cockpit.screen, "TitleLine")


async def test_a_refused_base_blocks_and_names_the_one_to_take(two_cycles, app_on):
    (two_cycles / "clinasr.toml").write_text('[gate]\nbase = "nvidia/nemotron-speech-streaming-en-0.6b"\n')
    app = app_on(two_cycles)
    assert app.session.workspace.settings.base
    async with app.run_test(size=(140, 45)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        assert "-blocked" in app.screen.query_one("#verdict-panel").classes
        criteria = text_of(app.screen, "#criteria")
        assert "refused" in criteria
        assert "Take nvidia/parakeet-tdt-0.6b-v2" in criteria


def band(lines: str, name: str) -> str:
    """The band of a category under the criterion of the priority KER."""
    return lines.partition(f"{name} 0 ")[2].partition(" 1 ")[0]


async def test_the_interval_is_drawn_beside_the_threshold(tmp_path, app_on):
    root = tmp_path / "ward"
    rows = terms("drug", 21, 50) + terms("procedure", 2, 50) + terms("lab", 8, 80)
    put_cycle(root, 1, rows, audio=True)
    (root / "clinasr.toml").write_text('[gate]\npriority = ["drug", "procedure", "role"]\n')
    app = app_on(root)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        criteria = text_of(app.screen, "#criteria")
        drug, procedure = band(criteria, "drug     "), band(criteria, "procedure")
        assert len(drug) == len(procedure) == 57
        assert "┼" in drug
        assert "┊" in procedure
        assert drug.index("┼") == procedure.index("┊") == round(0.3 * 56)
        assert drug.index("●") == round(0.42 * 56)
        assert "role      0" not in criteria


async def test_scores_that_cannot_be_are_not_advised_upon(tmp_path, app_on):
    root = tmp_path / "ward"
    rows = terms("drug", 0, 90) + terms("lab", 0, 40)
    folder = put_cycle(root, 1, rows, audio=True)
    heard = [{**row, "hyp": f"nothing like it {row['term']} at all you see"} for row in hyps(rows)]
    write(folder / "per_sample.json", heard)
    app = app_on(root)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "3")
        assert "misaligned manifest" in text_of(app.screen, "#reasons")
        criteria = text_of(app.screen, "#criteria")
        assert "Not to be believed before the scores are plausible" in criteria
        assert "little to gain" not in criteria
