"""Box and cost dialog: prices with their source, the word typed or nothing, the meter, stop and delete."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from textual import events
from textual.command import CommandPalette
from textual.widgets import Static

from clinasr_tui import typed_word
from clinasr_tui.actions import actions_for
from clinasr_tui.box import boxes as boxes_module
from clinasr_tui.box.boxes import Boxes
from clinasr_tui.box.brev import BrevCli
from clinasr_tui.box.record import BoxRecord, begun
from clinasr_tui.errors import HostKeyError
from clinasr_tui.messages import BoxKeyUnknown
from clinasr_tui.palette import ActionProvider
from clinasr_tui.screens.confirm_dialog import ConfirmDialog
from clinasr_tui.screens.cost_dialog import CostDialog
from clinasr_tui.screens.trust_dialog import TrustDialog
from clinasr_tui.widgets.title_line import TitleLine
from tests.support.brev import FakeBrev
from tests.support.driving import press, settle, text_of
from tests.support.fake_brev import FLEXIBLE, L40S

NAME = "digital-health-clinical-asr-sft"
PAST_NOON = time.mktime((2026, 7, 1, 17, 2, 0, 0, 0, -1))


@pytest.fixture
def brev(tmp_path):
    return FakeBrev(tmp_path / "brev")


@pytest.fixture
def app(bare, brev, monkeypatch):
    """The app with the fake CLI; waiting is quick, a prompt counts keys after a moment."""
    monkeypatch.setattr(boxes_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(typed_word, "SETTLE_SECONDS", 0.05)
    bare.session.boxes._boxes = Boxes(BrevCli(str(brev.program)))
    return bare


@pytest.fixture
def at_noon(monkeypatch):
    """A clock that stands still, for pictures."""
    monkeypatch.setattr(time, "time", lambda: PAST_NOON)


async def opened(pilot, *keys):
    """Box is shown and the prices are there."""
    await settle(pilot)
    await press(pilot, "4", *keys)


async def at_the_prompt(pilot, *keys):
    """The cost dialog is open and has been read."""
    await opened(pilot, *keys, "enter")
    assert isinstance(pilot.app.screen, CostDialog)
    await asyncio.sleep(0.1)


async def typed(pilot, *keys):
    """Keys at a human pace."""
    for key in keys:
        await pilot.press(key)
        await asyncio.sleep(0.03)


def problem(app):
    return app.screen.query_one("#problem").text


def title(app):
    return app.screen.query_one(TitleLine).render().plain


def rented(app):
    return str(app.screen.query_one("#rented-text", Static).content)


# --- pictures -----------------------------------------------------------------------------------------


def test_picture_of_the_offers(app, at_noon, size, picture):
    assert picture(app, size, ["4"])


@pytest.mark.parametrize("keys", [[], ["down"]], ids=["only-deleted", "stoppable"])
def test_picture_of_the_cost_dialog(app, at_noon, size, picture, keys):
    assert picture(app, size, ["4", *keys, "enter"])


def test_picture_of_a_box_that_bills(app, brev, at_noon, size, picture):
    put_box(app, brev)
    assert picture(app, size, ["4"])


def test_picture_of_deleting(app, brev, at_noon, size, picture):
    put_box(app, brev)
    assert picture(app, size, ["4", "D"])


def put_box(app, brev, status="RUNNING", *, offer=None):
    """A box from an earlier session, rented an hour and a half ago."""
    from clinasr_tui.box.brev_answers import read_offers

    (found,) = read_offers(json.dumps([offer or FLEXIBLE]), 200, time.time())
    record = begun(BoxRecord(NAME, found, "c", asked_at=time.time() - 5400))
    app.session.boxes.boxes.book.put(record)
    brev.add_box(NAME, status, type=found.type, stoppable=bool(found.stoppable))
    brev.add_box("somebody-elses")


# --- consent in the dialog ----------------------------------------------------------------------------


async def test_the_word_typed_key_by_key_rents_the_offer_shown(app, brev):
    async with app.run_test(size=(80, 24)) as pilot:
        await at_the_prompt(pilot, "down")
        text = " ".join(str(part.content) for part in app.screen.query(Static))
        assert f"live offer {FLEXIBLE['type']}" in text
        await typed(pilot, "Y", "E", "S", "enter")
        await settle_until(pilot, lambda: brev.boxes)
        assert [(box["name"], box["type"], box["disk"]) for box in brev.boxes] == [
            (NAME, FLEXIBLE["type"], 200)
        ]
        await settle_until(pilot, lambda: "/h" in title(app))
        (record,) = app.session.boxes.boxes.book.live()
        assert not record.stop_when_done


@pytest.mark.parametrize(
    "keys",
    [
        ["enter"],
        ["y", "enter"],
        ["y", "e", "s", "enter"],
        ["Y", "E", "S", "space", "enter"],
        ["space", "Y", "E", "S", "enter"],
        ["Y", "Y", "Y", "E", "E", "S", "enter"],
        ["Y", "E", "S", "escape"],
        ["ctrl+v"],
        ["ctrl+p"],
        ["f1"],
    ],
    ids="-".join,
)
async def test_anything_else_cancels_and_says_that_nothing_was_created(app, brev, keys):
    async with app.run_test(size=(80, 24)) as pilot:
        await at_the_prompt(pilot)
        await typed(pilot, *keys)
        await settle(pilot)
        assert not isinstance(app.screen, CostDialog | CommandPalette)
        assert "no GPU instance was created" in problem(app)
        assert brev.ran("create") == []
        assert app.session.boxes.boxes.book.read() == ()


@pytest.mark.parametrize("text", ["YES", "YES\n", "Y"])
async def test_a_paste_cancels(app, brev, text):
    async with app.run_test(size=(80, 24)) as pilot:
        await at_the_prompt(pilot)
        app.screen.focused.post_message(events.Paste(text))
        await typed(pilot, "E", "S")
        assert isinstance(app.screen, CostDialog), "no key leaks to what is below"
        await typed(pilot, "enter")
        await settle(pilot)
        assert "no GPU instance was created" in problem(app)
        assert "key by key" in problem(app)
        assert brev.ran("create") == []


async def test_replayed_keys_cancel(app, brev):
    async with app.run_test(size=(80, 24)) as pilot:
        await at_the_prompt(pilot)
        for key in ("Y", "E", "S"):
            app.screen.focused.post_message(events.Key(key, key))
        app.screen.focused.post_message(events.Key("enter", "\r"))
        await settle(pilot)
        assert not isinstance(app.screen, CostDialog)
        assert brev.ran("create") == []


async def test_keys_typed_ahead_of_the_dialog_are_no_answer(app, brev, monkeypatch):
    monkeypatch.setattr(typed_word, "SETTLE_SECONDS", 0.4)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for key in ("enter", "Y", "E", "S", "enter"):
            await pilot.press(key)
        assert isinstance(app.screen, CostDialog)
        await asyncio.sleep(0.5)
        await typed(pilot, "enter")
        await settle(pilot)
        assert "no GPU instance was created" in problem(app)
        assert brev.ran("create") == []


async def test_no_entry_of_the_palette_rents(app, brev):
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        screen = app.screen
        provider = ActionProvider(screen)
        names = []
        for action, target in provider._actions():
            names.append(action.id)
            if action.id == "quit" or action.id.startswith("show(") or action.category == "Program":
                continue
            await app.run_action(action.id, target)
            await settle(pilot)
            while app.screen is not screen:
                app.pop_screen()
                await settle(pilot)
        assert "select" in names
        assert brev.ran("create") == []
        assert brev.ran("start") == []


async def test_an_old_price_is_asked_for_again_before_anything(app, brev):
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        desk = app.session.boxes
        desk.offers = tuple(replace(offer, seen_at=offer.seen_at - 3600) for offer in desk.offers)
        await press(pilot, "enter")
        assert not isinstance(app.screen, CostDialog)
        assert len(brev.ran("search")) == 2


async def test_stop_when_done_is_armed_in_the_dialog_with_honest_words(app, brev):
    async with app.run_test(size=(80, 24)) as pilot:
        await at_the_prompt(pilot, "down")
        await typed(pilot, "tab")
        shown = str(app.screen.query_one("#cost-switch", Static).content)
        assert "[x]" in shown
        assert "nobody stops the box" in shown
        await typed(pilot, "Y", "E", "S", "enter")
        await settle_until(pilot, lambda: brev.boxes)
        (record,) = app.session.boxes.boxes.book.live()
        assert record.stop_when_done


async def test_what_cannot_be_stopped_cannot_be_armed(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await at_the_prompt(pilot)
        assert not app.screen.query("#cost-switch")
        await typed(pilot, "tab")
        await settle(pilot)
        assert not isinstance(app.screen, CostDialog)


# --- the screen ---------------------------------------------------------------------------------------


async def settle_until(pilot, holds, seconds=10.0):
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit
        await pilot.pause(0.05)


async def test_prices_are_shown_with_what_ends_billing(app):
    async with app.run_test(size=(140, 45)) as pilot:
        await opened(pilot)
        offers = text_of(app.screen, "#offers")
        assert re.search(rf"\$1\.06/h +L40S 48 GB +625 GB +{L40S['type']} +only delete", offers)
        assert "cannot be stopped" in text_of(app.screen, "#offer-cost")
        await press(pilot, "down")
        assert "stop keeps the disk: $20" in text_of(app.screen, "#offer-cost")


async def test_kinds_and_stoppable_ones(app):
    async with app.run_test(size=(140, 45)) as pilot:
        await opened(pilot, "n")
        assert "A10G 24 GB" in text_of(app.screen, "#offers")
        await press(pilot, "N", "t")
        assert L40S["type"] not in text_of(app.screen, "#offers")
        await press(pilot, "N")
        assert "no offer of this kind now" in text_of(app.screen, "#offers-empty")


async def test_without_brev_the_published_price_is_marked_as_such(app):
    app.session.boxes._boxes = Boxes(BrevCli("/nowhere/brev"))
    async with app.run_test(size=(140, 45)) as pilot:
        await opened(pilot)
        empty = str(app.screen.query_one("#offers-empty", Static).content)
        assert "$1.50 per hour (published, NOT live" in empty
        assert "works without it" in problem(app)
        await press(pilot, "enter")
        assert not isinstance(app.screen, CostDialog)


async def test_an_operator_without_boxes_is_never_asked_anything_of_brev(app, brev):
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "2", "1")
        assert "box: none billing" in title(app)
    assert brev.calls == []


async def test_a_box_of_an_earlier_session_is_found_at_the_start_with_its_cost(app, brev):
    put_box(app, brev)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await settle_until(pilot, lambda: "$1.85/h · $2.77 so far" in title(app))
        await settle_until(pilot, lambda: brev.ran("ls"))
        await press(pilot, "4")
        assert "RUNNING" in rented(app)
        assert "somebody-elses (RUNNING)" in rented(app)
        assert app.session.facts.box_state == "pending"


async def test_a_state_that_cannot_be_read_is_not_none_billing(app, brev):
    book = app.session.boxes.boxes.book
    book.folder.mkdir(parents=True)
    book.path.write_text("{")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "4")
        assert "NOT KNOWN" in title(app)
        assert "boxes.json" in problem(app)


async def test_stop_asks_first_and_shows_when_it_is_over(app, brev):
    put_box(app, brev)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "s")
        assert isinstance(app.screen, ConfirmDialog)
        await press(pilot, "enter")
        assert brev.ran("stop") == []
        await press(pilot, "s", "y")
        await settle_until(pilot, lambda: "only its disk bills" in rented(app))
        assert "stopped, its disk bills" in title(app)
        await press(pilot, "u")
        assert isinstance(app.screen, CostDialog)
        await asyncio.sleep(0.1)
        await typed(pilot, "enter")
        await settle(pilot)
        assert brev.ran("start") == []


async def test_delete_says_what_is_lost(app, brev):
    put_box(app, brev, offer=L40S)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, "s")
        assert "cannot be stopped" in problem(app)
        await press(pilot, "D")
        assert "lost" in " ".join(str(part.content) for part in app.screen.query(Static))
        await press(pilot, "escape")
        assert brev.ran("delete") == []
        await press(pilot, "D", "y")
        await settle_until(pilot, lambda: "deleted" in rented(app))
        assert "box: none billing" in title(app)


async def test_a_new_box_asks_for_its_key(app, brev):
    put_box(app, brev)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        error = HostKeyError(
            "its key is not confirmed",
            where=NAME,
            remedy="Compare",
            host="10.0.0.7",
            port=22,
            fingerprint="SHA256:9sZ1kQ3mP0yJcM3l8b0f3u0V1qgKzqk2bT4m3b0w5rA",
            public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2U=",
        )
        app.post_message(BoxKeyUnknown(NAME, error))
        await settle(pilot)
        assert isinstance(app.screen, TrustDialog)


async def test_a_run_that_is_over_stops_the_armed_box_only(app, brev):
    put_box(app, brev)
    desk = app.session.boxes
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        desk.run_ended(NAME, "finished")
        await settle(pilot)
        assert brev.ran("stop") == []
        desk.boxes.book.put(replace(desk.boxes.book.find(NAME), stop_when_done=True))
        desk.read()
        desk.run_ended("another-host", "finished")
        desk.run_ended(NAME, "finished")
        await settle_until(pilot, lambda: "is stopped" in desk.said.get(NAME, ""))
        assert brev.ran("stop") == [["stop", NAME]]


@pytest.mark.parametrize(
    ("others", "stopped"),
    [([], True), ([(NAME, True)], True), ([(NAME, False)], False), ([("else", False)], True)],
)
async def test_a_box_on_which_another_watched_run_goes_on_is_not_stopped(app, monkeypatch, others, stopped):
    def run(name, host, ended):
        snapshot = SimpleNamespace(outcome="finished")
        reader = SimpleNamespace(snapshot=lambda: snapshot)
        return SimpleNamespace(
            ref=SimpleNamespace(name=name, host=host), ended=ended, watch=SimpleNamespace(reader=reader)
        )

    session = app.session
    runs = [run("sft", NAME, True), *(run(f"r{n}", host, ended) for n, (host, ended) in enumerate(others))]
    session._runs = dict(enumerate(runs))
    told = []
    monkeypatch.setattr(session.boxes, "run_ended", lambda host, outcome: told.append((host, outcome)))
    session.stop_box_after("sft")
    assert told == ([(NAME, "finished")] if stopped else [])


def test_the_keys_of_the_screen_name_no_way_to_rent_without_the_dialog():
    ids = {action.id.partition("(")[0] for action in actions_for("box")}
    assert ids == {"select", "kind", "stoppable", "ask", "connect", "stop", "start", "delete", "box"}
