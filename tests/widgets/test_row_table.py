"""The row table asks for what is seen and nothing more, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App
from textual.widget import Widget

from clinasr_tui.text import visible
from clinasr_tui.widgets.row_table import Column, RowTable, fit, layout_columns

COLUMNS = [Column("line", 7, align="right"), Column("term", 10, 1), Column("text", 12, 3, drop=1)]
MILLION = 1_000_000
Bench = Callable[[Widget], App[None]]


class Rows:
    """Numbered rows that remember which were asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.size

    def cells(self, index: int) -> list[str]:
        self.asked.append(index)
        if index == 13:
            return [str(index), "line 13: not valid JSON, and said at length"]
        return [str(index), f"term {index}", "please hold \x1b[31mthe 薬 until the morning"]

    def tone(self, index: int) -> str:
        return "error" if index == 13 else ""


@given(st.text(max_size=20), st.integers(0, 15), st.sampled_from(["left", "right"]))
def test_text_fills_its_cells_exactly(text: str, width: int, align: str) -> None:
    shown = visible(text)
    fitted = fit(shown, width, align)  # type: ignore[arg-type]
    assert cell_len(fitted) == width
    if cell_len(shown) <= width:
        assert fitted.strip(" ") == shown.strip(" ")
    elif width:
        assert fitted.endswith("…")


def test_a_wide_character_that_does_not_fit_is_left_out() -> None:
    assert fit("ab薬薬", 4) == "ab …"
    assert fit("薬薬薬", 5) == "薬薬…"


@given(st.integers(10, 200))
def test_columns_share_the_width_there_is(width: int) -> None:
    columns = [
        Column("a", 6),
        Column("b", 9, 1),
        Column("c", 8, drop=2),
        Column("d", 20, 2),
        Column("e", 5, drop=1),
    ]
    shown = layout_columns(columns, width)
    used = sum(wide for _, wide in shown) + len(shown) - 1
    assert used == width or (used > width and [place for place, _ in shown] == [0, 1, 3])
    assert {0, 1, 3} <= {place for place, _ in shown}


def test_the_least_wanted_column_goes_first() -> None:
    columns = [Column("a", 6), Column("b", 9, drop=1), Column("c", 8, drop=2)]
    assert [place for place, _ in layout_columns(columns, 25)] == [0, 1, 2]
    assert [place for place, _ in layout_columns(columns, 24)] == [0, 1]
    assert [place for place, _ in layout_columns(columns, 10)] == [0]


async def test_a_frame_of_a_million_rows_asks_for_the_rows_in_view_only(bench: Bench) -> None:
    rows, table = Rows(MILLION), RowTable(COLUMNS)
    async with bench(table).run_test(size=(80, 24)) as pilot:
        table.show(rows)
        await pilot.pause()
        assert set(rows.asked) == set(range(23))
        for key, seen in (
            ("end", range(MILLION - 23, MILLION)),
            ("pageup", range(MILLION - 24, MILLION - 1)),
            ("home", range(23)),
            ("pagedown", range(1, 24)),
        ):
            rows.asked.clear()
            await pilot.press(key)
            await pilot.pause()
            assert set(rows.asked) <= set(seen) | {table.cursor}
            assert len(rows.asked) <= 50


async def test_moving_the_cursor_within_the_view_draws_two_rows(bench: Bench) -> None:
    rows, table = Rows(MILLION), RowTable(COLUMNS)
    async with bench(table).run_test(size=(80, 24)) as pilot:
        table.show(rows)
        await pilot.pause()
        rows.asked.clear()
        await pilot.press("down")
        await pilot.pause()
        assert sorted(rows.asked) == [0, 1]


async def test_every_key_goes_where_it_says(bench: Bench) -> None:
    rows, table = Rows(1000), RowTable(COLUMNS)
    async with bench(table).run_test(size=(80, 24)) as pilot:
        table.show(rows)
        table.focus()
        for key, cursor in (
            ("down", 1), ("j", 2), ("k", 1), ("up", 0), ("up", 0), ("pagedown", 23), ("end", 999),
            ("down", 999), ("pageup", 976), ("home", 0), ("G", 999), ("g", 0),
        ):  # fmt: skip
            await pilot.press(key)
            assert (key, table.cursor) == (key, cursor)
            top = table.scroll_offset.y
            assert top <= table.cursor < top + 23


async def test_the_cursor_is_marked_by_a_character_and_wide_text_keeps_the_line_width(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    table = RowTable(COLUMNS)
    async with bench(table).run_test(size=(50, 20)) as pilot:
        table.show(Rows(1000), cursor=3)
        await pilot.pause()
        lines = shown(table)
        assert lines[0].split() == ["line", "term", "text"]
        assert [line.startswith("▸ ") for line in lines[1:6]] == [False, False, False, True, False]
        assert "␛[31m" in lines[1]
        assert {cell_len(line) for line in lines} == {49}


async def test_the_last_of_fewer_cells_takes_the_rest_of_the_line(
    bench: Bench, shown: Callable[[Widget], list[str]]
) -> None:
    table = RowTable(COLUMNS)
    async with bench(table).run_test(size=(60, 20)) as pilot:
        table.show(Rows(100))
        await pilot.pause()
        assert "13 line 13: not valid JSON, and said at length" in shown(table)[14]


async def test_moving_and_opening_are_told(bench: Bench) -> None:
    told: list[tuple[str, int]] = []

    class Listening(RowTable):
        def post_message(self, message: object) -> bool:  # type: ignore[override]
            if isinstance(message, RowTable.Highlighted):
                told.append((type(message).__name__, message.index))
            return super().post_message(message)  # type: ignore[arg-type]

    table = Listening(COLUMNS)
    async with bench(table).run_test(size=(60, 20)) as pilot:
        table.show(Rows(100))
        table.focus()
        await pilot.press("down", "down", "enter")
        await pilot.click(table, offset=(5, 6))
        await pilot.click(table, offset=(5, 6))
        await pilot.click(table, offset=(5, 0))
    assert told == [
        ("Highlighted", 0), ("Highlighted", 1), ("Highlighted", 2), ("Selected", 2),
        ("Highlighted", 5), ("Selected", 5),
    ]  # fmt: skip


async def test_rows_that_come_later_keep_cursor_and_place(bench: Bench) -> None:
    rows, table = Rows(100), RowTable(COLUMNS)
    async with bench(table).run_test(size=(60, 20)) as pilot:
        table.show(rows, cursor=60)
        await pilot.pause()
        top = table.scroll_offset.y
        rows.size = 5000
        table.grow()
        await pilot.pause()
        assert (table.cursor, table.scroll_offset.y) == (60, top)
        await pilot.press("end")
        assert table.cursor == 4999


@pytest.mark.parametrize("keys", [("down",), ("end",), ("enter",), ("pageup",)])
async def test_an_empty_table_takes_every_key(bench: Bench, keys: tuple[str, ...]) -> None:
    table = RowTable(COLUMNS)
    async with bench(table).run_test(size=(60, 20)) as pilot:
        table.focus()
        await pilot.press(*keys)
        assert table.cursor == 0
