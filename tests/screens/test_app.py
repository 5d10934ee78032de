"""The frame: screens by key, help, palette, themes, trust, one-line problems, a light start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from textual.command import CommandPalette

from clinasr_tui.actions import SCREENS, actions_for
from clinasr_tui.errors import HostKeyError, InputError
from clinasr_tui.messages import HostKeyUnknown, Problem
from clinasr_tui.palette import ActionProvider
from clinasr_tui.screens.help import HelpScreen, help_text
from clinasr_tui.screens.trust_dialog import ChangedKeyDialog, TrustDialog
from clinasr_tui.theme import DARK, LIGHT, THEMES
from tests.support.driving import press, settle, text_of

if TYPE_CHECKING:
    from clinasr_tui.app import ClinasrApp

FINGERPRINT = "SHA256:9sZ1kQ3mP0yJcM3l8b0f3u0V1qgKzqk2bT4m3b0w5rA"


def key_error(*known: str) -> HostKeyError:
    return HostKeyError(
        "its key is not confirmed",
        where="gpu-box",
        remedy="Compare the fingerprint first",
        host="10.0.0.7",
        port=2222,
        fingerprint=FINGERPRINT,
        public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2U=",
        known=known,
    )


def test_picture_of_the_help(cockpit, size, picture):
    assert picture(cockpit, size, ["6", "question_mark"])


def test_picture_of_the_light_theme(cockpit, size, picture):
    assert picture(cockpit, size, ["ctrl+t", "7"])


@pytest.mark.parametrize("known", [(), ("SHA256:before",)], ids=["first", "changed"])
def test_picture_of_the_trust_dialogs(cockpit, known, snap_compare):
    async def before(pilot):
        await settle(pilot)
        cockpit.post_message(HostKeyUnknown("sft3", key_error(*known)))
        await settle(pilot)

    assert snap_compare(cockpit, terminal_size=(80, 24), run_before=before)


async def test_number_keys_change_screens_and_keep_them(cockpit):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        first = cockpit.screen
        for key, mode in (("2", "manifest"), ("3", "gate"), ("6", "leaderboard"), ("7", "compare")):
            await press(pilot, key)
            assert cockpit.current_mode == mode
            assert SCREENS[mode] in text_of(cockpit.screen, "TitleLine")
        await press(pilot, "1")
        assert cockpit.screen is first
        await press(pilot, "q")
    assert cockpit.return_code == 0


async def test_the_footer_fits_and_names_the_screens(bare):
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for screen in SCREENS:
            bare.action_show(screen)
            await settle(pilot)
            footer = bare.screen.query("KeyLine").last()
            shown = "".join(segment.text for segment in footer.render_line(0))
            assert shown.strip().endswith("? q")
            # Train and Evaluate have their keys (9, E) but no room: other screens and the steps lead there.
            without = ("train", "evaluate")
            assert all(title in shown for name, title in SCREENS.items() if name not in without)


async def test_help_is_the_table_and_closes(bare):
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "question_mark")
        assert isinstance(bare.screen, HelpScreen)
        text = help_text("compare").plain
        for action in (*actions_for("compare"), *actions_for("")):
            assert action.help in text
        await press(pilot, "escape")
        assert bare.current_mode == "compare"
        assert not isinstance(bare.screen, HelpScreen)


async def test_the_palette_runs_an_action_of_the_screen(cockpit):
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "ctrl+p")
        assert isinstance(cockpit.screen, CommandPalette)
        provider = ActionProvider(cockpit.screen_stack[0])
        names = [hit.text async for hit in provider.search("held-out")]
        assert any("held-out" in name for name in names)
        found = [hit async for hit in provider.discover()]
        expected = len(actions_for("compare")) + len(actions_for("")) - 1
        assert len(found) == expected
        await press(pilot, *"trained", "enter")
        assert cockpit.screen._part == "trained"


async def test_the_theme_key_changes_between_dark_and_light(bare):
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert bare.theme == DARK
        await press(pilot, "ctrl+t")
        assert bare.theme == LIGHT
        await press(pilot, "ctrl+t")
        assert bare.theme == DARK


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_text_colour_is_legible(theme):
    """WCAG AA: 4.5 to 1 against the background."""
    ground = _luminance(theme.background)
    for colour in (theme.foreground, *(theme.variables[name] for name in ("good", "bad", "quiet"))):
        high, low = sorted((_luminance(colour), ground), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour


async def test_no_colour_is_respected(bare_folder, app_on, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app: ClinasrApp = app_on(bare_folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert app.animation_level == "none"
        strips = app.screen.query_one("#next").render_lines(app.screen.query_one("#next").region.reset_offset)
        colours = [s.style.color.triplet for strip in strips for s in strip if s.style and s.style.color]
        assert colours
        assert all(colour.red == colour.green == colour.blue for colour in colours)


async def test_first_contact_asks_and_no_is_the_default(bare, monkeypatch):
    trusted, reconnected = [], []
    monkeypatch.setattr(bare.session, "trust", trusted.append)
    monkeypatch.setattr(bare.session, "reconnect", reconnected.append)
    error = key_error()
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for answer in ("enter", "escape", "n"):
            bare.post_message(HostKeyUnknown("sft3", error))
            await settle(pilot)
            assert isinstance(bare.screen, TrustDialog)
            shown = text_of(bare.screen, ".dialog-text")
            assert FINGERPRINT in shown
            assert "10.0.0.7 port 2222" in shown
            assert "ssh-ed25519" in shown
            assert "provider" in shown
            await press(pilot, answer)
            assert not isinstance(bare.screen, TrustDialog)
        assert (trusted, reconnected) == ([], [])
        bare.post_message(HostKeyUnknown("sft3", error))
        await settle(pilot)
        await press(pilot, "t")
        assert (trusted, reconnected) == ([error], ["sft3"])


async def test_a_changed_key_can_only_be_refused(bare, monkeypatch):
    trusted = []
    monkeypatch.setattr(bare.session, "trust", trusted.append)
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        bare.post_message(HostKeyUnknown("sft3", key_error("SHA256:before")))
        await settle(pilot)
        assert isinstance(bare.screen, ChangedKeyDialog)
        shown = text_of(bare.screen, ".dialog-text")
        assert FINGERPRINT in shown
        assert "SHA256:before" in shown
        assert [button.id for button in bare.screen.query("Button")] == ["no"]
        await press(pilot, "t", "escape")
        assert not isinstance(bare.screen, ChangedKeyDialog)
        assert trusted == []


async def test_a_key_that_cannot_be_remembered_is_one_line(bare, monkeypatch):
    def fail(error):
        raise InputError("cannot write the host's key", where="known_hosts", remedy="Make it writable")

    monkeypatch.setattr(bare.session, "trust", fail)
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        bare.post_message(HostKeyUnknown("sft3", key_error()))
        await settle(pilot)
        await press(pilot, "t")
        assert "known_hosts: cannot write" in text_of(bare.screen, "ProblemLine")


async def test_a_problem_is_one_safe_line(bare):
    async with bare.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        bare.post_message(Problem("[bold]file\x1b[31m:57: broken"))
        await settle(pilot)
        assert "[bold]file␛[31m:57: broken" in text_of(bare.screen, "ProblemLine")


async def test_a_folder_that_goes_away_is_one_line_and_the_app_goes_on(two_cycles, app_on):
    app: ClinasrApp = app_on(two_cycles)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        two_cycles.rename(two_cycles.with_name("gone"))
        await app.session.rescan()
        await settle(pilot)
        assert "no such folder" in text_of(app.screen, "ProblemLine")
        await press(pilot, "6", "1")
        assert app.is_running


async def test_results_are_computed_once_until_the_file_changes(cockpit, two_cycles, monkeypatch):
    from clinasr_tui.flywheel import review

    calls = []
    real = review.scored_cycle

    def counted(cycle, progress):
        calls.append(cycle.number)
        return real(cycle, progress)

    monkeypatch.setattr(review, "scored_cycle", counted)
    async with cockpit.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "7", "6", "3", "1")
        assert sorted(calls) == [1, 2]
        path = two_cycles / "cycle2" / "offline_hyps.jsonl"
        path.write_text("\n".join(path.read_text().splitlines()[:200]))
        await cockpit.session.rescan()
        await settle(pilot)
        assert sorted(calls) == [1, 2, 2]
        assert cockpit.session.workspace.cycle(2) is not None


AT_FIRST_PAINT = """
import gc, json, sys
gc.disable()
from pathlib import Path
from clinasr_tui.app import ClinasrApp
from clinasr_tui.flywheel.workspace import open_workspace
app = ClinasrApp(open_workspace(Path(sys.argv[1])))
painted = app._painted
def report():
    loaded = sorted({name.split(".")[0] for name in sys.modules})
    rows = app.screen.query_one("#cycles").lines
    painted()
    print(json.dumps({"loaded": loaded, "rows": len(rows), "collects": gc.isenabled()}))
    app.exit(0)
app._painted = report
app.run(headless=True, size=(80, 24))
"""


def test_the_first_picture_needs_nothing_heavy(two_cycles):
    done = subprocess.run(
        [sys.executable, "-c", AT_FIRST_PAINT, str(two_cycles)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["rows"] == 2
    assert found["collects"]
    heavy = {"numpy", "pandas", "asyncssh", "docker", "torch", "jiwer", "soundfile", "rapidfuzz"}
    assert not heavy & set(found["loaded"])
