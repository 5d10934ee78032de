"""Manifest: rows, filter, facets, problems, order, row detail, pictures."""

from __future__ import annotations

import json

import pytest

import clinasr_tui.screens.manifest as module
from clinasr_tui.flywheel import preflight_findings
from clinasr_tui.flywheel.preflight import PreflightReport, Problem, Severity, check_manifest
from clinasr_tui.flywheel.troubles import Troubles
from clinasr_tui.screens.manifest_rows import summary_problems
from clinasr_tui.widgets.histogram import Histogram
from clinasr_tui.widgets.line_list import LineList
from clinasr_tui.widgets.prompt import Prompt
from clinasr_tui.widgets.row_detail import RowDetail
from clinasr_tui.widgets.row_table import RowTable
from clinasr_tui.widgets.waveform import Waveform
from tests.support.driving import lines_of, missing, settle, text_of

WIDE = (140, 45)
NARROW = (80, 24)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Do not wait for typing and reading to pause."""
    monkeypatch.setattr(module, "_TYPING_SECONDS", 0.01)
    monkeypatch.setattr(module, "_READING_SECONDS", 0.01)


async def rest(pilot):
    """Let the timers run out that follow typing and reading."""
    await pilot.pause(0.03)
    await settle(pilot)


async def type_filter(pilot, text, *keys):
    """Open the filter, write into it, then press keys."""
    await pilot.press("slash")
    pilot.app.screen.query_one(Prompt).value = text
    await pilot.press(*keys)
    await rest(pilot)


async def opened(pilot, *keys):
    await settle(pilot)
    await pilot.press("2")
    await settle(pilot)
    await pilot.press(*keys)
    await rest(pilot)
    return pilot.app.screen


def table_lines(screen):
    table = screen.query_one(RowTable)
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


def summary(screen):
    return text_of(screen, "#summary")


@pytest.fixture
def manifest(two_cycles):
    return two_cycles / "cycle1" / "manifest.jsonl"


@pytest.fixture
def broken(manifest):
    """Line 57 is cut off, line 10 lasts 23.7 s, line 21 holds an escape sequence."""
    lines = manifest.read_text().splitlines()
    lines[56] = '{"audio_filepath": "audio/x.flac", "text": '
    lines[9] = lines[9].replace('"duration": ', '"duration": 2')
    lines[20] = lines[20].replace('"term": "', '"term": "zz\\u001b[31m薬')
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def picture_of(app, size, snap_compare, *keys):
    async def before(pilot):
        await opened(pilot, *keys)

    return snap_compare(app, terminal_size=size, run_before=before)


def test_picture(cockpit, size, snap_compare):
    assert picture_of(cockpit, size, snap_compare)


def test_picture_with_a_broken_line(broken, two_cycles, app_on, size, snap_compare):
    assert picture_of(app_on(two_cycles), size, snap_compare, "p", "p", "p")


def test_picture_of_facets(cockpit, snap_compare):
    assert picture_of(cockpit, NARROW, snap_compare, "f", "down", "enter")


async def test_rows_hours_and_a_clean_preflight_are_said(cockpit, manifest):
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    hours = sum(row["duration"] for row in rows) / 3600
    first = rows[0]
    async with cockpit.run_test(size=NARROW) as pilot:
        screen = await opened(pilot)
        assert summary(screen) == f"{len(rows)} rows · ✔ pre-flight clean · {hours:.2f} h"
        lines = table_lines(screen)
        assert lines[0].split() == ["line", "term", "category", "noise", "s", "text"]
        assert lines[1].split()[:6] == [
            *("▸", "1", first["term"], first["entity_category"], first["noise_level"]),
            f"{first['duration']:.2f}",
        ]


async def test_typing_a_filter_chooses_rows_and_escape_takes_it_back(cockpit):
    async with cockpit.run_test(size=NARROW) as pilot:
        screen = await opened(pilot)
        await type_filter(pilot, "vanco noise_level:clean")
        assert summary(screen).startswith("1 of 250 rows · filter: vanco noise_level:clean")
        await pilot.press("escape")
        await rest(pilot)
        assert summary(screen).startswith("250 rows")
        assert screen.query_one(RowTable).has_focus
        await type_filter(pilot, "vanco", "enter")
        assert summary(screen) == "5 of 250 rows · filter: vanco · ✔ pre-flight clean · 0.01 h"
        assert ["vancomycin" in line for line in table_lines(screen)[1:7]] == [True] * 5 + [False]
        await type_filter(pilot, "zzz", "enter", "down", "p", "enter")
        assert summary(screen).startswith("0 of 250 rows")
        assert "".join(table_lines(screen)[1:]).strip() == ""
        await pilot.press("escape")
        await rest(pilot)
        assert summary(screen).startswith("250 rows")


async def test_facets_count_and_filter_and_can_be_taken_away(cockpit):
    async with cockpit.run_test(size=NARROW) as pilot:
        screen = await opened(pilot, "f")
        facets = screen.query_one("#facets", LineList)
        assert facets.has_focus
        drawn = "\n".join(lines_of(facets, 28))
        for value, count in (("drug", 90), ("procedure", 40), ("clean", 81), ("en-gb", 94)):
            assert any(line.split()[:2] == [value, str(count)] for line in drawn.splitlines())
        await pilot.press("down", "enter")
        await rest(pilot)
        assert summary(screen).startswith("40 of 250 rows · filter: entity_category:=procedure")
        assert any(line.split()[:3] == ["●", "procedure", "40"] for line in lines_of(facets, 28))
        await pilot.press("enter")
        await rest(pilot)
        assert summary(screen).startswith("250 rows")
        await pilot.press("escape")
        assert screen.query_one(RowTable).has_focus
        assert not screen.query_one("#side").display


async def test_order_goes_through_the_columns_and_can_be_reversed(cockpit):
    async with cockpit.run_test(size=WIDE) as pilot:
        screen = await opened(pilot, "s")
        lines = table_lines(screen)
        assert "term ↑" in lines[0]
        terms = [line.split()[1:3][-1] for line in lines[2:10]]
        assert terms == sorted(terms)
        await pilot.press("S")
        assert "term ↓" in table_lines(screen)[0]
        await pilot.press(*"ssssss")
        assert "s ↑" in table_lines(screen)[0]
        await pilot.press("S", "home")
        await rest(pilot)
        assert screen.query_one(RowDetail).facts.summary.endswith("4.62 s")
        await pilot.press("s", "home")
        await rest(pilot)
        assert screen.query_one(RowDetail).facts.line == 1


async def test_a_broken_line_is_a_row_and_every_problem_can_be_reached(broken, two_cycles, app_on):
    app = app_on(two_cycles)
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        table = screen.query_one(RowTable)
        assert "· ✖ 1 error ▲ " in summary(screen)
        for key, line in (("p", 10), ("p", 21), ("p", 57), ("p", 10), ("P", 57)):
            await pilot.press(key)
            assert table.cursor == line - 1
        assert any("57 ✖ line 57: not valid JSON" in line for line in table_lines(screen))
        facts = screen.query_one(RowDetail).facts
        assert facts.broken.startswith("not valid JSON")
        assert "Fix or remove the line" in facts.problems[0][1]
        await pilot.press("t")
        await rest(pilot)
        assert summary(screen).startswith("3 of 250 rows · only rows with problems")
        assert table.cursor == 2
        assert "zz␛[31m薬" in "".join(table_lines(screen))
        await pilot.press("escape")
        await rest(pilot)
        assert summary(screen).startswith("250 rows")


async def test_enter_opens_the_row_with_waveform_and_fields(cockpit):
    async with cockpit.run_test(size=NARROW) as pilot:
        screen = await opened(pilot, "down", "enter")
        detail = screen.query_one(RowDetail)
        assert detail.facts.line == 2
        wave = screen.query_one(Waveform)
        assert wave.display
        drawn = wave.render().plain
        assert len(drawn.splitlines()) == 3
        assert set(drawn) - {"\u2800", "\n"}
        assert "voice_id" in text_of(screen, "#detail-fields")
        await pilot.press("down")
        assert detail.facts.line == 3
        await pilot.press("escape", "p")
        assert detail.has_class("-short")
        assert screen.query_one(RowTable).cursor == 2
        assert [note.message for note in pilot.app._notifications] == ["No row in view has a problem."]


async def test_a_missing_audio_file_is_said_where_the_waveform_would_be(manifest, two_cycles, app_on):
    text = manifest.read_text().replace("audio/cefazolin_dictation_en_gb_snr_15db", "audio/nowhere", 1)
    manifest.write_text(text)
    app = app_on(two_cycles)
    async with app.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        assert "no such audio file" in screen.query_one(Waveform).render().plain


async def test_wide_shows_everything_side_by_side(cockpit):
    async with cockpit.run_test(size=WIDE) as pilot:
        screen = await opened(pilot)
        for selector in ("#facets", "#durations", "#rows", "#detail", "#detail-wave"):
            assert screen.query_one(selector).region.area > 0
        assert "█" in screen.query_one(Histogram).render().plain
        assert str(screen.query_one(Histogram).border_subtitle) == "2.2 – 4.6 s"
        await pilot.resize_terminal(*NARROW)
        await rest(pilot)
        assert screen.query_one("#side").region.area == 0


async def test_a_changed_manifest_is_read_again_and_the_filter_stays(manifest, two_cycles, app_on):
    app = app_on(two_cycles)
    async with app.run_test(size=NARROW) as pilot:
        screen = await opened(pilot)
        await type_filter(pilot, "vanco", "enter")
        assert summary(screen).startswith("5 of 250 rows")
        lines = manifest.read_text().splitlines(keepends=True)
        manifest.write_text("".join(lines[:42]))
        await app.session.rescan()
        await rest(pilot)
        assert summary(screen).startswith("2 of 42 rows")


async def test_a_workspace_without_manifest_says_what_to_do(manifest, two_cycles, app_on):
    manifest.unlink()
    app = app_on(two_cycles)
    async with app.run_test(size=NARROW) as pilot:
        screen = await opened(pilot, "slash", "escape", "t", "enter", "f", "escape")
        assert "Stage build makes it" in missing(screen)


async def test_numbers_change_screens_but_not_while_a_filter_is_typed(cockpit):
    async with cockpit.run_test(size=NARROW) as pilot:
        screen = await opened(pilot, "slash", "5")
        assert pilot.app.screen is screen
        assert screen.query_one(Prompt).value == "5"
        await pilot.press("escape", "3")
        assert pilot.app.current_mode == "gate"


def test_findings_that_are_only_counted_are_said():
    found = Problem("missing_audio", Severity.ERROR, 3, "audio_filepath", "no such file")
    report = PreflightReport(9, (found,), {"missing_audio": 7}, {Severity.ERROR: 6})
    assert summary_problems(report).plain == "✖ 7 errors"


async def test_every_troubled_row_can_be_reached_and_read(manifest, two_cycles, app_on, monkeypatch):
    monkeypatch.setattr(preflight_findings, "MAX_KEPT", 3)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows[40:140]:
        row["duration"] = None
    rows[120].update(text="")
    rows[199]["audio_filepath"] = rows[198]["audio_filepath"]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = app_on(two_cycles)
    async with app.run_test(size=NARROW) as pilot:
        screen = await opened(pilot, "t")
        assert "✖ 1 error ▲ 103 warnings" in summary(screen)
        assert summary(screen).startswith("101 of 250 rows · only rows with problems")
        table, detail = screen.query_one(RowTable), screen.query_one(RowDetail)
        for place, line, said in (
            (0, 41, ["NeMo keeps the row and skips its length filters"]),
            (80, 121, ["NeMo keeps it and trains the model to stay silent", "skips its length filters"]),
            (100, 200, ["one may be trained on while the other is held out"]),
        ):
            table.move_to(place)
            await rest(pilot)
            assert detail.facts.line == line
            told = [text for _, text in detail.facts.problems]
            assert all(any(part in text for text in told) for part in said)
        await pilot.press("t", "home", "p")
        await rest(pilot)
        assert detail.facts.line == 41


def test_troubles_of_lines_that_are_not_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight_findings, "MAX_KEPT", 4)
    path = tmp_path / "manifest.jsonl"
    line = '{"audio_filepath": "%d.wav", "text": "take it", "duration": 1.0, "term": "take"}'
    path.write_text("".join(line % number + "\n" for number in (*range(5), 0)))
    report = check_manifest(path)
    assert report.truncated
    found = Troubles(path, report)
    assert found.lines() == [1, 2, 3, 4, 5, 6]
    assert 0 not in found
    assert 7 not in found
    assert [found.worst(line) for line in (1, 6, 7)] == [Severity.ERROR, Severity.ERROR, None]
    raw = (line % 4).encode()
    looked = {problem.id: problem for problem in found.look(5, raw)}
    assert set(looked) == {"missing_audio", "unknown_entity_category", "unknown_ipa_source"}
    assert "crashes the run when drawn" in looked["missing_audio"].message
    whole = Troubles(path, PreflightReport(6, report.problems, {}, {}, report.lines))
    assert whole.complete(5)
    assert whole.look(5, raw) == list(whole.listed(5))
    assert Troubles().lines() == []
