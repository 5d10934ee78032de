"""Fewer bytes, the same screen: random updates, wide characters, scrolling, foreign output."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.terminal_diff import ScreenDiff
from tests.support.terminal_screen import TerminalScreen, seen

COLUMNS, LINES = 24, 8
STYLES = ("", "1", "38;2;1;2;3", "38;2;1;2;3;48;2;9;9;9", "4;48;5;7", "7;31", "1;3;97;104")


def written(row: int, column: int, *parts: tuple[str, str]) -> str:
    """As the compositor writes: a move, then segments that each end in a reset."""
    text = "".join(f"\x1b[{style}m{text}\x1b[0m" if style else text for style, text in parts)
    return f"\x1b[{row + 1};{column + 1}H{text}"


def update(*lines: str) -> str:
    return "\n".join(lines) + "\x1b[1;1H"


def both(clock: float = 1.0) -> tuple[ScreenDiff, TerminalScreen, TerminalScreen]:
    return (
        ScreenDiff(lambda: (COLUMNS, LINES), lambda: clock),
        TerminalScreen(COLUMNS, LINES),
        TerminalScreen(COLUMNS, LINES),
    )


TEXT = st.text(alphabet="abc  ◆⣿│漢é\u0301", min_size=1, max_size=12)


@st.composite
def updates(draw: st.DrawFn) -> str:
    from rich.cells import cell_len

    lines = []
    for row in sorted(draw(st.sets(st.integers(0, LINES - 1), min_size=1))):
        column, parts = draw(st.integers(0, 6)), []
        used = column
        for text in draw(st.lists(TEXT, min_size=1, max_size=3)):
            if used + cell_len(text) > COLUMNS:
                break
            used += cell_len(text)
            parts.append((draw(st.sampled_from(STYLES)), text))
        lines.append(written(row, column, *parts))
    return update(*lines)


@settings(max_examples=150, deadline=None)
@given(st.lists(updates(), min_size=1, max_size=6))
def test_any_updates_give_the_same_screen(several: list[str]) -> None:
    diff, plain, short = both()
    for one in several:
        plain.feed(one)
        short.feed(diff.reduce(one))
        assert seen(short) == seen(plain)
        assert (short.row, short.column) == (plain.row, plain.column)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["one line", "another line", "", "x"]), min_size=20, max_size=40),
    st.lists(st.integers(-5, 5), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 2),
)
def test_a_scrolled_list_gives_the_same_screen(
    log: list[str], moves: list[int], top: int, below: int
) -> None:
    diff, plain, short = both()
    place = 8
    for step in moves:
        place = min(max(place + step, 0), len(log) - LINES)
        rows = range(top, LINES - below)
        one = update(
            *(
                written(y, 0, ("31", "│"), ("38;2;1;2;3", f"{log[place + y]:<{COLUMNS - 2}}"), ("", "│"))
                for y in rows
            )
        )
        plain.feed(one)
        short.feed(diff.reduce(one))
        assert seen(short) == seen(plain)


def lines_of_log(first: int) -> str:
    return update(
        *(
            written(y, 0, ("38;2;1;2;3", f"{f'line number {first + y} of many':<{COLUMNS}}"))
            for y in range(1, 7)
        )
    )


def test_what_did_not_change_is_not_written_again() -> None:
    diff, _, _ = both()
    one = update(written(2, 3, ("1", "epoch 1")), written(3, 0, ("", "steady")))
    assert len(diff.reduce(one)) <= len(one)
    assert diff.reduce(one) == "\x1b[1;1H"
    other = update(written(2, 3, ("1", "epoch 2")), written(3, 0, ("", "steady")))
    assert diff.reduce(other) == "\x1b[3;10H\x1b[1m2\x1b[0m\x1b[1;1H"


def test_a_followed_log_is_moved_by_the_terminal_and_only_new_lines_are_written() -> None:
    diff, plain, short = both()
    for first in range(100, 110, 2):
        data = lines_of_log(first)
        less = diff.reduce(data)
        plain.feed(data)
        short.feed(less)
        assert seen(short) == seen(plain)
    assert "\x1b[2;7r\x1b[2S\x1b[r" in less
    assert len(less) < len(data) / 2


def test_lines_that_moved_down_are_moved_down() -> None:
    diff, plain, short = both()
    for first in (100, 99):
        data = lines_of_log(first)
        less = diff.reduce(data)
        plain.feed(data)
        short.feed(less)
        assert seen(short) == seen(plain)
    assert "\x1b[1T" in less


@pytest.mark.parametrize(
    "foreign",
    [
        "\x1b[2J\x1b[1;1H",
        "\x1b]52;c;aGVsbG8=\x07",
        "\x1b[5;1Hoverlong text that does not fit the line at all\x1b[1;1H",
        "\x1b[3;1Hx\x1b[2;1Hy\x1b[1;1H",
        "\x1b[3;1H\x1b[31mred without an end\x1b[1;1H",
        "plain",
    ],
)
def test_what_is_not_understood_passes_unchanged_and_is_forgotten(foreign: str) -> None:
    diff, _, _ = both()
    one = update(written(2, 3, ("1", "epoch 1")))
    diff.reduce(one)
    assert diff.reduce(foreign) == foreign
    assert "epoch 1" in diff.reduce(one)


def test_modes_pass_and_are_not_forgotten_for() -> None:
    diff, _, _ = both()
    one = update(written(2, 3, ("1", "epoch 1")))
    diff.reduce(one)
    assert diff.reduce("\x1b[?2026h") == "\x1b[?2026h"
    assert diff.reduce(one) == "\x1b[1;1H"


def test_a_resized_terminal_is_unknown() -> None:
    size = [24, 8]
    diff = ScreenDiff(lambda: (size[0], size[1]), lambda: 1.0)
    one = update(written(2, 3, ("1", "epoch 1")))
    diff.reduce(one)
    size[1] = 9
    assert "epoch 1" in diff.reduce(one)


def test_a_whole_screen_is_written_again_after_a_while() -> None:
    now = [10.0]
    diff = ScreenDiff(lambda: (COLUMNS, LINES), lambda: now[0])
    whole = update(*(written(y, 0, ("", f"{y}" * COLUMNS)) for y in range(LINES)))
    assert diff.reduce(whole) == whole
    assert diff.reduce(whole) == "\x1b[1;1H"
    now[0] += 3.0
    assert diff.reduce(whole) == whole
