"""Boxes: durable before they bill, found again after a crash, what they cost, what ends it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.box import boxes as module
from clinasr_tui.box.boxes import Boxes
from clinasr_tui.box.brev import BrevCli, BrevMissingError, NotSignedInError, UnclearError
from clinasr_tui.box.brev_answers import BoxStatus, Instance
from clinasr_tui.box.consent import ConsentError
from clinasr_tui.box.record import BoxRecord, Phase, begun, from_json, reconciled, to_json
from clinasr_tui.box.state import BoxBook
from clinasr_tui.box.stop_when_done import stop_after
from clinasr_tui.box.words import headline, leaving_line, state_words, warning_words
from clinasr_tui.errors import HostKeyError, InputError, RemoteError
from clinasr_tui.flywheel.cost import DEFAULT_SKU, Offer, PriceSource
from clinasr_tui.remote.host import SshSettings
from clinasr_tui.remote.trust import remember
from tests.support.brev import FakeBrev
from tests.support.sshd import Sshd
from tests.support.typing import typed

NAME = "digital-health-clinical-asr-sft"
OFFER = Offer("g6e.2xlarge", "L40S", 1, 48, 200, 2.0, PriceSource.LIVE, 1000.0, stoppable=True)
ASKED = begun(BoxRecord(NAME, OFFER, "consent", asked_at=1000.0))
HOUR = 3600.0


@pytest.fixture
def brev(tmp_path):
    return FakeBrev(tmp_path / "brev")


@pytest.fixture
def boxes(brev, tmp_path):
    return Boxes(BrevCli(str(brev.program)), BoxBook(tmp_path / "state"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


async def offer_of(boxes, place=1):
    return (await boxes.cli.offers(DEFAULT_SKU))[place]


async def rent(boxes, place=1):
    offer = await offer_of(boxes, place)
    return await boxes.provision(typed(NAME, offer), NAME, offer)


def listed(status="RUNNING", *, name=NAME, kind=OFFER.type, box_id="1"):
    words = {"RUNNING": BoxStatus.RUNNING, "STOPPED": BoxStatus.STOPPED, "DELETING": BoxStatus.DELETING}
    return Instance(name, box_id, words.get(status, BoxStatus.PENDING), status, kind, "L40S")


# --- the record -------------------------------------------------------------------------------------


def test_it_counts_as_billing_from_the_moment_it_was_asked_for():
    assert ASKED.cost(1000.0 + 1.5 * HOUR) == 3.0
    running = reconciled(ASKED, [listed()], 1000.0 + HOUR)
    assert running.cost(1000.0 + 2 * HOUR) == 4.0


def test_a_stopped_box_costs_no_more_by_the_hour_and_a_started_one_does():
    stopped = reconciled(reconciled(ASKED, [listed()], 1060.0), [listed("STOPPED")], 1000.0 + HOUR)
    assert stopped.cost(1000.0 + 9 * HOUR) == 2.0
    assert not stopped.bills
    # Somebody started it between two looks: at most since the look that saw it stopped.
    again = reconciled(stopped, [listed()], 1000.0 + 3 * HOUR)
    assert again.cost(1000.0 + 3 * HOUR) == 6.0


@pytest.mark.parametrize("word", ["DEPLOYING", "STARTING", "A-NEW-WORD", "DELETING"])
def test_what_is_listed_bills_whatever_it_is_called(word):
    assert reconciled(ASKED, [listed(word)], 1060.0).bills


def test_one_that_never_comes_was_never_created():
    assert reconciled(ASKED, [], 1500.0) == ASKED
    over = reconciled(ASKED, [], 1601.0)
    assert over.is_over
    assert over.cost(9999.0) == 0
    assert "no GPU instance was created" in over.why_ended


def test_after_an_error_of_create_it_is_waited_for_a_shorter_time():
    failed = replace(ASKED, failed_at=1010.0)
    assert not reconciled(failed, [], 1100.0).is_over
    assert reconciled(failed, [], 1131.0).is_over


def test_a_clock_set_back_does_not_lose_a_box():
    assert reconciled(ASKED, [], -5000.0) == ASKED


def test_one_that_comes_later_than_anybody_waits_is_taken_back_with_all_it_cost():
    over = reconciled(ASKED, [], 1601.0)
    back = reconciled(over, [listed()], 1000.0 + HOUR)
    assert back.bills
    assert back.cost(1000.0 + HOUR) == 2.0
    assert reconciled(over, [listed(kind="other")], 2000.0).is_over


def test_one_that_vanishes_is_not_called_deleted_unless_it_was():
    seen = reconciled(ASKED, [listed()], 1060.0)
    lost = reconciled(seen, [], 1120.0)
    assert lost.phase is Phase.LOST
    assert lost.bills
    assert "another organisation" in state_words(lost, 1120.0)
    assert reconciled(lost, [listed()], 1180.0).phase is Phase.LISTED
    deleted = reconciled(replace(seen, phase=Phase.DELETING), [], 1120.0)
    assert deleted.is_over
    assert deleted.cost(9999.0) == pytest.approx(2.0 * 120 / HOUR)


def test_a_delete_that_does_not_begin_is_told():
    asked = replace(reconciled(ASKED, [listed()], 1060.0), phase=Phase.DELETING)
    assert "delete it again" in state_words(reconciled(asked, [listed()], 1120.0), 1120.0)
    assert "until it is gone" in state_words(reconciled(asked, [listed("DELETING")], 1120.0), 1120.0)


def test_a_later_box_of_the_same_name_is_another_one():
    seen = reconciled(ASKED, [listed(box_id="1")], 1060.0)
    assert reconciled(seen, [listed(box_id="2")], 1120.0).phase is Phase.LOST


def test_another_type_than_agreed_is_told():
    made = reconciled(ASKED, [listed(kind="p5.48xlarge")], 1060.0)
    assert "p5.48xlarge, not g6e.2xlarge as agreed" in warning_words(made)
    assert warning_words(reconciled(ASKED, [listed()], 1060.0)) == ""


def test_the_few_words_of_the_title_line():
    assert headline([], 0.0) == ""
    assert headline([ASKED], 1000.0 + HOUR) == "box: $2.00/h · $2.00 so far"
    stopped = reconciled(ASKED, [listed("STOPPED")], 1060.0)
    assert "stopped" in headline([stopped], 2000.0)


def test_the_last_line_says_what_bills_on_and_how_to_end_it():
    line = leaving_line([ASKED], 1000.0 + HOUR)
    assert f"{NAME} bills on: $2.00 per hour ($48 a night), $2.00 so far" in line
    assert f"clinasr-tui stop {NAME}" in line
    deletes = replace(ASKED, offer=replace(OFFER, stoppable=False))
    assert f"clinasr-tui delete {NAME}" in leaving_line([deletes], 1060.0)
    assert "--stop-when-done" in leaving_line([replace(ASKED, stop_when_done=True)], 1060.0)
    assert leaving_line([reconciled(ASKED, [listed("STOPPED")], 1060.0)], 2000.0) == ""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["RUNNING", "STOPPED", "DELETING", "X", ""]), st.floats(1, 9000)),
        max_size=12,
    )
)
def test_the_meter_never_runs_backwards_and_survives_its_file(looks):
    record, now, before = ASKED, 1000.0, 0.0
    for word, seconds in looks:
        now += seconds
        record = reconciled(record, [listed(word)] if word else [], now)
        if record.is_over and not record.spans:
            return
        assert record.cost(now) >= before - 1e-9
        before = record.cost(now)
        assert from_json(json.loads(json.dumps(to_json(record)))) == record


# --- the file ---------------------------------------------------------------------------------------


def test_the_state_is_private_complete_and_locked(tmp_path):
    book, other = BoxBook(tmp_path / "s"), BoxBook(tmp_path / "s")
    book.put(ASKED)
    other.put(replace(ASKED, name="second"))
    assert [record.name for record in book.read()] == [NAME, "second"]
    assert book.folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in book.folder.glob("*.tmp")] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": "clinasr.boxes/9", "boxes": []}',
        '{"schema": "clinasr.boxes/1", "boxes": [{}]}',
    ],
)
def test_a_broken_state_is_an_error_and_never_none_billing(tmp_path, text):
    book = BoxBook(tmp_path)
    book.path.write_text(text)
    for ask in (book.read, book.live, lambda: book.put(ASKED)):
        with pytest.raises(InputError, match=r"boxes\.json.*brev ls"):
            ask()
    assert book.path.read_text() == text


def test_a_key_of_a_later_version_is_no_error(tmp_path):
    book = BoxBook(tmp_path)
    book.put(ASKED)
    document = json.loads(book.path.read_text())
    document["boxes"][0]["colour"] = "green"
    book.path.write_text(json.dumps(document))
    assert book.read() == (ASKED,)


def test_only_so_many_ended_boxes_are_kept_and_every_live_one(tmp_path):
    book = BoxBook(tmp_path)
    with book.change() as records:
        records += [replace(ASKED, name=f"b{n}", phase=Phase.GONE if n else Phase.LISTED) for n in range(70)]
    assert len(book.read()) == 51
    assert [record.name for record in book.live()] == ["b0"]


# --- renting ----------------------------------------------------------------------------------------


async def test_a_rented_box_is_looked_after_and_its_consent_logged(boxes, brev):
    record = await rent(boxes)
    assert record.phase is Phase.LISTED
    assert [box["name"] for box in brev.boxes] == [NAME]
    (consent,) = [json.loads(line) for line in boxes.book.log.read_text().splitlines()]
    assert consent["name"] == NAME
    assert consent["type"] == record.offer.type == brev.boxes[0]["type"]
    assert (consent["price_per_hour"], consent["price_source"]) == (1.82, "live")
    assert consent["id"] == record.consent
    assert consent["time"][:2] == "20"


@pytest.mark.parametrize("consent", [None, "YES", True])
async def test_without_consent_nothing_is_written_and_nobody_is_asked(boxes, brev, consent):
    with pytest.raises(ConsentError):
        await boxes.provision(consent, NAME, OFFER)
    assert not boxes.book.path.exists()
    assert brev.calls == []


async def test_an_old_price_is_no_basis(boxes, brev):
    offer = replace(await offer_of(boxes), seen_at=0.0)
    with pytest.raises(InputError, match="old by now"):
        await boxes.provision(typed(NAME, offer), NAME, offer)
    assert brev.ran("create") == []


async def test_the_state_that_cannot_be_written_forbids_to_rent(boxes, brev, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    offer = await offer_of(boxes)
    with pytest.raises(InputError):
        await boxes.provision(typed(NAME, offer), NAME, offer)
    assert brev.ran("create") == []


async def test_a_name_that_is_taken_is_refused_before_anything_is_made(boxes, brev):
    brev.add_box(NAME)
    with pytest.raises(InputError, match="has an instance of this name"):
        await rent(boxes)
    brev.set(boxes=[])
    await rent(boxes)
    with pytest.raises(InputError, match="looked after already"):
        await rent(boxes)
    assert len(brev.ran("create")) == 1


async def test_signed_out_leaves_no_box_behind(boxes, brev):
    offer = await offer_of(boxes)
    brev.set(signed_in=False)
    with pytest.raises(NotSignedInError):
        await boxes.provision(typed(NAME, offer), NAME, offer)
    assert boxes.book.live() == ()


async def test_an_error_of_create_that_rented_all_the_same_is_noticed(boxes, brev):
    brev.set(rent_though_failed=True)
    record = await rent(boxes)
    assert record.phase is Phase.LISTED
    assert record.bills


async def test_an_error_of_create_that_rented_late_is_noticed_at_the_next_look(boxes, brev):
    brev.set(rent_though_failed=True, list_lags=2)
    with pytest.raises(UnclearError, match=r"lists no .* so far.*looks again"):
        await rent(boxes)
    assert boxes.book.live()[0].phase is Phase.ASKED
    for _ in range(3):
        account = await boxes.look()
    assert account.records[0].phase is Phase.LISTED


async def test_a_create_that_hangs_is_ended_and_the_box_found(boxes, brev, monkeypatch):
    from clinasr_tui.box import brev_commands

    brev.set(create_hangs=30)
    monkeypatch.setitem(brev_commands.SECONDS, "create", 0.8)
    record = await rent(boxes)
    assert record.phase is Phase.LISTED


async def test_no_capacity_leaves_a_record_that_the_next_looks_settle(boxes, brev):
    offer = await offer_of(boxes)
    brev.set(no_capacity=[offer.type])
    with pytest.raises(UnclearError, match="choose another offer"):
        await boxes.provision(typed(NAME, offer), NAME, offer)
    (record,) = boxes.book.live()
    assert record.failed_at is not None
    later = Boxes(boxes.cli, boxes.book, now=lambda: record.failed_at + 121)
    assert (await later.look()).records == ()


async def test_the_account_shows_what_others_made_apart(boxes, brev):
    brev.add_box("somebody-elses")
    await rent(boxes)
    account = await boxes.look()
    assert [record.name for record in account.records] == [NAME]
    assert [one.name for one in account.others] == ["somebody-elses"]


async def test_without_an_answer_of_brev_the_records_stand_as_they_were(boxes, brev):
    await rent(boxes)
    brev.set(fails={"ls": "rpc error"})
    account = await boxes.look()
    assert account.records[0].bills
    assert "rpc error" in str(account.problem)
    missing = Boxes(BrevCli("/nowhere/brev"), boxes.book)
    account = await missing.look()
    assert isinstance(account.problem, BrevMissingError)
    assert account.records[0].bills


async def test_stop_waits_until_it_has_stopped_and_keeps_the_disk(boxes):
    await rent(boxes)
    for _ in range(5):
        await boxes.look()
    await boxes.stop(NAME)
    async with aclosing(boxes.until_over(NAME)) as looks:
        seen = [record.status async for record in looks]
    assert seen[0] is BoxStatus.STOPPING
    assert seen[-1] is BoxStatus.STOPPED
    assert not boxes.book.live()[0].bills


async def test_what_cannot_be_stopped_is_said_without_asking_brev(boxes, brev):
    await rent(boxes, 0)
    with pytest.raises(InputError, match=r"cannot be stopped.*delete"):
        await boxes.stop(NAME)
    assert brev.ran("stop") == []


async def test_delete_is_over_when_it_is_not_listed_any_more(boxes):
    await rent(boxes)
    await boxes.delete(NAME)
    assert boxes.book.live()[0].bills
    async with aclosing(boxes.until_over(NAME)) as looks:
        seen = [record async for record in looks]
    assert seen[-1].why_ended == "deleted"
    assert boxes.book.live() == ()


async def test_deleting_what_is_gone_is_no_error_and_what_is_there_is(boxes, brev):
    await rent(boxes)
    brev.set(boxes=[])
    await boxes.delete(NAME)
    assert boxes.book.find(NAME).phase is Phase.DELETING
    assert (await boxes.look()).records == ()
    brev.add_box("foreign")
    brev.set(fails={"delete": "permission denied"})
    with pytest.raises(RemoteError, match="permission denied"):
        await boxes.delete("foreign")


async def test_only_a_lost_box_is_forgotten(boxes, brev):
    await rent(boxes)
    with pytest.raises(InputError, match="not forgotten"):
        boxes.forget(NAME)
    brev.set(boxes=[])
    await boxes.look()
    boxes.forget(NAME)
    assert boxes.book.live() == ()


async def test_starting_a_stopped_box_bills_again_only_with_consent(boxes, brev):
    record = await rent(boxes)
    brev.set(boxes=[{**brev.boxes[0], "status": "STOPPED"}])
    await boxes.look()
    with pytest.raises(ConsentError):
        await boxes.start(typed(NAME, record.offer), NAME, record.offer)
    assert brev.ran("start") == []
    started = await boxes.start(typed(NAME, record.offer, "start"), NAME, record.offer)
    assert started.bills


# --- stop when done ---------------------------------------------------------------------------------


async def armed(boxes, *, place=1):
    record = await rent(boxes, place)
    boxes.book.put(replace(record, stop_when_done=True))


async def test_an_armed_box_is_stopped_after_its_run(boxes, brev):
    await armed(boxes)
    assert "is stopped" in await stop_after(boxes, NAME, "finished")
    assert brev.boxes[0]["status"] == "STOPPED"


async def test_nothing_is_stopped_unarmed_elsewhere_or_on_doubt(boxes, brev):
    await rent(boxes)
    assert await stop_after(boxes, NAME, "finished") == ""
    assert await stop_after(boxes, None, "finished") == ""
    assert await stop_after(boxes, "my-own-host", "finished") == ""
    assert "no box rented from here" in await stop_after(boxes, "my-own-host", "finished", asked=True)
    for outcome in ("unknown", "running"):
        assert "NOT stopped" in await stop_after(boxes, NAME, outcome, asked=True)
    assert brev.ran("stop") == []


async def test_a_stop_that_fails_says_that_it_bills_on(boxes, brev):
    await armed(boxes)
    brev.set(fails={"stop": "rpc error"})
    assert "bills on" in await stop_after(boxes, NAME, "failed")


# --- until SSH answers ------------------------------------------------------------------------------


@pytest.mark.sshd
async def test_ready_means_that_our_own_connection_runs_a_command(boxes, brev, tmp_path, monkeypatch):
    """RUNNING comes before sshd answers; the entry Brev writes is used, its trust in any key is not."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    known = tmp_path / "known_hosts"
    ssh = SshSettings(known_hosts=known)
    with Sshd(tmp_path / "sshd") as server:
        import getpass

        where = {"HostName": "127.0.0.1", "Port": server.port, "User": getpass.getuser()}
        brev.set(ssh={**where, "IdentityFile": str(tmp_path / "sshd" / "id")})
        server.stop()
        await rent(boxes)
        lines = []

        async def wait():
            async with aclosing(boxes.until_ready(NAME, ssh)) as looks:
                async for record, line in looks:
                    assert record.bills
                    lines.append(line)
                    if "does not answer yet" in line and server.process is None:
                        await asyncio.to_thread(server.start)

        with pytest.raises(HostKeyError) as first:
            await wait()
        assert first.value.fingerprint == server.fingerprint
        assert any("does not answer yet" in line for line in lines)
        assert boxes.book.find(NAME).answered_at is None
        remember(first.value, known)
        await wait()
    assert lines[-1] == "ready: SSH answers"
    assert "ready" in state_words(boxes.book.find(NAME), 0.0)
    assert not [call for call in brev.calls if call["argv"][0] in ("exec", "copy", "shell")]


async def test_a_box_that_failed_is_not_waited_for(boxes, brev):
    await rent(boxes)
    brev.set(boxes=[{**brev.boxes[0], "status": "FAILURE"}])
    with pytest.raises(RemoteError, match="will not answer: FAILURE"):
        async for _ in boxes.until_ready(NAME, SshSettings()):
            pass
