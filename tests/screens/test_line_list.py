"""The list with a cursor: headings are skipped, the cursor keeps its key, only what is seen is drawn."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.content import Content

from clinasr_tui.theme import DARK, THEMES
from clinasr_tui.widgets.figures import Line, heading, note
from clinasr_tui.widgets.line_list import LineList


class Host(App[None]):
    """A list alone; counts what is drawn."""

    def __init__(self) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK
        self.drawn: list[str] = []
        self.moved: list[str] = []
        self.opened: list[str] = []

    def compose(self) -> ComposeResult:
        yield LineList()

    def line(self, key: str) -> Line:
        def draw(width: int) -> Content:
            self.drawn.append(key)
            return Content(key)

        return Line(key, draw)

    def on_line_list_moved(self, message: LineList.Moved) -> None:
        self.moved.append(message.key)

    def action_select(self) -> None:
        self.opened.append(self.query_one(LineList).cursor_key)


async def test_headings_are_skipped_and_stay_in_sight():
    app = Host()
    async with app.run_test(size=(30, 4)) as pilot:
        lines = app.query_one(LineList)
        lines.show([heading("one"), app.line("a"), heading("two"), app.line("b"), note("below b")])
        lines.focus()
        await pilot.pause()
        assert lines.cursor_key == "a"
        assert lines.scroll_offset.y == 0
        await pilot.press("down")
        assert lines.cursor_key == "b"
        assert lines.scroll_offset.y == 1
        await pilot.press("down", "j")
        assert lines.cursor_key == "b"
        await pilot.press("up", "k", "up")
        assert lines.cursor_key == "a"
        assert lines.scroll_offset.y == 0
        assert app.moved == ["a", "b", "a"]


async def test_the_cursor_keeps_its_key_when_lines_change():
    app = Host()
    async with app.run_test(size=(30, 8)) as pilot:
        lines = app.query_one(LineList)
        lines.show([app.line(key) for key in "abc"])
        lines.move_to("b")
        lines.show([app.line(key) for key in "xxxb"])
        assert lines.cursor_key == "b"
        lines.show([app.line(key) for key in "cd"])
        assert lines.cursor_key == "c"
        lines.show([])
        assert lines.cursor_key == ""
        lines.focus()
        await pilot.press("down", "up", "pagedown", "end", "home")
        assert lines.cursor_key == ""


async def test_a_hundred_thousand_lines_draw_only_what_is_seen():
    app = Host()
    async with app.run_test(size=(30, 10)) as pilot:
        lines = app.query_one(LineList)
        lines.show([app.line(f"line {number}") for number in range(100_000)])
        lines.focus()
        await pilot.press("end")
        await pilot.pause()
        assert lines.cursor_key == "line 99999"
        await pilot.press("pageup")
        assert lines.cursor_key == "line 99990"
        await pilot.press("home", "pagedown")
        assert lines.cursor_key == "line 9"
        assert len(set(app.drawn)) < 100


async def test_a_click_moves_and_a_second_click_opens():
    app = Host()
    async with app.run_test(size=(30, 8)) as pilot:
        lines = app.query_one(LineList)
        lines.show([app.line(key) for key in "abc"])
        await pilot.click(LineList, offset=(4, 2))
        assert lines.cursor_key == "c"
        assert app.opened == []
        app.screen.action_select = app.action_select
        await pilot.click(LineList, offset=(4, 2))
        assert app.opened == ["c"]


async def test_without_a_cursor_it_is_only_looked_at():
    app = Host()
    async with app.run_test(size=(30, 8)) as pilot:
        lines = LineList(cursor=False)
        await app.mount(lines)
        lines.show([app.line("a")])
        await pilot.pause()
        assert not lines.can_focus
        assert lines.cursor_key == ""
