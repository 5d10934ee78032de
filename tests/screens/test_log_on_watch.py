"""The log on the Watch screen: its keys, its prompt, its size, copies and files."""

from __future__ import annotations

import base64

import pytest
from textual.content import Content

from clinasr_tui.widgets.log_view import LogView
from clinasr_tui.widgets.prompt import Prompt
from clinasr_tui.widgets.sample_view import SampleView
from tests.support.driving import drawn, press, settle, text_of, watched

NARROW = (80, 24)


def title(log):
    return Content.from_markup(log.border_title or "").plain


def notes(log):
    return Content.from_markup(log.border_subtitle or "").plain


async def answer(pilot, key, text):
    """Type an answer to the question of a key."""
    await pilot.press(key)
    pilot.app.screen.query_one(Prompt).value = text
    await pilot.press("enter")
    await settle(pilot)


async def test_search_goes_from_match_to_match(app_with):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        log = screen.query_one(LogView)
        assert log.has_focus
        assert title(log) == "log ── following ── i 565 · w 43 · e 0"
        await answer(pilot, "slash", "VAL_WER' reached")
        assert log.has_focus
        found = log.here
        assert "val_wer' reached 0.03704" in log.lines.source.text(found)
        assert "val_wer' reached 0.03704" in drawn(screen, "#log")
        assert notes(log) == "/VAL_WER' reached 3 of 3"
        await press(pilot, "N")
        assert log.here < found
        assert notes(log) == "/VAL_WER' reached 2 of 3"
        await press(pilot, "n")
        assert log.here == found
        assert title(log).startswith("log ── paused at ")
        await press(pilot, "space", "i")
        assert title(log) == "log ── following ── i 565 hidden · w 43 · e 0"
        source = log.lines.source
        assert {str(source.level(log.lines.line(place))) for place in range(len(log.lines))} == {"warning"}
        await press(pilot, "i", "greater_than_sign", "x")
        assert "no line with an error" in notes(log)


async def test_a_filter_hides_and_escape_leaves_one_thing_after_the_other(app_with):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot, "comma")
        log, samples = screen.query_one(LogView), screen.query_one(SampleView)
        await answer(pilot, "f", "!WER (reference|predicted)")
        assert len(log.lines) == 608 - 2 * 162
        assert notes(log) == "without WER (reference|predicted): 324 hidden"
        await answer(pilot, "slash", "val_wer")
        await press(pilot, "v", "up")
        assert "2 lines selected" in notes(log)
        await press(pilot, "escape")
        assert not log.selecting
        assert log.searching
        await press(pilot, "escape")
        assert not log.searching
        assert log.lines.filter.text
        await press(pilot, "escape")
        assert len(log.lines) == 608
        assert samples.back == 1
        await press(pilot, "escape")
        assert samples.back == 0


async def test_the_prompt_says_what_is_no_regular_expression(app_with):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot, "f")
        prompt = screen.query_one(Prompt)
        await pilot.press("exclamation_mark", "left_parenthesis")
        await settle(pilot)
        assert "✖ not a regular expression: missing )" in text_of(screen, "Prompt")
        await press(pilot, "enter")
        assert prompt.has_focus
        await press(pilot, "x", "right_parenthesis")
        assert prompt.problem == ""
        await press(pilot, "enter")
        assert screen.query_one(LogView).lines.filter.text == "!(x)"
        await press(pilot, "f")
        assert prompt.value == "!(x)"
        await press(pilot, "escape")
        assert screen.query_one(LogView).lines.filter.text == "!(x)"


async def test_the_errors_of_a_failed_run_are_found_both_ways(app_with):
    app = app_with("oom")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot, "home", "x")
        log = screen.query_one(LogView)
        first = log.here
        assert str(log.lines.source.level(first)) == "error"
        assert log.top <= first < log.top + log.size.height
        assert "✖ failed" in text_of(screen, "#status")
        await press(pilot, "x")
        assert log.here > first
        await press(pilot, "X")
        assert log.here == first
        assert notes(log).startswith("error 1 of ")


@pytest.mark.parametrize(("key", "large", "gone"), [("z", "#log", "#loss"), ("Z", "#loss", "#log")])
async def test_a_part_takes_all_the_room_and_gives_it_back(app_with, key, large, gone):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        before = screen.query_one(large).size
        await press(pilot, key)
        assert screen.query_one(large).size.height > before.height + 4
        assert screen.query_one(gone).region.height == 0
        assert text_of(screen, "#status").startswith("sft3 · ✔ finished")
        await press(pilot, "escape")
        assert screen.query_one(large).size == before
        assert screen.query_one(LogView).has_focus
        await press(pilot, key, key)
        assert screen.query_one(large).size == before


async def test_lines_are_copied_through_the_terminal(app_with, monkeypatch):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot, "v", "up")
        written = []
        monkeypatch.setattr(app._driver, "write", written.append)
        await pilot.press("y")
        text = "".join(written)
        start = text.index("\x1b]52;c;") + 7
        copied = base64.b64decode(text[start : text.index("\a", start)]).decode()
        source = screen.query_one(LogView).lines.source
        assert copied == f"{source.text(606)}\n{source.text(607)}\n"
        assert any("Copied 2 lines" in note.message for note in app._notifications)
        assert not screen.query_one(LogView).selecting


async def test_lines_are_saved_beside_the_run_as_it_wrote_them(app_with):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        folder = screen._run.ref.folder
        await answer(pilot, "f", "NeMo W|Warning")
        shown = len(screen.query_one(LogView).lines)
        await press(pilot, "s")
        (saved,) = folder.glob("sft3-log-*.txt")
        lines = saved.read_bytes().splitlines()
        assert len(lines) == shown > 10
        assert any(line.startswith(b"[NeMo W 20") for line in lines)
        assert any(f"Saved {shown} lines" in note.message for note in app._notifications)


async def test_a_file_that_cannot_be_written_is_said(app_with, monkeypatch, tmp_path):
    app = app_with("sft3")
    async with app.run_test(size=NARROW) as pilot:
        screen = await watched(pilot)
        (tmp_path / "file").write_text("")
        run = screen._run
        monkeypatch.setattr(screen, "log_place", lambda: (run.log, tmp_path / "file", "sft3"))
        await press(pilot, "s")
        assert "cannot be written" in text_of(screen, "#problem")


def test_picture_of_the_large_log_with_search_and_selection(app_with, size, snap_compare):
    async def before(pilot):
        await watched(pilot, "z")
        await answer(pilot, "f", "!reference|predicted")
        await answer(pilot, "slash", "val_wer")
        await press(pilot, "v", "up", "up")

    assert snap_compare(app_with("sft3"), terminal_size=size, run_before=before)
